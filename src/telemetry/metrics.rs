//! The metrics of `run`, in the OpenMetrics text format. Labels are rules, sources, severities and fixed words:
//! nothing an event holds.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::labels::{
    AlertLabels, CategoryLabels, DeletionLabels, IgnoredLabels, MalformedLabels, OutputFailureLabels,
    OutputLabels, RequestLabels, RuleLabels, SeverityLabels, SourceLabels, SuppressedLabels,
};

/// A histogram a source, of how long answers take. In blocking mode somebody's request waits for each.
#[derive(Clone, Debug)]
pub struct AnswerSeconds(pub Family<SourceLabels, Histogram, fn() -> Histogram>);

impl Default for AnswerSeconds {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(ANSWER_SECONDS)))
    }
}

/// All metrics; a field is named as its metric is, without prefix and suffix.
#[derive(Debug, Default)]
#[allow(missing_docs)] // each field's help text stands in `registry`
pub struct Metrics {
    pub events: Family<SourceLabels, Counter>,
    pub malformed_lines: Family<MalformedLabels, Counter>,
    pub plain_text_lines: Family<SourceLabels, Counter>,
    pub salvaged_records: Family<SourceLabels, Counter>,
    pub oversized_records: Family<SourceLabels, Counter>,
    pub ignored_events: Family<IgnoredLabels, Counter>,
    pub matches: Family<RuleLabels, Counter>,
    pub suppressed: Family<SuppressedLabels, Counter>,
    /// Matches that found no room in alerts of their own.
    pub limited: Family<RuleLabels, Counter>,
    pub undecidable: Family<RuleLabels, Counter>,
    pub alerts: Family<AlertLabels, Counter>,
    pub alerts_deleted: Family<DeletionLabels, Counter>,
    pub alerts_evicted: Family<SeverityLabels, Counter>,
    pub triage_writes_dropped: Counter,
    pub source_lag_bytes: Family<SourceLabels, Gauge>,
    pub source_lag_seconds: Family<SourceLabels, Gauge<f64, AtomicU64>>,
    pub source_gaps: Family<SourceLabels, Counter>,
    pub source_bytes: Family<SourceLabels, Counter>,
    pub source_rotations: Family<SourceLabels, Counter>,
    pub source_read_errors: Family<CategoryLabels, Counter>,
    pub webhook_requests: Family<RequestLabels, Counter>,
    pub webhook_answer_seconds: AnswerSeconds,
    pub webhook_repeated_records: Family<SourceLabels, Counter>,
    pub webhook_dropped_connections: Family<SourceLabels, Counter>,
    pub webhook_spool_bytes: Family<SourceLabels, Gauge>,
    pub write_errors: Family<CategoryLabels, Counter>,
    pub rejected_alerts: Counter,
    pub kubernetes_events: Counter,
    pub dropped_kubernetes_events: Counter,
    pub pending_alerts: Gauge<i64, AtomicI64>,
    pub rules: Gauge<i64, AtomicI64>,
    pub invalid_rules: Gauge<i64, AtomicI64>,
    pub checkpoint_errors: Counter,
    pub leader: Gauge<i64, AtomicI64>,
    pub unread_api_servers: Gauge<i64, AtomicI64>,
    pub output_sent: Family<OutputLabels, Counter>,
    pub output_failures: Family<OutputFailureLabels, Counter>,
    pub output_dropped: Family<OutputFailureLabels, Counter>,
    pub output_pending: Family<OutputLabels, Gauge>,
}

/// Every category of a failed write, see `WriteError::category`.
const WRITE_CATEGORIES: [&str; 7] =
    ["conflict", "forbidden", "not_found", "refused", "rejected", "timeout", "unreachable"];
/// Every reason a line is malformed, see `DecodeError::category`.
const MALFORMED_REASONS: [&str; 5] = ["not_an_event", "not_json", "not_utf8", "panic", "too_long"];

