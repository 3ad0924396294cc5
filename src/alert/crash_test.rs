//! The promise "nothing lost, nothing twice", tried on a model: matches are entered, written and checkpointed in any
//! order, writes arrive with or without their answer, and the process is killed anywhere. In the end every match is
//! counted exactly once, in an alert of its group or, where no further one may be open, in the overflow alert.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;

use super::known::Destination;
use super::ledger::{Delivery, Ledger, Snapshot};
use super::parcel::{Parcel, settled};
use super::population::Bounds;
use super::{Match, RuleFacts, alert_object, counted};
use crate::api::{DetectionRule, Evidence, RecordPlace, SecurityAlert, TriageState};
use crate::detect::GroupValue;
use crate::event::{Event, Tape};

#[derive(Clone, Debug)]
enum Step {
    /// Judge the next record of the log.
    Read,
    /// Hand in the position and what is pending.
    Checkpoint,
    /// That is on disk now.
    Saved,
    /// Start a delivery.
    Take,
    /// A delivery under way: the write arrives, the answer too.
    Deliver(usize),
    /// The write arrives, its answer is lost.
    LoseAnswer(usize),
    /// The write is lost.
    LoseWrite(usize),
    /// An alert is created and the process sees it, but the status is not written.
    OpenOnly(usize),
    /// A person closes an alert.
    Close(usize),
    /// The leader deletes an alert that counts nothing past the checkpoint.
    Delete(usize),
    /// SIGKILL, and a new start from the last checkpoint.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Read),
        2 => Just(Step::Checkpoint),
        2 => Just(Step::Saved),
        4 => Just(Step::Take),
        4 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::LoseAnswer),
        1 => any::<usize>().prop_map(Step::LoseWrite),
        1 => any::<usize>().prop_map(Step::OpenOnly),
        1 => any::<usize>().prop_map(Step::Close),
        1 => any::<usize>().prop_map(Step::Delete),
        2 => Just(Step::Kill),
    ]
}

/// Few, so that they are reached.
const BOUNDS: Bounds = Bounds { alerts: 20, alerts_per_rule: 2 };

/// The value of an alert's group, and how much it counts; of the overflow alert the group is "".
fn counted_in(alert: &SecurityAlert) -> (String, i64) {
    let group = alert.spec.detection.group.first().and_then(|field| field.value.clone());
    (group.unwrap_or_default(), alert.status.as_ref().map_or(0, |status| status.count))
}

/// The log: record `i` ends at offset `10 * (i + 1)` and belongs to group `groups[i]`.
struct World {
    groups: Vec<u8>,
    rule: Arc<RuleFacts>,
    /// What the API server holds.
    stored: BTreeMap<String, SecurityAlert>,
    ledger: Ledger,
    read: usize,
    in_flight: Vec<Delivery>,
    /// What was handed in last, and what of it is on disk.
    handed_in: (usize, Vec<Parcel>, u64),
    checkpoint: (usize, Vec<Parcel>),
    /// What was counted in alerts that are deleted, by group; the overflow alert's under "".
    deleted: BTreeMap<String, i64>,
    now: Instant,
}

