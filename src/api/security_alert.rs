//! `SecurityAlert`: what a rule found, one object a group.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Detection, RecordPlace, schema};

/// What was found, and what a person makes of it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tripline.dev",
    version = "v1alpha1",
    kind = "SecurityAlert",
    status = "SecurityAlertStatus",
    shortname = "secalert",
    category = "tripline",
    derive = "PartialEq",
    doc = "A SecurityAlert is one incident: the matches of one DetectionRule that belong to one group.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("`metadata.name` must be at most 63 characters"),
    selectable = ".spec.detection.severity",
    selectable = ".spec.detection.ruleName",
    selectable = ".spec.triage.state",
    selectable = ".spec.detection.event.user.username",
    selectable = ".spec.detection.event.object.namespace",
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.detection.severity"),
    printcolumn(name = "Who", type_ = "string", json_path = ".spec.detection.who"),
    printcolumn(name = "Count", type_ = "integer", json_path = ".status.count"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.triage.state"),
    printcolumn(name = "Last Seen", type_ = "date", json_path = ".status.lastSeenTime"),
    printcolumn(name = "Rule", type_ = "string", json_path = ".spec.detection.ruleName", priority = 1),
    printcolumn(name = "User", type_ = "string", json_path = ".spec.detection.event.user.username", priority = 1),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.detection.target", priority = 1),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.detection.title", priority = 1),
    printcolumn(name = "Assignee", type_ = "string", json_path = ".spec.triage.assignee", priority = 1),
    printcolumn(name = "Source IP", type_ = "string", json_path = ".spec.detection.event.sourceIPs[0]", priority = 1),
    printcolumn(name = "User Agent", type_ = "string", json_path = ".spec.detection.event.userAgent", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct SecurityAlertSpec {
    /// The evidence: written once.
    // Atomic, because nobody owns a part of it: managed fields then name it once and not leaf by leaf, so the stored
    // object is smaller and cheaper for the API server to create.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("`spec.detection` is evidence and cannot be changed"))]
    pub detection: Detection,
    /// A person's part.
    #[serde(default)]
    pub triage: Triage,
}

/// A person's part of an alert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Triage {
    /// How far it has come. A Closed alert takes no further match: its group opens a new one.
    #[serde(default)]
    pub state: TriageState,
    /// Who takes care of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub assignee: String,
    /// Why it is in this state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub reason: String,
    /// Anything else.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub comment: String,
}

/// How far triage has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TriageState {
    /// Nobody looked yet.
    #[default]
    Open,
    /// Somebody does.
    Acknowledged,
    /// Done.
    Closed,
}

impl TriageState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Closed];

    /// The name as it stands in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Acknowledged => "Acknowledged",
            Self::Closed => "Closed",
        }
    }
}

/// The most changes of its state that an alert tells of.
pub const MOST_TRANSITIONS: usize = 16;

/// A change of `spec.triage.state`, as it stood after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriageTransition {
    /// When it was made, as exactly as is known.
    pub time: MicroTime,
    /// The state before.
    pub from: TriageState,
    /// The state after.
    pub state: TriageState,
    /// Who made it, by the audit log; absent until that is known for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub by: Option<String>,
    /// The assignee then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub assignee: String,
    /// The reason then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub reason: String,
    /// The alert's resourceVersion that first had this state; absent where nobody watched when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub resource_version: Option<String>,
    /// When the API server says that the field was written, to the second; absent as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_time: Option<Time>,
}

/// What is known of an incident so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityAlertStatus {
    /// How many requests: always the sum over `sources`.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// The oldest match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen_time: Option<MicroTime>,
    /// The newest match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_time: Option<MicroTime>,
    /// The newest few matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "atomic"))]
    pub samples: Vec<Sample>,
    /// Of an alert that counts what found no room in alerts of its own: the most frequent of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<OverflowValues>,
    /// When the alert will be deleted, unless it matches or its state changes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<MicroTime>,
    /// The newest changes of `spec.triage.state`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub transitions: Vec<TriageTransition>,
    /// Up to where each stream is counted here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["node", "source", "stream"]))]
    pub sources: Vec<CountedStream>,
    /// Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Up to where a stream is counted in an alert. A match at or before `offset` is in `count` already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountedStream {
    /// The node whose process read it.
    #[schemars(length(max = 253))]
    pub node: String,
    /// The `AuditSource`.
    #[schemars(length(max = 63))]
    pub source: String,
    /// The unbroken sequence of bytes.
    #[schemars(length(max = 32))]
    pub stream: String,
    /// The byte after the newest counted record's newline.
    #[schemars(range(min = 0))]
    pub offset: i64,
    /// How many matches of this stream are counted.
    #[schemars(range(min = 0))]
    pub count: i64,
}

/// The most frequent values of what an overflow alert counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverflowValues {
    /// Who made the requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub users: Vec<FrequentValue>,
    /// What they touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets: Vec<FrequentValue>,
}

/// A value, and how often it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrequentValue {
    /// The value; empty where a request has none.
    #[schemars(length(max = 1024))]
    pub value: String,
    /// How often it was seen, at least: rare values among very many are not kept.
    #[schemars(range(min = 0))]
    pub count: i64,
}

/// One of the newest matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Its own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<MicroTime>,
    /// The request's id, which the client may choose.
    #[serde(default, rename = "auditID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub audit_id: Option<String>,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub user: Option<String>,
    /// The address nearest to the API server.
    #[serde(default, rename = "sourceIP", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub source_ip: Option<String>,
    /// The request's verb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub verb: Option<String>,
    /// What was touched, in one line.
    #[schemars(length(max = 1024))]
    pub target: String,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2_147_483_648_i64, max = 2_147_483_647_i64))]
    pub response_code: Option<i64>,
    /// Where the record stands.
    #[serde(flatten)]
    pub place: RecordPlace,
}
