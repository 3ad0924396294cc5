//! The ledger: what was found and is not yet written, beside what the existing alerts already count.
//!
//! Reading threads enter matches; the [`Writer`](super::Writer) takes parcels out and says what became of them.
//! Both hold one lock for moments only: no call to the API server is made under it. A checkpoint holds the position
//! together with this source's part of the ledger ([`Ledger::snapshot`]), which is why an API server that is away
//! stops neither reading nor the position.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::evidence::{self, Match};
use super::known::{Destination, KnownAlert, destination};
use super::name::group_hash;
use super::parcel::Parcel;
use crate::api::{RecordPlace, SecurityAlert, Severity};

/// The most parcels that wait. When they are all taken, reading waits: the log is the queue then.
pub(super) const MAX_PARCELS: usize = 5_000;
/// How long one alert is left alone between two updates of its count.
const UPDATE_INTERVAL: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Group {
    known: Vec<KnownAlert>,
    /// The highest ordinal in use under this group's short hash.
    taken: u32,
    waiting: VecDeque<Parcel>,
    in_flight: Option<Parcel>,
    not_before: Option<Instant>,
    failures: u32,
}

#[derive(Default)]
struct Entries {
    groups: HashMap<String, Group>,
    /// Groups that have parcels.
    pending: HashSet<String>,
    parcels: usize,
    /// How many alerts each rule has that were opened with a match of a source read here.
    opened: HashMap<(String, String), i64>,
}

/// See the module.
pub struct Ledger {
    node: String,
    entries: Mutex<Entries>,
    room: Condvar,
    arrived: Notify,
}

/// A parcel on its way to the API, and the group it is of.
#[derive(Debug)]
pub struct Delivery {
    /// The group's hash.
    pub group: String,
    /// What to write.
    pub parcel: Parcel,
}

