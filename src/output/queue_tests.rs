//! The queue against a model of it, with crashes at any byte of its file.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use proptest::prelude::*;

use super::change::tests::alert;
use super::change::{AlertFacts, Change, ChangeKind};
use super::queue::{Limits, Queue};
use super::track::Step;
use crate::api::Severity;

const KINDS: [ChangeKind; 6] = [
    ChangeKind::Opened,
    ChangeKind::Counted,
    ChangeKind::Acknowledged,
    ChangeKind::Closed,
    ChangeKind::Reopened,
    ChangeKind::Deleted,
];
const SEVERITIES: [&str; 4] = ["Low", "Medium", "High", "Critical"];
const FEW: Limits = Limits { changes: 6, bytes: usize::MAX, rewrite: 6_000 };

fn change(alert_number: u8, kind: ChangeKind, count: i64) -> Change {
    let severity = SEVERITIES[usize::from(alert_number) % 4];
    let alert = alert(&format!("a{alert_number}"), severity, "Open", count, count);
    let detection = (kind == ChangeKind::Opened).then(|| Box::new(alert.spec.detection.clone()));
    Change { kind, time: Timestamp::UNIX_EPOCH, alert: AlertFacts::of(&alert).unwrap(), detection }
}

#[derive(Clone, Debug)]
enum Action {
    Tell(u8, usize),
    Learn(u8),
    Take,
    Done,
    /// The process ends, and of what the last action wrote only this part of a thousand is there.
    Crash(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..5_u8, 0..6_usize).prop_map(|(alert, kind)| Action::Tell(alert, kind)),
        1 => (5..7_u8).prop_map(Action::Learn),
        2 => Just(Action::Take),
        2 => Just(Action::Done),
        2 => (0..1_001_usize).prop_map(Action::Crash),
    ]
}

/// What the queue should be, in so many words.
#[derive(Clone, Default, PartialEq)]
struct Model {
    waiting: Vec<Change>,
    told: BTreeMap<String, AlertFacts>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting: Vec<_> = self.waiting.iter().map(Change::id).collect();
        let told: Vec<_> = self.told.values().map(|facts| (&facts.uid, facts.count)).collect();
        write!(f, "waiting {waiting:?}, told {told:?}")
    }
}

impl Model {
    fn tell(&mut self, change: Change, in_flight: Option<&Change>) {
        let uid = change.alert.uid.clone();
        match change.kind {
            ChangeKind::Deleted => self.told.remove(&uid),
            _ => self.told.insert(uid, change.alert.clone()),
        };
        self.waiting.push(change);
        while self.waiting.len() > FEW.changes {
            let may_go = |change: &&Change| Some(*change) != in_flight;
            let counts = self.waiting.iter().filter(may_go).find(|c| c.kind == ChangeKind::Counted);
            let is_dear = |c: &Change| c.kind == ChangeKind::Opened && c.alert.severity >= Severity::High;
            let lesser = self.waiting.iter().filter(may_go).filter(|c| !is_dear(c));
            let lesser = lesser.min_by_key(|c| (c.alert.severity, c.kind == ChangeKind::Opened));
            let dear = self.waiting.iter().filter(may_go).min_by_key(|c| c.alert.severity);
            let gone = counts.or(lesser).or(dear).cloned().unwrap();
            let at = self.waiting.iter().position(|c| *c == gone).unwrap();
            self.waiting.remove(at);
        }
    }
}

fn is(queue: &Queue) -> Model {
    let told = queue.told().0.into_iter().map(|facts| (facts.uid.clone(), facts)).collect();
    Model { waiting: queue.waiting(), told }
}

