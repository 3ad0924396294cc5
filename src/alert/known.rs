//! What Tripline remembers of an alert that exists: enough to decide where a match belongs, and no more.

use jiff::Timestamp;

use super::name::is_overflow;
use super::parcel::{Parcel, Segment, within};
use crate::api::{RecordPlace, SecurityAlert, SecurityAlertStatus, Severity, TriageState};

/// An alert that exists, as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownAlert {
    /// The object's name.
    pub name: String,
    /// The number at the end of its name.
    pub ordinal: u32,
    /// The rule.
    pub rule: String,
    /// The rule's severity when the alert was opened.
    pub severity: Severity,
    /// Whether it is its rule's overflow alert, which takes up no place.
    is_overflow: bool,
    /// The object's version; 0 where that is unknown.
    version: u64,
    /// Whether it takes no more matches.
    closed: bool,
    first: Timestamp,
    last: Timestamp,
    /// Stream and offset of the match it was opened with.
    opened_at: (String, i64),
    /// Up to where this node's streams are counted in it; empty before its first status.
    counted: Vec<(String, i64)>,
    has_status: bool,
}

impl KnownAlert {
    /// What to remember of `alert`, of whose streams those of `node` matter.
    pub(super) fn of(alert: &SecurityAlert, node: &str) -> Self {
        let name = alert.metadata.name.clone().unwrap_or_default();
        let detection = &alert.spec.detection;
        let event = &detection.event;
        let opened = event.stage_time.as_ref().or(event.request_received_time.as_ref()).map(|t| t.0);
        let status = alert.status.as_ref().filter(|s| s.count > 0);
        let seen = |time: fn(&SecurityAlertStatus) -> Option<Timestamp>| {
            status.and_then(time).or(opened).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Self {
            ordinal: name.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(1),
            name,
            rule: detection.rule_name.clone(),
            severity: detection.severity,
            is_overflow: is_overflow(detection),
            version: alert.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
            // What is counted in one that is on its way out would go with it.
            closed: alert.spec.triage.state == TriageState::Closed
                || alert.metadata.deletion_timestamp.is_some(),
            first: seen(|s| s.first_seen_time.as_ref().map(|t| t.0)),
            last: seen(|s| s.last_seen_time.as_ref().map(|t| t.0)),
            opened_at: (event.place.stream.clone(), event.place.offset),
            counted: status.map_or_else(Vec::new, |status| {
                let ours = status.sources.iter().filter(|s| s.node == node);
                ours.map(|s| (s.stream.clone(), s.offset)).collect()
            }),
            has_status: status.is_some(),
        }
    }

    /// Whether a record of this node's at `offset` of `stream` is in its count.
    pub(super) fn counts(&self, stream: &str, offset: i64) -> bool {
        self.counted.iter().any(|(s, counted)| s == stream && offset <= *counted)
    }

    /// Whether it was opened with a match of this parcel and has counted nothing since. A parcel is opened with its
    /// first match, which may be in no segment of it: a checkpoint holds only the segments of its own source.
    pub(super) fn was_opened_by(&self, parcel: &Parcel) -> bool {
        let (stream, offset) = &self.opened_at;
        let is_first = |s: &Segment| s.stream == *stream && s.lowest == *offset;
        self.was_opened_at(&parcel.opening.event.place)
            || (!self.has_status && parcel.segments.iter().any(is_first))
    }

    /// Whether it is one of those whose number is bounded.
    pub(super) fn is_bounded(&self) -> bool {
        !self.closed && !self.is_overflow
    }

    /// Whether this is what became of the other later. Versions are numbers that only grow, whatever the API says of
    /// their opacity, and from 1.35 on by its word.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.version > other.version
    }

    /// Whether it was opened with the match at this place and has counted nothing since.
    pub(super) fn was_opened_at(&self, place: &RecordPlace) -> bool {
        let (stream, offset) = &self.opened_at;
        !self.has_status && place.stream == *stream && place.offset == *offset
    }

    /// Whether a match at `time` joins it.
    pub(super) fn takes_at(&self, time: Timestamp, window: i64) -> bool {
        !self.closed && within(self.first, self.last, window, time)
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        let window = parcel.window_seconds;
        !self.closed
            && (within(self.first, self.last, window, parcel.first)
                || within(self.first, self.last, window, parcel.last)
                || within(parcel.first, parcel.last, window, self.first))
    }
}

