//! Whether an alert's matches are behind everybody. A reader that crashed judges its log again from its last checkpoint;
//! what a deleted alert had counted, it would count once more, in another.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::index::IndexedAlert;
use crate::api::AuditSource;

/// How long after its time an alert is kept for a process that does not get past it: it may be gone for good, and its
/// log is.
const LONGEST_HOLD: SignedDuration = SignedDuration::from_hours(30 * 24);

struct Place {
    stream: String,
    settled: i64,
    last_event: Option<Timestamp>,
}

/// Up to where each process' log is settled, by node and source.
pub(super) struct Settled(HashMap<(String, String), Place>);

impl Settled {
    /// As the sources' statuses say.
    pub(super) fn of<'s>(sources: impl IntoIterator<Item = &'s AuditSource>) -> Self {
        let mut places = HashMap::new();
        for source in sources {
            let name = source.metadata.name.clone().unwrap_or_default();
            for agent in source.status.iter().flat_map(|status| &status.agents) {
                let place = Place {
                    stream: agent.stream.clone(),
                    settled: agent.settled_offset,
                    last_event: agent.last_event_time.as_ref().map(|time| time.0),
                };
                places.insert((agent.name.clone(), name.clone()), place);
            }
        }
        Self(places)
    }

    /// Whether nothing that `alert` counts can be judged again.
    pub(super) fn is_past(&self, alert: &IndexedAlert) -> bool {
        alert.sources.iter().all(|counted| {
            // Who is gone judges nothing again.
            let Some(place) = self.0.get(&(counted.node.clone(), counted.source.clone())) else {
                return true;
            };
            if place.stream == counted.stream {
                return place.settled >= counted.offset;
            }
            // Of two streams the one reported is the newer, unless the report is older than the match.
            place.settled > 0 && place.last_event.is_some_and(|time| time >= alert.last_seen)
        })
    }

    /// Whether an alert that was to go at `time` may go now.
    pub(super) fn lets_go(&self, alert: &IndexedAlert, time: Timestamp, now: Timestamp) -> bool {
        self.is_past(alert) || now.duration_since(time) >= LONGEST_HOLD
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::eviction::tests::alert;
    use super::*;
    use crate::api::{CountedStream, Severity, TriageState};

    fn settled(stream: &str, offset: i64, last_event: &str) -> Settled {
        let source: AuditSource = serde_json::from_value(json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource", "metadata": {"name": "s"},
            "spec": {"file": {"path": "audit.log"}},
            "status": {"agents": [{
                "name": "n", "stream": stream, "offset": 1_000, "settledOffset": offset, "events": 1,
                "malformedLines": 0, "lastEventTime": last_event,
            }]},
        }))
        .unwrap();
        Settled::of([&source])
    }

    #[test]
    fn an_alert_goes_once_its_matches_are_behind_every_reader() {
        let mut counted = alert(Severity::Low, TriageState::Closed, 100);
        let entry = |node: &str, stream: &str, offset| CountedStream {
            node: node.to_owned(),
            source: "s".to_owned(),
            stream: stream.to_owned(),
            offset,
            count: 1,
        };
        let (before, after) = ("1970-01-01T00:01:39.000000Z", "1970-01-01T00:01:40.000000Z");
        counted.sources = vec![entry("n", "t", 50)];
        assert!(!settled("t", 49, after).is_past(&counted));
        assert!(settled("t", 50, after).is_past(&counted));
        // The stream has ended, if the report is newer than the match and nothing of it is left to be written.
        assert!(settled("u", 1, after).is_past(&counted));
        assert!(!settled("u", 1, before).is_past(&counted));
        assert!(!settled("u", 0, after).is_past(&counted));
        // Every entry counts; one of somebody gone does not.
        counted.sources = vec![entry("gone", "t", 5_000), entry("n", "t", 50)];
        assert!(settled("t", 50, after).is_past(&counted) && !settled("t", 49, after).is_past(&counted));
        let (time, month) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + LONGEST_HOLD);
        assert!(settled("t", 49, after).lets_go(&counted, time, month));
        assert!(!settled("t", 49, after).lets_go(&counted, time, month - SignedDuration::from_secs(1)));
    }
}
