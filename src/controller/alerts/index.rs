//! What the leader knows of every alert. A few words an alert: whole objects would be some
//! kilobytes each, and there are thousands.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::sync::Notify;

use super::retention::kept_from;
use super::transitions;
use crate::alert::is_overflow;
use crate::api::{CountedStream, SecurityAlert, Severity, TriageState, TriageTransition};

/// An alert as last seen.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // each says something of its own
pub(super) struct IndexedAlert {
    pub(super) uid: String,
    pub(super) version: String,
    pub(super) rule: String,
    pub(super) severity: Severity,
    pub(super) state: TriageState,
    /// Whether it counts what found no room, and takes up none itself.
    pub(super) is_overflow: bool,
    /// The newest match's own time.
    pub(super) last_seen: Timestamp,
    /// From when it is kept while it is not closed.
    pub(super) kept_from: Timestamp,
    /// When it was closed, if it is and that is noted.
    pub(super) closed: Option<Timestamp>,
    /// What `status.expireTime` says.
    pub(super) expire: Option<Timestamp>,
    /// Up to where each stream is counted in it; before its first count, the match it was opened with.
    pub(super) sources: Vec<CountedStream>,
    /// Whether it has counted anything: before, its status is its opener's alone.
    pub(super) has_count: bool,
    /// Whether it is on its way out.
    pub(super) is_leaving: bool,
    /// Whether its state is what the last of its transitions says.
    pub(super) is_noted: bool,
    /// Changes of its state that were seen and do not stand in its status.
    pub(super) news: Vec<TriageTransition>,
    /// When it may be written again.
    pub(super) not_before: Option<Instant>,
}

impl IndexedAlert {
    fn of(alert: &SecurityAlert) -> Self {
        let detection = &alert.spec.detection;
        let event = &detection.event;
        let status = alert.status.as_ref().filter(|status| status.count > 0);
        let opened = event.stage_time.as_ref().or(event.request_received_time.as_ref()).map(|time| time.0);
        let created = alert.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let seen = status.and_then(|status| status.last_seen_time.as_ref()).map(|time| time.0);
        let last = status.and_then(|status| status.transitions.last());
        let last_seen = seen.or(opened).or(created).unwrap_or(Timestamp::UNIX_EPOCH);
        let place = &event.place;
        let opening = CountedStream {
            node: place.node.clone(),
            source: place.source.clone(),
            stream: place.stream.clone(),
            offset: place.offset,
            count: 1,
        };
        Self {
            uid: alert.uid().unwrap_or_default(),
            version: alert.resource_version().unwrap_or_default(),
            rule: detection.rule_name.clone(),
            severity: detection.severity,
            state: alert.spec.triage.state,
            is_overflow: is_overflow(detection),
            last_seen,
            kept_from: kept_from(last_seen, created),
            closed: last.filter(|last| last.state == TriageState::Closed).map(|last| last.time.0),
            expire: status.and_then(|status| status.expire_time.as_ref()).map(|time| time.0),
            sources: status.map_or_else(|| vec![opening], |status| status.sources.clone()),
            has_count: status.is_some(),
            is_leaving: alert.metadata.deletion_timestamp.is_some(),
            is_noted: last.map_or(TriageState::Open, |last| last.state) == alert.spec.triage.state,
            news: Vec::new(),
            not_before: None,
        }
    }
}

/// The alerts of the cluster, by name.
#[derive(Default)]
pub(super) struct AlertIndex {
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Default)]
struct Known {
    alerts: BTreeMap<String, IndexedAlert>,
    /// Whether all of them are there.
    is_whole: bool,
}

impl AlertIndex {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change is made in one go.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all alerts, once they have been listed.
    pub(super) fn look<T>(&self, look: impl FnOnce(&BTreeMap<String, IndexedAlert>) -> T) -> Option<T> {
        let known = self.lock();
        known.is_whole.then(|| look(&known.alerts))
    }

    /// An alert as last seen.
    pub(super) fn get(&self, name: &str) -> Option<IndexedAlert> {
        self.lock().alerts.get(name).cloned()
    }

