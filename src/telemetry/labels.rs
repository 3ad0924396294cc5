//! What metrics are told apart by: rules, sources, severities and fixed words, nothing an event holds.

use prometheus_client::encoding::EncodeLabelSet;

/// Labels of a metric about a source.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SourceLabels {
    /// The `AuditSource`.
    pub source: String,
}

/// Labels of `tripline_malformed_lines_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct MalformedLabels {
    /// The `AuditSource`.
    pub source: String,
    /// What is wrong with the line.
    pub reason: &'static str,
}

/// Labels of `tripline_ignored_events_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct IgnoredLabels {
    /// The `AuditSource`.
    pub source: String,
    /// `own` for Tripline's own requests, `user` for `--ignore-user`.
    pub reason: &'static str,
}

/// Labels of a metric about a rule.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RuleLabels {
    /// The `DetectionRule`.
    pub rule: String,
}

/// Labels of `tripline_suppressed_total`: at most 64 a rule.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SuppressedLabels {
    /// The `DetectionRule`.
    pub rule: String,
    /// The exception's name.
    pub exception: String,
    /// `Rule` for one of the rule's own, `DetectionException` for one of that kind.
    pub origin: &'static str,
}

/// Labels of `tripline_alerts_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct AlertLabels {
    /// The `DetectionRule`.
    pub rule: String,
    /// Its severity.
    pub severity: &'static str,
}

/// Labels of `tripline_alerts_evicted_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SeverityLabels {
    /// The alert's severity.
    pub severity: &'static str,
}

/// Labels of `tripline_alerts_deleted_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DeletionLabels {
    /// `expired`, `closed_surplus` or `evicted`.
    pub reason: &'static str,
}

/// Labels of `tripline_webhook_requests_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// The `AuditSource`.
    pub source: String,
    /// What became of the batch.
    pub outcome: &'static str,
}

/// Labels of a metric about errors.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CategoryLabels {
    /// A fixed word for what went wrong.
    pub category: &'static str,
}

/// Labels of a metric about an output.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutputLabels {
    /// `stdout`, `alertmanager` or `webhook`.
    pub output: &'static str,
}

/// Labels of `tripline_output_failures_total` and `tripline_output_dropped_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutputFailureLabels {
    /// `stdout`, `alertmanager` or `webhook`.
    pub output: &'static str,
    /// A fixed word for what went wrong.
    pub reason: &'static str,
}
