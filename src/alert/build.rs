//! Builds the objects: an alert from its evidence, and its status from what a parcel adds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

use super::evidence::shown_time;
use super::frequent::Frequent;
use super::name::{alert_name, overflow_name, short_hash};
use super::parcel::{Overflow, Parcel, add_sample};
use super::size::fit_status;
use super::text::cut;
use crate::api::{
    Condition, CountedStream, Detection, OverflowValues, SecurityAlert, SecurityAlertSpec,
    SecurityAlertStatus, Triage, condition_type, label,
};

/// The most `sources` entries of an alert; the oldest fold into one beyond it.
const SOURCES: usize = 64;
/// How many of the most frequent users and targets an overflow alert shows.
const FREQUENT: usize = 16;

/// A new alert for a parcel, without status.
pub fn alert_object(parcel: &Parcel, ordinal: u32) -> SecurityAlert {
    let opening = &parcel.opening;
    let hash = &opening.group_hash;
    let labels = [
        (label::RULE, opening.rule_name.as_str()),
        (label::SEVERITY, opening.severity.as_str()),
        (label::GROUP, short_hash(hash)),
    ];
    let name = match parcel.overflow {
        None => alert_name(&opening.rule_name, hash, ordinal),
        Some(_) => overflow_name(&opening.rule_name, ordinal),
    };
    let detection = Detection { who: who(opening), ..opening.clone() };
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
        let same =
            |s: &CountedStream| s.node == node && s.source == segment.source && s.stream == segment.stream;
        let known = status.sources.iter().position(same).map(|at| status.sources.remove(at));
        let (count, offset) = known.map_or((0, segment.highest), |known| (known.count, known.offset));
        status.sources.push(CountedStream {
            node: node.to_owned(),
            source: segment.source.clone(),
            stream: segment.stream.clone(),
            offset: offset.max(segment.highest),
            count: count.saturating_add(segment.count),
        });
    }
    while status.sources.len() > SOURCES {
        // The first is the stream that was counted longest ago, which has most likely ended.
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
    if let Some(overflow) = &parcel.overflow {
        status.overflow = Some(frequent(status.overflow.take().unwrap_or_default(), overflow));
    }
    fit_status(&mut status);
    let message = "the alert's evidence and count are written";
    // `last` stands in for the clock: this condition never changes, so its time may as well be the match's.
    Condition::new(condition_type::READY, true, "Recorded", message).set(
        &mut status.conditions,
        None,
        last.0,
    );
    status
}

fn frequent(shown: OverflowValues, overflow: &Overflow) -> OverflowValues {
    let most = |shown, more: &Frequent| {
        let mut all = Frequent::of(shown);
        all.merge(more);
        all.most(FREQUENT)
    };
    OverflowValues {
        users: most(shown.users, &overflow.users),
        targets: most(shown.targets, &overflow.targets),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::alert::evidence::overflow;
    use crate::alert::{Match, RuleFacts};
    use crate::api::{DetectionRule, Evidence, RecordPlace};
    use crate::detect::GroupValue;
    use crate::event::{Event, Tape};

    #[test]
    fn no_event_makes_an_alert_larger_than_it_may_be() {
        // Each of these characters is written with eight, and counts as many.
        let huge = "\u{202e}\u{1b}ä\"\\".repeat(400);
        let list = |length: usize| (0..length).map(|n| format!("{n}{huge}")).collect::<Vec<_>>();
        let user = serde_json::json!({"username": huge, "uid": huge, "groups": list(100)});
        let event = serde_json::json!({
            "user": user, "impersonatedUser": user, "sourceIPs": list(20), "userAgent": huge, "verb": huge,
            "requestURI": huge, "auditID": huge, "stage": "ResponseComplete", "responseStatus": {"code": 200},
            "requestObject": {"a": huge}, "responseObject": {"b": huge},
            "annotations": {"authorization.k8s.io/decision": huge},
            "objectRef": {"resource": huge, "subresource": huge, "namespace": huge, "name": huge, "uid": huge,
                "apiGroup": huge, "apiVersion": huge},
        });
        let reference =
            serde_json::json!({"id": "T1", "name": "x".repeat(128), "reference": "y".repeat(256)});
        let rule: DetectionRule = serde_json::from_value(serde_json::json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule",
            "metadata": {"name": "r".repeat(63), "uid": "u".repeat(36)},
            "spec": {
                "displayName": huge, "severity": "Low", "riskScore": 1, "query": "verb:get", "ruleId": huge,
                "evidence": "RequestResponse", "tags": (0..32).map(|n| format!("{n}{}", "t".repeat(120))).collect::<Vec<_>>(),
                "threat": (0..16).map(|_| serde_json::json!({"framework": "f", "tactic": reference,
                    "techniques": vec![reference.clone(); 16]})).collect::<Vec<_>>(),
            },
        }))
        .unwrap();
        let (text, mut tape, rule) = (event.to_string(), Tape::default(), Arc::new(RuleFacts::from(&rule)));
        let event = Event::from_object(&text, &mut tape).unwrap();
        let group: Vec<_> =
            list(8).into_iter().map(|v| GroupValue { field: v.clone(), values: Some(vec![v]) }).collect();
        for overflows in [false, true] {
            let mut alert: Option<SecurityAlert> = None;
            for offset in 0..24_i64 {
                let place = RecordPlace {
                    node: "n".repeat(63),
                    source: "s".repeat(63),
                    stream: format!("{:032}", offset % 12),
                    offset: i64::MAX - offset,
                };
                let time = Timestamp::from_second(offset).unwrap();
                let found = Match::new(&rule, &group, &event, &place, time, Evidence::RequestResponse);
                let sample = crate::alert::evidence::sample(&event, &place, time);
                let parcel = if overflows {
                    Parcel::overflow(overflow(&found), sample, time)
                } else {
                    Parcel::new(found.into_detection(), 60, sample, time)
                };
                let mut opened = alert.unwrap_or_else(|| alert_object(&parcel, 1));
                opened.status = Some(counted(opened.status.take(), &parcel, &place.node));
                alert = Some(opened);
            }
            let length = serde_json::to_vec(&alert).unwrap().len();
            assert!((3_000..=10 * 1024).contains(&length), "{length}");
            assert_eq!(alert.unwrap().status.unwrap().count, 24);
        }
    }

    #[test]
    fn a_stream_that_goes_on_keeps_its_place_whatever_comes_and_goes() {
        let parcel = |stream: &str, offset| {
            let opening = serde_json::json!({
                "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "", "target": "", "event": {},
            });
            let place = RecordPlace { node: "n".into(), source: "s".into(), stream: stream.into(), offset };
            let sample = crate::api::Sample { place, ..Default::default() };
            Parcel::new(serde_json::from_value(opening).unwrap(), 60, sample, Timestamp::UNIX_EPOCH)
        };
        let mut status = None;
        for number in 0..200 {
            status = Some(counted(status.take(), &parcel(&format!("passing-{number}"), 10), "other"));
            status = Some(counted(status.take(), &parcel("lasting", number), "n"));
        }
        let status = status.unwrap();
        assert_eq!((status.sources.len(), status.count), (SOURCES, 400));
        let lasting: Vec<_> = status.sources.iter().filter(|source| source.stream == "lasting").collect();
        assert_eq!((lasting.len(), lasting[0].count, lasting[0].offset), (1, 200, 199));
    }

    #[test]
    fn who_it_was_fits_a_column() {
        let of = |user: &str| {
            let detection = serde_json::json!({
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