/// Why an alert may be deleted.
const DELETION_REASONS: [&str; 3] = ["closed_surplus", "evicted", "expired"];
/// Every severity of a rule.
const SEVERITIES: [&str; 4] = ["Low", "Medium", "High", "Critical"];

/// What may become of a batch.
const REQUEST_OUTCOMES: [&str; 10] = [
    "accepted",
    "crowded",
    "failed",
    "full",
    "interrupted",
    "malformed",
    "not_found",
    "slow",
    "too_large",
    "unauthenticated",
];
/// The buckets of the time that an answer takes.
const ANSWER_SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

impl Metrics {
    /// Metrics at zero. What a label may say is there from the start, so that a first error is an increase to
    /// Prometheus and not a new series.
    pub fn new() -> Self {
        let metrics = Self::default();
        for category in WRITE_CATEGORIES {
            drop(metrics.write_errors.get_or_create(&CategoryLabels { category }));
        }
        for reason in DELETION_REASONS {
            drop(metrics.alerts_deleted.get_or_create(&DeletionLabels { reason }));
        }
        for severity in SEVERITIES {
            drop(metrics.alerts_evicted.get_or_create(&SeverityLabels { severity }));
        }
        metrics
    }

    /// Makes the series of a source; gives its count of events.
    pub fn start_source(&self, source: &str) -> Counter {
        let labels = SourceLabels { source: source.to_owned() };
        for reason in MALFORMED_REASONS {
            drop(self.malformed_lines.get_or_create(&MalformedLabels { source: source.to_owned(), reason }));
        }
        drop(self.plain_text_lines.get_or_create(&labels));
        drop(self.salvaged_records.get_or_create(&labels));
        drop(self.oversized_records.get_or_create(&labels));
        for reason in ["own", "user"] {
            drop(self.ignored_events.get_or_create(&IgnoredLabels { source: source.to_owned(), reason }));
        }
        for family in [&self.source_gaps, &self.source_bytes, &self.source_rotations] {
            drop(family.get_or_create(&labels));
        }
        self.events.get_or_create(&labels).clone()
    }

    /// Makes the series that only a webhook has.
    pub fn start_webhook(&self, source: &str) {
        let labels = SourceLabels { source: source.to_owned() };
        for outcome in REQUEST_OUTCOMES {
            drop(self.webhook_requests.get_or_create(&RequestLabels { source: source.to_owned(), outcome }));
        }
        drop(self.webhook_answer_seconds.0.get_or_create(&labels));
        drop(self.webhook_repeated_records.get_or_create(&labels));
        drop(self.webhook_dropped_connections.get_or_create(&labels));
        drop(self.webhook_spool_bytes.get_or_create(&labels));
    }

    /// Makes the series of an output, whose attempts fail and whose messages are dropped for these reasons.
    pub fn start_output(&self, output: &'static str, failures: &[&'static str], drops: &[&'static str]) {
        drop(self.output_sent.get_or_create(&OutputLabels { output }));
        drop(self.output_pending.get_or_create(&OutputLabels { output }));
        for &reason in failures {
            drop(self.output_failures.get_or_create(&OutputFailureLabels { output, reason }));
        }
        for &reason in drops {
            drop(self.output_dropped.get_or_create(&OutputFailureLabels { output, reason }));
        }
    }

    /// Makes the series of a rule.
    pub fn start_rule(&self, rule: &str, severity: &'static str) {
        let labels = RuleLabels { rule: rule.to_owned() };
        for family in [&self.matches, &self.limited, &self.undecidable] {
            drop(family.get_or_create(&labels));
        }
        drop(self.alerts.get_or_create(&AlertLabels { rule: rule.to_owned(), severity }));
    }

    /// Ends the series of a rule that is gone.
    pub fn end_rule(&self, rule: &str) {
        let labels = RuleLabels { rule: rule.to_owned() };
        for family in [&self.matches, &self.limited, &self.undecidable] {
            family.remove(&labels);
        }
        for severity in SEVERITIES {
            self.alerts.remove(&AlertLabels { rule: rule.to_owned(), severity });
        }
    }

