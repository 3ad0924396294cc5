//! What a reading thread has counted: durable with its position, visible in the statuses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::binding::origin_of;
use super::requests_seen::RequestsSeen;
use crate::alert::Parcel;
use crate::api::reason;
use crate::detect::{Exception, Rule};
use crate::source::{CheckpointError, SourceError, WebhookError};
use crate::telemetry::Chain;

/// What a source's checkpoint holds beside the position.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What was found up to the position and is not yet written to the API.
    pub pending: Vec<Parcel>,
    /// What was counted up to the position.
    pub counts: SourceCounts,
}

/// What was counted in a source up to a position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceCounts {
    /// Audit events.
    pub events: i64,
    /// Those among them that no rule is asked about.
    pub ignored: i64,
    /// Lines that are no audit event.
    pub malformed_lines: i64,
    /// Lines of text that the API server wrote beside its log.
    pub plain_text_lines: i64,
    /// Records found in a line behind the beginning of another.
    pub salvaged_records: i64,
    /// Records over 16 MiB, judged without their bodies.
    pub oversized_records: i64,
    /// Bytes of the log.
    pub bytes: i64,
    /// Times reading went on in a newer file.
    pub rotations: i64,
    /// Times a part of the log could not be read.
    pub gaps: i64,
    /// What is known of the newest of them.
    pub last_gap: String,
    /// When the newest of them was found.
    pub last_gap_time: Option<Timestamp>,
    /// The newest event's own time.
    pub last_event_time: Option<Timestamp>,
    /// The audit levels seen.
    pub levels: BTreeSet<String>,
    /// The stages seen.
    pub stages: BTreeSet<String>,
    /// How requests of each kind are logged.
    pub kinds: RequestsSeen,
    /// By the rule's uid.
    pub rules: BTreeMap<String, RuleCounts>,
}

/// What a rule came to in a source. All but `undecidable` count requests at their decisive stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleCounts {
    /// Requests that matched, before exceptions.
    pub matches: i64,
    /// Those that an exception let pass.
    pub suppressed: i64,
    /// Requests whose entry lacks a body the query needs.
    pub undecidable: i64,
    /// Those that found no room in alerts of their own, and are counted in the rule's overflow alert.
    pub limited: i64,
    /// The newest match's own time.
    pub last_match_time: Option<Timestamp>,
    /// When the last one found no room.
    pub last_limited_time: Option<Timestamp>,
    /// What each exception let pass, by origin and name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exceptions: BTreeMap<String, ExceptionCounts>,
}

/// What an exception let pass in a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExceptionCounts {
    /// Matches.
    pub suppressed: i64,
    /// The newest such match's own time.
    pub last_suppressed_time: Option<Timestamp>,
}

/// What an exception is counted under within its rule.
pub(super) fn exception_key(exception: &Exception) -> String {
    format!("{}/{}", origin_of(exception).as_str(), exception.name())
}

impl SourceCounts {
    /// Counts a part of the log that could not be read.
    pub fn count_gap(&mut self, what: String, now: Timestamp) {
        self.gaps += 1;
        self.last_gap = what;
        self.last_gap_time = Some(now);
    }
}

impl RuleCounts {
    /// Adds what a batch came to.
    pub fn add(&mut self, other: &Self) {
        self.matches += other.matches;
        self.suppressed += other.suppressed;
        self.undecidable += other.undecidable;
        self.limited += other.limited;
        self.last_limited_time = self.last_limited_time.max(other.last_limited_time);
        self.last_match_time = self.last_match_time.max(other.last_match_time);
        for (key, more) in &other.exceptions {
            let counts = self.exceptions.entry(key.clone()).or_default();
            counts.suppressed += more.suppressed;
            counts.last_suppressed_time = counts.last_suppressed_time.max(more.last_suppressed_time);
        }
    }

    /// Forgets what was counted for exceptions that the rule no longer has.
    pub fn keep_exceptions_of(&mut self, rule: &Rule) {
        if !self.exceptions.is_empty() {
            let keys: BTreeSet<_> =
                rule.exceptions().iter().map(|exception| exception_key(exception)).collect();
            self.exceptions.retain(|key, _| keys.contains(key));
        }
    }
}

