//! The most frequent of many values, in little room.

use serde::{Deserialize, Serialize};

use crate::api::FrequentValue;

/// The most that are kept while matches are collected; an alert shows fewer.
const KEPT: usize = 64;

/// Values and how often each was seen at least, by the method of Misra and Gries: a value that is more than one in 65 is
/// surely among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frequent {
    values: Vec<FrequentValue>,
}

impl Frequent {
    /// What an alert shows, to be added to.
    pub(super) fn of(values: Vec<FrequentValue>) -> Self {
        Self { values }
    }

    /// Counts one more value, seen so many times.
    pub(super) fn add(&mut self, value: &str, mut count: i64) {
        if let Some(known) = self.values.iter_mut().find(|known| known.value == value) {
            known.count = known.count.saturating_add(count);
            return;
        }
        while self.values.len() >= KEPT {
            // Each gives up as many as the newcomer, and who has none left makes room.
            let least = self.values.iter().map(|known| known.count).min().unwrap_or(0).min(count);
            self.values.iter_mut().for_each(|known| known.count -= least);
            self.values.retain(|known| known.count > 0);
            count -= least;
            if count == 0 {
                return;
            }
        }
        self.values.push(FrequentValue { value: value.to_owned(), count });
    }

    /// Adds what was collected elsewhere.
    pub(super) fn merge(&mut self, other: &Self) {
        for FrequentValue { value, count } in &other.values {
            self.add(value, *count);
        }
    }

    /// The most frequent ones first, at most so many.
    pub(super) fn most(mut self, shown: usize) -> Vec<FrequentValue> {
        self.values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        self.values.truncate(shown);
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(frequent: Frequent, shown: usize) -> Vec<(String, i64)> {
        frequent.most(shown).into_iter().map(|known| (known.value, known.count)).collect()
    }

    #[test]
    fn few_values_are_counted_exactly() {
        let mut frequent = Frequent::default();
        for value in ["a", "b", "a", "c", "a", "b"] {
            frequent.add(value, 1);
        }
        let mut other = Frequent::default();
        other.add("b", 5);
        frequent.merge(&other);
        assert_eq!(most(frequent, 2), [("b".to_owned(), 7), ("a".to_owned(), 3)]);
    }

    #[test]
    fn a_frequent_value_is_found_among_many_rare_ones() {
        let mut frequent = Frequent::default();
        for number in 0..10_000 {
            frequent.add(&format!("rare-{number}"), 1);
            if number % 10 == 0 {
                frequent.add("often", 1);
            }
        }
        assert!(frequent.values.len() <= KEPT);
        let most = most(frequent, 1);
        assert_eq!(most[0].0, "often");
        assert!((800..=1_000).contains(&most[0].1), "{most:?}");
    }
}
