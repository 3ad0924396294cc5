//! Reading one file to its end, and knowing when that end is final.
//!
//! A file is complete when the live path names another one, or newer ones are there. It is then read to its end once
//! more: whatever was written before the rename is seen only by a read after it.
use std::io;
use std::ops::Range;
use std::time::Instant;

use super::contents::Contents;
use super::error::SourceError;
use super::lines::{Filled, LineBuffer};
use super::position::{FileId, Fingerprint, Stamp, StreamId};
use super::root::OpenFile;
use super::rotation::{LogFiles, Look};

/// Where in the stream a file begins, and which one that is: the first rotated after `after`, else the live one.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) base: u64,
    pub(super) after: Option<Stamp>,
    /// Rotations before `after` that seem to be later.
    pub(super) before: Vec<Stamp>,
    /// The file, where it was seen: another one comes later.
    pub(super) file: Option<FileId>,
}

/// The file that is read.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) place: Place,
    pub(super) open: OpenFile,
    /// Not known until the first record is whole.
    pub(super) first_record: Option<Fingerprint>,
    pub(super) lines: LineBuffer,
    /// The file after it, where an earlier process saw that one.
    pub(super) next: Option<FileId>,
    /// The end was reached: before reading on, what was read last must still be there.
    paused: bool,
    complete: bool,
    /// It was the last file when its end was reached.
    was_last: bool,
    /// What was seen of it when it was last found among the rotated files.
    rotated: Option<Seen>,
    /// When the file was first seen that took its place.
    replaced: Option<Instant>,
}

/// Where a rotated file stood.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    /// The file after it.
    next: Option<FileId>,
}

/// What one turn came to.
pub(super) enum TailTurn {
    /// Nothing is new.
    Idle,
    /// The first record is known now.
    Identified,
    /// These bytes of the buffer are lines; the first begins there in the stream.
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
    pub(super) fn new(place: Place, open: OpenFile, lines: LineBuffer) -> Self {
        Self {
            place,
            open,
            first_record: None,
            lines,
            next: None,
            paused: false,
            complete: false,
            was_last: false,
            rotated: None,
            replaced: None,
        }
    }

    pub(super) fn turn(&mut self, files: &LogFiles) -> Result<TailTurn, SourceError> {
        let failed = |source| files.failed("read", source);
        if !self.lines.has_lines() {
            if self.paused && !self.is_unchanged().map_err(failed)? {
                return Ok(TailTurn::Truncated);
            }
            let mut filled = match self.lines.fill(&self.open.contents) {
                Err(error) if self.open.contents.is_damaged(&error) => {
                    return self.give_up(files);
                }
                filled => filled.map_err(failed)?,
            };
            if self.lines.has_passed() && self.identify(files)? {
                return Ok(TailTurn::Identified);
            }
            if filled == Filled::End && !self.complete {
                self.paused = true;
                self.complete = self.has_successor(files)?;
                self.was_last = !self.complete;
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
                let is_new = self.lines.has_passed() && self.identify(files)?;
                return if is_new { Ok(TailTurn::Identified) } else { self.leave(files) };
            }
        }
        if self.identify(files)? {
            return Ok(TailTurn::Identified);
        }
        let (lines, offset) = self.lines.hand_out();
        Ok(TailTurn::Lines(lines, offset))
    }