    /// Starts the series of a rule's exceptions that have none yet, and ends those of the ones it no longer has.
    pub fn set_exceptions(&self, had: &HashSet<SuppressedLabels>, has: &HashSet<SuppressedLabels>) {
        for gone in had.difference(has) {
            self.suppressed.remove(gone);
        }
        for labels in has {
            drop(self.suppressed.get_or_create(labels));
        }
    }

    /// A registry over these metrics. The encoder appends `_total` to a counter's name.
    #[allow(clippy::too_many_lines)] // a list
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("tripline");
        let r = &mut registry;
        r.register("events", "Audit events read", self.events.clone());
        r.register("malformed_lines", "Lines that are no audit event", self.malformed_lines.clone());
        r.register(
            "plain_text_lines",
            "Lines of text that the API server wrote beside its log",
            self.plain_text_lines.clone(),
        );
        r.register(
            "salvaged_records",
            "Records found in a line behind the beginning of another",
            self.salvaged_records.clone(),
        );
        r.register(
            "oversized_records",
            "Records over 16 MiB, judged without their bodies",
            self.oversized_records.clone(),
        );
        r.register("ignored_events", "Audit events that no rule is asked about", self.ignored_events.clone());
        r.register("matches", "Requests that matched, before exceptions", self.matches.clone());
        r.register("suppressed", "Matches that an exception let pass", self.suppressed.clone());
        r.register(
            "limited",
            "Matches counted in an overflow alert, since no further alert may be open",
            self.limited.clone(),
        );
        r.register(
            "undecidable",
            "Requests whose entry lacks a body the query needs",
            self.undecidable.clone(),
        );
        r.register("alerts", "SecurityAlerts opened", self.alerts.clone());
        r.register("alerts_deleted", "SecurityAlerts deleted, by why", self.alerts_deleted.clone());
        r.register(
            "alerts_evicted",
            "SecurityAlerts deleted before their time, because there were too many",
            self.alerts_evicted.clone(),
        );
        r.register(
            "triage_writes_dropped",
            "Changes of alerts whose maker was not looked for, because too many came at once",
            self.triage_writes_dropped.clone(),
        );
        r.register(
            "source_lag_bytes",
            "Bytes written to the log and not yet judged",
            self.source_lag_bytes.clone(),
        );
        r.register(
            "source_lag_seconds",
            "Age of the newest judged event while there is more to judge",
            self.source_lag_seconds.clone(),
        );
        r.register("source_gaps", "Times a part of the log could not be read", self.source_gaps.clone());
        r.register("source_bytes", "Bytes of the log read", self.source_bytes.clone());
        r.register(
            "source_rotations",
            "Times reading went on in a newer file",
            self.source_rotations.clone(),
        );
        r.register(
            "source_read_errors",
            "Times a log could no longer be read",
            self.source_read_errors.clone(),
        );
        r.register(
            "webhook_requests",
            "Batches that the API server sent, by what became of them",
            self.webhook_requests.clone(),
        );
        r.register(
            "webhook_answer_seconds",
            "Time until a batch was durable and answered",
            self.webhook_answer_seconds.0.clone(),
        );
        r.register(
            "webhook_repeated_records",
            "Records that the API server sent again",
            self.webhook_repeated_records.clone(),
        );
        r.register(
            "webhook_dropped_connections",
            "Connections that made place for others before they showed that they may come in",
            self.webhook_dropped_connections.clone(),
        );
        r.register(
            "webhook_spool_bytes",
            "Bytes received and still on disk",
            self.webhook_spool_bytes.clone(),
        );
        r.register("write_errors", "Failed writes to the API server", self.write_errors.clone());
        r.register("rejected_alerts", "Alert writes refused for good", self.rejected_alerts.clone());
        r.register("kubernetes_events", "Kubernetes Events written", self.kubernetes_events.clone());
        r.register(
            "dropped_kubernetes_events",
            "Kubernetes Events of alerts that were given up",
            self.dropped_kubernetes_events.clone(),
        );
        r.register("pending_alerts", "Alert writes that wait", self.pending_alerts.clone());
        r.register("rules", "Rules that are evaluated", self.rules.clone());
        r.register("invalid_rules", "Rules that cannot be evaluated", self.invalid_rules.clone());
        r.register(
            "checkpoint_errors",
            "Checkpoints that could not be saved",
            self.checkpoint_errors.clone(),
        );
        r.register("leader", "Whether this process concludes for all", self.leader.clone());
        r.register(
            "unread_api_servers",
            "API servers of which no events arrive, as the process sees it that concludes for all",
            self.unread_api_servers.clone(),
        );
        r.register("output_sent", "Messages that an output took", self.output_sent.clone());
        r.register("output_failures", "Attempts at an output that failed", self.output_failures.clone());
        r.register("output_dropped", "Messages that an output will never get", self.output_dropped.clone());
        r.register("output_pending", "Messages that wait for an output", self.output_pending.clone());
        r.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry
    }
}

