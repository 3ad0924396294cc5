//! Bytes of one file, cut into lines.
use std::io;
use std::ops::Range;

use super::contents::Contents;
use super::gap::Gap;
use super::long_line::LongLine;
use super::position::{BEFORE, Fingerprint, Position, StreamId};

/// The longest line that is handed out whole. Of a longer one both ends are kept (see [`LongLine`]), in bounded memory.
pub const MAX_LINE: usize = 16 << 20;

/// How much is read at once, and what the buffer shrinks back to after a long line.
const CHUNK: usize = 256 << 10;

/// How much is read at once and how long a line may be. Tests have smaller ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) chunk: usize,
    pub(super) max_line: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self { chunk: CHUNK, max_line: MAX_LINE };
}

/// A buffer over one file: reads on where it stopped, and knows which whole lines are there.
///
/// In the file, `done` is the byte after the last line that was handed out and `read` the byte after the last that
/// was read. `bytes[start..end]` is what lies between, except while a line that is too long passes: then none of it is
/// there.
#[derive(Debug)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Of `bytes[start..end]`, how much is whole lines.
    ready: usize,
    /// How much of it was handed out last and is to be forgotten before the next read.
    handed_out: usize,
    done: u64,
    read: u64,
    /// Whether the file ended there when it was read last.
    at_end: bool,
    /// The bytes before `done`.
    before: Vec<u8>,
    passing: Option<LongLine>,
    /// Lines that have passed, and where they end in the file.
    passed: Vec<(LongLine, u64)>,
    chunk: usize,
    max_line: usize,
}

/// What a look for more lines came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// There are whole lines.
    Lines,
    /// The end of the file, and no whole line before it.
    End,
}

impl LineBuffer {
    /// A buffer that begins at `offset`.
    pub(super) fn at(file: &Contents, offset: u64, limits: Limits) -> io::Result<Self> {
        let max_line = limits.max_line;
        // The buffer never holds more than the longest line and its newline, so that no line in it is too long.
        let chunk = limits.chunk.clamp(1, max_line + 1);
        let mut before = vec![0; usize::try_from(offset).unwrap_or(BEFORE).min(BEFORE)];
        let from = offset - before.len() as u64;
        let count = file.read_at(&mut before, from)?;
        before.truncate(count);
        Ok(Self {
            bytes: vec![0; chunk],
            start: 0,
            end: 0,
            ready: 0,
            handed_out: 0,
            done: offset,
            read: offset,
            at_end: false,
            before,
            passing: None,
            passed: Vec::new(),
            chunk,
            max_line,
        })
    }

    /// The byte after the last line that was handed out.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// The byte after the last that was read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Whether the file ended at [`read`](Self::read) when it was read last.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    pub(super) fn max_line(&self) -> usize {
        self.max_line
    }

    /// The fingerprint of the bytes just before [`done`](Self::done).
    pub(super) fn before(&self) -> Fingerprint {
        Fingerprint::of(&self.before)
    }

    /// Reads until there is a whole line or the file ends.
    pub(super) fn fill(&mut self, file: &Contents) -> io::Result<Filled> {
        self.forget();
        while self.ready == 0 {
            self.make_room();
            let room = &mut self.bytes[self.end..];
            let wanted = room.len();
            let count = file.read_at(room, self.read)?;
            self.at_end = count < wanted;
            if count == 0 {
                return Ok(Filled::End);
            }
            let new = self.end..self.end + count;
            self.read += count as u64;
            self.end = new.end;
            if self.passing.is_some() {
                self.pass(new);
            } else if let Some(newline) = memchr::memrchr(b'\n', &self.bytes[new.clone()]) {
                self.ready = new.start + newline + 1 - self.start;
            }
        }
        Ok(Filled::Lines)
    }

    /// Makes the rest of the file a line although it has no newline: none will come.
    pub(super) fn close_last_line(&mut self) {
        self.forget();
        if let Some(long) = self.passing.take() {
            self.passed.push((LongLine { is_one_record: false, ..long }, self.read));
            self.done = self.read;
            self.before.clear();
        } else {
            self.ready = self.end - self.start;
        }
    }

    /// Hands out the whole lines there are: where they lie in [`Self::bytes`], and where the first begins in the file.
    pub(super) fn hand_out(&mut self) -> (Range<usize>, u64) {
        let lines = self.start..self.start + self.ready;
        let offset = self.done;
        self.done += self.ready as u64;
        self.handed_out = self.ready;
        self.ready = 0;
        let tail = &self.bytes[lines.start.max(lines.end.saturating_sub(BEFORE))..lines.end];
        let surplus = (self.before.len() + tail.len()).saturating_sub(BEFORE);
        self.before.drain(..surplus);
        self.before.extend_from_slice(tail);
        (lines, offset)
    }

    pub(super) fn has_lines(&self) -> bool {
        self.ready > 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The long lines that have passed since the last call, and where they end in the file.
    pub(super) fn take_passed(&mut self) -> Vec<(LongLine, u64)> {
        std::mem::take(&mut self.passed)
    }

    fn forget(&mut self) {
        self.start += std::mem::take(&mut self.handed_out);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        let kept = self.end - self.start;
        if self.bytes.len() > self.chunk && kept <= self.chunk / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, kept);
            self.bytes.truncate(self.chunk);
            self.bytes.shrink_to_fit();
        }
    }

    fn make_room(&mut self) {
        if self.end < self.bytes.len() {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else if self.bytes.len() <= self.max_line {
            let larger = (self.bytes.len() * 2).min(self.max_line + 1);
            self.bytes.resize(larger, 0);
        } else {
            self.passing = Some(LongLine::begin(&self.bytes[..self.end]));
            self.end = 0;
            self.bytes.truncate(self.chunk);
            self.bytes.shrink_to_fit();
        }
    }

    fn pass(&mut self, new: Range<usize>) {
        let Some(mut long) = self.passing.take() else { return };
        let newline = memchr::memchr(b'\n', &self.bytes[new.clone()]);
        long.pass(&self.bytes[new.start..newline.map_or(new.end, |newline| new.start + newline)]);
        let Some(newline) = newline else {
            self.passing = Some(long);
            self.end = self.start;
            return;
        };
        self.start = new.start + newline + 1;
        self.done = self.read - (new.end - self.start) as u64;
        self.passed.push((long, self.done));
        // What lies before `done` now is the end of that line, as far as this chunk has it. Fewer bytes are
        // remembered than could be, which a fingerprint with a length of its own allows.
        let from = new.start.max(self.start.saturating_sub(BEFORE));
        self.before = self.bytes[from..self.start].to_vec();
        if let Some(newline) = memchr::memrchr(b'\n', &self.bytes[self.start..self.end]) {
            self.ready = newline + 1;
        }
    }
}

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

    /// The lines, each without its newline, with its position.
    pub fn lines(&self) -> Lines<'a> {
        Lines { rest: self.bytes, stream: self.start.stream, offset: self.start.offset }
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

    /// Lines longer than [`MAX_LINE`], each with its position. They stood before the others.
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
    rest: &'a [u8],
    stream: StreamId,
    offset: u64,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], Position);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, length) = match memchr::memchr(b'\n', self.rest) {
            Some(newline) => (&self.rest[..newline], newline + 1),
            None => (self.rest, self.rest.len()),
        };
        self.rest = &self.rest[length..];
        self.offset += length as u64;
        Some((line, Position { stream: self.stream, offset: self.offset }))
    }
}
