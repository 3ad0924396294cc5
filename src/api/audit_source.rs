//! `AuditSource`: where the audit log comes from.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, schema};

/// What is wanted of a source.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "tripline.dev",
    version = "v1alpha1",
    kind = "AuditSource",
    status = "AuditSourceStatus",
    shortname = "asrc",
    category = "tripline",
    derive = "PartialEq",
    doc = "An AuditSource says where an API server's audit log is read from; its status says whether it arrives.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("`metadata.name` must be at most 63 characters"),
    printcolumn(name = "Reading", type_ = "string", json_path = ".status.conditions[?(@.type==\"Reading\")].status"),
    printcolumn(name = "Receiving", type_ = "string", json_path = ".status.conditions[?(@.type==\"Receiving\")].status"),
    printcolumn(name = "Lag", type_ = "integer", json_path = ".status.lagSeconds", description = "Seconds by which judging is behind the log"),
    printcolumn(name = "Events", type_ = "integer", json_path = ".status.events"),
    printcolumn(name = "Last Event", type_ = "date", json_path = ".status.lastEventTime"),
    printcolumn(name = "Gap", type_ = "string", json_path = ".status.conditions[?(@.type==\"GapDetected\")].status", description = "Whether a part of the log could not be read in the last day"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Complete", type_ = "string", json_path = ".status.conditions[?(@.type==\"Complete\")].status", description = "Whether the logs of all API servers are read", priority = 1),
    printcolumn(name = "Path", type_ = "string", json_path = ".spec.file.path", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[x_kube(validation = Rule::new("has(self.lastSeconds) == (self.startAt == 'LastSeconds')").message("`lastSeconds` must be set exactly when `startAt` is 'LastSeconds'"))]
#[x_kube(validation = Rule::new("has(self.file) != has(self.webhook)").message("set one of `spec.file` and `spec.webhook`, not both"))]
#[x_kube(validation = Rule::new("!has(self.webhook) || self.startAt == 'End'").message("leave `startAt` out: a webhook has no past to start at"))]
#[serde(rename_all = "camelCase")]
pub struct AuditSourceSpec {
    /// A log file that kube-apiserver writes (`--audit-log-path`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileLog>,
    /// An endpoint that kube-apiserver sends its log to (`--audit-webhook-config-file`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Labels of the nodes whose processes read this source; none means every one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: BTreeMap<String, String>,
    /// Where reading begins the very first time; afterwards it goes on where it stopped.
    #[serde(default)]
    pub start_at: StartAt,
    /// How far back `startAt: LastSeconds` reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub last_seconds: Option<i64>,
    /// The stages that the audit policy leaves out (`omitStages`), so that a request is judged at one that is logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub omit_stages: Vec<AuditStage>,
    /// The cluster's name, for `orchestrator.cluster.name`; wins over `--cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster: Option<String>,
    /// How the records are written.
    #[serde(default)]
    pub format: LogFormat,
}

/// A log file that kube-apiserver writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileLog {
    /// The file's path, beneath the process's `--log-root`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// An endpoint that kube-apiserver sends its log to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("isIP(self.address)").message("`spec.webhook.address` must be an IP address of the node or pod, such as 127.0.0.1"))]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The IP address of the node or pod to listen on; another one than 127.0.0.1 can be reached by others.
    #[serde(default = "loopback")]
    #[schemars(length(min = 2, max = 45))]
    pub address: String,
    /// The port to listen on.
    #[serde(default = "webhook_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// How a sender proves that it is the API server.
    #[serde(default)]
    pub authentication: WebhookAuthentication,
    /// How much of each node's disk may hold what was received and not yet judged. What comes when it is full is
    /// answered 429, and the API server sends it again for some minutes.
    #[serde(default = "spool_mebibytes")]
    #[schemars(range(min = 64, max = 1_048_576))]
    pub spool_mebibytes: i64,
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}

fn webhook_port() -> i32 {
    9443
}

fn spool_mebibytes() -> i64 {
    1024
}

/// How a sender proves that it is the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WebhookAuthentication {
    /// By a certificate of Tripline's own authority.
    #[default]
    ClientCertificate,
    /// By a token in the header of each request.
    BearerToken,
}

/// Where reading begins the very first time.
// One scalar and a number beside it: a structural schema cannot say "a string or an object".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StartAt {
    /// With what is written from then on.
    #[default]
    End,
    /// With the first record of the file.
    Start,
    /// With the records of the last `lastSeconds` seconds.
    LastSeconds,
}

