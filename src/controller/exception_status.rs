//! Writes the statuses of `DetectionException`s, where this process concludes for all.
//!
//! What an exception let pass stands in the statuses of the rules that it applies to; here it is summed up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::exceptions::ExceptionEntry;
use super::rules::{RuleEntry, Rules};
use super::{malformed, status_failure};
use crate::alert::{call, write_params};
use crate::api::{
    Condition, DetectionException, DetectionExceptionStatus, ExceptionOrigin, Stored, condition_type, reason,
};
use crate::telemetry::Metrics;

/// How often counts alone may make a status be written.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is looked whether anything changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The most names of rules in a status, and in each part of a message.
const MOST_RULES: usize = 64;
const MOST_NAMED: usize = 5;

/// Writes exception statuses until told to stop.
pub struct ExceptionStatuses {
    /// Who it writes as.
    pub client: Client,
    /// The rules, and the exceptions beside them.
    pub rules: Arc<Rules>,
    /// Whether this process concludes for all.
    pub leads: watch::Receiver<bool>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
}

impl ExceptionStatuses {
    /// Writes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut written_at = HashMap::new();
        let mut reported = HashMap::new();
        loop {
            if *self.leads.borrow() {
                self.write_all(&mut written_at).await;
                let malformed = self.rules.exceptions.malformed();
                let (client, metrics) = (&self.client, &self.metrics);
                malformed::report::<DetectionException>(
                    client,
                    metrics,
                    "exception",
                    malformed,
                    &mut reported,
                )
                .await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    async fn write_all(&self, written_at: &mut HashMap<String, Instant>) {
        let api: Api<Stored<DetectionException>> = Api::all(self.client.clone());
        let (entries, rules) = (self.rules.exceptions.entries(), self.rules.entries());
        written_at.retain(|name, _| entries.iter().any(|entry| entry.object.name_any() == *name));
        for entry in entries {
            let name = entry.object.name_any();
            let present = entry.object.status.clone().unwrap_or_default();
            let wanted = wanted(&entry, &rules, Timestamp::now());
            let counted = DetectionExceptionStatus {
                suppressed: present.suppressed,
                last_suppressed_time: present.last_suppressed_time.clone(),
                ..wanted.clone()
            };
            let is_due = written_at.get(&name).is_none_or(|at| at.elapsed() >= COUNT_INTERVAL);
            if wanted == present || (counted == present && !is_due) {
                continue;
            }
            if wanted.suppressed != present.suppressed {
                written_at.insert(name.clone(), Instant::now());
            }
            let mut object = entry.object;
            object.status = Some(wanted);
            let (base, object) = (object.metadata.resource_version.clone(), Stored(Ok(object)));
            match call("the exception's status", api.replace_status(&name, &write_params(), &object)).await {
                Ok(Stored(written)) => {
                    let note = |written| self.rules.exceptions.note_written(base.as_deref(), written);
                    written.into_iter().for_each(note);
                }
                Err(error) => {
                    status_failure::note(&self.metrics, "exception", &name, &error);
                    if error.concerns_all() {
                        return;
                    }
                }
            }
        }
    }
}

/// What the status should say.
fn wanted(entry: &ExceptionEntry, rules: &[Arc<RuleEntry>], now: Timestamp) -> DetectionExceptionStatus {
    let mut status = entry.object.status.clone().unwrap_or_default();
    let generation = entry.object.metadata.generation;
    let name = entry.object.name_any();
    let end = entry.object.spec.expire_time.as_ref().map(|time| time.0);
    status.observed_generation = generation;
    status.expired = end.is_some_and(|end| end <= now);
    status.rule_count = i64::try_from(entry.bound.rules.len()).unwrap_or(i64::MAX);
    status.rules = entry.bound.rules.iter().take(MOST_RULES).cloned().collect();
    let of_rules = rules.iter().filter_map(|rule| rule.object.status.as_ref()).flat_map(|s| &s.exceptions);
    let mine: Vec<_> =
        of_rules.filter(|e| e.origin == ExceptionOrigin::DetectionException && e.name == name).collect();
    status.suppressed = mine.iter().map(|exception| exception.suppressed).sum();
    status.last_suppressed_time =
        mine.iter().filter_map(|e| e.last_suppressed_time.clone()).max_by_key(|time| time.0);
    for condition in conditions(entry, end.filter(|end| *end <= now)) {
        condition.set(&mut status.conditions, generation, now);
    }
    status
}

fn conditions(entry: &ExceptionEntry, ended: Option<Timestamp>) -> [Condition; 2] {
    let (_, warnings) = match &entry.compiled {
        Ok(compiled) => compiled,
        Err(refusal) => {
            let message = format!("{}\nthe exception does not apply", refusal.message);
            return [condition_type::READY, condition_type::ACCEPTED]
                .map(|type_| Condition::new(type_, false, refusal.reason, message.clone()));
        }
    };
    let message = match warnings.as_str() {
        "" => "the exception compiles".to_owned(),
        warnings => format!("the exception compiles, with warnings\n{warnings}"),
    };
    let accepted = Condition::new(condition_type::ACCEPTED, true, reason::COMPILED, message);
    let bound = &entry.bound;
    let mut said = Vec::new();
    let mut say = |rules: &[String], why: &str| {
        if !rules.is_empty() {
            said.push(format!("not to {}: {why}", named(rules)));
        }
    };
    say(&bound.critical, "Critical rules take none by --critical-exceptions=forbid");
    say(&bound.silenced, "it would let every match pass; to silence a rule, set its `mode` to DryRun");
    say(&bound.full, "64 exceptions apply there already");
    let but = if said.is_empty() { String::new() } else { format!("; {}", said.join("; ")) };
    let ready = |is_ready, reason, message| Condition::new(condition_type::READY, is_ready, reason, message);
    let ready = match (ended, bound.rules.len()) {
        (Some(end), _) => {
            let message =
                format!("it ended at {end} and covers no event since; renew its `expireTime` or delete it");
            ready(false, reason::EXPIRED, message)
        }
        (None, 0) if but.is_empty() => {
            let message =
                "no rule has one of these names or labels; see `kubectl get detectionrules --show-labels`";
            ready(false, reason::NO_RULE, message.to_owned())
        }
        (None, 0) => ready(false, reason::NOT_APPLIED, format!("it applies to no rule{but}")),
        (None, 1) => ready(true, reason::APPLIED, format!("it applies to rule {}{but}", bound.rules[0])),
        (None, count) => ready(true, reason::APPLIED, format!("it applies to {count} rules{but}")),
    };
    [ready, accepted]
}

/// The first few names, and how many more there are.
fn named(rules: &[String]) -> String {
    let first = rules.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match rules.len().saturating_sub(MOST_NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
