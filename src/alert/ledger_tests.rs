//! What waits, and in which order it is counted.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::known::Destination;
use super::ledger::{Entry, Ledger};
use super::population::Bounds;
use super::{Match, RuleFacts, alert_object, counted};
use crate::api::{DetectionRule, Evidence, RecordPlace, SecurityAlert, TriageState};
use crate::detect::GroupValue;
use crate::event::{Event, Tape};

/// A ledger of one rule, and what the API server holds.
struct World {
    ledger: Ledger,
    rule: Arc<RuleFacts>,
    now: Instant,
    stored: BTreeMap<String, SecurityAlert>,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let rule: DetectionRule = serde_json::from_value(serde_json::json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "r"},
            "spec": {"displayName": "R", "severity": "Low", "riskScore": 1, "query": "verb:get",
                "grouping": {"by": ["verb"], "windowSeconds": 60}}
        }))
        .unwrap();
        let rule = Arc::new(RuleFacts::from(&rule));
        Self { ledger: Ledger::new("n", bounds), rule, now: Instant::now(), stored: BTreeMap::new() }
    }

    fn enter(&self, group: &str, offset: i64, second: i64) -> Entry {
        let mut tape = Tape::default();
        let event = Event::from_object("{}", &mut tape).unwrap();
        let place = RecordPlace { node: "n".into(), source: "s".into(), stream: "t".into(), offset };
        let group = [GroupValue { field: "verb".to_owned(), values: Some(vec![group.to_owned()]) }];
        let time = Timestamp::from_second(second).unwrap();
        let found = Match::new(&self.rule, &group, &event, &place, time, Evidence::RequestResponse);
        self.ledger.enter(&found)
    }

    /// Does with what is due what the writer does.
    fn deliver(&mut self) {
        self.now += Duration::from_mins(1);
        for mut delivery in self.ledger.take_due(self.now, usize::MAX) {
            loop {
                match self.ledger.destination(&mut delivery) {
                    Destination::Counted => break,
                    Destination::Open(ordinal) => {
                        let alert = alert_object(&delivery.parcels[0], ordinal);
                        self.ledger.learn(&alert);
                        self.stored.insert(alert.metadata.name.clone().unwrap(), alert);
                    }
                    Destination::Join(name) => {
                        let alert = self.stored.get_mut(&name).unwrap();
                        for parcel in self.ledger.joining(&mut delivery, &name) {
                            alert.status = Some(counted(alert.status.take(), &parcel, "n"));
                        }
                        self.ledger.learn(alert);
                    }
                }
            }
            self.ledger.settle(&delivery.group, self.now);
        }
    }

    fn counts(&self) -> Vec<i64> {
        self.stored.values().map(|alert| alert.status.as_ref().unwrap().count).collect()
    }
}

#[test]
fn a_match_between_two_of_an_older_alert_is_counted() {
    let mut world = World::new(Bounds::default());
    // The clock goes back and forth again.
    for (offset, second) in [(10, 1_000), (20, 500), (30, 1_001)] {
        assert_eq!(world.enter("get", offset, second), Entry::Taken);
    }
    while world.ledger.pending() > 0 {
        world.deliver();
    }
    assert_eq!(world.counts(), [2, 1]);
}

#[test]
fn a_match_never_goes_before_one_that_waits_for_a_checkpoint() {
    let mut world = World::new(Bounds { alerts: 100, alerts_per_rule: 1 });
    assert_eq!(world.enter("a", 10, 1_000), Entry::Taken);
    assert_eq!(world.enter("b", 20, 1_000), Entry::Overflowed);
    assert_eq!(world.enter("a", 30, 1_000), Entry::Taken);
    let first = world.ledger.snapshot("s").number;
    // In no checkpoint yet, while what overflowed is in one on its way.
    assert_eq!(world.enter("a", 40, 1_000), Entry::Taken);
    world.ledger.saved("s", first);
    let second = world.ledger.snapshot("s").number;
    assert_eq!(world.enter("a", 50, 1_000), Entry::Taken);
    world.deliver();
    world.ledger.saved("s", second);
    while world.ledger.pending() > 0 {
        world.deliver();
    }
    // Of group a, and what found no room.
    assert_eq!(world.counts(), [4, 1]);
}

#[test]
fn an_alert_whose_count_is_still_to_be_written_takes_one_place() {
    let world = World::new(Bounds { alerts: 100, alerts_per_rule: 2 });
    assert_eq!(world.enter("a", 10, 1_000), Entry::Taken);
    let delivery = world.ledger.take_due(world.now, 1).pop().unwrap();
    world.ledger.learn(&alert_object(&delivery.parcels[0], 1));
    // It is opened, and its parcel is on its way, or is to be sent again.
    assert_eq!(world.enter("b", 20, 1_000), Entry::Taken);
    world.ledger.retry(&delivery.group, world.now);
    assert_eq!(world.enter("c", 30, 1_000), Entry::Overflowed);
    world.ledger.settle(&delivery.group, world.now);
    assert_eq!(world.enter("d", 40, 1_000), Entry::Overflowed);
}

#[test]
fn alerts_that_were_opened_stay_counted_when_they_are_deleted() {
    let mut world = World::new(Bounds::default());
    world.enter("a", 10, 100);
    world.deliver();
    let alert = world.stored.values().next().expect("an alert").clone();
    let restarted = |existing: usize, said: i64| {
        let ledger = Ledger::new("n", Bounds::default());
        (0..existing).for_each(|_| ledger.count_existing(&alert));
        ledger.count_opened(&alert);
        assert_eq!(ledger.opened("r", "s", said), ledger.opened("r", "s", said + 5), "the first time counts");
        ledger.opened("r", "s", said)
    };
    assert_eq!(restarted(3, 10), 11, "seven were deleted");
    assert_eq!(restarted(3, 2), 4, "one was opened just before the crash");
}

#[test]
fn an_alert_restored_from_a_backup_is_known_as_it_is_now() {
    let mut world = World::new(Bounds::default());
    world.enter("a", 10, 1_000);
    world.deliver();
    let mut alert = world.stored.pop_first().expect("an alert").1;
    alert.metadata.resource_version = Some("900".to_owned());
    world.ledger.learn(&alert);
    // The API server has gone back, and then somebody closed it. What the watch brings could as well be late.
    alert.metadata.resource_version = Some("7".to_owned());
    alert.spec.triage.state = TriageState::Closed;
    world.ledger.learn(&alert);
    world.enter("a", 20, 1_000);
    world.now += Duration::from_mins(1);
    let mut delivery = world.ledger.take_due(world.now, 1).pop().unwrap();
    assert!(matches!(world.ledger.destination(&mut delivery), Destination::Join(_)));
    // Whoever is about to write looks first.
    world.ledger.learn_present(&alert);
    assert_eq!(world.ledger.destination(&mut delivery), Destination::Open(2));
}
