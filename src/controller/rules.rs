//! Follows the `DetectionRule`s of the cluster: what is there is compiled aside and swapped in whole.
//!
//! The exceptions that stand for themselves are kept beside: a change of one binds the rules anew.
//!
//! A plain watch, not a controller with a finalizer: a finalizer would block deletion while the operator is down. A
//! rule whose present spec does not compile is not evaluated, even if an earlier one was, and touches no other.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use kube::ResourceExt as _;
use tokio::sync::Notify;
use tracing::{debug, info};

use super::binding::{Binding, CriticalExceptions, origin_of};
use super::compile::{Finding, compile, describe};
use super::exceptions::Exceptions;
use super::follow::Followed;
use super::loaded_rules::{LoadedRule, LoadedRules};
use super::rule_tests::{TestOutcome, run_tests};
use super::self_protection::BUILT_IN;
use crate::alert::RuleFacts;
use crate::api::{DetectionRule, Mode, RuleTest, reason};
use crate::detect::Rule;
use crate::telemetry::{Metrics, SuppressedLabels};

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
    /// The rule with all exceptions that apply to it.
    bound: Arc<Rule>,
    /// What is odd about it, rendered; empty if nothing is.
    pub warnings: String,
}

impl Compilation {
    /// The rule with all exceptions that apply to it.
    pub fn rule(&self) -> &Rule {
        &self.bound
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
    /// The exceptions that stand for themselves.
    pub(super) exceptions: Exceptions,
    critical: CriticalExceptions,
    loaded: Arc<ArcSwap<LoadedRules>>,
    changed: Notify,
}

impl Rules {
    /// With rules that are in force whatever the cluster has, and none yet of its own.
    pub fn with(built_in: Vec<LoadedRule>, critical: CriticalExceptions) -> Self {
        Self { built_in, critical, ..Self::default() }
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
        self.lock_malformed().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<RuleEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_malformed(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.malformed.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.lock_malformed().remove(&name);
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(&name)
            && entry.object.metadata.uid == rule.metadata.uid
            && entry.object.metadata.generation == rule.metadata.generation
        {
            // Only its status or metadata changed. By its labels exceptions may be selected.
            let is_labelled_anew = entry.object.metadata.labels != rule.metadata.labels;
            Arc::make_mut(entry).object = without_bulk(rule);
            return is_labelled_anew;
        }
        drop(entries);
        let compiled = compile_entry(&rule);
        let tests = std::mem::take(&mut rule.spec.tests);
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
        rule: Arc<Rule>,
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

    /// Binds the rules to the exceptions, and puts them in force.
    pub(super) fn swap(&self, metrics: &Metrics) {
        let mut entries = self.lock();
        let applicable = self.exceptions.applicable();
        let mut binding = Binding::default();
        for entry in entries.values_mut() {
            let Ok(compiled) = &entry.compiled else { continue };
            let own = &compiled.loaded.rule;
            let shared = binding.bind(&entry.object, own, &applicable, self.critical);
            if shared.is_empty() && Arc::ptr_eq(own, &compiled.bound) {
                continue;
            }
            let bound = if shared.is_empty() { Arc::clone(own) } else { Arc::new(own.excepting(shared)) };
            if let Ok(compiled) = &mut Arc::make_mut(entry).compiled {
                compiled.bound = bound;
            }
        }
        self.exceptions.set_binding(binding);
        let valid = entries.values().filter_map(|entry| entry.compiled.as_ref().ok());
        let enabled = valid.filter(|compiled| compiled.loaded.mode != Mode::Disabled);
        let enabled = enabled
            .map(|compiled| LoadedRule { rule: Arc::clone(&compiled.bound), ..compiled.loaded.clone() });
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
        metrics.rules.set(i64::try_from(loaded.facts.len()).unwrap_or(i64::MAX));
        metrics.invalid_rules.set(i64::try_from(invalid).unwrap_or(i64::MAX));
        for facts in &loaded.facts {
            metrics.start_rule(&facts.name, facts.severity.as_str());
        }
        metrics.set_exceptions(&series(&self.loaded.load()), &series(&loaded));
        debug!(rules = loaded.facts.len(), invalid, "rules swapped");
        self.loaded.store(Arc::new(loaded));
        // Not before: rules and exceptions are followed each by a task of its own, and an older set could be stored last.
        drop(entries);
        self.changed.notify_one();
    }
}

impl Followed<DetectionRule> for Arc<Rules> {
    const WHAT: &'static str = "rules";

    fn take(&self, rule: DetectionRule) -> bool {
        self.apply(rule)
    }

    fn take_malformed(&self, name: String, why: String) {
        self.lock().remove(&name);
        self.lock_malformed().insert(name, why);
    }

    fn keep(&self, keep: &dyn Fn(&str) -> bool, metrics: &Metrics) {
        self.lock().retain(|name, _| {
            let is_kept = keep(name);
            if !is_kept {
                metrics.end_rule(name);
            }
            is_kept
        });
        self.lock_malformed().retain(|name, _| keep(name));
    }

    fn settle(&self, metrics: &Metrics) {
        self.swap(metrics);
    }
}

/// The series of the exceptions in force.
fn series(loaded: &LoadedRules) -> HashSet<SuppressedLabels> {
    let rules = loaded.set.rules().iter();
    rules
        .flat_map(|rule| {
            rule.exceptions().iter().map(|exception| SuppressedLabels {
                rule: rule.name().to_owned(),
                exception: exception.name().to_owned(),
                origin: origin_of(exception).as_str(),
            })
        })
        .collect()
}

fn compile_entry(rule: &DetectionRule) -> Result<Compilation, Refusal> {
    let name = rule.name_any();
    if BUILT_IN.contains(&name.as_str()) {
        let message = format!("{name} is a rule of Tripline's own; give this one another name");
        return Err(Refusal { reason: reason::INVALID_SPEC, message });
    }
    match compile(rule) {
        Ok(compiled) => {
            let warnings = describe(&compiled.warnings);
            let compiled = Arc::new(compiled.rule);
            let facts = Arc::new(RuleFacts::from(rule));
            let loaded = LoadedRule { rule: Arc::clone(&compiled), facts, mode: rule.spec.mode };
            Ok(Compilation { loaded, bound: compiled, warnings })
        }
        Err(findings) => Err(Refusal::of(&findings)),
    }
}

impl Refusal {
    /// What a condition says of these.
    pub(super) fn of(findings: &[Finding]) -> Self {
        Self {
            reason: findings.first().map_or(reason::INVALID_SPEC, Finding::reason),
            message: describe(findings),
        }
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
