//! Follows the `DetectionRule`s of the cluster: what is there is compiled aside and swapped in whole.
//!
//! A plain watch, not a controller with a finalizer: a finalizer would block deletion while the operator is down. A
//! rule whose present spec does not compile is not evaluated, even if an earlier one was, and touches no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::compile::{Finding, TestOutcome, compile, describe, run_tests};
use super::loaded_rules::{LoadedRule, LoadedRules};
use super::self_protection::BUILT_IN;
use crate::alert::RuleFacts;
use crate::api::{DetectionRule, Mode, RuleTest, reason};
use crate::detect::Rule;
use crate::telemetry::Metrics;

/// How long one rule's tests may take.
const TEST_BUDGET: Duration = Duration::from_secs(2);

/// What became of one rule.
#[derive(Clone, Debug)]
pub struct RuleEntry {
    /// The object as last seen, without its tests and managed fields.
    pub object: DetectionRule,
    /// What the compiler made of it.
    pub compiled: Result<Compilation, Refusal>,
    /// What its tests came to; none while they run.
    pub tests: Option<Vec<TestOutcome>>,
}

/// A rule that compiled.
#[derive(Clone, Debug)]
pub struct Compilation {
    loaded: LoadedRule,
    /// What is odd about it, rendered; empty if nothing is.
    pub warnings: String,
    /// Whether the query looks into a body.
    pub needs_body: bool,
}

impl Compilation {
    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.loaded.rule
    }
}

/// Why a rule cannot be evaluated.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// One word, a condition's reason.
    pub reason: &'static str,
    /// All that is wrong with it, rendered.
    pub message: String,
}

/// The rules of the cluster and what became of each.
#[derive(Default)]
pub struct Rules {
    /// Rules that are in force whatever the cluster has.
    built_in: Vec<LoadedRule>,
    entries: Mutex<BTreeMap<String, Arc<RuleEntry>>>,
    /// Stored objects that do not fit the kind, with what is wrong.
    malformed: Mutex<BTreeMap<String, String>>,
    loaded: Arc<ArcSwap<LoadedRules>>,
    changed: Notify,
}

impl Rules {
    /// With rules that are in force whatever the cluster has.
    pub fn with(built_in: Vec<LoadedRule>) -> Self {
        Self { built_in, ..Self::default() }
    }

    /// The set in force. Each load gives the newest.
    pub fn loaded(&self) -> Arc<ArcSwap<LoadedRules>> {
        Arc::clone(&self.loaded)
    }

    /// Resolves when a rule has changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The entries, for their statuses.
    pub fn entries(&self) -> Vec<Arc<RuleEntry>> {
        self.lock().values().cloned().collect()
    }