/// Where a parcel goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// Everything in it is counted already.
    Counted,
    /// Into this alert.
    Join(String),
    /// Into a new alert with this ordinal.
    Open(u32),
}

/// Decides where a parcel goes, among the alerts of its group. What is counted already is taken out of it.
///
/// `taken` is the highest ordinal that is in use, be it by alerts of another group with the same short hash.
pub(super) fn destination(parcel: &mut Parcel, known: &[KnownAlert], taken: u32) -> Destination {
    parcel.segments.retain(|s| !known.iter().any(|alert| alert.counts(&s.stream, s.highest)));
    if parcel.segments.is_empty() {
        return Destination::Counted;
    }
    // An alert that was opened with the first match of this parcel just before a crash, and has no status yet: the
    // match is this alert's, even when a person has closed it meanwhile.
    let opened = known.iter().find(|alert| alert.was_opened_by(parcel));
    let joined =
        opened.or_else(|| known.iter().filter(|alert| alert.takes(parcel)).max_by_key(|a| a.ordinal));
    match joined {
        Some(alert) => Destination::Join(alert.name.clone()),
        None => Destination::Open(known.iter().map(|a| a.ordinal).max().unwrap_or(0).max(taken) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const HOUR: i64 = 3_600;

    fn time(second: i64) -> String {
        format!("{:.6}", Timestamp::from_second(second).unwrap())
    }

    /// An alert opened at offset 10 of stream `t` at second 10,000, with this state and status.
    fn alert(ordinal: u32, state: &str, status: &Value) -> KnownAlert {
        let object = json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert",
            "metadata": {"name": format!("r-k3j5mwq2xr7ta-{ordinal}")},
            "spec": {
                "detection": {
                    "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "", "target": "",
                    "event": {"stageTime": time(10_000), "stream": "t", "offset": 10},
                },
                "triage": {"state": state},
            },
            "status": status,
        });
        KnownAlert::of(&serde_json::from_value(object).unwrap(), "n")
    }

    /// The status of an alert that was seen from `first` to `last` and counts stream `t` up to `offset`.
    fn seen(first: i64, last: i64, offset: i64) -> Value {
        json!({
            "count": 1, "firstSeenTime": time(first), "lastSeenTime": time(last),
            "sources": [
                {"node": "n", "source": "s", "stream": "t", "offset": offset, "count": 1},
                {"node": "other", "source": "s", "stream": "u", "offset": 1_000, "count": 1},
            ],
        })
    }

    /// A parcel of one match of stream `t` at this second and offset.
    fn parcel(second: i64, offset: i64) -> Parcel {
        let detection = json!({
            "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "", "target": "", "event": {},
        });
        let sample = json!({"target": "", "node": "n", "source": "s", "stream": "t", "offset": offset});
        let (detection, sample) = (serde_json::from_value(detection), serde_json::from_value(sample));
        let time = Timestamp::from_second(second).unwrap();
        Parcel::new(detection.unwrap(), HOUR, sample.unwrap(), time)
    }

    fn goes(second: i64, offset: i64, known: &[KnownAlert], taken: u32) -> Destination {
        destination(&mut parcel(second, offset), known, taken)
    }

    fn join(ordinal: u32) -> Destination {
        Destination::Join(format!("r-k3j5mwq2xr7ta-{ordinal}"))
    }

    #[test]
    fn an_open_alert_takes_what_is_within_its_window() {
        let known = [alert(1, "Open", &seen(10_000, 12_000, 20))];
        for (second, wanted) in [
            (10_000 - HOUR, join(1)),
            (11_000, join(1)),
            (12_000 + HOUR, join(1)),
            (10_000 - HOUR - 1, Destination::Open(2)),
            (12_000 + HOUR + 1, Destination::Open(2)),
        ] {
            assert_eq!(goes(second, 30, &known, 0), wanted, "{second}");
        }
        assert_eq!(goes(11_000, 30, &[], 0), Destination::Open(1));
    }

    #[test]
    fn a_parcel_that_reaches_beyond_an_alert_on_both_sides_joins_it() {
        let known = [alert(1, "Open", &seen(10_000, 10_000, 20))];
        let mut wide = parcel(0, 30);
        wide.last = Timestamp::from_second(100_000).unwrap();
        assert_eq!(destination(&mut wide, &known, 0), join(1));
    }

    #[test]
    fn a_closed_alert_takes_nothing_but_still_counts() {
        let known = [
            alert(1, "Closed", &seen(10_000, 12_000, 20)),
            alert(2, "Acknowledged", &seen(12_500, 12_500, 25)),
        ];
        assert_eq!(goes(12_000, 20, &known, 0), Destination::Counted);
        assert_eq!(goes(12_000, 25, &known, 0), Destination::Counted);
        assert_eq!(goes(12_500, 30, &known, 0), join(2));
        assert_eq!(goes(12_500, 30, &known[..1], 0), Destination::Open(2));
    }

    #[test]
    fn of_several_that_would_take_it_the_newest_does() {
        let known = [alert(2, "Open", &seen(10_000, 10_000, 20)), alert(1, "Open", &seen(9_000, 9_000, 15))];
        assert_eq!(goes(9_500, 30, &known, 0), join(2));
    }

    #[test]
    fn an_alert_that_was_opened_and_never_counted_belongs_to_the_match_it_was_opened_with() {
        for state in ["Open", "Closed"] {
            let known = [alert(1, state, &Value::Null)];
            assert_eq!(goes(10_000, 10, &known, 0), join(1), "{state}");
        }
        // Another match of a closed one opens the next.
        assert_eq!(goes(10_000, 20, &[alert(1, "Closed", &Value::Null)], 0), Destination::Open(2));
        // Without a status its window is around the match it was opened with.
        assert_eq!(goes(10_000 + HOUR, 20, &[alert(1, "Open", &Value::Null)], 0), join(1));
        assert_eq!(goes(10_001 + HOUR, 20, &[alert(1, "Open", &Value::Null)], 0), Destination::Open(2));
    }

    #[test]
    fn a_parcel_joins_the_alert_it_opened_even_without_the_segment_of_its_first_match() {
        // Long after the alert's time: of a record without one, an alert says less than a parcel.
        let mut parcel = parcel(10_000_000, 30);
        parcel.opening.event.place = RecordPlace { stream: "t".into(), offset: 10, ..RecordPlace::default() };
        let known = [alert(1, "Open", &Value::Null)];
        assert_eq!(destination(&mut parcel, &[], 0), Destination::Open(1));
        assert_eq!(destination(&mut parcel, &known, 0), join(1));
        // Once it counts something, it is an alert like any other.
        let known = [alert(1, "Open", &seen(10_000, 10_000, 20))];
        assert_eq!(destination(&mut parcel, &known, 0), Destination::Open(2));
    }

    #[test]
    fn an_alert_on_its_way_out_takes_nothing_more() {
        let object = json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert",
            "metadata": {"name": "r-k3j5mwq2xr7ta-1", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"detection": {
                "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "", "target": "",
                "event": {"stageTime": time(10_000), "stream": "t", "offset": 10},
            }},
            "status": seen(10_000, 12_000, 20),
        });
        let known = [KnownAlert::of(&serde_json::from_value(object).unwrap(), "n")];
        assert_eq!(goes(11_000, 30, &known, 0), Destination::Open(2));
        assert_eq!(goes(11_000, 20, &known, 0), Destination::Counted);
    }

    #[test]
    fn a_stream_of_another_node_is_not_this_ones() {
        let known = alert(1, "Open", &seen(10_000, 10_000, 20));
        assert!(known.counts("t", 20) && !known.counts("t", 21) && !known.counts("u", 1));
    }

    #[test]
    fn what_is_counted_already_is_taken_out_of_a_parcel() {
        let known = [alert(1, "Open", &seen(10_000, 10_000, 20))];
        let mut parcel = parcel(10_000, 20);
        parcel.segments.push(Segment {
            stream: "v".to_owned(),
            lowest: 5,
            highest: 5,
            ..parcel.segments[0].clone()
        });
        assert_eq!(destination(&mut parcel, &known, 0), join(1));
        assert_eq!((parcel.segments.len(), parcel.segments[0].stream.as_str()), (1, "v"));
    }

    #[test]
    fn an_ordinal_is_never_used_twice() {
        let known = [alert(3, "Closed", &seen(0, 0, 5))];
        assert_eq!(goes(10_000, 30, &known, 0), Destination::Open(4));
        assert_eq!(goes(10_000, 30, &known, 7), Destination::Open(8));
        assert_eq!(goes(10_000, 30, &[], 7), Destination::Open(8));
    }
}
