//! A status that could not be written: the same for rules and sources.

use tracing::{debug, warn};

use crate::alert::WriteError;
use crate::telemetry::{CategoryLabels, Chain, Metrics};

/// Counts and logs that the status of `kind` (`rule` or `source`) `name` was not written.
pub(super) fn note(metrics: &Metrics, kind: &'static str, name: &str, error: &WriteError) {
    let category = error.category();
    // Someone else changed it, or it is gone: the watch brings what is there now.
    if error.is_conflict() || category == "not_found" {
        debug!(kind, name, "the object changed while its status was written");
        return;
    }
    metrics.write_errors.get_or_create(&CategoryLabels { category }).inc();
    warn!(kind, name, category, error = %Chain(error), "a status could not be written");
}
