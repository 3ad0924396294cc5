//! How many alerts may be open at once, and how many are.
//!
//! Whoever can make requests can make groups, so alerts are bounded: in all, so that the API server can bear them, and
//! per rule, so that one rule leaves room for the others. Each severity keeps a tenth of the whole for itself, and a
//! more severe alert may be opened where lesser ones take up what is not theirs: the leader evicts those afterwards.
//! Closed alerts take up nothing.

use std::collections::HashMap;

use crate::api::Severity;

/// How many alerts may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub alerts: usize,
    /// Of one rule.
    pub alerts_per_rule: usize,
}

impl Bounds {
    /// For those who keep no alerts, as `replay`.
    pub const NONE: Self = Self { alerts: usize::MAX, alerts_per_rule: usize::MAX };
}

impl Default for Bounds {
    fn default() -> Self {
        Self { alerts: 5_000, alerts_per_rule: 500 }
    }
}

/// The alerts that are open, and those about to be.
#[derive(Debug)]
pub(super) struct Population {
    bounds: Bounds,
    by_severity: [usize; Severity::ALL.len()],
    by_rule: HashMap<String, usize>,
}

impl Population {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, by_severity: [0; Severity::ALL.len()], by_rule: HashMap::new() }
    }

    pub(super) fn add(&mut self, rule: &str, severity: Severity) {
        self.by_severity[severity as usize] += 1;
        match self.by_rule.get_mut(rule) {
            Some(count) => *count += 1,
            None => {
                self.by_rule.insert(rule.to_owned(), 1);
            }
        }
    }

    pub(super) fn remove(&mut self, rule: &str, severity: Severity) {
        let count = &mut self.by_severity[severity as usize];
        *count = count.saturating_sub(1);
        if let Some(count) = self.by_rule.get_mut(rule) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_rule.remove(rule);
            }
        }
    }

    /// Whether another alert of this rule may be opened.
    pub(super) fn has_room(&self, rule: &str, severity: Severity) -> bool {
        if self.by_rule.get(rule).is_some_and(|count| *count >= self.bounds.alerts_per_rule) {
            return false;
        }
        let (severity, reserved) = (severity as usize, self.bounds.alerts / 10);
        let taken = self.by_severity.iter().enumerate().map(|(other, &count)| match other {
            _ if other == severity => count,
            // Lesser ones can be evicted but for their own tenth.
            _ if other < severity => reserved,
            _ => count.max(reserved),
        });
        taken.fold(0, usize::saturating_add) < self.bounds.alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(low: usize, medium: usize, high: usize, critical: usize) -> Population {
        let mut population = Population::new(Bounds { alerts: 100, alerts_per_rule: 60 });
        let all = [
            (Severity::Low, low),
            (Severity::Medium, medium),
            (Severity::High, high),
            (Severity::Critical, critical),
        ];
        for (severity, count) in all {
            for number in 0..count {
                population.add(&format!("{severity:?}-{}", number % 3), severity);
            }
        }
        population
    }

    #[test]
    fn each_severity_keeps_a_tenth_for_itself() {
        assert!(population(69, 0, 0, 0).has_room("r", Severity::Low));
        let flooded = population(70, 0, 0, 0);
        assert!(!flooded.has_room("r", Severity::Low));
        for severity in [Severity::Medium, Severity::High, Severity::Critical] {
            assert!(flooded.has_room("r", severity));
        }
        // A flood of what is severe leaves the lesser their tenth.
        let flooded = population(0, 0, 0, 70);
        assert!(!flooded.has_room("r", Severity::Critical));
        assert!(flooded.has_room("r", Severity::Low));
        assert!(!population(10, 0, 0, 70).has_room("r", Severity::Low));
    }

    #[test]
    fn what_is_more_severe_takes_the_place_of_what_is_less() {
        let full = population(70, 10, 10, 10);
        assert!(!full.has_room("r", Severity::Low));
        for severity in [Severity::Medium, Severity::High, Severity::Critical] {
            assert!(full.has_room("r", severity), "{severity:?}");
        }
        // Nobody has more than his tenth but the severe themselves.
        assert!(!population(10, 10, 10, 70).has_room("r", Severity::Critical));
        assert!(!population(70, 10, 70, 10).has_room("r", Severity::High));
    }

    #[test]
    fn one_rule_leaves_room_for_others() {
        let mut population = Population::new(Bounds { alerts: 100, alerts_per_rule: 2 });
        population.add("a", Severity::High);
        population.add("a", Severity::High);
        assert!(!population.has_room("a", Severity::High) && population.has_room("b", Severity::High));
        population.remove("a", Severity::High);
        assert!(population.has_room("a", Severity::High));
        population.remove("a", Severity::High);
        assert!(population.by_rule.is_empty());
        // More than there were.
        population.remove("a", Severity::High);
        assert_eq!(population.by_severity, [0; Severity::ALL.len()]);
    }

    #[test]
    fn without_bounds_there_is_always_room() {
        let mut population = Population::new(Bounds::NONE);
        population.add("a", Severity::Low);
        assert!(population.has_room("a", Severity::Low));
    }
}
