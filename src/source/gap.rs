//! What could not be read.
use std::fmt;
use std::path::PathBuf;

use super::position::{Position, StreamId};

/// Events that may have been written and can no longer be read. The stream that they belong to has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The log.
    pub path: PathBuf,
    /// The last position before the gap.
    pub after: Position,
    /// What happened.
    pub reason: GapReason,
    /// The stream that begins after the gap.
    pub stream: StreamId,
}

/// Why a stream could not be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The file is shorter than what was read of it, or says something else there.
    Truncated,
    /// The file of the position is not among the log's files.
    FileGone,
    /// The file was deleted or moved after rotation, so later ones may have been as well.
    Deleted,
    /// A compressed file cannot be decompressed to its end.
    Damaged,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            GapReason::Truncated => "the file was truncated or overwritten",
            GapReason::FileGone => "the file that was read last is gone",
            GapReason::Deleted => "the file that was read last was deleted, and newer ones may have been",
            GapReason::Damaged => "a compressed file is damaged",
        };
        let (path, Position { stream, offset }) = (self.path.display(), self.after);
        write!(f, "{path}: events after offset {offset} of stream {stream} may be lost: {what}")
    }
}