    /// The rule objects that do not fit the kind, by name, with what is wrong.
    pub fn malformed(&self) -> BTreeMap<String, String> {
        self.malformed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<RuleEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the object as the API server had it once its status was written, based on what had the version `base`.
    /// Where the watch has brought something else since, that is as new or newer, and nothing would bring it again.
    pub fn note_written(&self, base: Option<&str>, object: DetectionRule) {
        let name = object.name_any();
        if let Some(entry) = self.lock().get_mut(&name)
            && entry.object.metadata.resource_version.as_deref() == base
        {
            Arc::make_mut(entry).object = without_bulk(object);
        }
    }

    fn apply(self: &Arc<Self>, mut rule: DetectionRule) -> bool {
        let name = rule.name_any();
        self.malformed.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(&name)
            && entry.object.metadata.uid == rule.metadata.uid
            && entry.object.metadata.generation == rule.metadata.generation
        {
            // Only its status or metadata changed.
            Arc::make_mut(entry).object = without_bulk(rule);
            return false;
        }
        drop(entries);
        let tests = std::mem::take(&mut rule.spec.tests);
        let compiled = compile_entry(&rule);
        if let Err(refusal) = &compiled {
            info!(rule = name, why = refusal.message, "the rule cannot be evaluated");
        }
        let loaded = compiled.as_ref().ok().map(|c| Arc::clone(&c.loaded.rule));
        let generation = (rule.metadata.uid.clone(), rule.metadata.generation);
        let entry = RuleEntry { object: without_bulk(rule), compiled, tests: None };
        self.lock().insert(name.clone(), Arc::new(entry));
        if let Some(loaded) = loaded {
            self.test_aside(name, generation, loaded, tests);
        }
        true
    }

    /// Runs a rule's tests off the threads that matter.
    fn test_aside(
        self: &Arc<Self>,
        name: String,
        generation: (Option<String>, Option<i64>),
        rule: Arc<crate::detect::Rule>,
        tests: Vec<RuleTest>,
    ) {
        let rules = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let deadline = Instant::now() + TEST_BUDGET;
            let outcomes = run_tests(&rule, &tests, || Instant::now() < deadline);
            if let Some(entry) = rules.lock().get_mut(&name)
                && (entry.object.metadata.uid.clone(), entry.object.metadata.generation) == generation
            {
                Arc::make_mut(entry).tests = Some(outcomes);
            }
            rules.changed.notify_one();
        });
    }

    fn swap(&self, metrics: &Metrics) {
        let entries = self.lock();
        let valid = entries.values().filter_map(|entry| entry.compiled.as_ref().ok());
        let enabled = valid.filter(|compiled| compiled.loaded.mode != Mode::Disabled);
        let enabled = enabled.map(|compiled| compiled.loaded.clone());
        let mut loaded: LoadedRules = self.built_in.iter().cloned().chain(enabled).collect();
        let built_in = self.built_in.iter().map(|built_in| built_in.facts.uid.clone());
        let uids = entries.values().filter_map(|entry| entry.object.metadata.uid.clone());
        loaded.uids = uids.chain(built_in).collect();
        let malformed = self.malformed();
        if !malformed.is_empty() {
            // They have uids that were not read: nothing is forgotten until they are mended or gone.
            loaded.uids.extend(self.loaded.load().uids.iter().cloned());
        }
        let invalid = entries.values().filter(|entry| entry.compiled.is_err()).count() + malformed.len();
        drop(entries);
        metrics.rules.set(i64::try_from(loaded.facts.len()).unwrap_or(i64::MAX));
        metrics.invalid_rules.set(i64::try_from(invalid).unwrap_or(i64::MAX));
        for facts in &loaded.facts {
            metrics.start_rule(&facts.name, facts.severity.as_str());
        }
        debug!(rules = loaded.facts.len(), invalid, "rules swapped");
        self.loaded.store(Arc::new(loaded));
        self.changed.notify_one();
    }

    /// Follows the rules until `stop`. `listed` turns true once the first whole list is compiled and in force.
    pub async fn follow(
        self: Arc<Self>,
        client: Client,
        metrics: Arc<Metrics>,
        listed: watch::Sender<bool>,
        stop: CancellationToken,
    ) {
        let api: Api<DeserializeGuard<DetectionRule>> = Api::all(client);
        // `watcher` alone retries at once and for ever.
        let stream = watcher(api, watcher::Config::default()).default_backoff();
        let mut stream = std::pin::pin!(stream.take_until(stop.cancelled_owned()));
        let mut relisted: Option<Vec<String>> = None;
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => relisted = Some(Vec::new()),
                Ok(Event::InitApply(rule)) => {
                    relisted.get_or_insert_default().push(rule.name_any());
                    self.take(rule);
                }
                Ok(Event::InitDone) => {
                    // What the list lacks was deleted while nobody watched.
                    let present: std::collections::HashSet<_> =
                        relisted.take().unwrap_or_default().into_iter().collect();
                    self.lock().retain(|name, _| present.contains(name));
                    self.malformed
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .retain(|name, _| present.contains(name));
                    self.swap(&metrics);
                    listed.send_replace(true);
                }
                Ok(Event::Apply(rule)) => {
                    if self.take(rule) {
                        self.swap(&metrics);
                    }
                }
                Ok(Event::Delete(rule)) => {
                    let name = rule.name_any();
                    metrics.end_rule(&name);
                    self.lock().remove(&name);
                    self.malformed.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                    self.swap(&metrics);
                }
                // An expired watch is part of normal life; the stream lists anew by itself.
                Err(watcher::Error::WatchError(status)) if status.code == 410 => {
                    debug!("the watch of rules expired");
                }
                Err(error) => warn!(%error, "the rules cannot be watched and are tried again"),
            }
        }
    }

    /// Takes one object of the stream in; says whether the set changes by it.
    fn take(self: &Arc<Self>, rule: DeserializeGuard<DetectionRule>) -> bool {
        let name = rule.name_any();
        match rule.0 {
            Ok(rule) => self.apply(rule),
            Err(error) => {
                warn!(
                    rule = name,
                    error = error.error,
                    "the stored rule does not fit its kind and is not evaluated"
                );
                self.malformed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(name.clone(), error.error);
                self.lock().remove(&name);
                true
            }
        }
    }
}

fn compile_entry(rule: &DetectionRule) -> Result<Compilation, Refusal> {
    let name = rule.name_any();
    if BUILT_IN.contains(&name.as_str()) {
        let message = format!("{name} is a rule of Tripline's own; give this one another name");
        return Err(Refusal { reason: reason::INVALID_SPEC, message });
    }
    match compile(rule) {
        Ok(compiled) => Ok(Compilation {
            needs_body: compiled.rule.needs_body(),
            warnings: describe(&compiled.warnings),
            loaded: LoadedRule {
                rule: Arc::new(compiled.rule),
                facts: Arc::new(RuleFacts::from(rule)),
                mode: rule.spec.mode,
            },
        }),
        Err(findings) => Err(Refusal {
            reason: findings.first().map_or(reason::INVALID_SPEC, Finding::reason),
            message: describe(&findings),
        }),
    }
}

/// The object without what is large and not needed to write its status.
fn without_bulk(mut rule: DetectionRule) -> DetectionRule {
    rule.metadata.managed_fields = None;
    rule.spec.tests.clear();
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(version: &str, description: &str) -> DetectionRule {
        let object = serde_json::json!({
            "metadata": {"name": "x", "uid": "u", "generation": 1, "resourceVersion": version},
            "spec": {"displayName": "X", "description": description, "severity": "Low", "riskScore": 1, "query": "verb:x"},
        });
        serde_json::from_value(object).unwrap()
    }

    #[tokio::test]
    async fn what_the_watch_brought_meanwhile_is_not_overwritten() {
        let rules = Arc::new(Rules::default());
        rules.apply(rule("1", "seen"));
        let description = || rules.entries()[0].object.spec.description.clone();
        rules.note_written(Some("1"), rule("2", "written"));
        assert_eq!(description(), "written");
        // Another wrote after us, and the watch was quicker than the answer to our write.
        rules.apply(rule("4", "newer"));
        rules.note_written(Some("2"), rule("3", "written again"));
        assert_eq!(description(), "newer");
    }
}
