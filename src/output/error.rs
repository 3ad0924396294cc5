//! Why something could not be told.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use rustls::pki_types::pem;

/// Why the queue on disk failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {}", path.display())]
pub struct QueueError {
    /// What was tried.
    pub action: &'static str,
    /// With what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Why a request had no success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum SendError {
    /// A file of the credentials cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the credentials holds no certificate.
    #[error("found no usable certificate in {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A certificate of an authority cannot be used.
    #[error("failed to use the authority in {}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A file of the credentials holds something else than it should.
    #[error("{} holds {wrong}", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// What it holds.
        wrong: &'static str,
    },
    /// No answer came.
    #[error("failed to reach {host}")]
    Unreachable {
        /// Whom.
        host: String,
        /// What happened.
        source: hyper_util::client::legacy::Error,
    },
    /// No answer came in time.
    #[error("{host} did not answer within {} seconds", limit.as_secs())]
    TimedOut {
        /// Who.
        host: String,
        /// How long it had.
        limit: Duration,
    },
    /// The answer was no success.
    #[error("{host} answered {status}")]
    Answered {
        /// Who.
        host: String,
        /// What.
        status: StatusCode,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
}

impl SendError {
    /// Every [`category`](Self::category).
    pub(super) const CATEGORIES: [&'static str; 4] = ["answered", "credentials", "timeout", "unreachable"];

    /// A fixed word for metrics.
    pub(super) fn category(&self) -> &'static str {
        match self {
            Self::Read { .. } | Self::Pem { .. } | Self::Authority { .. } | Self::Credential { .. } => {
                "credentials"
            }
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::Answered { .. } => "answered",
        }
    }

    /// Whether the message itself was refused, so that sending it again would change nothing. What an answer says of
    /// the sender (401, 403, 407) or of the moment is none of the message's fault.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Answered { status, .. }
            if status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 407 | 408 | 425 | 429))
    }

    /// Whether another message may fare better: the receiver is there, and failed at this one.
    pub(super) fn may_be_the_messages(&self) -> bool {
        matches!(self, Self::Answered { status, .. }
            if status.is_server_error() && !matches!(status.as_u16(), 502..=504))
    }

    /// When the receiver wants to be asked again, if it said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