    /// The bytes after the last whole line, where the file was read to its end and is the last one as far as is known.
    pub(super) fn unfinished(&self) -> Option<u64> {
        let is_caught_up = self.was_last && self.lines.is_at_end() && !self.lines.has_lines();
        is_caught_up.then(|| self.lines.unfinished())
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

    /// Notes where the file stands among the rotated ones, if it does.
    pub(super) fn note(&mut self, look: &Look) {
        if let Some(own) = look.rotated.iter().find(|file| file.id.is(self.open.id)) {
            let next = look.first_after(Some(&own.stamp));
            self.rotated = Some(Seen { stamp: own.stamp.clone(), next });
        }
    }

    /// The file's own rotation, if it was rotated and is still there.
    pub(super) fn own_stamp(&self, files: &LogFiles, look: &Look) -> Result<Option<Stamp>, SourceError> {
        let by_inode = look.rotated.iter().find(|file| file.id.is(self.open.id));
        // Once compressed it is another file, of the same name but for its ending.
        let by_stamp = || {
            let seen = self.rotated.as_ref()?;
            look.rotated.iter().find(|file| file.stamp == seen.stamp)
        };
        if let Some(found) = by_inode.or_else(by_stamp) {
            return Ok(Some(found.stamp.clone()));
        }
        // Rotated and compressed since the last look, it is the oldest after the place; if it was deleted, another is.
        let oldest = look.newer_than(self.place.after.as_ref()).first().filter(|file| file.is_compressed);
        let (Some(oldest), None) = (oldest, &self.rotated) else { return Ok(None) };
        // kube-apiserver deletes the oldest files first: none is missing after one that is there.
        if self.place.after.as_ref().is_some_and(|after| look.has(after)) {
            return Ok(Some(oldest.stamp.clone()));
        }
        // One without a record is like any other without.
        let Some(first_record) = &self.first_record else { return Ok(None) };
        let Some(open) = files.open(oldest)? else { return Ok(None) };
        match open.begins_with(first_record, self.lines.max_line()) {
            Ok(is_it) => Ok(is_it.then(|| oldest.stamp.clone())),
            Err(error) if open.contents.is_damaged(&error) => Ok(None),
            Err(error) => Err(files.failed("read", error)),
        }
    }

    fn is_unchanged(&self) -> io::Result<bool> {
        // Nobody writes to a compressed file, and to look back in it is to decompress it from its start.
        if self.open.contents.is_gzip() {
            return Ok(true);
        }
        if self.open.is_shorter_than(self.lines.read())? {
            return Ok(false);
        }
        let (bytes, offset) = self.lines.anchor();
        self.open.has(&bytes, offset)
    }

    /// Whether there is a file after this one.
    fn has_successor(&mut self, files: &LogFiles) -> Result<bool, SourceError> {
        if self.open.is_at(files.stat_live()?) {
            return Ok(false);
        }
        let Some(look) = files.settled_look()? else {
            return Ok(false);
        };
        self.note(&look);
        // The live path may name this file again by now, or nothing: between renaming and creation.
        let live = look.live.as_ref().is_some_and(|live| !self.open.is_at(Some(live.id)));
        let own = self.own_stamp(files, &look)?;
        if !look.newer_than(own.as_ref().or(self.place.after.as_ref())).is_empty() {
            return Ok(true);
        }
        // The next rotation is later than whoever writes takes to let go of the file.
        Ok(live && self.replaced.get_or_insert_with(Instant::now).elapsed() >= files.lingering(&look))
    }

    /// Leaves a compressed file that cannot be read on.
    fn give_up(&self, files: &LogFiles) -> Result<TailTurn, SourceError> {
        let Some(look) = files.settled_look()? else {
            return Ok(TailTurn::Idle);
        };
        Ok(TailTurn::Damaged(self.own_stamp(files, &look)?.or_else(|| self.place.after.clone())))
    }

    fn leave(&self, files: &LogFiles) -> Result<TailTurn, SourceError> {
        let Some(look) = files.settled_look()? else {
            return Ok(TailTurn::Idle);
        };
        // Deleted after it was seen, it may be followed still by the file that was seen to come next.
        let followed = |seen: &&Seen| {
            let next = look.first_after(Some(&seen.stamp));
            next.zip(seen.next).is_some_and(|(next, seen)| next.is(seen))
        };
        let own = match self.own_stamp(files, &look)? {
            None => self.rotated.as_ref().filter(followed).map(|seen| seen.stamp.clone()),
            own => own,
        };
        let Some(own) = own else {
            return Ok(TailTurn::Deleted);
        };
        // Rotated while nobody looked, under an earlier time than the one before: what else was, and which was first,
        // nothing says.
        if self.place.after.as_ref().is_some_and(|after| files.is_before(&own, after)) {
            return Ok(TailTurn::Deleted);
        }
        let file = self.next.or_else(|| look.first_after(Some(&own)));
        let base = self.place.base + self.lines.read();
        let before = files.seemingly_later(Some(&own));
        Ok(TailTurn::Left(Place { stream: self.place.stream, base, after: Some(own), before, file }))
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
