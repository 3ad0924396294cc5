//! Builds the objects: an alert from its evidence, and its status from what a parcel adds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

use super::evidence::shown_time;
use super::name::{alert_name, short_hash};
use super::parcel::{Parcel, add_sample};
use super::text::cut;
use crate::api::{
    Condition, CountedStream, Detection, SecurityAlert, SecurityAlertSpec, SecurityAlertStatus, Triage,
    condition_type, label,
};

/// The most `sources` entries of an alert; the oldest fold into one beyond it.
const SOURCES: usize = 64;

/// A new alert, without status.
pub fn alert_object(opening: &Detection, ordinal: u32) -> SecurityAlert {
    let hash = &opening.group_hash;
    let labels = [
        (label::RULE, opening.rule_name.as_str()),
        (label::SEVERITY, opening.severity.as_str()),
        (label::GROUP, short_hash(hash)),
    ];
    let detection = Detection { who: who(opening), ..opening.clone() };
    SecurityAlert {
        metadata: ObjectMeta {
            name: Some(alert_name(&opening.rule_name, hash, ordinal)),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        spec: SecurityAlertSpec { detection, triage: Triage::default() },
        status: None,
    }
}

/// The most bytes of `who`, which kubectl counts for the width of a column: then a line of `kubectl get securityalerts`
/// fits 120 characters beside a name of 55.
const WHO: usize = 16;

/// Who made the first match, as short as a column needs it. People's names differ where they begin, those of service
/// accounts where they end.
fn who(detection: &Detection) -> String {
    const ELLIPSIS: char = '…';
    let user = detection.event.user.as_ref().and_then(|user| user.username.as_deref()).unwrap_or("-");
    match user.strip_prefix("system:serviceaccount:") {
        Some(account) if account.len() > WHO => {
            let mut begin = account.len() - (WHO - ELLIPSIS.len_utf8());
            while !account.is_char_boundary(begin) {
                begin += 1;
            }
            format!("{ELLIPSIS}{}", account.split_at(begin).1)
        }
        Some(account) => account.to_owned(),
        None => cut(user, WHO),
    }
}

/// A time moved by as much as the last match has.
fn later(time: &MicroTime, before: &MicroTime, last: &MicroTime) -> MicroTime {
    time.0.checked_add(last.0.duration_since(before.0)).map_or_else(|_| time.clone(), MicroTime)
}

/// The status of an alert after a parcel of `node`'s is counted in it.
pub fn counted(status: Option<SecurityAlertStatus>, parcel: &Parcel, node: &str) -> SecurityAlertStatus {
    let mut status = status.unwrap_or_default();
    for segment in &parcel.segments {
        let same = |s: &&mut CountedStream| {
            s.node == node && s.source == segment.source && s.stream == segment.stream
        };
        match status.sources.iter_mut().find(same) {
            Some(counted) => {
                counted.count = counted.count.saturating_add(segment.count);
                counted.offset = counted.offset.max(segment.highest);
            }
            None => status.sources.push(CountedStream {
                node: node.to_owned(),
                source: segment.source.clone(),
                stream: segment.stream.clone(),
                offset: segment.highest,
                count: segment.count,
            }),
        }
    }
    while status.sources.len() > SOURCES {
        // The list is in order of appearance: the first are streams that ended long ago.
        let ended = status.sources.remove(0);
        status.sources[0].count = status.sources[0].count.saturating_add(ended.count);
    }
    status.count = status.sources.iter().map(|s| s.count).fold(0, i64::saturating_add);
    let (first, last) = (shown_time(parcel.first), shown_time(parcel.last));
    let first = status.first_seen_time.map_or(first.clone(), |t| t.min(first));
    let before = status.last_seen_time.take().unwrap_or_else(|| last.clone());
    let last = before.clone().max(last);
    // An alert that is not closed expires so long after its last match, and a closed one takes no more: who leads sets
    // the time, and from then on it moves with the matches.
    status.expire_time = status.expire_time.take().map(|expire| later(&expire, &before, &last));
    status.first_seen_time = Some(first);
    status.last_seen_time = Some(last.clone());
    for sample in &parcel.samples {
        add_sample(&mut status.samples, sample.clone());
    }
    let message = "the alert's evidence and count are written";
    // `last` stands in for the clock: this condition never changes, so its time may as well be the match's.
    Condition::new(condition_type::READY, true, "Recorded", message).set(
        &mut status.conditions,
        None,
        last.0,
    );
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_it_was_fits_a_column() {
        let of = |user: &str| {
            let detection = json!({
                "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "h", "target": "",
                "event": {"user": {"username": user}},
            });
            who(&serde_json::from_value(detection).unwrap())
        };
        assert_eq!(of("alice"), "alice");
        assert_eq!(of("alice@example.com"), "alice@example…");
        assert_eq!(of("system:serviceaccount:shop:web"), "shop:web");
        assert_eq!(of("system:serviceaccount:kube-system:replicaset-controller"), "…et-controller");
        for user in ["ö".repeat(256), format!("system:serviceaccount:{}", "ö".repeat(256))] {
            assert!(of(&user).len() <= WHO && of(&user).contains('ö'));
        }
    }

    #[test]
    fn an_expiry_moves_with_the_last_match() {
        let at = |second| MicroTime(jiff::Timestamp::from_second(second).unwrap());
        assert_eq!(later(&at(100), &at(10), &at(15)), at(105));
        assert_eq!(later(&at(100), &at(10), &at(10)), at(100));
    }
}
