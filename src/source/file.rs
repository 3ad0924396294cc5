//! Following one audit log: across rotations, and from where an earlier process stopped.
//!
//! A file is left only when it is complete (see [`Tail`]). The next one is the oldest that was rotated later, else
//! the live one; it continues the stream at base + size of the one before. Where that cannot be shown, the stream
//! ends with a [`Gap`] and a new one begins.
//!
//! A container runtime may cut a record in two where a log is rotated. Its first part is then taken along into the next
//! file, and the position stays before that part until the record is whole.
use std::iter;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::batch::Batch;
use super::error::SourceError;
use super::gap::{Gap, GapReason};
use super::lines::{Limits, LineBuffer};
use super::position::{FileIdentity, FilePosition, Fingerprint, Position, Stamp, StartAt, StreamId};
use super::root::{LogRoot, OpenFile};
use super::rotation::{LogFiles, Rotated};
use super::tail::{Place, Tail, TailTurn, after_last_newline};

/// An audit log that is followed. It is pulled: nothing happens but in [`read`](Self::read).
#[derive(Debug)]
pub struct FileSource {
    root: LogRoot,
    path: String,
    /// Set once the path was found to lie beneath the root.
    files: Option<Arc<LogFiles>>,
    not_before: Option<Timestamp>,
    state: State,
    limits: Limits,
    /// A record that began in an earlier file than the present one.
    cut: Option<Box<Cut>>,
    /// How many files were left that no batch has told of.
    left: u32,
}

#[derive(Debug)]
enum State {
    /// Nothing is known yet.
    Starting(StartAt),
    /// To go on where an earlier process stopped.
    Resuming(Box<FilePosition>),
    /// Between files.
    Between(Place),
    /// In a file.
    Reading(Box<Tail>),
}

/// A record of which the rest is in a later file.
#[derive(Debug)]
struct Cut {
    /// Where it begins.
    position: FilePosition,
    /// What was read of it, while between two files.
    lines: Option<LineBuffer>,
}

/// What one turn came to.
enum Turn {
    Idle,
    /// Go on at once.
    Again,
    /// These bytes of the buffer are lines; the first begins at that position.
    Lines(Range<usize>, Position),
    /// Nothing but long lines.
    Passed,
    /// The caller must make the position durable.
    Identified,
    Gap(Gap),
}

impl FileSource {
    /// A source for the log at `path` beneath `root`. The disk is not touched yet. Reading goes on at `resume`; only
    /// without it `start_at` counts.
    pub fn new(
        root: LogRoot,
        path: impl Into<String>,
        start_at: StartAt,
        now: Timestamp,
        resume: Option<FilePosition>,
    ) -> Self {
        let not_before = match (&resume, start_at) {
            (Some(position), _) => position.not_before,
            (None, StartAt::LastSeconds(seconds)) => {
                let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                Some(now.checked_sub(seconds).unwrap_or(Timestamp::MIN))
            }
            (None, StartAt::End | StartAt::Start) => None,
        };
        let state = match resume {
            Some(position) => State::Resuming(Box::new(position)),
            None => State::Starting(start_at),
        };
        Self {
            root,
            path: path.into(),
            files: None,
            not_before,
            state,
            limits: Limits::DEFAULT,
            cut: None,
            left: 0,
        }
    }

    /// With other limits.
    #[cfg(test)]
    pub(super) fn with_limits(self, chunk: usize, max_line: usize) -> Self {
        Self { limits: Limits { chunk, max_line, lingering: std::time::Duration::ZERO }, ..self }
    }

