//! Where alerts go besides the API: standard output, Alertmanager, a webhook.
//!
//! The [`Tracker`] says what changed; [`Outputs`] hands it on. Nobody who reads the log waits for any of them.

mod alertmanager;
mod change;
mod error;
mod http;
mod journal;
mod outputs;
mod queue;
#[cfg(test)]
mod queue_tests;
mod refused;
mod signature;
mod stdout;
mod track;
mod webhook;

pub use alertmanager::{AlertmanagerSender, Firing};
pub use change::{AlertFacts, Change, ChangeKind, Origin};
pub use error::{QueueError, SendError};
pub use outputs::{Alertmanagers, OutputSettings, Outputs, Senders, WebhookTarget};
pub use queue::{Limits, Queue};
pub use stdout::Stdout;
pub use track::{Step, Tracker};
pub use webhook::{ToWebhook, WebhookSender};
