//! The evidence of a `SecurityAlert`: the rule as it stood, the group, and the first match.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Severity, Threat};

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