    /// The log's path, as given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Events before this time are not wanted: the source was started at [`StartAt::LastSeconds`].
    pub fn not_before(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// The whole lines that are there now, 256 KiB at most (or one long line). Does not block.
    ///
    /// A call says that the batch before is done with: from then on [`position`](Self::position) is after the new
    /// one. After an error the next call tries again.
    pub fn read(&mut self) -> Result<Batch<'_>, SourceError> {
        let files = self.files()?;
        let turn = loop {
            match self.turn(&files)? {
                Turn::Again => {}
                turn => break turn,
            }
        };
        let mut batch = Batch::empty();
        batch.rotations = mem::take(&mut self.left);
        if let State::Reading(tail) = &mut self.state {
            // None may be judged before a checkpoint names the file.
            if matches!(turn, Turn::Lines(..) | Turn::Passed) {
                let at = |offset| Position { stream: tail.place.stream, offset };
                batch.long_lines =
                    tail.lines.take_passed().into_iter().map(|(long, end)| (long, at(end))).collect();
                // The position is in this file from here on.
                self.cut = self.cut.take().filter(|_| tail.lines.done_in_file().is_none());
            }
            batch.unfinished = tail.unfinished();
        }
        match turn {
            Turn::Idle | Turn::Again => batch.idle = true,
            Turn::Passed => {}
            Turn::Identified => batch.identified_new_file = true,
            Turn::Gap(gap) => {
                batch.identified_new_file = true;
                batch.gap = Some(gap);
            }
            Turn::Lines(lines, start) => {
                if let State::Reading(tail) = &self.state {
                    batch.start = start;
                    batch.bytes = &tail.lines.bytes()[lines];
                }
            }
        }
        Ok(batch)
    }

    /// The place after the last batch. `None` until the log was looked at for the first time.
    pub fn position(&self) -> Option<FilePosition> {
        if let Some(cut) = &self.cut {
            return Some(cut.position.clone());
        }
        let (place, tail) = match &self.state {
            State::Starting(_) => return None,
            State::Resuming(position) => return Some((**position).clone()),
            State::Between(place) => (place, None),
            State::Reading(tail) => (&tail.place, Some(tail)),
        };
        let file = tail.and_then(|tail| {
            tail.first_record.map(|first_record| FileIdentity { id: tail.open.id, first_record })
        });
        let (offset, before) = match (tail, file) {
            (Some(tail), Some(_)) => (tail.lines.done(), tail.lines.before()),
            _ => (place.base, Fingerprint::of(b"")),
        };
        let next = match (tail, file) {
            (Some(tail), Some(_)) => tail.next,
            (tail, _) => tail.map(|tail| tail.open.id).or(place.file),
        };
        Some(FilePosition {
            path: self.path.clone(),
            stream: place.stream,
            offset,
            base: place.base,
            file,
            before,
            next,
            rotated_after: place.after.clone(),
            not_before: self.not_before,
        })
    }

    /// How many bytes are written and not yet handed out, compressed files as they are on disk. `None` while no file is
    /// being read. Looks at the disk.
    pub fn lag_bytes(&self) -> Option<u64> {
        let (State::Reading(tail), Some(files)) = (&self.state, &self.files) else {
            return None;
        };
        // A compressed file does not say how long it is.
        let size = tail.open.contents.size().ok()?.unwrap_or_default();
        let behind = (tail.place.base + size).saturating_sub(tail.lines.done());
        if tail.open.is_at(files.stat_live().ok()?) {
            return Some(behind);
        }
        let look = files.settled_look().ok()??;
        let live = look.live.as_ref().and_then(|open| open.contents.size().ok()?).unwrap_or_default();
        let own = tail.own_stamp(files, &look).ok()?;
        let newer = look.newer_than(own.as_ref().or(tail.place.after.as_ref()));
        let rotated: u64 = newer.iter().map(|file| file.size).sum();
        Some(behind + live + rotated)
    }

    fn files(&mut self) -> Result<Arc<LogFiles>, SourceError> {
        let files = match self.files.take() {
            Some(files) => files,
            None => Arc::new(LogFiles::new(&self.root, &self.path, self.limits.lingering)?),
        };
        Ok(Arc::clone(self.files.insert(files)))
    }

