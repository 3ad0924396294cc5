//! Which exceptions apply to which rules. Pure: no client, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::core::{Expression, Selector, SelectorExt as _};

use crate::api::{
    DetectionException, DetectionRule, ExceptedRules, ExceptionOrigin, MOST_EXCEPTIONS, RuleSelector,
    RuleSelectorOperator, Severity,
};
use crate::detect::{Exception, Origin, Rule};

/// Whether [`DetectionException`]s apply to rules of severity Critical.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CriticalExceptions {
    /// They do.
    #[default]
    Allow,
    /// They do not.
    Forbid,
}

/// An exception that compiled, with what it is for.
#[derive(Clone, Debug)]
pub struct Applicable {
    name: String,
    names: Vec<String>,
    selector: Option<Selector>,
    compiled: Arc<Exception>,
}

impl Applicable {
    /// Of an object and what it was compiled to.
    pub fn new(object: &DetectionException, compiled: Arc<Exception>) -> Self {
        let ExceptedRules { names, selector } = &object.spec.rules;
        // One that asks for nothing would fit every rule.
        let selector = selector.as_ref().filter(|selector| !selector.is_empty()).map(selector_of);
        Self { name: object.name_any(), names: names.clone(), selector, compiled }
    }

    /// The exception.
    pub fn compiled(&self) -> &Arc<Exception> {
        &self.compiled
    }

    /// Whether it is for this rule, by name or label.
    pub fn is_for(&self, rule: &DetectionRule) -> bool {
        rule.metadata.name.as_ref().is_some_and(|name| self.names.contains(name))
            || self.selector.as_ref().is_some_and(|selector| selector.matches(rule.labels()))
    }
}

fn selector_of(selector: &RuleSelector) -> Selector {
    let labels =
        selector.match_labels.iter().map(|(key, value)| Expression::Equal(key.clone(), value.clone()));
    let conditions = selector.match_expressions.iter().map(|condition| {
        let (key, values) = (condition.key.clone(), condition.values.iter().cloned().collect());
        match condition.operator {
            RuleSelectorOperator::In => Expression::In(key, values),
            RuleSelectorOperator::NotIn => Expression::NotIn(key, values),
            RuleSelectorOperator::Exists => Expression::Exists(key),
            RuleSelectorOperator::DoesNotExist => Expression::DoesNotExist(key),
        }
    });
    labels.chain(conditions).collect()
}

/// What came of one exception: rules by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Those that it applies to.
    pub rules: Vec<String>,
    /// Those that it does not, as they are Critical.
    pub critical: Vec<String>,
    /// Those whose every match it would let pass.
    pub silenced: Vec<String>,
    /// Those that have as many exceptions as may be.
    pub full: Vec<String>,
}

/// What applies where.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// What came of each exception, by its name.
    pub exceptions: BTreeMap<String, Bound>,
}

impl Binding {
    /// The exceptions that apply to a rule; asked for one rule after the other.
    pub fn bind<'e>(
        &mut self,
        object: &DetectionRule,
        rule: &Rule,
        exceptions: impl IntoIterator<Item = &'e Applicable>,
        critical: CriticalExceptions,
    ) -> Vec<Arc<Exception>> {
        let mut taken = Vec::new();
        for exception in exceptions.into_iter().filter(|exception| exception.is_for(object)) {
            let bound = self.exceptions.entry(exception.name.clone()).or_default();
            let list = if critical == CriticalExceptions::Forbid && object.spec.severity == Severity::Critical
            {
                &mut bound.critical
            } else if rule.is_silenced_by(&exception.compiled) {
                &mut bound.silenced
            } else if rule.exceptions().len() + taken.len() >= MOST_EXCEPTIONS {
                &mut bound.full
            } else {
                taken.push(Arc::clone(&exception.compiled));
                &mut bound.rules
            };
            list.push(object.name_any());
        }
        taken
    }
}

/// Where the exception stands, as objects have it.
pub fn origin_of(exception: &Exception) -> ExceptionOrigin {
    match exception.origin() {
        Origin::Rule => ExceptionOrigin::Rule,
        Origin::Shared => ExceptionOrigin::DetectionException,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::compile;
    use serde_json::{Value, json};

    fn rule(name: &str, severity: &str, labels: &Value) -> (DetectionRule, Rule) {
        let object: DetectionRule = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"displayName": "x", "severity": severity, "riskScore": 1,
                "query": "verb:create and objectRef.resource:pods"},
        }))
        .unwrap();
        let compiled = compile::compile(&object).unwrap().rule;
        (object, compiled)
    }

    fn exception(name: &str, rules: &Value, query: &str) -> Applicable {
        let object: DetectionException = serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {"rules": rules, "query": query, "reason": "x"},
        }))
        .unwrap();
        let compiled = compile::compile_exception(&object).unwrap().exception;
        Applicable::new(&object, Arc::new(compiled))
    }

    #[test]
    fn rules_are_selected_by_name_or_label() {
        let (object, _) = rule("a", "Low", &json!({"team": "web", "tier": "1"}));
        for (rules, expected) in [
            (json!({"names": ["a"]}), true),
            (json!({"names": ["b"]}), false),
            (json!({"selector": {"matchLabels": {"team": "web"}}}), true),
            (json!({"selector": {"matchLabels": {"team": "web", "tier": "2"}}}), false),
            (json!({"names": ["a"], "selector": {"matchLabels": {"team": "db"}}}), true),
            (
                json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["1", "2"]}]}}),
                true,
            ),
            (
                json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["1"]}]}}),
                false,
            ),
            (
                json!({"selector": {"matchExpressions": [{"key": "no", "operator": "NotIn", "values": ["1"]}]}}),
                true,
            ),
            (json!({"selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}), true),
            (json!({"selector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}), false),
        ] {
            assert_eq!(exception("e", &rules, "user.username:ci").is_for(&object), expected, "{rules}");
        }
    }

    #[test]
    fn what_does_not_apply_is_told_apart() {
        let (low, critical) = (rule("low", "Low", &json!({})), rule("top", "Critical", &json!({})));
        let both = json!({"names": ["low", "top"]});
        let exceptions = [
            exception("narrow", &both, "user.username:ci"),
            exception("wide", &both, "verb:create or user.username:ci"),
        ];
        let names = |name: &str| vec![name.to_owned()];
        let bound = |forbid| {
            let mut binding = Binding::default();
            let counts =
                [&low, &critical].map(|(object, rule)| binding.bind(object, rule, &exceptions, forbid).len());
            (counts, binding.exceptions)
        };
        let (counts, of) = bound(CriticalExceptions::Allow);
        assert_eq!(counts, [1, 1]);
        assert_eq!(of["narrow"].rules, ["low", "top"]);
        assert_eq!(of["wide"].silenced, ["low", "top"]);
        let (counts, of) = bound(CriticalExceptions::Forbid);
        assert_eq!(counts, [1, 0]);
        assert_eq!((&of["narrow"].rules, &of["narrow"].critical), (&names("low"), &names("top")));

        let many: Vec<_> =
            (0..70).map(|n| exception(&format!("e{n}"), &both, &format!("user.username:user-{n}"))).collect();
        let mut binding = Binding::default();
        let bound = binding.bind(&low.0, &low.1, &many, CriticalExceptions::Allow);
        assert_eq!(bound.len(), MOST_EXCEPTIONS);
        let full = binding.exceptions.values().filter(|bound| bound.full == ["low"]).count();
        assert_eq!(full, 70 - MOST_EXCEPTIONS);
    }
}
