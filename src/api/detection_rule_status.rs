//! What is told of a `DetectionRule`: its conditions and what each process counted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentException, Condition, ExceptionStatus, schema};

/// What became of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DetectionRuleStatus {
    /// The generation the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Ready, Accepted, Tested, Observable, Limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Requests that matched, whether or not an exception let them pass: the sum over `agents`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub matches: i64,
    /// Alerts opened: the sum over `agents`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub alerts: i64,
    /// Matches that an exception let pass: the sum over `agents`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub suppressed: i64,
    /// Matches that found no room in alerts of their own and are counted in the rule's overflow alert: the sum over
    /// `agents`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub limited: i64,
    /// Requests whose log entry lacks a body the query needs: the sum over `agents`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub undecidable: i64,
    /// Alerts deleted before their time, because there were too many.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub evicted: i64,
    /// The exceptions that apply to the rule, its own and every `DetectionException`, with what each let pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["origin", "name"]))]
    pub exceptions: Vec<ExceptionStatus>,
    /// The newest match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_match_time: Option<MicroTime>,
    /// One entry a process and source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name", "source"]))]
    pub agents: Vec<RuleAgent>,
}

/// What one process found with a rule in one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleAgent {
    /// The node the process runs on.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The `AuditSource` it reads.
    #[schemars(length(min = 1, max = 63))]
    pub source: String,
    /// The stream `offset` belongs to.
    #[schemars(length(min = 1, max = 32))]
    pub stream: String,
    /// Up to where the log is counted here.
    #[schemars(range(min = 0))]
    pub offset: i64,
    /// See the status field of this name.
    #[schemars(range(min = 0))]
    pub matches: i64,
    /// See the status field of this name.
    #[schemars(range(min = 0))]
    pub alerts: i64,
    /// See the status field of this name.
    #[schemars(range(min = 0))]
    pub suppressed: i64,
    /// See the status field of this name.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub limited: i64,
    /// When the last match found no room in an alert of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_limited_time: Option<MicroTime>,
    /// See the status field of this name.
    #[schemars(range(min = 0))]
    pub undecidable: i64,
    /// What each exception let pass that let anything pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["origin", "name"]))]
    pub exceptions: Vec<AgentException>,
    /// The newest match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_match_time: Option<MicroTime>,
    /// The generation of the rule that is evaluated here.
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// Whether the rule is evaluated here.
    pub ready: bool,
}
