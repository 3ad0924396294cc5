//! What can go wrong between a detection and its alert.

use std::time::Duration;

use kube::core::Status;

/// A write to the API server that failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server did not answer in time. The write may have arrived.
    #[error("no answer to {what} within {} s", after.as_secs())]
    TimedOut {
        /// What was tried.
        what: &'static str,
        /// The time it was given.
        after: Duration,
    },
    /// The API server answered with an error that may pass.
    #[error("the API server refused {what}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What it answered.
        source: Box<kube::Error>,
    },
    /// The API server will never take this object, or it cannot even be sent.
    #[error("the API server will not accept {what}")]
    Rejected {
        /// What was tried.
        what: &'static str,
        /// What it answered.
        source: Box<kube::Error>,
    },
    /// The API server could not be reached. The write may have arrived.
    #[error("the API server could not be reached for {what}")]
    Unreachable {
        /// What was tried.
        what: &'static str,
        /// What happened.
        source: Box<kube::Error>,
    },
    /// Others changed the same object again and again.
    #[error("the alert was changed by others {attempts} times while its count was written")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
}

impl WriteError {
    /// Sorts the client's error.
    pub fn of(what: &'static str, error: kube::Error) -> Self {
        let source = Box::new(error);
        match &*source {
            // 400, 413 and 422 speak of the object itself; anything else may pass, as a missing permission may be granted.
            kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422) => {
                Self::Rejected { what, source }
            }
            kube::Error::BuildRequest(_) => Self::Rejected { what, source },
            kube::Error::Api(status) if matches!(status.code, 429 | 503 | 504) => {
                Self::Unreachable { what, source }
            }
            kube::Error::Api(_) | kube::Error::SerdeError(_) => Self::Refused { what, source },
            _ => Self::Unreachable { what, source },
        }
    }

    /// A fixed word for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timeout",
            Self::Refused { .. } if self.is_forbidden() => "forbidden",
            Self::Refused { .. } if self.is_not_found() => "not_found",
            Self::Refused { .. } => "refused",
            Self::Rejected { .. } => "rejected",
            Self::Unreachable { .. } => "unreachable",
            Self::Contended { .. } => "conflict",
        }
    }

    /// What the API server answered, if it did.
    fn answer(&self) -> Option<&Status> {
        match self {
            Self::Refused { source, .. }
            | Self::Rejected { source, .. }
            | Self::Unreachable { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::TimedOut { .. } | Self::Contended { .. } => None,
        }
    }

    fn is_answered(&self, code: u16) -> bool {
        self.answer().is_some_and(|status| status.code == code)
    }

    /// Whether this process may not do it.
    pub fn is_forbidden(&self) -> bool {
        self.is_answered(403)
    }

    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.is_answered(404)
    }

    /// Whether there is an object of that name already.
    pub fn is_already_exists(&self) -> bool {
        self.answer().is_some_and(Status::is_already_exists)
    }

    /// Whether somebody else changed the object meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.answer().is_some_and(Status::is_conflict)
    }

    /// Whether the same may be taken later, with nothing changed.
    pub fn may_pass(&self) -> bool {
        self.concerns_all() || self.answer().is_some_and(|status| status.code >= 500)
    }

    /// Whether the API server as a whole is at fault, so that any other write would fail as well.
    pub fn concerns_all(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unreachable { .. })
    }
}
