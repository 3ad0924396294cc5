//! Builds the objects: an alert from its evidence, and its status from what a parcel adds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

use super::evidence::shown_time;
use super::name::{alert_name, short_hash};
use super::parcel::{Parcel, add_sample};
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
    let name = alert_name(&opening.rule_name, hash, ordinal);
    let detection = Detection { summary: summary(opening, &name), ..opening.clone() };
    SecurityAlert {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        spec: SecurityAlertSpec { detection, triage: Triage::default() },
        status: None,
    }
}

/// Who and what, in what is left of 120 columns beside `name`, Severity, Count, State and Last Seen with their gaps.
fn summary(detection: &Detection, name: &str) -> String {
    const BESIDE: usize = 51;
    let room = 120_usize.saturating_sub(name.len() + BESIDE).max(3);
    let user = detection.event.user.as_ref().and_then(|user| user.username.as_deref());
    // A service account is known by its namespace and name.
    let user = user.map_or("-", |user| user.strip_prefix("system:serviceaccount:").unwrap_or(user));
    let (target, is_long) = (detection.target.as_str(), |text: &str, most| text.chars().count() > most);
    let beside = target.chars().count().min(room / 2) + 1;
    let user_room = room.saturating_sub(beside);
    let user = if is_long(user, user_room) { ending(user, user_room) } else { user.to_owned() };
    let left = room.saturating_sub(user.chars().count() + 1);
    let target = if is_long(target, left) { ending(target, left) } else { target.to_owned() };
    format!("{user} {target}")
}

/// The last `most` characters of a text, the first of them an ellipsis: names differ at their ends.
fn ending(text: &str, most: usize) -> String {
    let skipped = (text.chars().count() + 1).saturating_sub(most);
    std::iter::once('…').chain(text.chars().skip(skipped)).collect()
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

    fn detection(user: &str, target: &str) -> Detection {
        serde_json::from_value(json!({
            "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "h", "target": target,
            "event": {"user": {"username": user}},
        }))
        .unwrap()
    }

    #[test]
    fn a_summary_fits_beside_the_name() {
        let (short, long) = ("alice", "system:serviceaccount:kube-system:replicaset-controller");
        let (name, target) = ("user-exec-into-pod-k3j5mwq2xr7ta-1", "pods/exec shop/web-0");
        assert_eq!(summary(&detection(short, target), name), "alice pods/exec shop/web-0");
        let both = summary(&detection(long, "pods/exec storefront-production/web-7d9c6b5f4-x2x9k"), name);
        assert!(
            both.starts_with('…') && both.ends_with("web-7d9c6b5f4-x2x9k") || both.contains(" …"),
            "{both}"
        );
        for name_length in [20, 34, 50, 63] {
            for user in [short, long, "ä", &"ö".repeat(256)] {
                let text = summary(&detection(user, &"x".repeat(256)), &"n".repeat(name_length));
                assert!(text.chars().count() + name_length <= 120 - 51, "{text}");
            }
        }
    }

    #[test]
    fn an_expiry_moves_with_the_last_match() {
        let at = |second| MicroTime(jiff::Timestamp::from_second(second).unwrap());
        assert_eq!(later(&at(100), &at(10), &at(15)), at(105));
        assert_eq!(later(&at(100), &at(10), &at(10)), at(100));
    }
}
