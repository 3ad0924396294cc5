//! Where events come from: bytes and the positions they stand at, never a rule.
//!
//! [`FileSource`] follows an audit log across rotations and restarts and hands out whole lines, each with its
//! [`Position`]. It is pulled by one blocking thread, which waits on a [`Wakeup`] when there is nothing new.
//! [`StateFolder`] and [`CheckpointWriter`] keep the position, together with what was found up to it, on disk.
//!
//! What holds:
//! - A position is (stream, offset) and only grows. The same bytes give the same positions however often they are
//!   read again, and from whichever checkpoint.
//! - Nothing is passed over silently. What cannot be continued is a [`Gap`] and a new stream.
//! - Memory is bounded: of a line longer than [`MAX_LINE`] only its ends are kept.
mod batch;
mod checkpoint;
mod container_log;
mod contents;
mod error;
mod file;
mod gap;
mod lines;
mod long_line;
mod next_file;
mod order;
mod position;
mod root;
mod rotation;
mod tail;
#[cfg(test)]
mod tests;
mod wakeup;
mod webhook;
mod writer;

pub use batch::{Batch, Lines};
pub use checkpoint::{Checkpoint, Loaded, StateFolder};
pub use container_log::{Boundary, Record, Records, Wrapper};
pub use error::{CheckpointError, SourceError};
pub use file::FileSource;
pub use gap::{Gap, GapReason};
pub use lines::MAX_LINE;
pub use long_line::{LongLine, Passing};
pub use position::{FileId, FileIdentity, FilePosition, Fingerprint, Position, Stamp, StartAt, StreamId};
pub use root::LogRoot;

pub use wakeup::{Waker, Wakeup};
pub use webhook::{
    AUTHORITY, Authority, AuthorityError, CERTIFICATE, CredentialError, Intake, KEY, Pair, SERVER_NAME,
    SPOOL_LOG, SharedIntake, TOKEN, WEBHOOK_PATH, WebhookError, WebhookReceiver, WebhookSettings,
    certificate_end,
};
pub use writer::CheckpointWriter;
