//! In which order groups are written: new alerts first, the most severe of them before all, then the counts of those
//! that exist, the one that waited longest first.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use crate::api::Severity;

/// Where a group stands among those that are due. Less is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    adds_to_an_alert: bool,
    severity: Reverse<Severity>,
    number: u64,
}

/// Groups that have something to be written, and are not being written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    all: HashSet<Arc<str>>,
    due: BTreeSet<(Turn, Arc<str>)>,
    later: BTreeSet<(Instant, Arc<str>)>,
    number: u64,
}

impl Queue {
    /// Enters a group, which may be in it already: with the severity of the alert that it opens, if it opens one.
    pub(super) fn enter(&mut self, group: &Arc<str>, opens: Option<Severity>, not_before: Option<Instant>) {
        if !self.all.insert(Arc::clone(group)) {
            return;
        }
        if let Some(time) = not_before {
            self.later.insert((time, Arc::clone(group)));
            return;
        }
        self.number += 1;
        let turn = Turn {
            adds_to_an_alert: opens.is_none(),
            // Of alerts that exist, lesser ones would have to wait for ever under a flood of the others.
            severity: Reverse(opens.unwrap_or(Severity::Low)),
            number: self.number,
        };
        self.due.insert((turn, Arc::clone(group)));
    }

    /// Takes out the groups whose time has come, which are to be entered anew.
    pub(super) fn take_ripe(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut ripe = Vec::new();
        while let Some((time, _)) = self.later.first()
            && *time <= now
        {
            let Some((_, group)) = self.later.pop_first() else { break };
            self.all.remove(&group);
            ripe.push(group);
        }
        ripe
    }

    /// Takes out the one whose turn it is.
    pub(super) fn take(&mut self) -> Option<Arc<str>> {
        let (_, group) = self.due.pop_first()?;
        self.all.remove(&group);
        Some(group)
    }

    /// How many only wait for their turn.
    pub(super) fn due(&self) -> usize {
        self.due.len()
    }

    /// When the first of those that wait for a time is ripe.
    pub(super) fn next(&self) -> Option<Instant> {
        self.later.first().map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn new_alerts_go_first_by_severity_and_others_by_how_long_they_waited() {
        let mut queue = Queue::default();
        let now = Instant::now();
        let group = |name: &str| Arc::<str>::from(name);
        queue.enter(&group("old"), None, None);
        queue.enter(&group("older-severe"), None, Some(now + Duration::from_secs(1)));
        queue.enter(&group("low"), Some(Severity::Low), None);
        queue.enter(&group("high"), Some(Severity::High), None);
        queue.enter(&group("critical"), Some(Severity::Critical), None);
        queue.enter(&group("high-too"), Some(Severity::High), None);
        // A second time changes nothing.
        queue.enter(&group("low"), Some(Severity::Critical), None);
        assert_eq!((queue.due(), queue.next()), (5, Some(now + Duration::from_secs(1))));
        assert!(queue.take_ripe(now).is_empty());
        let order: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(order, ["critical", "high", "high-too", "low", "old"].map(group));
        assert_eq!(queue.take_ripe(now + Duration::from_secs(1)), [group("older-severe")]);
        assert!(queue.all.is_empty() && queue.next().is_none());
    }
}
