//! What a read of a log comes to.
use std::borrow::Cow;

use super::container_log::Records;
use super::gap::Gap;
use super::long_line::LongLine;
use super::position::{Position, StreamId};

/// What one read came to: whole lines, and what else the caller must know.
#[derive(Debug)]
pub struct Batch<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) start: Position,
    pub(super) identified_new_file: bool,
    pub(super) long_lines: Vec<(LongLine, Position)>,
    pub(super) gap: Option<Gap>,
    pub(super) idle: bool,
    pub(super) unfinished: Option<u64>,
    pub(super) rotations: u32,
}

impl<'a> Batch<'a> {
    pub(super) fn empty() -> Self {
        Self {
            bytes: &[],
            start: Position { stream: StreamId::from_bytes([0; 16]), offset: 0 },
            identified_new_file: false,
            long_lines: Vec::new(),
            gap: None,
            idle: false,
            unfinished: None,
            rotations: 0,
        }
    }

    /// The lines, each without its newline, with its position. A container log's are without what the runtime put before
    /// them, and parts of a record are one line, of which the position is the last one's.
    pub fn lines(&self) -> Lines<'a> {
        Lines { records: Records::of(self.bytes), start: self.start }
    }

    /// The position of the last line, if it has no newline: its file was closed without.
    pub fn unended(&self) -> Option<Position> {
        let is_ended = self.bytes.last().is_none_or(|byte| *byte == b'\n');
        (!is_ended).then(|| Position { offset: self.start.offset + self.bytes.len() as u64, ..self.start })
    }

    /// How many bytes the lines are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether nothing is new, so that the next read is worth a wait.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// The bytes after the last whole line, if the log ended with them when it was read. Whether it was rotated since is
    /// for the next read to find out, which is worth a short wait.
    pub fn unfinished(&self) -> Option<u64> {
        self.unfinished
    }

    /// How many files were read to their end and left for a newer one.
    pub fn rotations(&self) -> u32 {
        self.rotations
    }

    /// Whether reading goes on in a file or a stream that no checkpoint names yet. Such a batch has no lines; the
    /// caller makes the present position durable before it reads again.
    pub fn identified_new_file(&self) -> bool {
        self.identified_new_file
    }

    /// Lines longer than [`MAX_LINE`](super::MAX_LINE), each with its position. They stood before the others.
    pub fn long_lines(&self) -> &[(LongLine, Position)] {
        &self.long_lines
    }

    /// What could not be read, when the stream could not be continued. The batch then has no lines, and
    /// [`identified_new_file`](Self::identified_new_file) is true.
    pub fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }
}

/// The lines of a [`Batch`].
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    records: Records<'a>,
    start: Position,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (Cow<'a, [u8]>, Position);

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        Some((record.text, Position { offset: self.start.offset + record.end as u64, ..self.start }))
    }
}
