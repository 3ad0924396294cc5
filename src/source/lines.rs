//! Bytes of one file, cut into lines.
use std::io;
use std::mem;
use std::ops::Range;
use std::time::Duration;

use super::container_log::Boundary;
use super::contents::Contents;
use super::long_line::{LongLine, Passing};
use super::position::{BEFORE, Fingerprint};

/// The longest line that is handed out whole. Of a longer one both ends are kept (see [`LongLine`]), in bounded memory.
pub const MAX_LINE: usize = 16 << 20;

/// How much is read at once, and what the buffer shrinks back to after a long line.
const CHUNK: usize = 256 << 10;

/// How long a container runtime may take, once a log's new file is there, to write to the old one what it had taken over
/// for it. It does so at once; a record that comes later would be lost.
const LINGERING: Duration = Duration::from_millis(500);

/// How much is read at once, how long a line may be and for how long a container's log is written after its rotation.
/// Tests have smaller ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) chunk: usize,
    pub(super) max_line: usize,
    pub(super) lingering: Duration,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self { chunk: CHUNK, max_line: MAX_LINE, lingering: LINGERING };
}

/// A buffer over one file: reads on where it stopped, and knows which whole lines are there. A container log's lines
/// are whole when no part of a record is among them whose rest is not.
///
/// `done` is the byte of the stream after the last line that was handed out, `read` the byte of the file after the last
/// that was read. `bytes[start..end]` is what lies between, except while a line that is too long passes: then hardly any
/// of it is there. It may begin in an earlier file, where a record was cut by a rotation.
#[derive(Debug)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Of `bytes[start..end]`, how much is whole lines.
    ready: usize,
    /// How much of it was handed out last and is to be forgotten before the next read.
    handed_out: usize,
    boundary: Boundary,
    /// Where in the stream the file begins.
    base: u64,
    done: u64,
    read: u64,
    /// Whether the file ended there when it was read last.
    at_end: bool,
    /// The file's bytes before `done`.
    before: Vec<u8>,
    passing: Option<Passing>,
    /// Lines that have passed and were not handed out, and where they end in the stream.
    passed: Vec<(LongLine, u64)>,
    /// The file's bytes before the end of the last of them.
    passed_before: Vec<u8>,
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
    /// A buffer that begins at `offset` of a file which begins at `base` of the stream.
    pub(super) fn at(file: &Contents, base: u64, offset: u64, limits: Limits) -> io::Result<Self> {
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
            boundary: Boundary::default(),
            base,
            done: base + offset,
            read: offset,
            at_end: false,
            before,
            passing: None,
            passed: Vec::new(),
            passed_before: Vec::new(),
            chunk,
            max_line,
        })
    }

    /// Goes on in the next file, which continues this one.
    pub(super) fn go_on(&mut self) {
        self.base += self.read;
        self.read = 0;
        self.at_end = false;
    }

    /// The byte of the stream after the last line that was handed out.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// The same in the file; `None` where that is in an earlier one.
    pub(super) fn done_in_file(&self) -> Option<u64> {
        self.done.checked_sub(self.base)
    }

    /// How many bytes were read and not handed out.
    pub(super) fn unfinished(&self) -> u64 {
        (self.base + self.read).saturating_sub(self.done)
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

    /// The fingerprint of the bytes just before [`done`](Self::done), of those that are in the file.
    pub(super) fn before(&self) -> Fingerprint {
        Fingerprint::of(&self.before)
    }

    /// The fingerprint of bytes that were read, and where the file has them if it is what it was.
    pub(super) fn anchor(&self) -> (Fingerprint, u64) {
        if let Some(done) = self.done_in_file() {
            let before = self.before();
            return (before, done - before.length);
        }
        let known = usize::try_from(self.read).unwrap_or(BEFORE).min(BEFORE).min(self.end - self.start);
        (Fingerprint::of(&self.bytes[self.end - known..self.end]), self.read - known as u64)
    }

    /// Reads until there is a whole line or the file ends.
    pub(super) fn fill(&mut self, file: &Contents) -> io::Result<Filled> {
        self.forget();
        while self.ready == 0 {
            self.make_room();
            let room = &mut self.bytes[self.end..];
            let wanted = room.len();
            if self.ready > 0 || wanted == 0 {
                continue;
            }
            let count = file.read_at(room, self.read)?;
            self.at_end = count < wanted;
            if count == 0 {
                return Ok(Filled::End);
            }
            let new = self.end;
            self.read += count as u64;
            self.end += count;
            if self.passing.is_some() {
                self.pass();
            } else {
                self.find_lines(new);
            }
        }
        Ok(Filled::Lines)
    }

    /// Makes the rest of the file a line although it has no newline: none will come. Left is only a record whose parts
    /// are whole lines, of which the next file has the rest.
    pub(super) fn close_last_line(&mut self) {
        self.forget();
        let is_ended = self.start == self.end || self.bytes[self.end - 1] == b'\n';
        match self.passing.take() {
            Some(passing) if passing.is_between_lines() && is_ended => self.passing = Some(passing),
            Some(passing) => {
                // What is left of it may be the beginning of a line of its own.
                self.passed.push((passing.break_off(), self.begin()));
                self.passed_before.clear();
                self.ready = self.end - self.start;
            }
            None if is_ended => {}
            None => self.ready = self.end - self.start,
        }
    }

    /// Hands out the whole lines there are: where they lie in [`Self::bytes`], and where the first begins in the stream.
    pub(super) fn hand_out(&mut self) -> (Range<usize>, u64) {
        self.forget_passed();
        let lines = self.start..self.start + self.ready;
        let offset = self.done;
        self.done += self.ready as u64;
        self.handed_out = self.ready;
        self.ready = 0;
        let tail = &self.bytes[lines.start.max(lines.end.saturating_sub(BEFORE))..lines.end];
        self.before.extend_from_slice(tail);
        let known = self.before.len().min(self.most_before(self.done));
        self.before.drain(..self.before.len() - known);
        (lines, offset)
    }

    pub(super) fn has_lines(&self) -> bool {
        self.ready > 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn has_passed(&self) -> bool {
        !self.passed.is_empty()
    }

    /// Hands out the long lines that have passed, and where they end in the stream. They stand before all that was handed
    /// out since they did.
    pub(super) fn take_passed(&mut self) -> Vec<(LongLine, u64)> {
        self.forget_passed();
        mem::take(&mut self.passed)
    }

    /// Where what is in the buffer begins in the stream.
    fn begin(&self) -> u64 {
        self.base + self.read - (self.end - self.start) as u64
    }

    /// How many bytes may be remembered of those before a place of the stream.
    fn most_before(&self, place: u64) -> usize {
        usize::try_from(place.saturating_sub(self.base)).unwrap_or(BEFORE).min(BEFORE)
    }

    /// That lines which have passed are handed out, by themselves or with what comes after them.
    fn forget_passed(&mut self) {
        if let Some((_, end)) = self.passed.last().filter(|(_, end)| *end > self.done) {
            self.done = *end;
            self.before = mem::take(&mut self.passed_before);
        }
    }

    fn forget(&mut self) {
        let handed_out = mem::take(&mut self.handed_out);
        self.boundary.forget(handed_out);
        self.start += handed_out;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.bytes.len() > self.chunk && self.end - self.start <= self.chunk / 2 {
            self.shrink();
        }
    }

    /// Gives back the room that a long line took.
    fn shrink(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.bytes.truncate(self.chunk.max(self.end));
        self.bytes.shrink_to_fit();
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
            self.passing = Some(Passing::begin(self.max_line));
            self.pass();
            if self.passing.is_some() {
                self.shrink();
            }
        }
    }

    /// Takes in what was read as more of a long line.
    fn pass(&mut self) {
        let Some(mut passing) = self.passing.take() else { return };
        let from = self.start;
        let (used, is_over) = passing.pass(&self.bytes[from..self.end]);
        self.start += used;
        if !is_over {
            self.passing = Some(passing);
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
            }
            return;
        }
        let end = self.begin();
        self.passed.push((passing.end(), end));
        // What lies before that place is the end of that line, as far as this chunk has it. Fewer bytes are
        // remembered than could be, which a fingerprint with a length of its own allows.
        let known = (self.start - from).min(self.most_before(end));
        self.passed_before = self.bytes[self.start - known..self.start].to_vec();
        self.boundary = Boundary::default();
        self.find_lines(self.start);
    }

    /// Looks for lines that are whole now, of which the last ends at `new` or after it.
    fn find_lines(&mut self, new: usize) {
        if let Some(newline) = memchr::memrchr(b'\n', &self.bytes[new..self.end]) {
            self.ready = self.boundary.advance(&self.bytes[self.start..=new + newline]);
        }
    }
}
