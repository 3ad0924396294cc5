//! What is told of alerts that went before their time: a count on the rule, and now and then an Event.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::Client;

use super::super::own_event::OwnEvent;
use crate::alert::WriteError;
use crate::api::DetectionRule;

/// How often one rule has an Event at most, in seconds.
const EVENT_SECONDS: i64 = 600;

/// How many alerts of each rule were evicted, by the rule's uid: what its status is to say. Only who leads counts, from
/// what the status said when it began.
#[derive(Debug, Default)]
pub struct Evictions(Mutex<HashMap<String, i64>>);

impl Evictions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, of a rule that has this many by its status; gives the sum.
    pub(super) fn count(&self, rule: &str, present: i64) -> i64 {
        let mut counts = self.lock();
        let sum = counts.entry(rule.to_owned()).or_insert(present);
        *sum = (*sum).max(present) + 1;
        *sum
    }

    /// How many there are of a rule, of which any were counted here.
    pub(in crate::controller) fn of(&self, rule: &str) -> Option<i64> {
        self.lock().get(rule).copied()
    }

    /// Forgets all: another counts from now on.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}

/// Writes the Event that alerts of `rule` are evicted, of which there were `count` until now. There is one within ten
/// minutes, by its name.
///
/// # Errors
/// When the API server does not take it.
pub(super) async fn publish(
    client: &Client,
    instance: &str,
    rule: &DetectionRule,
    count: i64,
    bound: usize,
    now: Timestamp,
) -> Result<(), WriteError> {
    let note = format!(
        "more than {bound} alerts are not closed, and alerts of this rule that matched longest ago are deleted: {count} so \
         far. Close alerts that are done with, or group the rule by fields with fewer values"
    );
    let event = OwnEvent {
        told: period(now).to_string(),
        reason: "AlertsEvicted",
        action: "Evict",
        note: &note,
        time: now,
        instance,
    };
    event.publish(client, rule).await
}

/// The period that an Event stands for.
pub(super) fn period(now: Timestamp) -> i64 {
    now.as_second() / EVENT_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_goes_on_from_what_the_status_says() {
        let evictions = Evictions::default();
        assert_eq!(evictions.of("u"), None);
        assert_eq!((evictions.count("u", 5), evictions.count("u", 5), evictions.count("u", 6)), (6, 7, 8));
        evictions.clear();
        assert_eq!(evictions.of("u"), None);
    }
}