/// A stage of a request, as the audit policy names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AuditStage {
    /// Before the request is handled.
    RequestReceived,
    /// After the headers of a long-running request's response.
    ResponseStarted,
    /// After the response.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

/// How the records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogFormat {
    /// One `audit.k8s.io` event a line (`--audit-log-format=json`).
    #[default]
    JSON,
}

/// Whether the log arrives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditSourceStatus {
    /// The generation the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// Ready, Reading, Receiving, GapDetected, Complete, and of a webhook SpoolFull and CredentialExpiring: over all processes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Audit events read: the sum over `agents`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub events: i64,
    /// Seconds by which judging is behind the log: the most of `agents`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub lag_seconds: i64,
    /// The newest event's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_time: Option<MicroTime>,
    /// One entry a process that reads the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub agents: Vec<SourceAgent>,
}

/// What one process reads of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceAgent {
    /// The node the process runs on.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The log's path; `webhook` of one.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub path: String,
    /// The unbroken sequence of bytes `offset` belongs to; empty before the log was first opened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub stream: String,
    /// The byte up to which the log was judged.
    #[schemars(range(min = 0))]
    pub offset: i64,
    /// The byte up to which all that was found is in alerts for good: no crash has it judged or written again. 0 while
    /// nothing is known, or while something of an earlier stream is still to be written.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub settled_offset: i64,
    /// The byte up to which the log is written: `offset` and `lagBytes`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub size: i64,
    /// Bytes written and not yet judged.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub lag_bytes: i64,
    /// Age of the newest judged event while there is something to judge, else 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub lag_seconds: i64,
    /// Audit events read.
    #[schemars(range(min = 0))]
    pub events: i64,
    /// Lines that are no audit event.
    #[schemars(range(min = 0))]
    pub malformed_lines: i64,
    /// Lines of text beside the records, of an API server that logs to standard output.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub plain_text_lines: i64,
    /// Records found in a line behind the beginning of another, which a killed API server left.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub salvaged_records: i64,
    /// Records over 16 MiB, judged without their bodies.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub oversized_records: i64,
    /// Bytes of the log read.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub bytes: i64,
    /// Times reading went on in a newer file.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rotations: i64,
    /// Times a part of the log could not be read.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub gaps: i64,
    /// What is known of the newest of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub last_gap: String,
    /// When the newest of them was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_gap_time: Option<MicroTime>,
    /// The newest event's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_time: Option<MicroTime>,
    /// When the process last wrote this entry. It does so each minute; longer ago, and it does not run, or cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_report_time: Option<MicroTime>,
    /// When the log was last written. Long before now, and the API server logs nothing; long after `lastEventTime`, and
    /// what it logs is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_write_time: Option<MicroTime>,
    /// The audit levels seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 32)), extend("x-kubernetes-list-type" = "set"))]
    pub levels: Vec<String>,
    /// The stages seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 32)), extend("x-kubernetes-list-type" = "set"))]
    pub stages: Vec<String>,
    /// How requests are logged, of the kinds that were seen first.
    // Atomic, as only its process writes it and always whole: as a map, `managedFields` would name each entry once more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub requests: Vec<LoggedRequests>,
    /// When the certificate ends by which the API server proved itself last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_expire_time: Option<MicroTime>,
    /// When a batch was last refused because the spool was full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool_full_time: Option<MicroTime>,
    /// Why the log is not read; empty while it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub reason: String,
    /// The same for people, with what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
}

/// Requests that are logged alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedRequests {
    /// Each a resource, with its subresource after a slash and its API group after a dot, and the verbs:
    /// `deployments/scale.apps: get, update`.
    // One text a resource: as objects, a cluster's hundreds of kinds would be thousands of lines of `kubectl describe`.
    #[schemars(length(max = 256), inner(length(max = 2048)), extend("x-kubernetes-list-type" = "atomic"))]
    pub kinds: Vec<String>,
    /// The audit levels seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 32)), extend("x-kubernetes-list-type" = "set"))]
    pub levels: Vec<String>,
    /// The stages seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 32)), extend("x-kubernetes-list-type" = "set"))]
    pub stages: Vec<String>,
}
