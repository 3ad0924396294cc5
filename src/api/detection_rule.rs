//! `DetectionRule`: a query over the audit log and what to make of a match.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DetectionRuleStatus, schema};

/// What is wanted of a rule.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tripline.dev",
    version = "v1alpha1",
    kind = "DetectionRule",
    status = "DetectionRuleStatus",
    shortname = "drule",
    category = "tripline",
    derive = "PartialEq",
    doc = "A DetectionRule is a KQL query over the API server's audit log. Each group of matches becomes one SecurityAlert.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("`metadata.name` must be at most 63 characters"),
    selectable = ".spec.severity",
    selectable = ".spec.mode",
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Matches", type_ = "integer", json_path = ".status.matches"),
    printcolumn(name = "Alerts", type_ = "integer", json_path = ".status.alerts"),
    printcolumn(name = "Last Match", type_ = "date", json_path = ".status.lastMatchTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct DetectionRuleSpec {
    /// The title people read in alerts.
    #[schemars(length(min = 1, max = 256))]
    pub display_name: String,
    /// What the rule detects and why it matters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 8192))]
    pub description: String,
    /// A stable id from elsewhere, for example the UUID of a published rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub rule_id: Option<String>,
    /// `Alert` writes alerts, `DryRun` only counts, `Disabled` is not evaluated.
    #[serde(default)]
    pub mode: Mode,
    /// How bad a match is.
    pub severity: Severity,
    /// The same as a number from 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub risk_score: i32,
    /// The language of the queries.
    #[serde(default)]
    pub language: Language,
    /// The condition an audit event must meet. At most 64 KiB and 64 levels deep.
    // The schema leaves room above that bound, so that what is too long is explained on the object.
    #[schemars(length(max = 131_072))]
    pub query: String,
    /// What a field below a body that was not logged is: `Unknown` (the event is counted as undecidable) or
    /// `Absent` (as Elasticsearch reads it).
    #[serde(default)]
    pub missing_body: MissingBody,
    /// Which matches are one alert.
    #[serde(default)]
    pub grouping: Grouping,
    /// What of a request an alert shows. Bodies are shown without what is secret, cut, and only as far as the
    /// installation allows it.
    #[serde(default, skip_serializing_if = "Evidence::is_metadata")]
    pub evidence: Evidence,
    /// Where the Kubernetes Event of a new alert stands; by default where the installation says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventTarget>,
    /// Matches that are known and allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub exceptions: Vec<RuleException>,
    /// Where the detected behaviour stands in a threat framework.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub threat: Vec<Threat>,
    /// Free labels, such as `Tactic: Execution`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
    /// Pages that explain the behaviour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)), extend("x-kubernetes-list-type" = "set"))]
    pub references: Vec<String>,
    /// What matches without being an attack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 2048)), extend("x-kubernetes-list-type" = "atomic"))]
    pub false_positives: Vec<String>,
    /// Who wrote the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub author: Vec<String>,
    /// The licence of the rule's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub license: Option<String>,
    /// What the rule needs of the cluster, for example of its audit policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub setup: Option<String>,
    /// How to triage an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16_384))]
    pub note: Option<String>,
    /// Events and what the query must say of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tests: Vec<RuleTest>,
}

/// What a rule does with its matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Writes alerts.
    #[default]
    Alert,
    /// Counts, writes none.
    DryRun,
    /// Is not evaluated.
    Disabled,
}

/// What of a request an alert shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Evidence {
    /// Who, what, from where, the decision; never a body.
    #[default]
    Metadata,
    /// What was sent, too.
    Request,
    /// What was sent and what was answered.
    RequestResponse,
}

impl Evidence {
    /// Every value, from the least.
    pub const ALL: [Self; 3] = [Self::Metadata, Self::Request, Self::RequestResponse];

    /// The word for it in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
    fn is_metadata(&self) -> bool {
        *self == Self::Metadata
    }
}

/// On which object the Kubernetes Event of a new alert stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventTarget {
    /// On the pod the request touched, where there is one; else on the alert.
    #[default]
    Object,
    /// On the alert.
    Alert,
    /// No Event is written.
    None,
}

/// How bad a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// Worth waking somebody.
    Critical,
}

impl Severity {
    /// Every severity, from the lowest.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name as it stands in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

/// The language of a rule's queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Language {
    /// The Kibana Query Language.
    #[default]
    KQL,
}

/// What a field below a body that was not logged is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MissingBody {
    /// Neither present nor absent: the rule cannot be decided there.
    #[default]
    Unknown,
    /// Absent.
    Absent,
}

/// Which matches are one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grouping {
    /// The fields whose values tell one incident from another.
    #[serde(default = "default_group_by")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "atomic"))]
    pub by: Vec<String>,
    /// A group with no match for this long starts a new alert.
    #[serde(default = "default_window_seconds")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub window_seconds: i64,
}

fn default_group_by() -> Vec<String> {
    ["user.username", "verb", "objectRef.namespace", "objectRef.resource", "objectRef.name"]
        .map(str::to_owned)
        .into()
}

const fn default_window_seconds() -> i64 {
    3600
}

impl Default for Grouping {
    fn default() -> Self {
        Self { by: default_group_by(), window_seconds: default_window_seconds() }
    }
}

/// Matches that are known and allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleException {
    /// The name it is counted under.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Which matches: only a definite match suppresses.
    #[schemars(length(max = 16_384))]
    pub query: String,
    /// Why they are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
    /// From when on it no longer applies, against the event's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<Time>,
}

/// Where a behaviour stands in a threat framework.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Threat {
    /// The framework's name, such as `MITRE ATT&CK`.
    #[schemars(length(min = 1, max = 64))]
    pub framework: String,
    /// The tactic.
    pub tactic: ThreatReference,
    /// The techniques of that tactic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub techniques: Vec<ThreatReference>,
}

/// An entry of a threat framework.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreatReference {
    /// Its id, such as `T1609`.
    #[schemars(length(min = 1, max = 32))]
    pub id: String,
    /// Its name.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reference: Option<String>,
}

/// An event and what the query must say of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleTest {
    /// The case in words.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// An audit event; parts that do not matter can be left out.
    #[schemars(schema_with = "schema::any_object")]
    pub event: serde_json::Value,
    /// The query's verdict on it.
    pub expect: Expectation,
}

/// A query's verdict on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Expectation {
    /// The event meets the query.
    Match,
    /// It does not.
    NoMatch,
    /// The event lacks a body that the query needs and that was not logged.
    Unknown,
}
