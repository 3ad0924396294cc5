//! The kinds of group `tripline.dev`, as users write and read them. No behaviour: only shapes, bounds and names.
//!
//! Every string, list and number has a bound, so that the API server refuses what Tripline could not carry and can
//! estimate the cost of the CEL rules; every list of objects says how it merges. The manifests under `crds/` are
//! printed from these types by `tripline crds`.

#![allow(unreachable_pub)] // kube's derive emits copies of the types that this lint cannot see used

mod audit_source;
mod condition;
mod detection;
mod detection_exception;
mod detection_rule;
mod detection_rule_status;
mod name;
mod schema;
mod security_alert;
mod stored;

pub use audit_source::*;
pub use condition::{Condition, ConditionStatus};
pub use detection::*;
pub use detection_exception::*;
pub use detection_rule::*;
pub use detection_rule_status::*;
pub use name::is_object_name;
pub use security_alert::*;
pub use stored::{Stored, Unreadable};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The API group of every kind here.
pub const GROUP: &str = "tripline.dev";

/// The version of every kind here.
pub const VERSION: &str = "v1alpha1";

/// The name Tripline writes under: field manager and `reportingController`.
pub const CONTROLLER: &str = "tripline.dev/tripline";

/// Annotation of every manifest under `crds/`: a number that grows with each change of a schema, so that a
/// program can tell that the cluster's definitions are older than itself.
pub const SCHEMA_REVISION_ANNOTATION: &str = "tripline.dev/schema-revision";

/// The revision of the schemas in this program, see [`SCHEMA_REVISION_ANNOTATION`].
pub const SCHEMA_REVISION: u32 = 7;

/// The most entries of `status.agents`, of a rule as of a source.
pub const MOST_AGENTS: usize = 64;

/// The most exceptions that apply to one rule: its own first, then [`DetectionException`]s by name.
pub const MOST_EXCEPTIONS: usize = 64;

/// Labels of a `SecurityAlert`. For selection only: code trusts `spec`.
pub mod label {
    /// The rule's name.
    pub const RULE: &str = "tripline.dev/rule";
    /// The rule's severity when the alert opened.
    pub const SEVERITY: &str = "tripline.dev/severity";
    /// The 13 base32 characters of the group's hash.
    pub const GROUP: &str = "tripline.dev/group";
}

/// Condition types. Each describes a state, `True` being the good one except where the name says otherwise.
pub mod condition_type {
    /// Every kind: the summary for `kubectl wait`, Helm and GitOps tools.
    pub const READY: &str = "Ready";
    /// Rule, exception: the present spec compiles.
    pub const ACCEPTED: &str = "Accepted";
    /// Rule: every case of `spec.tests` came out as expected.
    pub const TESTED: &str = "Tested";
    /// Rule: the log holds what the query needs.
    pub const OBSERVABLE: &str = "Observable";
    /// Rule: a bound holds alerts back.
    pub const LIMITED: &str = "Limited";
    /// Source: the log is open and read.
    pub const READING: &str = "Reading";
    /// Source: an event arrived within the last minutes.
    pub const RECEIVING: &str = "Receiving";
    /// Source: a part of the log could not be read.
    pub const GAP_DETECTED: &str = "GapDetected";
    /// Source: the logs of all API servers of the cluster are read, by whatever source.
    pub const COMPLETE: &str = "Complete";
    /// Source: batches are refused for want of room.
    pub const SPOOL_FULL: &str = "SpoolFull";
    /// Source: the API server's certificate ends soon.
    pub const CREDENTIAL_EXPIRING: &str = "CredentialExpiring";
}

