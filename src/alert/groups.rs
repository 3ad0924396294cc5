//! The groups of the ledger: the alerts that are known of each, and its parcels.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::evidence::{self, Match};
use super::known::{Destination, KnownAlert, destination};
use super::parcel::{Hold, Parcel};
use super::population::{Bounds, Population};
use super::queue::Queue;
use crate::api::RecordPlace;

/// The alerts and parcels of one group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) known: Vec<KnownAlert>,
    /// The highest ordinal in use under this group's short hash.
    pub(super) taken: u32,
    pub(super) waiting: VecDeque<Parcel>,
    pub(super) in_flight: Vec<Parcel>,
    pub(super) not_before: Option<Instant>,
    pub(super) failures: u32,
}

impl Group {
    pub(super) fn parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.in_flight.iter().chain(&self.waiting)
    }

    fn has_parcels(&self) -> bool {
        self.parcels().next().is_some()
    }

    /// Whether an alert or a parcel counts the record at this place already.
    pub(super) fn counts(&self, place: &RecordPlace) -> bool {
        let RecordPlace { stream, offset, .. } = place;
        let in_parcel = |p: &Parcel| p.segments.iter().any(|s| s.stream == *stream && *offset <= s.highest);
        self.known.iter().any(|alert| alert.counts(stream, *offset)) || self.parcels().any(in_parcel)
    }

    /// Whether an alert takes this match, or one that a parcel is about to open.
    pub(super) fn takes(&self, found: &Match<'_>) -> bool {
        let window = found.rule.window_seconds;
        self.known.iter().any(|alert| alert.takes_at(found.time, window) || alert.was_opened_at(found.place))
            || self.parcels().any(|parcel| parcel.holds(found.time))
    }

    /// Enters a group whose parcels may be sent into the queue.
    pub(super) fn queue_up(&self, queue: &mut Queue, hash: &Arc<str>) {
        let first = self.waiting.front().filter(|parcel| parcel.hold == Hold::Free);
        if let Some(parcel) = first.filter(|_| self.in_flight.is_empty()) {
            let opens = self.known.is_empty().then_some(parcel.opening.severity);
            queue.enter(hash, opens, self.not_before);
        }
    }
}

/// How many alerts were opened. Those of before this process began are counted twice over, and both may lack some: what
/// exists lacks the alerts that were deleted since, and what the rule's status said lacks those opened just before a crash.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Existed when this process began.
    pub(super) existed: i64,
    /// The status said so when it was first asked.
    pub(super) said: Option<i64>,
    /// By this process.
    pub(super) since: i64,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) groups: HashMap<Arc<str>, Group>,
    /// Groups that have parcels.
    pub(super) pending: HashSet<Arc<str>>,
    pub(super) queue: Queue,
    pub(super) population: Population,
    /// How many alerts each rule opened with a match of a source read here.
    pub(super) opened: HashMap<(String, String), Opened>,
    /// The number of the last snapshot.
    pub(super) snapshots: u64,
}

impl Entries {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            groups: HashMap::new(),
            pending: HashSet::new(),
            queue: Queue::default(),
            population: Population::new(bounds),
            opened: HashMap::new(),
            snapshots: 0,
        }
    }

    /// Puts a match into a parcel of its group, or of what overflows.
    pub(super) fn collect(&mut self, found: &Match<'_>, overflows: bool, is_taken: bool) {
        let hash = if overflows { &found.rule.overflow_hash } else { &found.hash };
        let sample = evidence::sample(found.event, found.place, found.time);
        let source = &found.place.source;
        let overflow = self.groups.get(found.rule.overflow_hash.as_str());
        let waits = |p: &Parcel| p.hold != Hold::Free && p.is_all_of(source);
        let is_held = overflows || overflow.is_some_and(|group| group.parcels().any(waits));
        let open = self.groups.get_mut(hash.as_str()).and_then(|group| {
            // What waits for a checkpoint waits for that of one source.
            let fits = |p: &Parcel| match p.hold {
                Hold::Free => !is_held,
                Hold::Unsaved => p.is_all_of(source),
                Hold::In(_) => false,
            };
            // No parcel before one that holds matches of this source: an alert that counts a later match says that it
            // counts all before.
            let takes = |p: &Parcel| !p.sealed && fits(p) && p.holds(found.time);
            let last = group.waiting.iter_mut().rfind(|p| p.is_partly_of(source) || takes(p))?;
            takes(last).then_some(last)
        });
        if let Some(parcel) = open {
            return parcel.add(sample, found.time);
        }
        let mut parcel = if overflows {
            Parcel::overflow(evidence::overflow(found), sample, found.time)
        } else {
            Parcel::new(found.detection().clone(), found.rule.window_seconds, sample, found.time)
        };
        parcel.events = found.rule.events;
        if is_held {
            parcel.hold = Hold::Unsaved;
        }
        if !overflows && !is_taken {
            parcel.claim(&mut self.population);
        }
        self.add(parcel);
    }

    /// Puts back a parcel, which takes up the place of the alert that it will open: however often the process is killed
    /// before it does, there are no more of them than there may be alerts.
    pub(super) fn restore(&mut self, mut parcel: Parcel) {
        let group = self.groups.get(parcel.opening.group_hash.as_str());
        let (known, taken) = group.map_or((&[][..], 0), |group| (&group.known[..], group.taken));
        let goes = destination(&mut parcel, known, taken);
        let joins_another = group.is_some_and(|group| group.parcels().any(|other| other.holds(parcel.first)));
        if matches!(goes, Destination::Open(_)) && parcel.overflow.is_none() && !joins_another {
            parcel.claim(&mut self.population);
        }
        if goes != Destination::Counted {
            self.add(parcel);
        }
    }

    pub(super) fn add(&mut self, parcel: Parcel) {
        let hash: Arc<str> = Arc::from(parcel.opening.group_hash.as_str());
        let group = self.groups.entry(Arc::clone(&hash)).or_default();
        group.waiting.push_back(parcel);
        group.queue_up(&mut self.queue, &hash);
        self.pending.insert(hash);
    }

    /// Gives those their turn whose time has come.
    pub(super) fn ripen(&mut self, now: Instant) {
        for hash in self.queue.take_ripe(now) {
            if let Some(group) = self.groups.get_mut(&hash) {
                group.not_before = None;
                group.queue_up(&mut self.queue, &hash);
            }
        }
    }

    pub(super) fn forget(&mut self, hash: &str, mut is_gone: impl FnMut(&KnownAlert) -> bool) {
        let Some(group) = self.groups.get_mut(hash) else { return };
        let population = &mut self.population;
        group.known.retain(|known| {
            let gone = is_gone(known);
            if gone && known.is_bounded() {
                population.remove(&known.rule, known.severity);
            }
            !gone
        });
        if group.known.is_empty() && !group.has_parcels() {
            self.groups.remove(hash);
        }
    }
}