    /// Resolves when an alert has changed its state.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Leaves an alert alone until then.
    pub(super) fn postpone(&self, name: &str, until: Instant) {
        if let Some(alert) = self.lock().alerts.get_mut(name) {
            alert.not_before = Some(until);
        }
    }

    /// Forgets an alert that was deleted.
    pub(super) fn forget(&self, name: &str, uid: &str) {
        let mut known = self.lock();
        if known.alerts.get(name).is_some_and(|alert| alert.uid == uid) {
            known.alerts.remove(name);
        }
    }

    /// Takes in an alert as it is now. `is_live` where its every version is seen, and this is the next.
    pub(super) fn take(&self, alert: &SecurityAlert, is_live: bool, now: Timestamp) {
        let name = alert.name_any();
        let mut taken = IndexedAlert::of(alert);
        let mut known = self.lock();
        if let Some(before) = known.alerts.remove(&name).filter(|before| before.uid == taken.uid) {
            let noted = alert.status.as_ref().map(|status| status.transitions.as_slice()).unwrap_or_default();
            taken.news = before.news;
            taken.news.retain(|new| !noted.iter().any(|old| old.resource_version == new.resource_version));
            // What was waited for has come.
            taken.not_before = before.not_before.filter(|_| before.version == taken.version);
            if is_live && before.state != taken.state {
                taken.news.push(transitions::seen(alert, before.state, now));
                transitions::bound(&mut taken.news);
                self.changed.notify_one();
            }
        }
        known.alerts.insert(name, taken);
    }

    /// Forgets the alerts that a whole list of them lacks; all that there are are known then.
    pub(super) fn end_list(&self, listed: &HashSet<String>) {
        let mut known = self.lock();
        known.alerts.retain(|name, _| listed.contains(name));
        known.is_whole = true;
        drop(known);
        self.changed.notify_one();
    }

    /// Forgets an alert that is gone, or cannot be read.
    pub(super) fn drop_name(&self, name: &str) {
        self.lock().alerts.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn alert(version: &str, state: &str, status: &Value) -> SecurityAlert {
        serde_json::from_value(json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert",
            "metadata": {"name": "a", "uid": "u", "resourceVersion": version},
            "spec": {
                "detection": {
                    "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "", "target": "",
                    "event": {"node": "n", "source": "s", "stream": "t", "offset": 10},
                },
                "triage": {"state": state},
            },
            "status": status,
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    #[test]
    fn a_change_of_state_is_news_where_it_is_seen_as_it_comes() {
        let (index, counted) = (AlertIndex::default(), json!({"count": 1}));
        index.take(&alert("1", "Open", &counted), false, now());
        index.take(&alert("2", "Open", &counted), true, now());
        assert!(index.get("a").unwrap().news.is_empty());
        index.take(&alert("3", "Closed", &counted), true, now());
        let news = index.get("a").unwrap().news;
        assert_eq!((news.len(), news[0].resource_version.as_deref()), (1, Some("3")));
        // Once it stands in the status it is none.
        let noted = json!({"count": 1, "transitions": [news[0]]});
        index.take(&alert("4", "Closed", &noted), true, now());
        let indexed = index.get("a").unwrap();
        assert!(indexed.news.is_empty() && indexed.is_noted && indexed.closed == Some(now()));
        // In a list it may be any change, by anybody.
        index.take(&alert("9", "Open", &noted), false, now());
        let indexed = index.get("a").unwrap();
        assert!(indexed.news.is_empty() && !indexed.is_noted);
    }

    #[test]
    fn an_alert_that_counts_nothing_yet_has_the_place_it_was_opened_at() {
        let index = AlertIndex::default();
        index.take(&alert("1", "Open", &Value::Null), false, now());
        let indexed = index.get("a").unwrap();
        assert_eq!((indexed.has_count, indexed.sources[0].offset), (false, 10));
        assert!(index.look(BTreeMap::len).is_none(), "the list is not whole");
    }
}
