//! The ledger: what was found and is not yet written, beside what the existing alerts already count.
//!
//! Reading threads enter matches; the [`Writer`](super::Writer) takes parcels out and says what became of them.
//! Both hold one lock for moments only: no call to the API server is made under it. A checkpoint holds the position
//! together with this source's part of the ledger ([`Ledger::snapshot`]), which is why an API server that is away
//! stops neither reading nor the position.
//!
//! Nothing waits for room here. A match whose group has an alert, or may open one by the [`Bounds`], goes into a parcel
//! of its group; any other into its rule's overflow parcel, where it is counted. So the ledger is as bounded as the
//! alerts are.
//!
//! An overflow parcel is written only after a checkpoint that holds it is on disk. Judged again after a crash, the same
//! match might find room: then it must not be in the overflow alert already. Until then the rule's other parcels wait
//! as well: an alert that counts a later match of the same group would say that it counts this one too.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::evidence::Match;
use super::groups::Entries;
use super::known::{Destination, KnownAlert, destination};
use super::parcel::{Hold, Parcel};
use super::population::Bounds;
use super::queue::Queue;
use crate::api::SecurityAlert;

/// How long one alert is left alone between two updates of its count.
const UPDATE_INTERVAL: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// See the module.
pub struct Ledger {
    node: String,
    entries: Mutex<Entries>,
    arrived: Notify,
}

/// What became of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It will be counted in an alert of its group.
    Taken,
    /// It will be counted in its rule's overflow alert: no further alert may be opened.
    Overflowed,
    /// An alert, or a parcel restored from a checkpoint, counts it already.
    Counted,
}

/// Parcels of a group on their way to the API.
#[derive(Debug)]
pub struct Delivery {
    /// The group's hash.
    pub group: Arc<str>,
    /// What to write, in order.
    pub parcels: VecDeque<Parcel>,
}

/// What a checkpoint holds of the ledger.
#[derive(Debug)]
pub struct Snapshot {
    /// What waits or is on its way and was found in the source.
    pub pending: Vec<Parcel>,
    /// What [`Ledger::saved`] is told once this is on disk.
    pub number: u64,
}