/// Why a log is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word, a condition's reason.
    pub reason: &'static str,
    /// The same for people, with what to do.
    pub message: String,
}

impl Trouble {
    /// What a source's status says of an error, with what a person can do about it.
    pub(super) fn of(error: &SourceError) -> Self {
        Self { reason: reason_of(error), message: format!("{}; {}", Chain(error), remedy(error)) }
    }

    /// That no checkpoint can be written.
    pub(super) fn of_state(error: &CheckpointError) -> Self {
        let message = format!(
            "{}; make room in the state folder or mend it: reading goes on as soon as a checkpoint is written",
            Chain(error)
        );
        Self { reason: reason::STATE_UNWRITABLE, message }
    }

    /// That nothing can be received.
    pub(super) fn of_webhook(error: &WebhookError) -> Self {
        let (reason, remedy) = match error {
            WebhookError::Credentials(_) => (
                reason::NO_CREDENTIALS,
                "look at the Secret that is mounted at --webhook-credentials; it is read again every second",
            ),
            WebhookError::Listen { .. } => (
                reason::NOT_LISTENING,
                "`spec.webhook.address` must be one of the node's or pod's and `spec.webhook.port` free; it is tried again",
            ),
            WebhookError::Store => (
                reason::STATE_UNWRITABLE,
                "make room in the state folder or mend it: the API server sends the batch again, but gives it up after \
                 some attempts",
            ),
            WebhookError::Spool { .. } => {
                (reason::NOT_LISTENING, "make room in the state folder or mend it; it is tried again")
            }
        };
        Self { reason, message: format!("{}; {remedy}", Chain(error)) }
    }

    /// Trouble that has no reason of its own.
    pub(super) fn unreadable(message: String) -> Self {
        Self { reason: reason::UNREADABLE, message }
    }
}

/// How far a reading thread has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The stream, in hex; empty before the log was first opened.
    pub stream: String,
    /// Up to where `counts` counts.
    pub offset: i64,
    /// Up to where all that was found is in alerts, and a checkpoint says so.
    pub settled_offset: i64,
    /// Bytes written and not yet judged.
    pub lag_bytes: i64,
    /// When the log was last written.
    pub last_write_time: Option<Timestamp>,
    /// Age of the newest judged event while there is more to judge.
    pub lag_seconds: i64,
    /// Why the log is not read, if it is not.
    pub trouble: Option<Trouble>,
    /// What was counted up to `offset`.
    pub counts: SourceCounts,
}

/// A [`Report`] that the reading thread writes and the statuses read.
#[derive(Clone, Debug, Default)]
pub struct SharedReport(Arc<Mutex<Report>>);

impl SharedReport {
    /// The report, locked.
    pub fn lock(&self) -> MutexGuard<'_, Report> {
        // A report is plain numbers: whatever a panicking thread left in it is shown as it is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reason_of(error: &SourceError) -> &'static str {
    match error {
        SourceError::NotFound { .. } => reason::NOT_FOUND,
        SourceError::PermissionDenied { .. } => reason::PERMISSION_DENIED,
        SourceError::OutsideLogRoot { .. } => reason::OUTSIDE_LOG_ROOT,
        _ => reason::UNREADABLE,
    }
}

/// What a person can do about it.
fn remedy(error: &SourceError) -> &'static str {
    match error {
        SourceError::NotFound { .. } => {
            "check `spec.file.path` against kube-apiserver's --audit-log-path, and that the folder (not the file) is \
             mounted; it is read as soon as it is there"
        }
        SourceError::PermissionDenied { .. } => {
            "kube-apiserver writes its log with mode 0600: run as its owner, usually root; it is tried again"
        }
        SourceError::OutsideLogRoot { .. } => {
            "name a path beneath --log-root, without links that lead out of it"
        }
        _ => "it is tried again",
    }
}
