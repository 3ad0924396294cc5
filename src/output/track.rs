//! What changed: the alerts as they are now against the alerts as they were last told.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::change::{AlertFacts, Change, ChangeKind};
use crate::api::{SecurityAlert, TriageState};

/// What follows from what was seen of an alert.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A change, to be told.
    Tell(Change),
    /// An alert that was closed before anybody looked: nothing to tell, but to know.
    Learn(AlertFacts),
    /// Every alert that was there is known now. What is missed later was missed.
    Listed,
}

#[derive(Debug)]
struct Tracked {
    told: AlertFacts,
    now: AlertFacts,
    /// When it was last told of; none if that was by an earlier process.
    told_at: Option<Instant>,
}

/// What was told of each alert. One with no memory tells every alert that is not closed as opened, once.
#[derive(Debug)]
pub(super) struct Tracker {
    tracked: HashMap<String, Tracked>,
    /// Whether all alerts were known once.
    listed: bool,
    /// The alerts seen since a list began.
    listing: Option<HashSet<String>>,
    count_interval: Duration,
}

impl Tracker {
    /// Remembers what was told, and whether all alerts were known once. More matches of one alert are told after
    /// `count_interval` at the earliest.
    pub(super) fn new(told: Vec<AlertFacts>, listed: bool, count_interval: Duration) -> Self {
        let tracked = |facts: AlertFacts| {
            (facts.uid.clone(), Tracked { told: facts.clone(), now: facts, told_at: None })
        };
        let tracked = told.into_iter().map(tracked).collect();
        Self { tracked, listed, listing: None, count_interval }
    }

    /// A list of all alerts begins.
    pub(super) fn begin_list(&mut self) {
        self.listing = Some(HashSet::new());
    }

    /// An alert is there that cannot be read: it is not gone.
    pub(super) fn note_present(&mut self, uid: String) {
        if let Some(listing) = &mut self.listing {
            listing.insert(uid);
        }
    }

    /// The list is whole: what it lacks is gone.
    pub(super) fn end_list(&mut self, time: Timestamp) -> Vec<Step> {
        let Some(present) = self.listing.take() else { return Vec::new() };
        let gone: Vec<_> = self.tracked.keys().filter(|uid| !present.contains(*uid)).cloned().collect();
        let mut steps: Vec<_> = gone.iter().filter_map(|uid| self.forget(uid, time)).collect();
        if !self.listed {
            self.listed = true;
            steps.push(Step::Listed);
        }
        steps
    }

    /// An alert is as it is here.
    pub(super) fn see(&mut self, alert: &SecurityAlert, now: Instant, time: Timestamp) -> Vec<Step> {
        let Some(facts) = AlertFacts::of(alert) else { return Vec::new() };
        if let Some(listing) = &mut self.listing {
            listing.insert(facts.uid.clone());
        }
        let Some(tracked) = self.tracked.get_mut(&facts.uid) else {
            return self.see_first(alert, facts, now, time);
        };
        let changed = tracked.told.state != facts.state;
        tracked.now = facts;
        if !changed {
            return tracked.tell_count(now, time, self.count_interval).into_iter().collect();
        }
        vec![tracked.tell(ChangeKind::to(tracked.now.state), now, time)]
    }

    fn see_first(
        &mut self,
        alert: &SecurityAlert,
        facts: AlertFacts,
        now: Instant,
        time: Timestamp,
    ) -> Vec<Step> {
        let mut tracked = Tracked { told: facts.clone(), now: facts, told_at: None };
        let state = tracked.now.state;
        let mut steps = Vec::new();
        if state == TriageState::Closed && !self.listed {
            steps.push(Step::Learn(tracked.now.clone()));
        } else {
            // It was open before it was anything else.
            let evidence = Some(Box::new(alert.spec.detection.clone()));
            tracked.now.state = TriageState::Open;
            if let Step::Tell(change) = tracked.tell(ChangeKind::Opened, now, time) {
                let opened = tracked.now.opened_time;
                steps.push(Step::Tell(Change { detection: evidence, time: opened, ..change }));
            }
            if state != TriageState::Open {
                tracked.now.state = state;
                steps.push(tracked.tell(ChangeKind::to(state), now, time));
            }
        }
        self.tracked.insert(tracked.now.uid.clone(), tracked);
        steps
    }

    /// An alert is gone.
    pub(super) fn forget(&mut self, uid: &str, time: Timestamp) -> Option<Step> {
        let tracked = self.tracked.remove(uid)?;
        Some(Step::Tell(Change { kind: ChangeKind::Deleted, time, alert: tracked.now, detection: None }))
    }

    /// The counts that may be told by now.
    pub(super) fn due(&mut self, now: Instant, time: Timestamp) -> Vec<Step> {
        let interval = self.count_interval;
        self.tracked.values_mut().filter_map(|tracked| tracked.tell_count(now, time, interval)).collect()
    }