impl World {
    fn new(groups: Vec<u8>) -> Self {
        let rule: DetectionRule = serde_json::from_value(serde_json::json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "r"},
            "spec": {"displayName": "R", "severity": "Low", "riskScore": 1, "query": "verb:get"}
        }))
        .unwrap();
        Self {
            groups,
            rule: Arc::new(RuleFacts::from(&rule)),
            stored: BTreeMap::new(),
            ledger: Ledger::new("n", BOUNDS),
            read: 0,
            in_flight: Vec::new(),
            handed_in: (0, Vec::new(), 0),
            checkpoint: (0, Vec::new()),
            deleted: BTreeMap::new(),
            now: Instant::now(),
        }
    }

    fn read(&mut self) {
        let Some(group) = self.groups.get(self.read) else {
            return;
        };
        let mut tape = Tape::default();
        let event = Event::from_object("{\"verb\":\"get\"}", &mut tape).unwrap();
        let values = [GroupValue { field: "f".to_owned(), values: Some(vec![group.to_string()]) }];
        let offset = 10 * (i64::try_from(self.read).unwrap() + 1);
        let place = RecordPlace { node: "n".into(), source: "s".into(), stream: "t".into(), offset };
        let time = Timestamp::from_second(1_000 + offset).unwrap();
        self.ledger.enter(&Match::new(&self.rule, &values, &event, &place, time, Evidence::RequestResponse));
        self.read += 1;
    }

    fn kill(&mut self) {
        self.ledger = Ledger::new("n", BOUNDS);
        self.handed_in = (0, Vec::new(), 0);
        self.in_flight.clear();
        for alert in self.stored.values() {
            self.ledger.learn(alert);
        }
        let (read, parcels) = self.checkpoint.clone();
        self.read = read;
        // Through its written form, as the real one goes.
        let written = serde_json::to_string(&parcels).unwrap();
        self.ledger.restore(serde_json::from_str(&written).unwrap());
    }

    fn take(&mut self) {
        self.now += Duration::from_mins(1);
        self.in_flight.extend(self.ledger.take_due(self.now, 2));
    }

    fn pick(&mut self, n: usize) -> Option<Delivery> {
        (!self.in_flight.is_empty()).then(|| self.in_flight.swap_remove(n % self.in_flight.len()))
    }

    fn saved(&mut self) {
        let (read, parcels, number) = self.handed_in.clone();
        if number > 0 {
            self.checkpoint = (read, parcels);
            self.ledger.saved("s", number);
        }
    }

    fn delete(&mut self, n: usize) {
        // What the checkpoint says is still to be written would be written anew.
        let (read, pending) = &self.checkpoint;
        let settled = settled(pending, "t", 10 * i64::try_from(*read).unwrap());
        let past = |alert: &&SecurityAlert| {
            alert.status.as_ref().is_some_and(|s| s.sources.iter().all(|s| s.offset <= settled))
        };
        let old: Vec<_> = self.stored.values().filter(past).cloned().collect();
        let Some(alert) = old.get(n.checked_rem(old.len()).unwrap_or(0)) else { return };
        self.stored.remove(alert.metadata.name.as_ref().unwrap());
        self.ledger.forget_deleted(alert);
        let (group, count) = counted_in(alert);
        *self.deleted.entry(group).or_default() += count;
    }

    /// What the writer does, one call after the other, up to `calls` of them. Says whether all of it arrived.
    fn write(&mut self, delivery: &mut Delivery, calls: usize) -> bool {
        for _ in 0..calls {
            match self.ledger.destination(delivery) {
                Destination::Counted => return true,
                Destination::Open(ordinal) => {
                    let alert = alert_object(&delivery.parcels[0], ordinal);
                    let name = alert.metadata.name.clone().unwrap();
                    let alert = self.stored.entry(name).or_insert(alert);
                    self.ledger.learn(alert);
                }
                Destination::Join(name) => {
                    let Some(alert) = self.stored.get_mut(&name) else {
                        self.ledger.forget(&delivery.group, &name);
                        continue;
                    };
                    self.ledger.learn(alert);
                    for parcel in self.ledger.joining(delivery, &name) {
                        alert.status = Some(counted(alert.status.take(), &parcel, "n"));
                    }
                }
            }
        }
        false
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Read => self.read(),
            Step::Checkpoint => {
                let Snapshot { pending, number } = self.ledger.snapshot("s");
                self.handed_in = (self.read, pending, number);
            }
            Step::Saved => self.saved(),
            Step::Delete(n) => self.delete(*n),
            Step::Take => self.take(),
            Step::Kill => self.kill(),
            Step::Close(n) => {
                let count = self.stored.len();
                if let Some(alert) = self.stored.values_mut().nth(n.checked_rem(count).unwrap_or(0)) {
                    alert.spec.triage.state = TriageState::Closed;
                }
            }
            Step::Deliver(n) | Step::LoseAnswer(n) | Step::LoseWrite(n) | Step::OpenOnly(n) => {
                let Some(mut delivery) = self.pick(*n) else { return };
                let arrived = match step {
                    Step::LoseWrite(_) => false,
                    Step::OpenOnly(_) => self.write(&mut delivery, 1),
                    _ => self.write(&mut delivery, 8),
                };
                if arrived && matches!(step, Step::Deliver(_)) {
                    for alert in self.stored.values() {
                        if *alert.spec.detection.group_hash == *delivery.group {
                            self.ledger.learn(alert);
                        }
                    }
                    self.ledger.settle(&delivery.group, self.now);
                } else {
                    self.ledger.retry(&delivery.group, self.now);
                }
            }
        }
    }

    /// Reads and delivers all there is.
    fn settle(&mut self) {
        while self.read < self.groups.len() {
            self.read();
        }
        while let Some(delivery) = self.in_flight.pop() {
            self.ledger.retry(&delivery.group, self.now);
        }
        for _ in 0..10_000 {
            if self.ledger.pending() == 0 {
                return;
            }
            self.run(&Step::Checkpoint);
            self.saved();
            self.take();
            while !self.in_flight.is_empty() {
                self.run(&Step::Deliver(0));
            }
        }
        panic!("{} parcels are never delivered", self.ledger.pending());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn every_match_is_counted_exactly_once(
        groups in prop::collection::vec(0_u8..5, 1..30),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::new(groups);
        for step in &steps {
            world.run(step);
        }
        world.settle();
        let mut counts = world.deleted;
        for alert in world.stored.values() {
            let status = alert.status.as_ref().expect("every alert has a status in the end");
            prop_assert_eq!(status.count, status.sources.iter().map(|s| s.count).sum::<i64>());
            let (group, count) = counted_in(alert);
            *counts.entry(group).or_default() += count;
        }
        // Which of them found no room is as it happened; together they are all, and of no group more than there were.
        prop_assert_eq!(counts.values().sum::<i64>(), i64::try_from(world.groups.len()).unwrap());
        for (group, count) in counts.iter().filter(|(group, _)| !group.is_empty()) {
            let found = world.groups.iter().filter(|g| g.to_string() == *group).count();
            prop_assert!(*count <= i64::try_from(found).unwrap());
        }
    }
}
