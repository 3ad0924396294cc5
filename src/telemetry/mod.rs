//! What Tripline says of itself: logs, metrics, health. It knows nothing of the rest of the crate.

mod health;
mod logging;
mod metrics;

pub use health::{Health, serve};
pub use logging::{Chain, LogFormat, init_logging};
pub use metrics::{
    AlertLabels, AnswerSeconds, CategoryLabels, DeletionLabels, IgnoredLabels, MalformedLabels, Metrics,
    OutputFailureLabels, OutputLabels, RequestLabels, RuleLabels, SeverityLabels, SourceLabels,
    SuppressedLabels,
};