/// Condition reasons, one word for one-line output.
pub mod reason {
    /// The rule compiled.
    pub const COMPILED: &str = "Compiled";
    /// The rule compiled, and asks for more evidence than alerts may show.
    pub const EVIDENCE_CAPPED: &str = "EvidenceCapped";
    /// The rule compiled, but no process evaluates it now.
    pub const NOT_EVALUATED: &str = "NotEvaluated";
    /// The rule is `Disabled` by its own spec.
    pub const DISABLED: &str = "Disabled";
    /// The query or an exception's query is not valid KQL.
    pub const INVALID_QUERY: &str = "InvalidQuery";
    /// A field other than a query makes the rule unusable.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// An exception applies to rules.
    pub const APPLIED: &str = "Applied";
    /// An exception applies to no rule: there is none of these names and labels.
    pub const NO_RULE: &str = "NoRule";
    /// An exception applies to no rule: those that it is for cannot take it.
    pub const NOT_APPLIED: &str = "NotApplied";
    /// An exception has ended.
    pub const EXPIRED: &str = "Expired";
    /// The stored object does not fit the kind.
    pub const MALFORMED: &str = "Malformed";
    /// Tests: all passed, some failed, there are none, or time ran out.
    pub const PASSED: &str = "Passed";
    /// See [`PASSED`].
    pub const FAILED: &str = "Failed";
    /// See [`PASSED`].
    pub const NO_TESTS: &str = "NoTests";
    /// See [`PASSED`].
    pub const TIMED_OUT: &str = "TimedOut";
    /// Nothing is known yet.
    pub const PENDING: &str = "Pending";
    /// An event decided the query.
    pub const DECIDED: &str = "Decided";
    /// Events could not be decided because the audit policy does not log the bodies the query needs.
    pub const BODIES_NOT_LOGGED: &str = "BodiesNotLogged";
    /// The audit policy leaves out the stage at which the requests are decided.
    pub const STAGE_NOT_LOGGED: &str = "StageNotLogged";
    /// As many alerts are open as may be.
    pub const ALERT_BOUND: &str = "AlertBound";
    /// No bound is reached.
    pub const WITHIN_BOUNDS: &str = "WithinBounds";
    /// The log is read.
    pub const TAILING: &str = "Tailing";
    /// The log's path does not exist.
    pub const NOT_FOUND: &str = "NotFound";
    /// The log may not be read.
    pub const PERMISSION_DENIED: &str = "PermissionDenied";
    /// The path leads out of the log root.
    pub const OUTSIDE_LOG_ROOT: &str = "OutsideLogRoot";
    /// The log cannot be read for another reason.
    pub const UNREADABLE: &str = "Unreadable";
    /// No batch can be received.
    pub const NOT_LISTENING: &str = "NotListening";
    /// There is nothing to prove by who is who.
    pub const NO_CREDENTIALS: &str = "NoCredentials";
    /// There is room in the spool.
    pub const ROOM: &str = "Room";
    /// The spool is full.
    pub const FULL: &str = "Full";
    /// The certificate lasts.
    pub const VALID: &str = "Valid";
    /// The certificate ends soon.
    pub const RENEW: &str = "Renew";
    /// No checkpoint can be written, so reading waits.
    pub const STATE_UNWRITABLE: &str = "StateUnwritable";
    /// The processes that read this source have not reported for minutes.
    pub const NOT_REPORTING: &str = "NotReporting";
    /// No process reads this source: its node selector fits none.
    pub const NOT_SELECTED: &str = "NotSelected";
    /// Events arrive.
    pub const EVENTS_ARRIVE: &str = "EventsArrive";
    /// No event arrived for some minutes.
    pub const SILENT: &str = "Silent";
    /// The log was read without a gap.
    pub const CONTINUOUS: &str = "Continuous";
    /// Events of each API server arrive.
    pub const ALL_READ: &str = "AllRead";
    /// No events of some API server arrive.
    pub const NOT_ALL_READ: &str = "NotAllRead";
    /// How many API servers there are is not known.
    pub const NOT_ANNOUNCED: &str = "NotAnnounced";
    /// The API servers' hosts are named otherwise than the nodes.
    pub const NAMES_DIFFER: &str = "NamesDiffer";
    /// Several API servers may send to one process.
    pub const SHARED_ENDPOINT: &str = "SharedEndpoint";
    /// The place last read could not be found again.
    pub const POSITION_LOST: &str = "PositionLost";
}

/// The definitions of all kinds, in the order they are printed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds =
        vec![AuditSource::crd(), DetectionException::crd(), DetectionRule::crd(), SecurityAlert::crd()];
    for crd in &mut crds {
        let annotations = crd.metadata.annotations.get_or_insert_default();
        annotations.insert(SCHEMA_REVISION_ANNOTATION.to_owned(), SCHEMA_REVISION.to_string());
    }
    crds
}