    fn turn(&mut self, files: &LogFiles) -> Result<Turn, SourceError> {
        match &mut self.state {
            State::Starting(start_at) => {
                let start_at = *start_at;
                self.start(files, start_at)
            }
            State::Resuming(position) => {
                let position = position.clone();
                self.resume(files, &position)
            }
            State::Between(place) => {
                let place = place.clone();
                self.open_next(files, place)
            }
            State::Reading(tail) => {
                let turn = tail.turn(files)?;
                let at = |offset| Position { stream: tail.place.stream, offset };
                // They are judged before the file is left: no checkpoint may be past them.
                if tail.lines.has_passed() && !matches!(turn, TailTurn::Identified | TailTurn::Lines(..)) {
                    return Ok(Turn::Passed);
                }
                let past = tail.place.after.clone();
                match turn {
                    TailTurn::Idle => Ok(Turn::Idle),
                    TailTurn::Identified => Ok(Turn::Identified),
                    TailTurn::Lines(lines, offset) => Ok(Turn::Lines(lines, at(offset))),
                    TailTurn::Truncated => {
                        let after = at(tail.lines.done());
                        self.gap(files, after, GapReason::Truncated, past)
                    }
                    TailTurn::Deleted => {
                        let after = at(tail.lines.done());
                        self.gap(files, after, GapReason::Deleted, past)
                    }
                    TailTurn::Damaged(past) => {
                        let after = at(tail.lines.done());
                        self.gap(files, after, GapReason::Damaged, past)
                    }
                    TailTurn::Left(place) => {
                        self.left += 1;
                        self.leave(place);
                        Ok(Turn::Again)
                    }
                }
            }
        }
    }

    /// Leaves the file that is read, with what there is of a record whose rest is in the next one.
    fn leave(&mut self, place: Place) {
        let position = self.position();
        let state = mem::replace(&mut self.state, State::Between(place));
        if let State::Reading(tail) = state
            && let Some(position) = position
            && tail.lines.unfinished() > 0
        {
            self.cut = Some(Box::new(Cut { position, lines: Some(tail.lines) }));
        }
    }

    /// Begins a stream where there was none.
    fn start(&mut self, files: &LogFiles, start_at: StartAt) -> Result<Turn, SourceError> {
        let Some(look) = files.settled_look()? else {
            return Ok(Turn::Idle);
        };
        let place = Place { stream: new_stream()?, base: 0, after: look.newest().cloned(), file: None };
        if start_at != StartAt::End {
            let wanted = self.not_before.map(|time| files.surely_before(time));
            let is_older = |file: &&Rotated| Some(&file.stamp) < wanted.as_ref();
            let after = look.rotated.iter().rfind(is_older).map(|file| file.stamp.clone());
            self.state = State::Between(Place { after, ..place });
            return Ok(Turn::Again);
        }
        let Some(open) = look.live else {
            // What is written from here on is wanted, from its start.
            self.state = State::Between(place);
            return Ok(Turn::Again);
        };
        let end = after_last_newline(&open.contents).map_err(|source| files.failed("read", source))?;
        let lines = self.lines(files, &open, &place, end)?;
        let mut tail = Tail::new(place, open, lines);
        tail.identify(files)?;
        self.state = State::Reading(Box::new(tail));
        Ok(Turn::Identified)
    }

