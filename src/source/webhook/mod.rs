//! Receiving the audit log from kube-apiserver's webhook backend.
//!
//! A batch is answered 200 only once its records are durable in the [spool](spool), which is a log like the one that
//! kube-apiserver writes itself, and is read by the same [`FileSource`](super::FileSource). So what holds for a file
//! holds for what was received; what the API server gives up on before it was, it counts itself.
mod authority;
mod credentials;
mod listener;
mod newcomers;
mod records;
mod request;
mod seen;
mod spool;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use authority::{Authority, AuthorityError, Pair, SERVER_NAME, certificate_end};
pub use credentials::{AUTHORITY, CERTIFICATE, CredentialError, KEY, TOKEN};
pub use spool::SPOOL_LOG;

use self::listener::Listener;
use self::request::Receiving;
use self::spool::Spool;
use self::store::{Store, StoreThread};
use super::position::Stamp;
use crate::api::WebhookAuthentication;
use crate::telemetry::{Chain, Metrics, RequestLabels, SourceLabels};

/// What stands for a webhook where a log has its path.
pub const WEBHOOK_PATH: &str = "webhook";

/// What a receiver is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookSettings {
    /// The `AuditSource`; batches come to `/audit/` and this.
    pub source: String,
    /// Where to listen.
    pub address: SocketAddr,
    /// How a sender proves himself.
    pub authentication: WebhookAuthentication,
    /// How many bytes may wait on disk.
    pub spool_limit: u64,
    /// The folder with the credentials.
    #[serde(skip)]
    pub credentials: PathBuf,
}

/// Why nothing is received just now. All of them may pass, and are tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// There is nothing to prove by who is who.
    #[error("failed to load the webhook's credentials")]
    Credentials(#[from] CredentialError),
    /// The address is not this node's, or somebody else has the port.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What comes could not be stored.
    #[error("failed to open the spool {}", path.display())]
    Spool {
        /// Its folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The last batch could not be stored, and was refused.
    #[error("the last batch could not be written to the spool")]
    Store,
}

impl WebhookError {
    /// The kind of the failure, for a label or a condition's reason.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Credentials(_) => "credentials",
            Self::Listen { .. } => "listen",
            Self::Spool { .. } => "spool",
            Self::Store => "store",
        }
    }
}

/// How receiving goes.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Why nothing can be received.
    pub trouble: Option<Arc<WebhookError>>,
    /// When the certificate ends by which the API server proved itself last.
    pub credential_end: Option<Timestamp>,
    /// When a batch was last refused because the spool was full.
    pub full: Option<Timestamp>,
}

/// An [`Intake`] that the receiver writes and the status reads.
#[derive(Clone, Debug, Default)]
pub struct SharedIntake(Arc<Mutex<Intake>>);

impl SharedIntake {
    /// It, locked.
    pub fn lock(&self) -> MutexGuard<'_, Intake> {
        // Each field is whole by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why nothing can be received, or that it can.
    fn say(&self, error: Option<WebhookError>) {
        let mut intake = self.lock();
        let same = |old: &Arc<WebhookError>, new: &WebhookError| {
            old.category() == new.category() && old.to_string() == new.to_string()
        };
        if let (Some(old), Some(new)) = (&intake.trouble, &error)
            && same(old, new)
        {
            return;
        }
        if let Some(error) = &error {
            tracing::warn!(error = %Chain(error), "no batch can be received; it is tried again");
        }
        intake.trouble = error.map(Arc::new);
    }
}

/// What a receiver counts.
#[derive(Clone)]
struct WebhookMetrics {
    metrics: Arc<Metrics>,
    source: String,
    repeated_records: Counter,
    oversized_records: Counter,
    /// Connections that had to make place for another.
    put_out: Counter,
    answer_seconds: Histogram,
}

impl WebhookMetrics {
    fn new(metrics: Arc<Metrics>, source: &str) -> Self {
        metrics.start_webhook(source);
        let labels = SourceLabels { source: source.to_owned() };
        let repeated_records = metrics.webhook_repeated_records.get_or_create(&labels).clone();
        let oversized_records = metrics.oversized_records.get_or_create(&labels).clone();
        let put_out = metrics.webhook_dropped_connections.get_or_create(&labels).clone();
        let answer_seconds = metrics.webhook_answer_seconds.0.get_or_create(&labels).clone();
        Self {
            metrics,
            source: source.to_owned(),
            repeated_records,
            oversized_records,
            put_out,
            answer_seconds,
        }
    }

    /// Counts a request by what came of it.
    fn count(&self, outcome: &'static str) {
        let labels = RequestLabels { source: self.source.clone(), outcome };
        self.metrics.webhook_requests.get_or_create(&labels).inc();
    }
}

/// Receives the batches of one source into a spool, until it is stopped.
pub struct WebhookReceiver {
    settings: WebhookSettings,
    intake: SharedIntake,
    stop: CancellationToken,
    task: JoinHandle<()>,
    thread: StoreThread,
}

impl WebhookReceiver {
    /// Opens the spool in `folder` and listens. `durable` says up to which part of the spool a durable position is past.
    ///
    /// # Errors
    /// When the spool cannot be opened. What keeps it from listening is in its [`Intake`].
    pub async fn start(
        settings: WebhookSettings,
        folder: &Path,
        durable: impl Fn() -> Option<Stamp> + Send + 'static,
        metrics: Arc<Metrics>,
    ) -> Result<Self, WebhookError> {
        let counted = WebhookMetrics::new(Arc::clone(&metrics), &settings.source);
        let labels = SourceLabels { source: settings.source.clone() };
        let used = metrics.webhook_spool_bytes.get_or_create(&labels).clone();
        let (path, limit) = (folder.to_owned(), settings.spool_limit);
        let open = move || Store::start(Spool::open(&path, limit)?, Box::new(durable), used);
        let opened =
            tokio::task::spawn_blocking(open).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let (store, thread) =
            opened.map_err(|source| WebhookError::Spool { path: folder.to_owned(), source })?;
        let (intake, stop) = (SharedIntake::default(), CancellationToken::new());
        let receiving = Receiving::new(&settings.source, store, intake.clone(), counted);
        let listener = Arc::new(Listener::new(settings.clone(), receiving, stop.clone()));
        let task = tokio::spawn(listener.run());
        Ok(Self { settings, intake, stop, task, thread })
    }

    /// What it was told.
    pub fn settings(&self) -> &WebhookSettings {
        &self.settings
    }

    /// Whether it does what these settings say.
    pub fn is_for(&self, settings: &WebhookSettings) -> bool {
        self.settings == *settings
    }

    /// How receiving goes.
    pub fn intake(&self) -> SharedIntake {
        self.intake.clone()
    }

    /// Whether it ended by itself, which only a panic makes it do.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished() || self.thread.has_ended()
    }

    /// Stops listening, lets the requests on their way end, and closes the spool.
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = self.task.await.is_ok();
        let closed = tokio::task::spawn_blocking(move || self.thread.join()).await.unwrap_or_default();
        if !(ended && closed) {
            tracing::error!(source = self.settings.source, "the webhook's receiver had panicked");
        }
    }
}
