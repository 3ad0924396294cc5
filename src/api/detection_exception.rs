//! `DetectionException`: what several rules do not report, kept by somebody who need not be their author.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, schema};

/// What is wanted of an exception.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tripline.dev",
    version = "v1alpha1",
    kind = "DetectionException",
    status = "DetectionExceptionStatus",
    shortname = "dexc",
    category = "tripline",
    derive = "PartialEq",
    doc = "A DetectionException names matches of one or more DetectionRules that are known and allowed: they are counted and raise no alert.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("`metadata.name` must be at most 63 characters"),
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.ruleCount"),
    printcolumn(name = "Suppressed", type_ = "integer", json_path = ".status.suppressed"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expireTime"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct DetectionExceptionSpec {
    /// The rules it applies to.
    pub rules: ExceptedRules,
    /// Which of their matches: only a definite match suppresses.
    // As with a rule's query there is room above the language's own bound.
    #[schemars(length(max = 16_384))]
    pub query: String,
    /// Why they are allowed.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// From when on it no longer applies, against the event's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<Time>,
}

/// Rules by name, by label, or both: those that either fits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("size(self.names) > 0 || has(self.selector)").message("name rules in `names`, or select them by their labels in `selector`"))]
pub struct ExceptedRules {
    /// Names of rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set", "default" = []))]
    pub names: Vec<String>,
    /// Labels of rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<RuleSelector>,
}

/// Rules whose labels meet all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("size(self.matchLabels) + size(self.matchExpressions) > 0").message("a selector needs a label: an empty one would select every rule"))]
pub struct RuleSelector {
    /// Labels with the value that they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}, "default" = {}))]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic", "default" = []))]
    pub match_expressions: Vec<RuleSelectorRequirement>,
}

impl RuleSelector {
    /// Whether it asks for nothing; the schema refuses that.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (size(self.values) > 0)").message("In and NotIn need values, Exists and DoesNotExist have none"))]
pub struct RuleSelectorRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// What must be so.
    pub operator: RuleSelectorOperator,
    /// The values that `In` and `NotIn` are about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic", "default" = []))]
    pub values: Vec<String>,
}

/// What a condition on a label asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleSelectorOperator {
    /// It has one of the values.
    In,
    /// It has none of the values, or is missing.
    NotIn,
    /// It is there.
    Exists,
    /// It is missing.
    DoesNotExist,
}

/// What became of an exception.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DetectionExceptionStatus {
    /// The generation the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Ready, Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The rules it applies to, the first of them by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<String>,
    /// How many rules it applies to.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rule_count: i64,
    /// Matches of those rules that it let pass: the sum of what they say in `status.exceptions`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub suppressed: i64,
    /// The newest such match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_suppressed_time: Option<MicroTime>,
    /// Whether it no longer applies by the present time.
    #[serde(default)]
    pub expired: bool,
}

/// Where an exception of a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ExceptionOrigin {
    /// In the rule's own `spec.exceptions`.
    Rule,
    /// It is a `DetectionException`.
    DetectionException,
}

impl ExceptionOrigin {
    /// The name as it stands in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "Rule",
            Self::DetectionException => "DetectionException",
        }
    }
}

/// What an exception let pass: the sum over `agents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionStatus {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Where it stands.
    pub origin: ExceptionOrigin,
    /// Matches that it let pass.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub suppressed: i64,
    /// The newest such match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_suppressed_time: Option<MicroTime>,
    /// Whether it no longer applies by the present time.
    #[serde(default)]
    pub expired: bool,
}

/// What one process saw an exception let pass in one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentException {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Where it stands.
    pub origin: ExceptionOrigin,
    /// Matches that it let pass.
    #[schemars(range(min = 0))]
    pub suppressed: i64,
    /// The newest such match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_suppressed_time: Option<MicroTime>,
}
