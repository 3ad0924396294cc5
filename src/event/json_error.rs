//! Why a text is not JSON.
use thiserror::Error;

/// Nesting that is accepted: Go's decoder stops a body at 10,000, and an event wraps a body in two levels.
pub const MAX_DEPTH: usize = 10_100;

/// Why a text is not JSON. Offsets are in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonError {
    /// The text breaks the grammar.
    #[error("expected {expected} at byte {offset}")]
    Syntax {
        /// Where.
        offset: usize,
        /// What would have been right.
        expected: &'static str,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels at byte {offset}")]
    TooDeep {
        /// Where the level too many begins.
        offset: usize,
    },
    /// Longer than the tape's offsets reach (4 GiB).
    #[error("longer than 4 GiB")]
    TooLong,
}

pub(super) fn syntax(offset: usize, expected: &'static str) -> JsonError {
    JsonError::Syntax { offset, expected }
}
