//! Where alerts go besides the API: standard output, Alertmanager, a webhook.
//!
//! The `Tracker` says what changed; [`Outputs`] hands it on. Nobody who reads the log waits for any of them.

mod alertmanager;
mod change;
mod error;
mod firing;
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

pub use change::Origin;
pub use error::QueueError;
pub use outputs::{Alertmanagers, OutputSettings, Outputs, Senders, WebhookTarget};
pub use stdout::Stdout;