    /// When the next count may be told, if one waits.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.tracked.values().filter(|tracked| tracked.is_behind());
        waiting.filter_map(|tracked| Some(tracked.told_at? + self.count_interval)).min()
    }
}

impl Tracked {
    fn is_behind(&self) -> bool {
        self.told.count != self.now.count
    }

    fn tell_count(&mut self, now: Instant, time: Timestamp, interval: Duration) -> Option<Step> {
        let may = self.told_at.is_none_or(|at| now.duration_since(at) >= interval);
        (self.is_behind() && may).then(|| self.tell(ChangeKind::Counted, now, time))
    }

    fn tell(&mut self, kind: ChangeKind, now: Instant, time: Timestamp) -> Step {
        self.told = self.now.clone();
        self.told_at = Some(now);
        Step::Tell(Change { kind, time, alert: self.now.clone(), detection: None })
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::tests::alert;
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(1);

    struct Watched {
        tracker: Tracker,
        now: Instant,
    }

    impl Watched {
        fn new(told: Vec<AlertFacts>, listed: bool) -> Self {
            Self { tracker: Tracker::new(told, listed, INTERVAL), now: Instant::now() }
        }

        fn see(&mut self, uid: &str, state: &str, generation: i64, count: i64) -> Vec<String> {
            let steps = self.tracker.see(
                &alert(uid, "Low", state, generation, count),
                self.now,
                Timestamp::UNIX_EPOCH,
            );
            ids(steps)
        }

        fn list(&mut self, alerts: &[(&str, &str, i64, i64)]) -> Vec<String> {
            self.tracker.begin_list();
            let mut told = Vec::new();
            for (uid, state, generation, count) in alerts {
                told.extend(self.see(uid, state, *generation, *count));
            }
            told.extend(ids(self.tracker.end_list(Timestamp::UNIX_EPOCH)));
            told
        }
    }

    fn ids(steps: Vec<Step>) -> Vec<String> {
        let id = |step| match step {
            Step::Tell(change) => change.id(),
            Step::Learn(facts) => format!("({})", facts.uid),
            Step::Listed => "listed".to_owned(),
        };
        steps.into_iter().map(id).collect()
    }

    fn facts(uid: &str, state: &str, count: i64) -> AlertFacts {
        AlertFacts::of(&alert(uid, "Low", state, 1, count)).unwrap()
    }

    #[test]
    fn without_a_memory_open_alerts_are_told_once() {
        let mut watched = Watched::new(Vec::new(), false);
        let listed = [("a", "Open", 1, 3), ("b", "Closed", 2, 1), ("c", "Acknowledged", 4, 1)];
        assert_eq!(watched.list(&listed), ["a-opened", "(b)", "c-opened", "c-acknowledged-4", "listed"]);
        assert!(watched.list(&listed).is_empty());
        assert_eq!(watched.see("b", "Open", 3, 1), ["b-reopened-3"]);
    }

    #[test]
    fn what_happened_while_nobody_looked_is_told() {
        let told = vec![
            facts("a", "Open", 3),
            facts("b", "Open", 1),
            facts("c", "Open", 1),
            facts("d", "Closed", 1),
        ];
        let mut watched = Watched::new(told, true);
        let now = [("a", "Open", 1, 7), ("b", "Closed", 2, 1), ("d", "Closed", 1, 1), ("e", "Closed", 2, 1)];
        let told = watched.list(&now);
        assert_eq!(told, ["a-counted-7", "b-closed-2", "e-opened", "e-closed-2", "c-deleted"]);
    }

    #[test]
    fn counts_are_told_at_intervals_and_states_at_once() {
        let mut watched = Watched::new(Vec::new(), true);
        assert_eq!(watched.see("a", "Open", 1, 0), ["a-opened"]);
        // The status that follows the opening says nothing new.
        assert!(watched.see("a", "Open", 1, 1).is_empty());
        assert_eq!(watched.tracker.next_due(), None);
        assert!(watched.see("a", "Open", 1, 2).is_empty());
        assert_eq!(watched.tracker.next_due(), Some(watched.now + INTERVAL));
        watched.now += INTERVAL;
        assert_eq!(ids(watched.tracker.due(watched.now, Timestamp::UNIX_EPOCH)), ["a-counted-2"]);
        assert!(watched.see("a", "Open", 1, 9).is_empty());
        assert_eq!(watched.see("a", "Closed", 2, 9), ["a-closed-2"]);
        // The count went with it.
        assert_eq!(watched.tracker.next_due(), None);
        assert_eq!(
            ids(watched.tracker.forget("a", Timestamp::UNIX_EPOCH).into_iter().collect()),
            ["a-deleted"]
        );
        assert_eq!(watched.tracker.forget("a", Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn an_alert_that_cannot_be_read_is_not_gone() {
        let mut watched = Watched::new(vec![facts("a", "Open", 1)], true);
        watched.tracker.begin_list();
        watched.tracker.note_present("a".to_owned());
        assert!(watched.tracker.end_list(Timestamp::UNIX_EPOCH).is_empty());
    }
}