    /// Finds the file of a position among those that are there, by what it says.
    fn resume(&mut self, files: &LogFiles, position: &FilePosition) -> Result<Turn, SourceError> {
        let (stream, base) = (position.stream, position.base);
        let place = Place { stream, base, after: position.rotated_after.clone(), file: position.next };
        let Some(identity) = position.file else {
            self.state = State::Between(place);
            return Ok(Turn::Again);
        };
        let Some(mut look) = files.settled_look()? else {
            return Ok(Turn::Idle);
        };
        let mut live = look.live.take();
        let no_live = live.is_none();
        // The live file first, then the one with the right inode, then the others.
        let mut rotated: Vec<_> = look.rotated.iter().collect();
        // Compressed ones last: each has to be decompressed.
        rotated.sort_by_key(|file| (file.is_compressed, file.id != identity.id));
        let done = position.offset.saturating_sub(base);
        let (mut reason, mut past) = (GapReason::FileGone, place.after.clone());
        for candidate in iter::once(None).chain(rotated.into_iter().map(Some)) {
            let open = match candidate {
                None => live.take(),
                Some(rotated) => match files.open(rotated)? {
                    // It went between the look and now: look again.
                    None => return Ok(Turn::Idle),
                    open => open,
                },
            };
            let Some(open) = open else { continue };
            match open.begins_with(&identity.first_record, self.limits.max_line) {
                Ok(true) => {}
                Ok(false) => continue,
                // Whichever file it is.
                Err(error) if open.contents.is_damaged(&error) => continue,
                Err(error) => return Err(files.failed("read", error)),
            }
            let found = match open.has(&position.before, done.saturating_sub(position.before.length)) {
                Ok(found) => {
                    found && !open.is_shorter_than(done).map_err(|source| files.failed("look at", source))?
                }
                Err(error) if open.contents.is_damaged(&error) => {
                    (reason, past) = (GapReason::Damaged, candidate.map(|rotated| rotated.stamp.clone()));
                    continue;
                }
                Err(error) => return Err(files.failed("read", error)),
            };
            if found {
                let lines = self.lines(files, &open, &place, done)?;
                let mut tail = Tail::new(place, open, lines);
                tail.first_record = Some(identity.first_record);
                tail.next = position.next;
                self.state = State::Reading(Box::new(tail));
                return Ok(Turn::Again);
            }
            reason = GapReason::Truncated;
        }
        // Without a live file the folder may not be mounted yet.
        if no_live && reason == GapReason::FileGone {
            return Err(files.not_found());
        }
        self.gap(files, position.position(), reason, past)
    }

    /// Opens the file that continues the stream.
    fn open_next(&mut self, files: &LogFiles, place: Place) -> Result<Turn, SourceError> {
        let Some(mut look) = files.settled_look()? else {
            return Ok(Turn::Idle);
        };
        let first = look.newer_than(place.after.as_ref()).first();
        // kube-apiserver deletes the oldest files first: none is missing after one that is there.
        let is_surely_next = first.is_some_and(|file| file.is_compressed)
            && place.after.as_ref().is_some_and(|after| look.has(after));
        let next = match first {
            None => look.live.take().ok_or_else(|| files.not_found())?,
            Some(rotated) => match files.open(rotated)? {
                Some(open) => open,
                // It went between the look and now: look again.
                None => return Ok(Turn::Idle),
            },
        };
        if !is_surely_next && place.file.is_some_and(|seen| !next.is_at(Some(seen))) {
            // The file that was seen to come next was deleted, or it was compressed, and nothing shows that this is it.
            let offset = self.cut.as_ref().map_or(place.base, |cut| cut.position.offset);
            let after = Position { stream: place.stream, offset };
            return self.gap(files, after, GapReason::Deleted, place.after);
        }
        let lines = match &mut self.cut {
            None => None,
            Some(cut) => {
                // A checkpoint names the file before anything in it is judged.
                cut.position.next.get_or_insert(next.id);
                cut.lines.take()
            }
        };
        let lines = match lines {
            None => self.lines(files, &next, &place, 0)?,
            Some(mut lines) => {
                lines.go_on();
                lines
            }
        };
        let mut tail = Tail::new(place, next, lines);
        tail.note(&look);
        self.state = State::Reading(Box::new(tail));
        Ok(Turn::Again)
    }

    /// The lines of a file from `offset` on.
    fn lines(
        &self,
        files: &LogFiles,
        open: &OpenFile,
        place: &Place,
        offset: u64,
    ) -> Result<LineBuffer, SourceError> {
        LineBuffer::at(&open.contents, place.base, offset, self.limits)
            .map_err(|source| files.failed("read", source))
    }

    /// Ends the stream and begins another, with the first file after `past`.
    fn gap(
        &mut self,
        files: &LogFiles,
        after: Position,
        reason: GapReason,
        past: Option<Stamp>,
    ) -> Result<Turn, SourceError> {
        let stream = new_stream()?;
        self.cut = None;
        self.state = State::Between(Place { stream, base: 0, after: past, file: None });
        Ok(Turn::Gap(Gap { path: files.path(), after, reason, stream }))
    }
}

fn new_stream() -> Result<StreamId, SourceError> {
    StreamId::random().map_err(|source| SourceError::Random { source })
}
