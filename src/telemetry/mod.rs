//! What Tripline says of itself: logs, metrics, health. It knows nothing of the rest of the crate.

mod health;
mod labels;
mod logging;
mod metrics;

pub use health::{Health, serve};
pub use labels::{
    AlertLabels, CategoryLabels, DeletionLabels, IgnoredLabels, MalformedLabels, OutputFailureLabels,
    OutputLabels, RequestLabels, RuleLabels, SeverityLabels, SourceLabels, SuppressedLabels,
};
pub use logging::{Chain, LogFormat, init_logging};
pub use metrics::{AnswerSeconds, Metrics};
