//! What the controller could not write of an object, be it its status: the same for every kind.

use tracing::{debug, warn};

use crate::alert::WriteError;
use crate::telemetry::{CategoryLabels, Chain, Metrics};

/// Counts and logs that the object `name` was not written. `kind` is one word for what it is, such as `rule`.
pub(super) fn note(metrics: &Metrics, kind: &'static str, name: &str, error: &WriteError) {
    // Someone else changed it, or it is gone: the watch brings what is there now.
    if error.is_conflict() || error.is_not_found() {
        debug!(kind, name, "the object changed while its status was written");
        return;
    }
    let category = error.category();
    metrics.write_errors.get_or_create(&CategoryLabels { category }).inc();
    warn!(kind, name, category, error = %Chain(error), "a status could not be written");
}