impl Ledger {
    /// An empty ledger of the process on `node`.
    pub fn new(node: &str, bounds: Bounds) -> Self {
        Self { node: node.to_owned(), entries: Mutex::new(Entries::new(bounds)), arrived: Notify::new() }
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

    /// Enters a match.
    pub fn enter(&self, found: &Match<'_>) -> Entry {
        let mut entries = self.lock();
        let group = entries.groups.get(found.hash.as_str());
        if group.is_some_and(|group| group.counts(found.place)) {
            return Entry::Counted;
        }
        // Where a reading thread starts again, it judges some matches a second time, and what found no room then might
        // find it now.
        let overflow = entries.groups.get(found.rule.overflow_hash.as_str());
        if overflow.is_some_and(|overflow| overflow.counts(found.place)) {
            return Entry::Overflowed;
        }
        let is_taken = group.is_some_and(|group| group.takes(found));
        let rule = found.rule;
        let overflows = !is_taken && !entries.population.has_room(&rule.name, rule.severity);
        entries.collect(found, overflows, is_taken);
        drop(entries);
        self.arrived.notify_one();
        if overflows { Entry::Overflowed } else { Entry::Taken }
    }

    /// Puts back what a checkpoint held. Must come before the first match is entered.
    pub fn restore(&self, restored: Vec<Parcel>) {
        let mut entries = self.lock();
        for parcel in restored {
            entries.restore(parcel.restored());
        }
        drop(entries);
        self.arrived.notify_one();
    }

    /// What waits or is on its way and was found in `source`, for its checkpoint.
    pub fn snapshot(&self, source: &str) -> Snapshot {
        let mut entries = self.lock();
        let Entries { groups, pending, snapshots, .. } = &mut *entries;
        *snapshots += 1;
        let mut parts = Vec::new();
        for hash in &*pending {
            let Some(group) = groups.get_mut(hash) else { continue };
            for parcel in group.in_flight.iter_mut().chain(&mut group.waiting) {
                if !parcel.is_partly_of(source) {
                    continue;
                }
                // What is added later is in no checkpoint yet, and waits for one by itself.
                if parcel.hold == Hold::Unsaved {
                    parcel.hold = Hold::In(*snapshots);
                    parcel.sealed = true;
                }
                let mut part = parcel.clone();
                part.segments.retain(|s| s.source == source);
                parts.push(part);
            }
        }
        Snapshot { pending: parts, number: *snapshots }
    }

    /// The snapshot of `source` with this number, or a later one, is on disk.
    pub fn saved(&self, source: &str, number: u64) {
        let mut entries = self.lock();
        let Entries { groups, pending, queue, .. } = &mut *entries;
        let mut any = false;
        for hash in &*pending {
            let Some(group) = groups.get_mut(hash) else { continue };
            for parcel in &mut group.waiting {
                if matches!(parcel.hold, Hold::In(first) if first <= number) && parcel.is_all_of(source) {
                    parcel.hold = Hold::Free;
                    any = true;
                }
            }
            group.queue_up(queue, hash);
        }
        drop(entries);
        if any {
            self.arrived.notify_one();
        }
    }

    /// Takes all that waits, each group's in order, for `replay`, which writes to no API server.
    pub fn take_all(&self) -> Vec<Parcel> {
        let mut entries = self.lock();
        let Entries { groups, pending, queue, .. } = &mut *entries;
        *queue = Queue::default();
        pending.drain().filter_map(|hash| groups.remove(&hash)).flat_map(|group| group.waiting).collect()
    }

    /// How many groups wait or are on their way.
    pub fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// Remembers an alert that exists, or what became of one. What is older than what is known says nothing.
    pub fn learn(&self, alert: &SecurityAlert) {
        self.take_in(alert, false);
    }

    /// Remembers an alert as the API server has just said that it is, also where it is older than what is known: then it
    /// was restored from a backup.
    pub fn learn_present(&self, alert: &SecurityAlert) {
        self.take_in(alert, true);
    }

    fn take_in(&self, alert: &SecurityAlert, is_present: bool) {
        let known = KnownAlert::of(alert, &self.node);
        let mut entries = self.lock();
        let Entries { groups, population, .. } = &mut *entries;
        let group = groups.entry(Arc::from(alert.spec.detection.group_hash.as_str())).or_default();
        let slot = group.known.iter_mut().find(|k| k.name == known.name);
        if !is_present && slot.as_ref().is_some_and(|old| old.is_newer_than(&known)) {
            return;
        }
        if known.is_bounded() {
            population.add(&known.rule, known.severity);
        }
        // The alert is there, so its parcel takes up no second place, however long its count and Event are in coming.
        for parcel in group.in_flight.iter_mut().chain(&mut group.waiting) {
            if known.was_opened_by(parcel) {
                parcel.give_back(population);
            }
        }
        match slot {
            Some(old) => {
                if old.is_bounded() {
                    population.remove(&old.rule, old.severity);
                }
                *old = known;
            }
            None => group.known.push(known),
        }
    }

    /// Counts an alert that this process has opened.
    pub fn count_opened(&self, alert: &SecurityAlert) {
        self.lock().opened.entry(opened_by(alert)).or_default().since += 1;
    }

    /// Counts an alert that a process before this one opened with a match found here.
    pub fn count_existing(&self, alert: &SecurityAlert) {
        self.lock().opened.entry(opened_by(alert)).or_default().existed += 1;
    }

    /// How many alerts of `rule` were opened with a match found here in `source`, those deleted since included. `said` is
    /// what the rule's status says; the first time counts, when a process before this one said it.
    pub fn opened(&self, rule: &str, source: &str, said: i64) -> i64 {
        let mut entries = self.lock();
        let opened = entries.opened.entry((rule.to_owned(), source.to_owned())).or_default();
        opened.existed.max(*opened.said.get_or_insert(said)) + opened.since
    }

    /// Notes that an ordinal under a group's short hash is another group's.
    pub fn ordinal_is_taken(&self, hash: &str, ordinal: u32) {
        let mut entries = self.lock();
        let group = entries.groups.entry(Arc::from(hash)).or_default();
        group.taken = group.taken.max(ordinal);
    }

    /// Forgets an alert that is gone. Its ordinal is free again.
    pub fn forget(&self, hash: &str, name: &str) {
        self.lock().forget(hash, |known| known.name == name);
    }

    /// Forgets an alert that was deleted, unless there is one again since.
    pub fn forget_deleted(&self, alert: &SecurityAlert) {
        let deleted = KnownAlert::of(alert, &self.node);
        self.lock().forget(&alert.spec.detection.group_hash, |known| {
            known.name == deleted.name && !known.is_newer_than(&deleted)
        });
    }

    /// Forgets all alerts but those with these names.
    pub fn retain(&self, names: &HashSet<String>) {
        let mut entries = self.lock();
        let hashes: Vec<_> = entries.groups.keys().cloned().collect();
        for hash in hashes {
            entries.forget(&hash, |known| !names.contains(&known.name));
        }
    }

    /// Decides where the first parcel of a delivery goes by what is known now. Parcels that are counted already are
    /// taken out.
    pub fn destination(&self, delivery: &mut Delivery) -> Destination {
        let entries = self.lock();
        let group = entries.groups.get(&delivery.group);
        let (known, taken) = group.map_or((&[][..], 0), |g| (&g.known[..], g.taken));
        while let Some(parcel) = delivery.parcels.front_mut() {
            match destination(parcel, known, taken) {
                Destination::Counted => drop(delivery.parcels.pop_front()),
                elsewhere => return elsewhere,
            }
        }
        Destination::Counted
    }

    /// Takes out the first parcels of a delivery, those that go into this one alert: they are counted in one write.
    pub fn joining(&self, delivery: &mut Delivery, name: &str) -> Vec<Parcel> {
        let mut joining = Vec::with_capacity(1);
        while let Destination::Join(alert) = self.destination(delivery)
            && alert == name
        {
            joining.extend(delivery.parcels.pop_front());
        }
        joining
    }

    /// How many groups wait for nothing but their turn.
    pub fn due(&self, now: Instant) -> usize {
        let mut entries = self.lock();
        entries.ripen(now);
        entries.queue.due()
    }

    /// Takes what is due of up to `limit` groups: those that open an alert first, and the most severe.
    pub fn take_due(&self, now: Instant, limit: usize) -> Vec<Delivery> {
        let mut entries = self.lock();
        entries.ripen(now);
        let Entries { groups, queue, .. } = &mut *entries;
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(hash) = queue.take()
        {
            let Some(group) = groups.get_mut(&hash) else { continue };
            // In order: an alert that counts a later match says that it counts all before.
            while let Some(parcel) = group.waiting.pop_front_if(|parcel| parcel.hold == Hold::Free) {
                group.in_flight.push(parcel);
            }
            taken.push(Delivery { group: hash, parcels: group.in_flight.iter().cloned().collect() });
        }
        taken
    }

    /// When a group that waits for a time is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.lock().queue.next()
    }

