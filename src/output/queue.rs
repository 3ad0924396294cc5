//! What waits for the webhook, on disk, with what was told of each alert: both change in one write, so that after a crash
//! nothing is told that was not remembered, and nothing remembered that will not be told.
//!
//! It is bounded. When it is full the oldest counts go first, whose successors say the same and more; then what is least
//! severe, and last of all the openings of severe alerts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{error, warn};

use super::change::{AlertFacts, Change, ChangeKind};
use super::error::QueueError;
use super::journal::Journal;
use super::track::Step;
use crate::api::Severity;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many changes.
    pub(super) changes: usize,
    /// How many bytes of them.
    pub(super) bytes: usize,
    /// The size at which the file is first written anew.
    pub(super) rewrite: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { changes: 10_000, bytes: 16 << 20, rewrite: 4 << 20 }
    }
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
enum Record {
    /// A change waits, under a number that grows.
    Tell(u64, Change),
    /// It waits no more.
    Done(u64),
    /// What was told of an alert.
    Know(AlertFacts),
    /// There is nothing to know of an alert of which a change waits.
    Forget(String),
    /// All alerts were known.
    Listed,
}

/// What is kept in memory of a change that waits. The rest is in its line, which is short of what it unfolds to.
#[derive(Debug)]
struct Waiting {
    uid: String,
    kind: ChangeKind,
    severity: Severity,
    line: Box<[u8]>,
}

impl Waiting {
    /// What goes first when there is no room: the least, and of the same the oldest.
    fn worth(&self) -> (bool, bool, Severity, bool) {
        if self.kind == ChangeKind::Counted {
            return (false, false, Severity::Low, false);
        }
        let opens = self.kind == ChangeKind::Opened;
        (true, opens && self.severity >= Severity::High, self.severity, opens)
    }
}

#[derive(Debug, Default)]
struct State {
    journal: Journal,
    waiting: BTreeMap<u64, Waiting>,
    /// What was told of each alert, as far as it is in the journal.
    told: HashMap<String, AlertFacts>,
    listed: bool,
    next: u64,
    bytes: usize,
    /// The number of the change that is on its way.
    in_flight: Option<u64>,
    rewritten: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    limits: Limits,
}

impl Queue {
    /// Opens the queue in this folder.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub(super) fn open(folder: &Path, limits: Limits) -> Result<Self, QueueError> {
        let mut state = State::default();
        let (journal, cut) = Journal::open(folder, |line| match serde_json::from_slice(&line) {
            Ok(record) => state.apply(record, line),
            // Its checksum is right: an earlier or later version wrote it.
            Err(error) => {
                warn!(%error, "a line of the webhook's queue is not understood and passed over");
            }
        })?;
        if cut > 0 {
            warn!(
                bytes = cut,
                "the webhook's queue ends with what is no line, as a crash leaves it; it is cut off"
            );
        }
        state.rewritten = journal.length();
        state.journal = journal;
        // A crash may have fallen between a change and what had to go for it.
        let mut lines = Vec::new();
        state.make_room(&limits, &mut lines);
        if !lines.is_empty() {
            state.write(&lines, &limits)?;
        }
        Ok(Self { state: Mutex::new(state), changed: Notify::new(), limits })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits, in order.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<Change> {
        let state = self.state();
        let change = |waiting: &Waiting| match serde_json::from_slice(&waiting.line) {
            Ok(Record::Tell(_, change)) => change,
            _ => panic!("a line that is no change"),
        };
        state.waiting.values().map(change).collect()
    }

    /// From now on the disk takes nothing, until the journal is replaced.
    #[cfg(test)]
    pub(super) fn break_journal(&self) {
        self.state().journal.fill_disk();
    }

    /// What was told of each alert, and whether all of them were known once.
    pub(super) fn told(&self) -> (Vec<AlertFacts>, bool) {
        let state = self.state();
        (state.told.values().cloned().collect(), state.listed)
    }

