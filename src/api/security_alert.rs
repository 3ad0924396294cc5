//! `SecurityAlert`: what a rule found, one object a group.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Severity, Threat, schema};

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

/// The evidence of an alert: the rule as it stood, the group, and the first match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Detection {
    /// The rule's name.
    #[schemars(length(min = 1, max = 63))]
    pub rule_name: String,
    /// The rule's uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub rule_uid: String,
    /// The generation of the rule that matched.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rule_generation: i64,
    /// The rule's id from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub rule_id: Option<String>,
    /// The rule's `displayName`.
    #[schemars(length(max = 256))]
    pub title: String,
    /// The rule's severity.
    pub severity: Severity,
    /// The rule's risk score.
    #[schemars(range(min = 0, max = 100))]
    pub risk_score: i32,
    /// The rule's place in a threat framework.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub threat: Vec<Threat>,
    /// The rule's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub tags: Vec<String>,
    /// What the matches of this alert have in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub group: Vec<GroupField>,
    /// A hash of the rule's name and the group's whole values, which tells groups apart whose values are cut above.
    #[schemars(length(max = 64))]
    pub group_hash: String,
    /// What was touched, in one line: `pods/exec shop/web-0`.
    #[schemars(length(max = 1024))]
    pub target: String,
    /// Who made the first match, as short as a column needs it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub who: String,
    /// The first match.
    pub event: EventEvidence,
}

/// A field that tells one group from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupField {
    /// The field, as the rule names it.
    #[schemars(length(max = 256))]
    pub field: String,
    /// Its value; several are joined by `, `. Absent where the event lacks the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
}

/// One audit event, as evidence: metadata, and bodies only where the rule asks for them. Text from the event is cut and escaped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventEvidence {
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserEvidence>,
    /// Whom the asker acted as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<UserEvidence>,
    /// The addresses the request came through; all but the last are the client's own word.
    #[serde(default, rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 256)), extend("x-kubernetes-list-type" = "atomic"))]
    pub source_ips: Vec<String>,
    /// The client's own word for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub user_agent: Option<String>,
    /// The request's verb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub verb: Option<String>,
    /// The object that was asked for; absent for a request that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectEvidence>,
    /// The request's URI.
    #[serde(default, rename = "requestURI", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub request_uri: Option<String>,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2_147_483_648_i64, max = 2_147_483_647_i64))]
    pub response_code: Option<i64>,
    /// The authorizer's decision: allow or forbid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub decision: Option<String>,
    /// The stage that was detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub stage: Option<String>,
    /// The request's id, which the client may choose.
    #[serde(default, rename = "auditID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub audit_id: Option<String>,
    /// What was sent: JSON without what is secret, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub request_object: Option<String>,
    /// What was answered: JSON without what is secret, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub response_object: Option<String>,
    /// When the request arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_received_time: Option<MicroTime>,
    /// When the stage was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_time: Option<MicroTime>,
    /// Where the record stands.
    #[serde(flatten)]
    pub place: RecordPlace,
}

/// Where a record stands: enough to find the line again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordPlace {
    /// The node whose process read it.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub node: String,
    /// The `AuditSource`.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub source: String,
    /// The unbroken sequence of bytes.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub stream: String,
    /// The byte after the record's newline.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub offset: i64,
}

/// A user in an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserEvidence {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub username: Option<String>,
    /// The uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub uid: Option<String>,
    /// The first groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,
}

/// The object in an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectEvidence {
    /// Its API group; absent for the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub api_group: Option<String>,
    /// Its API version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub api_version: Option<String>,
    /// The resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub resource: Option<String>,
    /// The subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub subresource: Option<String>,
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub namespace: Option<String>,
    /// The name; absent for a list and for an object that is only being named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub name: Option<String>,
    /// The uid, where the request named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub uid: Option<String>,
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
