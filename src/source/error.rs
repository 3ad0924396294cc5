//! Why a source cannot be read, or its state not be kept.
use std::io;
use std::path::PathBuf;

/// Why a source cannot be read just now. All of them may pass: the caller shows them and reads again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Neither the log nor a file it was rotated to is there.
    #[error("found no log at {}", path.display())]
    NotFound {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This process may not read the log or its folder.
    #[error("was not allowed to read {}", path.display())]
    PermissionDenied {
        /// The log or its folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names a directory, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What is no file.
        path: PathBuf,
    },
    /// The path leads out of the log root, by itself or through a link.
    #[error("{} leads out of the log root {}", path.display(), root.display())]
    OutsideLogRoot {
        /// The path.
        path: PathBuf,
        /// The log root.
        root: PathBuf,
    },
    /// Something else went wrong while reading.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bits for a stream id.
    #[error("failed to draw a stream id")]
    Random {
        /// What the system said.
        source: getrandom::Error,
    },
}

impl SourceError {
    /// The kind of the failure, for a label or a condition's reason.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::PermissionDenied { .. } => "permission_denied",
            Self::NotAFile { .. } => "not_a_file",
            Self::OutsideLogRoot { .. } => "outside_log_root",
            Self::Io { .. } => "io",
            Self::Random { .. } => "random",
        }
    }
}

/// Why the state folder failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Another process has it.
    #[error("the state folder {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The checkpoint has no JSON form.
    #[error("failed to encode the checkpoint of source {name}")]
    Encode {
        /// The source's name.
        name: String,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// The thread that writes checkpoints is gone.
    #[error("the thread that writes the checkpoint {} has stopped", path.display())]
    WriterGone {
        /// The checkpoint.
        path: PathBuf,
    },
}

impl CheckpointError {
    /// The kind of the failure, for a label or a condition's reason.
    pub fn category(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "in_use",
            Self::Io { .. } => "io",
            Self::Encode { .. } => "encode",
            Self::WriterGone { .. } => "writer_gone",
        }
    }
}