    /// Resolves when a parcel has arrived.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// The group's parcels on their way are written, or will never be.
    pub fn settle(&self, hash: &Arc<str>, now: Instant) {
        let mut entries = self.lock();
        let Entries { groups, pending, queue, population, .. } = &mut *entries;
        let Some(group) = groups.get_mut(hash) else { return };
        for mut parcel in group.in_flight.drain(..) {
            parcel.give_back(population);
        }
        group.failures = 0;
        group.not_before = Some(now + UPDATE_INTERVAL);
        if group.waiting.is_empty() {
            pending.remove(hash);
            if group.known.is_empty() {
                groups.remove(hash);
            }
        } else {
            group.queue_up(queue, hash);
        }
    }

    /// The group's parcels could not be written and may have arrived all the same: they are sent again, unchanged,
    /// later.
    pub fn retry(&self, hash: &Arc<str>, now: Instant) {
        let mut entries = self.lock();
        let Entries { groups, queue, .. } = &mut *entries;
        let Some(group) = groups.get_mut(hash) else {
            return;
        };
        let wait = FIRST_RETRY.saturating_mul(1 << group.failures.min(10)).min(LAST_RETRY);
        group.failures += 1;
        group.not_before = Some(now + wait);
        for mut parcel in group.in_flight.drain(..).rev() {
            parcel.sealed = true;
            group.waiting.push_front(parcel);
        }
        group.queue_up(queue, hash);
    }
}

/// The rule and the source under which an opened alert is counted.
fn opened_by(alert: &SecurityAlert) -> (String, String) {
    let detection = &alert.spec.detection;
    (detection.rule_name.clone(), detection.event.place.source.clone())
}
