//! Reading one file to its end, and knowing when that end is final.
//!
//! A file is complete when the live path names another one, or newer ones are there. It is then read to its end once
//! more: whatever was written before the rename is seen only by a read after it.
use std::io;
use std::ops::Range;

use super::contents::{Contents, is_damage};
use super::error::SourceError;
use super::lines::{Filled, Limits, LineBuffer};
use super::position::{Fingerprint, StreamId};
use super::root::OpenFile;
use super::rotation::{LogFiles, Look, Stamp};

/// Where in the stream a file begins, and which one that is: the first rotated after `after`, else the live one.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) base: u64,
    pub(super) after: Option<Stamp>,
}

/// The file that is read.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) place: Place,
    pub(super) open: OpenFile,
    /// Not known until the first record is whole.
    pub(super) first_record: Option<Fingerprint>,
    pub(super) lines: LineBuffer,
    /// The end was reached: before reading on, what was read last must still be there.
    paused: bool,
    complete: bool,
}

/// What one turn came to.
pub(super) enum TailTurn {
    /// Nothing is new.
    Idle,
    /// The first record is known now.
    Identified,
    /// These bytes of the buffer are lines; the first begins there in the file.
    Lines(Range<usize>, u64),
    /// The file is not what it was.
    Truncated,
    /// The file is compressed and cannot be read on. After it comes the one that was rotated next.
    Damaged(Option<Stamp>),
    /// The file is read whole, and it is not among the log's files any more.
    Deleted,
    /// The file is read whole; the stream goes on there.
    Left(Place),
}

impl Tail {
    pub(super) fn new(
        files: &LogFiles,
        place: Place,
        open: OpenFile,
        offset: u64,
        limits: Limits,
    ) -> Result<Self, SourceError> {
        let lines =
            LineBuffer::at(&open.contents, offset, limits).map_err(|source| files.failed("read", source))?;
        Ok(Self { place, open, first_record: None, lines, paused: false, complete: false })
    }

    pub(super) fn turn(&mut self, files: &LogFiles) -> Result<TailTurn, SourceError> {
        let failed = |source| files.failed("read", source);
        if !self.lines.has_lines() {
            if self.paused && !self.is_unchanged().map_err(failed)? {
                return Ok(TailTurn::Truncated);
            }
            let mut filled = match self.lines.fill(&self.open.contents) {
                Err(error) if self.open.contents.is_gzip() && is_damage(&error) => {
                    return self.give_up(files);
                }
                filled => filled.map_err(failed)?,
            };
            if filled == Filled::End && !self.complete {
                self.paused = true;
                self.complete = self.has_successor(files)?;
                if !self.complete {
                    return Ok(TailTurn::Idle);
                }
                filled = self.lines.fill(&self.open.contents).map_err(failed)?;
            }
            self.paused = self.lines.is_at_end();
            if filled == Filled::End {
                self.lines.close_last_line();
            }
            if !self.lines.has_lines() {
                return self.leave(files);
            }
        }
        if self.identify(files)? {
            return Ok(TailTurn::Identified);
        }
        let (lines, offset) = self.lines.hand_out();
        Ok(TailTurn::Lines(lines, offset))
    }

    /// Learns the first record where it is not known yet. True when it was learnt now.
    pub(super) fn identify(&mut self, files: &LogFiles) -> Result<bool, SourceError> {
        if self.first_record.is_some() {
            return Ok(false);
        }
        let limit = self.lines.max_line() as u64;
        let first = Fingerprint::of_first_line(&self.open.contents, limit, self.complete);
        self.first_record = first.map_err(|source| files.failed("read", source))?;
        Ok(self.first_record.is_some())
    }

    /// The file's own rotation, if it was rotated.
    pub(super) fn own_stamp<'a>(&self, look: &'a Look) -> Option<&'a Stamp> {
        let by_inode = look.rotated.iter().find(|file| file.is(self.open.device, self.open.inode));
        // The oldest file after the place is this one, so if that was compressed, it is this one that was.
        let compressed =
            || look.newer_than(self.place.after.as_ref()).first().filter(|file| file.is_compressed);
        by_inode.or_else(compressed).map(|file| &file.stamp)
    }

    fn is_unchanged(&self) -> io::Result<bool> {
        // Nobody writes to a compressed file, and to look back in it is to decompress it from its start.
        if self.open.contents.is_gzip() {
            return Ok(true);
        }
        if self.open.is_shorter_than(self.lines.read())? {
            return Ok(false);
        }
        let before = self.lines.before();
        self.open.has(&before, self.lines.done() - before.length)
    }

    /// Whether there is a file after this one.
    fn has_successor(&self, files: &LogFiles) -> Result<bool, SourceError> {
        if self.open.is_at(files.stat_live()?) {
            return Ok(false);
        }
        let Some(look) = files.settled_look()? else {
            return Ok(false);
        };
        // The live path may name this file again by now, or nothing: between renaming and creation.
        let live = look.live.as_ref().is_some_and(|live| !self.open.is_at(Some((live.device, live.inode))));
        let own = self.own_stamp(&look).or(self.place.after.as_ref());
        Ok(live || !look.newer_than(own).is_empty())
    }

    /// Leaves a compressed file that cannot be read on.
    fn give_up(&self, files: &LogFiles) -> Result<TailTurn, SourceError> {
        Ok(match files.settled_look()? {
            None => TailTurn::Idle,
            Some(look) => TailTurn::Damaged(self.own_stamp(&look).or(self.place.after.as_ref()).cloned()),
        })
    }

    fn leave(&self, files: &LogFiles) -> Result<TailTurn, SourceError> {
        let Some(look) = files.settled_look()? else {
            return Ok(TailTurn::Idle);
        };
        let Some(own) = self.own_stamp(&look) else {
            return Ok(TailTurn::Deleted);
        };
        let base = self.place.base + self.lines.read();
        Ok(TailTurn::Left(Place { stream: self.place.stream, base, after: Some(own.clone()) }))
    }
}

/// The place after the last newline of a file.
pub(super) fn after_last_newline(file: &Contents) -> io::Result<u64> {
    const CHUNK: u64 = 64 << 10;
    let mut end = file.size()?.unwrap_or_default();
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        chunk.resize(usize::try_from(end - start).unwrap_or_default(), 0);
        let count = file.read_at(&mut chunk, start)?;
        if let Some(newline) = memchr::memrchr(b'\n', &chunk[..count]) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