    /// How many changes wait.
    pub(super) fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Resolves when a change was added.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes in what there is to tell; says how many changes had to go for want of room. Durable on return, unless it
    /// fails: then it is held in memory, and the next call tries to write all of it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn push(&self, steps: &[Step]) -> (u64, Result<(), QueueError>) {
        let mut state = self.state();
        let mut lines = Vec::with_capacity(steps.len());
        let mut dropped = 0;
        for step in steps {
            let record = match step {
                Step::Tell(change) => Record::Tell(state.next, change.clone()),
                Step::Learn(facts) => Record::Know(facts.clone()),
                Step::Listed => Record::Listed,
            };
            state.add(record, &mut lines);
            dropped += state.make_room(&self.limits, &mut lines);
        }
        let outcome = state.write(&lines, &self.limits);
        drop(state);
        self.changed.notify_one();
        (dropped, outcome)
    }

    /// The first change that waits and whose alert is not held back, with its number. It is on its way from now on.
    pub(super) fn take(&self, is_held: impl Fn(&str) -> bool) -> Option<(u64, Change)> {
        let mut state = self.state();
        let found = state.waiting.iter().find(|(_, waiting)| !is_held(&waiting.uid));
        let (number, record) =
            found.map(|(number, waiting)| (*number, serde_json::from_slice(&waiting.line)))?;
        state.in_flight = Some(number);
        match record {
            Ok(Record::Tell(_, change)) => Some((number, change)),
            // This process wrote or read it as one.
            _ => None,
        }
    }

    /// The change that was on its way goes on waiting.
    pub(super) fn put_back(&self) {
        self.state().in_flight = None;
    }

    /// The change that was on its way waits no more. Durable on return, unless it fails.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn done(&self, number: u64) -> Result<(), QueueError> {
        let mut state = self.state();
        let mut lines = Vec::new();
        state.in_flight = None;
        state.add(Record::Done(number), &mut lines);
        state.write(&lines, &self.limits)
    }
}

impl State {
    /// Applies a record and keeps its line.
    fn add(&mut self, record: Record, lines: &mut Vec<Box<[u8]>>) {
        match serde_json::to_vec(&record) {
            Ok(line) => {
                let line = line.into_boxed_slice();
                lines.push(line.clone());
                self.apply(record, line);
            }
            // Strings and numbers only: it has a JSON form.
            Err(error) => error!(%error, "a change cannot be written"),
        }
    }

    fn apply(&mut self, record: Record, line: Box<[u8]>) {
        match record {
            Record::Tell(number, change) => {
                let Change { kind, alert, .. } = change;
                let waiting = Waiting { uid: alert.uid.clone(), kind, severity: alert.severity, line };
                self.bytes += waiting.line.len();
                self.next = self.next.max(number + 1);
                self.waiting.insert(number, waiting);
                if kind == ChangeKind::Deleted {
                    self.told.remove(&alert.uid);
                } else {
                    self.told.insert(alert.uid.clone(), alert);
                }
            }
            Record::Done(number) => {
                // Its number is not given again, also where it was the last.
                self.next = self.next.max(number + 1);
                let waited = self.waiting.remove(&number);
                self.bytes -= waited.map_or(0, |waiting| waiting.line.len());
            }
            Record::Know(facts) => {
                self.told.insert(facts.uid.clone(), facts);
            }
            Record::Forget(uid) => {
                self.told.remove(&uid);
            }
            Record::Listed => self.listed = true,
        }
    }

    /// Drops what is too much; says how many.
    fn make_room(&mut self, limits: &Limits, lines: &mut Vec<Box<[u8]>>) -> u64 {
        let mut dropped = 0;
        while let Some(least) = self.least_if_full(limits) {
            dropped += 1;
            self.add(Record::Done(least), lines);
        }
        dropped
    }

    /// The number of the change that goes first, if there are too many.
    fn least_if_full(&self, limits: &Limits) -> Option<u64> {
        if self.waiting.len() <= limits.changes && self.bytes <= limits.bytes {
            return None;
        }
        let may_go = self.waiting.iter().filter(|(number, _)| Some(**number) != self.in_flight);
        may_go.min_by_key(|(number, waiting)| (waiting.worth(), **number)).map(|(number, _)| *number)
    }

    fn write(&mut self, lines: &[Box<[u8]>], limits: &Limits) -> Result<(), QueueError> {
        if self.journal.is_whole() {
            self.journal.append(lines.iter().map(|line| &**line))?;
            if self.journal.length() < limits.rewrite.max(self.rewritten.saturating_mul(2)) {
                return Ok(());
            }
        }
        // What waits comes first, for it was told of alerts in its time; what is known of them now comes after it.
        let known = self.told.values().map(|facts| Record::Know(facts.clone()));
        let gone = self.waiting.values().filter(|waiting| !self.told.contains_key(&waiting.uid));
        let gone = gone.map(|waiting| Record::Forget(waiting.uid.clone()));
        // No number is given twice.
        let last = self.next.checked_sub(1).filter(|last| !self.waiting.contains_key(last)).map(Record::Done);
        let rest = known.chain(gone).chain(self.listed.then_some(Record::Listed)).chain(last);
        let rest: Vec<Vec<u8>> = rest.filter_map(|record| serde_json::to_vec(&record).ok()).collect();
        let waiting = self.waiting.values().map(|waiting| &*waiting.line);
        self.journal.replace(waiting.chain(rest.iter().map(Vec::as_slice)))?;
        self.rewritten = self.journal.length();
        Ok(())
    }
}