/// The metrics as text.
pub(super) fn encode(registry: &Registry) -> String {
    let mut body = String::new();
    // Writing to a String cannot fail.
    if text::encode(&mut body, registry).is_err() {
        body.clear();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the text has a sample that begins so, with this value.
    fn has(text: &str, sample: &str, value: &str) -> bool {
        text.lines().any(|line| line.rsplit_once(' ') == Some((sample, value)))
    }

    #[test]
    fn every_metric_is_there_before_anything_happened() {
        let metrics = Metrics::new();
        drop(metrics.start_source("apiserver"));
        metrics.start_rule("a-rule", "High");
        let text = encode(&metrics.registry());
        for sample in [
            "tripline_events_total{source=\"apiserver\"}",
            "tripline_malformed_lines_total{source=\"apiserver\",reason=\"not_json\"}",
            "tripline_malformed_lines_total{source=\"apiserver\",reason=\"too_long\"}",
            "tripline_plain_text_lines_total{source=\"apiserver\"}",
            "tripline_ignored_events_total{source=\"apiserver\",reason=\"own\"}",
            "tripline_matches_total{rule=\"a-rule\"}",
            "tripline_undecidable_total{rule=\"a-rule\"}",
            "tripline_alerts_total{rule=\"a-rule\",severity=\"High\"}",
            "tripline_alerts_deleted_total{reason=\"expired\"}",
            "tripline_alerts_evicted_total{severity=\"Critical\"}",
            "tripline_triage_writes_dropped_total",
            "tripline_source_gaps_total{source=\"apiserver\"}",
            "tripline_write_errors_total{category=\"forbidden\"}",
            "tripline_write_errors_total{category=\"unreachable\"}",
            "tripline_rejected_alerts_total",
            "tripline_kubernetes_events_total",
            "tripline_pending_alerts",
            "tripline_rules",
            "tripline_invalid_rules",
            "tripline_checkpoint_errors_total",
            "tripline_leader",
            "tripline_unread_api_servers",
        ] {
            assert!(has(&text, sample, "0"), "{sample}:\n{text}");
        }
        assert!(text.contains("tripline_build_info{version=\""), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_source_tells_its_lag() {
        let metrics = Metrics::new();
        let labels = SourceLabels { source: "apiserver".to_owned() };
        metrics.source_lag_bytes.get_or_create(&labels).set(512);
        metrics.source_lag_seconds.get_or_create(&labels).set(1.5);
        let text = encode(&metrics.registry());
        assert!(has(&text, "tripline_source_lag_bytes{source=\"apiserver\"}", "512"), "{text}");
        assert!(has(&text, "tripline_source_lag_seconds{source=\"apiserver\"}", "1.5"), "{text}");
    }

    #[test]
    fn a_rule_that_is_gone_leaves_no_series() {
        let metrics = Metrics::new();
        metrics.start_rule("gone", "Low");
        metrics.start_rule("stays", "Low");
        metrics.end_rule("gone");
        let text = encode(&metrics.registry());
        assert!(!text.contains("gone") && text.contains("stays"), "{text}");
    }
}
