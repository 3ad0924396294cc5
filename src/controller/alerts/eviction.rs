//! Which alerts go before their time, because there are too many.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::index::IndexedAlert;
use crate::api::{Severity, TriageState};

/// Alerts that are closed and have to go: of those, as many as the bound are kept. The one closed first goes first.
pub(super) fn surplus_closed(
    alerts: &BTreeMap<String, IndexedAlert>,
    bound: usize,
    may_go: impl Fn(&IndexedAlert) -> bool,
) -> Vec<(&String, &IndexedAlert)> {
    let mut closed: Vec<_> =
        present(alerts).filter(|(_, alert)| alert.state == TriageState::Closed).collect();
    let surplus = closed.len().saturating_sub(bound);
    // Of which it is not noted yet when it was closed, that was just now.
    closed.sort_by_key(|(name, alert)| (alert.closed.unwrap_or(Timestamp::MAX), *name));
    closed.into_iter().filter(|(_, alert)| may_go(alert)).take(surplus).collect()
}

/// Alerts that are not closed and have to go. Each severity keeps a tenth of the bound for itself; of the lowest that
/// has more, the one goes that matched longest ago.
pub(super) fn surplus(
    alerts: &BTreeMap<String, IndexedAlert>,
    bound: usize,
    may_go: impl Fn(&IndexedAlert) -> bool,
) -> Vec<(&String, &IndexedAlert)> {
    let mut by_severity: BTreeMap<Severity, Vec<_>> = BTreeMap::new();
    let takes_room = |alert: &IndexedAlert| alert.state != TriageState::Closed && !alert.is_overflow;
    for (name, alert) in present(alerts).filter(|(_, alert)| takes_room(alert)) {
        by_severity.entry(alert.severity).or_default().push((name, alert));
    }
    let mut left = by_severity.values().map(Vec::len).sum::<usize>().saturating_sub(bound);
    let mut leaving = Vec::new();
    for (_, mut of_severity) in by_severity {
        let may_leave = left.min(of_severity.len().saturating_sub(bound / 10));
        if may_leave == 0 {
            continue;
        }
        of_severity.sort_by_key(|(name, alert)| (Reverse(alert.last_seen), *name));
        let oldest = of_severity.into_iter().rev().filter(|(_, alert)| alert.has_count && may_go(alert));
        let before = leaving.len();
        leaving.extend(oldest.take(may_leave));
        left -= leaving.len() - before;
    }
    leaving
}

fn present(alerts: &BTreeMap<String, IndexedAlert>) -> impl Iterator<Item = (&String, &IndexedAlert)> {
    alerts.iter().filter(|(_, alert)| !alert.is_leaving)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An alert that matched last at this second, and was closed then if it is.
    pub(crate) fn alert(severity: Severity, state: TriageState, second: i64) -> IndexedAlert {
        let time = Timestamp::from_second(second).unwrap();
        IndexedAlert {
            uid: "u".to_owned(),
            version: "1".to_owned(),
            rule: "r".to_owned(),
            severity,
            state,
            is_overflow: false,
            last_seen: time,
            kept_from: time,
            closed: (state == TriageState::Closed).then_some(time),
            expire: None,
            sources: Vec::new(),
            has_count: true,
            is_leaving: false,
            is_noted: true,
            news: Vec::new(),
            not_before: None,
        }
    }

    /// So many alerts of each, named by severity and number; the first matched longest ago.
    fn alerts(numbers: &[(Severity, TriageState, i64)]) -> BTreeMap<String, IndexedAlert> {
        let of = |(severity, state, number): &(Severity, TriageState, i64)| {
            let (severity, state) = (*severity, *state);
            let named =
                move |second| (format!("{severity:?}-{state:?}-{second}"), alert(severity, state, second));
            (0..*number).map(named)
        };
        numbers.iter().flat_map(of).collect()
    }

    fn names(leaving: &[(&String, &IndexedAlert)]) -> Vec<String> {
        leaving.iter().map(|(name, _)| (*name).clone()).collect()
    }

    #[test]
    fn the_least_severe_that_matched_longest_ago_go_first() {
        use Severity::{Critical, High, Low};
        use TriageState::{Acknowledged, Closed, Open};
        let many = alerts(&[(Low, Open, 8), (High, Acknowledged, 9), (Critical, Open, 5), (Low, Closed, 9)]);
        let leaving = |bound| names(&surplus(&many, bound, |_| true));
        assert!(leaving(22).is_empty());
        assert_eq!(leaving(20), ["Low-Open-0", "Low-Open-1"]);
        // Two of the lowest stay, however many of the others there are.
        let at_last = leaving(10);
        assert_eq!((at_last.len(), at_last[6].as_str()), (12, "Low-Open-6"));
        assert_eq!(
            &at_last[7..],
            [
                "High-Acknowledged-0",
                "High-Acknowledged-1",
                "High-Acknowledged-2",
                "High-Acknowledged-3",
                "High-Acknowledged-4"
            ]
        );
    }

    #[test]
    fn a_flood_of_the_most_severe_leaves_the_others_their_tenth() {
        use Severity::{Critical, Low, Medium};
        let many = alerts(&[
            (Low, TriageState::Open, 3),
            (Medium, TriageState::Open, 2),
            (Critical, TriageState::Open, 40),
        ]);
        let leaving = names(&surplus(&many, 20, |_| true));
        assert_eq!(leaving.len(), 25);
        assert_eq!(leaving.iter().filter(|name| name.starts_with("Low")).count(), 1);
        assert_eq!(leaving.iter().filter(|name| name.starts_with("Medium")).count(), 0);
    }

    #[test]
    fn who_may_not_go_is_passed_over() {
        let many = alerts(&[(Severity::Low, TriageState::Open, 5), (Severity::High, TriageState::Open, 5)]);
        let leaving = surplus(&many, 8, |alert| alert.last_seen.as_second() > 0);
        assert_eq!(names(&leaving), ["Low-Open-1", "Low-Open-2"]);
        let of_the_next = surplus(&many, 8, |alert| alert.severity == Severity::High);
        assert_eq!(names(&of_the_next), ["High-Open-0", "High-Open-1"]);
    }

    #[test]
    fn closed_ones_take_no_bound_and_have_one_of_their_own() {
        let many = alerts(&[(Severity::Low, TriageState::Closed, 7), (Severity::Low, TriageState::Open, 5)]);
        assert!(surplus(&many, 5, |_| true).is_empty());
        assert_eq!(names(&surplus_closed(&many, 5, |_| true)), ["Low-Closed-0", "Low-Closed-1"]);
        let mut many = many;
        many.get_mut("Low-Closed-0").unwrap().closed = None;
        assert_eq!(names(&surplus_closed(&many, 5, |_| true)), ["Low-Closed-1", "Low-Closed-2"]);
    }
}
