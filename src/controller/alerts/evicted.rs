//! What is told of alerts that went before their time: a count on the rule, and now and then an Event.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use kube::{Client, Resource as _, ResourceExt as _};
use sha2::{Digest as _, Sha256};

use crate::alert::{CLUSTER_NAMESPACE, NOTE_MAX, WriteError, text, write_once};
use crate::api::{CONTROLLER, DetectionRule};

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
    write_once(client, CLUSTER_NAMESPACE, &event(instance, rule, count, bound, now)).await.map(drop)
}

/// The period that an Event stands for.
pub(super) fn period(now: Timestamp) -> i64 {
    now.as_second() / EVENT_SECONDS
}

fn event(instance: &str, rule: &DetectionRule, count: i64, bound: usize, now: Timestamp) -> Event {
    let told = format!("{}/{}", rule.uid().unwrap_or_default(), period(now));
    let hash = HEXLOWER.encode(&Sha256::digest(told)[..8]);
    let note = format!(
        "more than {bound} alerts are not closed, and alerts of this rule that matched longest ago are deleted: {count} so \
         far. Close alerts that are done with, or group the rule by fields with fewer values"
    );
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{hash}", rule.name_any())),
            namespace: Some(CLUSTER_NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        type_: Some("Warning".to_owned()),
        reason: Some("AlertsEvicted".to_owned()),
        action: Some("Evict".to_owned()),
        note: Some(text::short(&note, NOTE_MAX)),
        regarding: Some(rule.object_ref(&())),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(text::short(instance, 128)),
        ..Event::default()
    }
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