impl Ledger {
    /// An empty ledger of the process on `node`.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            entries: Mutex::default(),
            room: Condvar::new(),
            arrived: Notify::new(),
        }
    }

    /// The node whose streams are counted here.
    pub fn node(&self) -> &str {
        &self.node
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // A thread that panicked while holding the lock is noticed by its owner; what it left is consistent,
        // since every change below is made in one go.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a match. Says false when an alert, or a parcel restored from a checkpoint, counts it already.
    pub fn enter(&self, found: &Match<'_>) -> bool {
        let hash = group_hash(&found.rule.name, found.group);
        let RecordPlace { stream, offset, .. } = found.place;
        let mut entries = self.lock();
        let Entries { groups, pending, parcels, .. } = &mut *entries;
        let group = groups.entry(hash.clone()).or_default();
        let in_parcel = |p: &Parcel| p.segments.iter().any(|s| s.stream == *stream && *offset <= s.highest);
        if group.known.iter().any(|alert| alert.counts(stream, *offset))
            || group.in_flight.iter().chain(&group.waiting).any(in_parcel)
        {
            return false;
        }
        let sample = evidence::sample(found.event, found.place, found.time);
        match group.waiting.back_mut().filter(|p| !p.sealed && p.holds(found.time)) {
            Some(parcel) => parcel.add(sample, found.time),
            None => {
                let opening = evidence::detection(found, &hash);
                group.waiting.push_back(Parcel::new(opening, found.rule.window_seconds, sample, found.time));
                *parcels += 1;
                pending.insert(hash);
            }
        }
        drop(entries);
        self.arrived.notify_one();
        true
    }

    /// Waits until there is room for another parcel, at most for `patience`; says whether there is.
    pub fn wait_for_room(&self, patience: Duration) -> bool {
        let entries = self.lock();
        let full = |entries: &mut Entries| entries.parcels >= MAX_PARCELS;
        let waited = self.room.wait_timeout_while(entries, patience, full);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Puts back what a checkpoint held. Must come before the first match is entered.
    pub fn restore(&self, restored: Vec<Parcel>) {
        let mut entries = self.lock();
        for parcel in restored {
            let parcel = parcel.restored();
            let hash = parcel.opening.group_hash.clone();
            entries.groups.entry(hash.clone()).or_default().waiting.push_back(parcel);
            entries.pending.insert(hash);
            entries.parcels += 1;
        }
        drop(entries);
        self.arrived.notify_one();
    }

    /// What waits or is on its way and was found in `source`, for its checkpoint.
    pub fn snapshot(&self, source: &str) -> Vec<Parcel> {
        let entries = self.lock();
        let groups = entries.pending.iter().filter_map(|hash| entries.groups.get(hash));
        let parcels = groups.flat_map(|group| group.in_flight.iter().chain(&group.waiting));
        parcels
            .filter(|p| p.segments.iter().any(|s| s.source == source))
            .map(|p| {
                let mut part = p.clone();
                part.segments.retain(|s| s.source == source);
                part
            })
            .collect()
    }

    /// Takes all that waits, each group's in order, for `replay`, which writes to no API server.
    pub fn take_all(&self) -> Vec<Parcel> {
        let mut entries = self.lock();
        let Entries { groups, pending, parcels, .. } = &mut *entries;
        *parcels = 0;
        pending.drain().filter_map(|hash| groups.remove(&hash)).flat_map(|group| group.waiting).collect()
    }

    /// How many parcels wait or are on their way.
    pub fn pending(&self) -> usize {
        self.lock().parcels
    }

    /// Remembers an alert that exists, or what became of one.
    pub fn learn(&self, alert: &SecurityAlert) {
        let known = KnownAlert::of(alert, &self.node);
        let mut entries = self.lock();
        let group = entries.groups.entry(alert.spec.detection.group_hash.clone()).or_default();
        match group.known.iter_mut().find(|k| k.name == known.name) {
            Some(old) => *old = known,
            None => group.known.push(known),
        }
    }

    /// Counts an alert that was opened with a match found here.
    pub fn count_opened(&self, alert: &SecurityAlert) {
        let detection = &alert.spec.detection;
        let key = (detection.rule_name.clone(), detection.event.place.source.clone());
        *self.lock().opened.entry(key).or_default() += 1;
    }

    /// How many alerts of `rule` were opened with a match found here in `source`.
    pub fn opened(&self, rule: &str, source: &str) -> i64 {
        self.lock().opened.get(&(rule.to_owned(), source.to_owned())).copied().unwrap_or(0)
    }

    /// Notes that an ordinal under a group's short hash is another group's.
    pub fn ordinal_is_taken(&self, hash: &str, ordinal: u32) {
        let mut entries = self.lock();
        let group = entries.groups.entry(hash.to_owned()).or_default();
        group.taken = group.taken.max(ordinal);
    }

    /// Forgets an alert that is gone. Its ordinal is free again.
    pub fn forget(&self, hash: &str, name: &str) {
        if let Some(group) = self.lock().groups.get_mut(hash) {
            group.known.retain(|k| k.name != name);
        }
    }

    /// Decides where a parcel goes by what is known now.
    pub fn destination(&self, delivery: &mut Delivery) -> Destination {
        let entries = self.lock();
        let group = entries.groups.get(&delivery.group);
        let (known, taken) = group.map_or((&[][..], 0), |g| (&g.known[..], g.taken));
        destination(&mut delivery.parcel, known, taken)
    }

    /// Takes up to `limit` parcels that are due: those that open an alert and the most severe first.
    pub fn take_due(&self, now: Instant, limit: usize) -> Vec<Delivery> {
        if limit == 0 {
            return Vec::new();
        }
        let mut entries = self.lock();
        let Entries { groups, pending, .. } = &mut *entries;
        let mut due: Vec<(bool, std::cmp::Reverse<Severity>, &String)> = Vec::new();
        for hash in pending.iter() {
            let Some(group) = groups.get(hash) else { continue };
            let Some(parcel) = group.waiting.front() else {
                continue;
            };
            if group.in_flight.is_none() && group.not_before.is_none_or(|t| t <= now) {
                due.push((!group.known.is_empty(), std::cmp::Reverse(parcel.opening.severity), hash));
            }
        }
        due.sort_unstable();
        let mut taken = Vec::with_capacity(limit.min(due.len()));
        for (.., hash) in due.into_iter().take(limit) {
            let Some(group) = groups.get_mut(hash) else {
                continue;
            };
            group.in_flight = group.waiting.pop_front();
            let parcel = group.in_flight.clone();
            taken.extend(parcel.map(|parcel| Delivery { group: hash.clone(), parcel }));
        }
        taken
    }

    /// When the next parcel is due, if one waits.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let entries = self.lock();
        let groups = entries.pending.iter().filter_map(|hash| entries.groups.get(hash));
        let waiting = groups.filter(|g| g.in_flight.is_none() && !g.waiting.is_empty());
        waiting.map(|g| g.not_before.unwrap_or(now)).min()
    }

    /// Resolves when a parcel has arrived.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The group's parcel is written, or will never be.
    pub fn settle(&self, hash: &str, now: Instant) {
        let mut entries = self.lock();
        let Entries { groups, pending, parcels, .. } = &mut *entries;
        let Some(group) = groups.get_mut(hash) else { return };
        *parcels -= usize::from(group.in_flight.take().is_some());
        group.failures = 0;
        group.not_before = Some(now + UPDATE_INTERVAL);
        if group.waiting.is_empty() {
            pending.remove(hash);
            if group.known.is_empty() {
                groups.remove(hash);
            }
        }
        drop(entries);
        self.room.notify_all();
    }

    /// The group's parcel could not be written and may have arrived all the same: it is sent again, unchanged, later.
    pub fn retry(&self, hash: &str, now: Instant) {
        let mut entries = self.lock();
        let Some(group) = entries.groups.get_mut(hash) else {
            return;
        };
        let wait = FIRST_RETRY.saturating_mul(1 << group.failures.min(10)).min(LAST_RETRY);
        group.failures += 1;
        group.not_before = Some(now + wait);
        if let Some(mut parcel) = group.in_flight.take() {
            parcel.sealed = true;
            group.waiting.push_front(parcel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::alert::RuleFacts;
    use crate::alert::{alert_object, counted};
    use crate::event::Event;
    use crate::event::Tape;

    #[test]
    fn a_match_between_two_of_an_older_alert_is_counted() {
        let rule: crate::api::DetectionRule = serde_json::from_value(serde_json::json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "r"},
            "spec": {"displayName": "R", "severity": "Low", "riskScore": 1, "query": "verb:get",
                "grouping": {"by": ["verb"], "windowSeconds": 60}}
        }))
        .unwrap();
        let rule = Arc::new(RuleFacts::from(&rule));
        let ledger = Ledger::new("n");
        let mut tape = Tape::default();
        let event = Event::from_object("{}", &mut tape).unwrap();
        // The clock goes back and forth again.
        for (offset, second) in [(10, 1_000), (20, 500), (30, 1_001)] {
            let place = RecordPlace { node: "n".into(), source: "s".into(), stream: "t".into(), offset };
            let time = Timestamp::from_second(second).unwrap();
            assert!(ledger.enter(&Match { rule: &rule, group: &[], event: &event, place: &place, time }));
        }
        let (mut now, mut stored) = (Instant::now(), std::collections::BTreeMap::new());
        while ledger.pending() > 0 {
            now += UPDATE_INTERVAL;
            for mut delivery in ledger.take_due(now, 1) {
                let name = match ledger.destination(&mut delivery) {
                    Destination::Counted => None,
                    Destination::Join(name) => Some(name),
                    Destination::Open(ordinal) => {
                        let alert = alert_object(&delivery.parcel.opening, ordinal);
                        let name = alert.metadata.name.clone().unwrap();
                        stored.insert(name.clone(), alert);
                        Some(name)
                    }
                };
                if let Some(name) = name {
                    let alert: &mut SecurityAlert = stored.get_mut(&name).unwrap();
                    alert.status = Some(counted(alert.status.take(), &delivery.parcel, "n"));
                    ledger.learn(alert);
                }
                ledger.settle(&delivery.group, now);
            }
        }
        let counts: Vec<_> = stored.values().map(|alert| alert.status.as_ref().unwrap().count).collect();
        assert_eq!(counts, [2, 1]);
    }
}