/// Each case waits for the disk a hundred times; more of them where somebody asks.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// What was pushed is there after any crash, in order; what was done is not, but for what the crash fell into.
    #[test]
    fn the_queue_is_as_its_model(actions in proptest::collection::vec(action(), 1..60)) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("queue.log");
        let mut queue = Queue::open(temp.path(), FEW).unwrap();
        let (mut model, mut before, mut count) = (Model::default(), Model::default(), 0);
        // What the model would be if nothing had been on its way.
        let mut at_rest = Model::default();
        let mut in_flight: Option<(u64, Change)> = None;
        let mut file_before = fs::read(&path).unwrap();
        for action in actions {
            if !matches!(action, Action::Crash(_)) {
                before = model.clone();
                at_rest = model.clone();
                file_before = fs::read(&path).unwrap();
            }
            match action {
                Action::Tell(number, kind) => {
                    count += 1;
                    let change = change(number, KINDS[kind], count);
                    let (_, outcome) = queue.push(&[Step::Tell(change.clone())]);
                    prop_assert!(outcome.is_ok());
                    at_rest.tell(change.clone(), None);
                    model.tell(change, in_flight.as_ref().map(|(_, change)| change));
                }
                Action::Learn(number) => {
                    count += 1;
                    let facts = change(number, ChangeKind::Closed, count).alert;
                    prop_assert!(queue.push(&[Step::Learn(facts.clone())]).1.is_ok());
                    model.told.insert(facts.uid.clone(), facts);
                }
                Action::Take => {
                    in_flight = queue.take(|_| false);
                    prop_assert_eq!(in_flight.as_ref().map(|(_, change)| change), model.waiting.first());
                }
                Action::Done => {
                    if let Some((number, change)) = in_flight.take() {
                        queue.done(number).unwrap();
                        model.waiting.retain(|waiting| *waiting != change);
                    }
                }
                Action::Crash(part) => {
                    drop(queue);
                    in_flight = None;
                    let file = fs::read(&path).unwrap();
                    // Where the file was replaced, that is wholly done or not at all.
                    if let Some(written) = file.strip_prefix(&*file_before) {
                        let there = file_before.len() + written.len() * part / 1_000;
                        fs::write(&path, &file[..there]).unwrap();
                        fs::write(temp.path().join("queue.new"), &file[..there / 2]).unwrap();
                    }
                    queue = Queue::open(temp.path(), FEW).unwrap();
                    let found = is(&queue);
                    // Where what had to go is missing, it is found anew, and nothing is on its way then.
                    let whole = [&model, &before, &at_rest].contains(&&found);
                    prop_assert!(whole, "{found:#?}\nis neither\n{model:#?}\nnor\n{before:#?}");
                    model = found;
                    before = model.clone();
                    at_rest = model.clone();
                    file_before = fs::read(&path).unwrap();
                }
            }
            prop_assert_eq!(&is(&queue), &model);
        }
    }
}

#[test]
fn an_opening_of_a_severe_alert_stays_while_there_is_anything_less() {
    let temp = tempfile::tempdir().unwrap();
    let queue = Queue::open(temp.path(), FEW).unwrap();
    let critical = |count| Step::Tell(change(3, ChangeKind::Opened, count));
    let low = |kind, count| Step::Tell(change(0, kind, count));
    queue
        .push(&[
            critical(1),
            low(ChangeKind::Opened, 2),
            low(ChangeKind::Closed, 3),
            low(ChangeKind::Counted, 4),
        ])
        .1
        .unwrap();
    let (dropped, outcome) = queue.push(&(5..10).map(critical).collect::<Vec<_>>());
    outcome.unwrap();
    assert_eq!((dropped, queue.len()), (3, 6));
    let kept = is(&queue).waiting;
    assert!(kept.iter().all(|change| change.alert.severity == Severity::Critical), "{kept:#?}");
    // What is least of all is what comes.
    assert_eq!(queue.push(&[low(ChangeKind::Counted, 11)]).0, 1);
    assert_eq!(is(&queue).waiting, kept);
}

#[test]
fn a_held_alert_lets_others_pass_and_keeps_its_order() {
    let temp = tempfile::tempdir().unwrap();
    let queue = Queue::open(temp.path(), Limits::default()).unwrap();
    let steps = [(1, 1), (1, 2), (2, 3)].map(|(a, n)| Step::Tell(change(a, ChangeKind::Counted, n)));
    queue.push(&steps).1.unwrap();
    let (number, other) = queue.take(|uid| uid == "a1").unwrap();
    assert_eq!(other.id(), "a2-counted-3");
    queue.done(number).unwrap();
    assert!(queue.take(|uid| uid == "a1").is_none());
    assert_eq!(queue.take(|_| false).unwrap().1.id(), "a1-counted-1");
}

#[test]
fn a_disk_that_takes_nothing_costs_no_change() {
    let temp = tempfile::tempdir().unwrap();
    let queue = Queue::open(temp.path(), Limits::default()).unwrap();
    queue.break_journal();
    assert!(queue.push(&[Step::Tell(change(1, ChangeKind::Opened, 1)), Step::Listed]).1.is_err());
    assert_eq!(queue.len(), 1);
    queue.push(&[Step::Tell(change(1, ChangeKind::Closed, 2))]).1.unwrap();
    let again = Queue::open(temp.path(), Limits::default()).unwrap();
    assert_eq!((again.len(), again.told().1), (2, true));
}
