//! Following one audit log: across rotations, and from where an earlier process stopped.
//!
//! A file is left only when it is complete (see [`Tail`]). The next one is the oldest that was rotated later, else
//! the live one; it continues the stream at base + size of the one before. Where that cannot be shown, the stream
//! ends with a [`Gap`] and a new one begins.
//!
//! A container runtime may cut a record in two where a log is rotated. Its first part is then taken along into the next
//! file, and the position stays before that part until the record is whole.
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::batch::Batch;
use super::error::SourceError;
use super::gap::{Gap, GapReason};
use super::lines::{Limits, LineBuffer};
use super::order::Order;
use super::position::{FileIdentity, FilePosition, Fingerprint, Position, Stamp, StartAt, StreamId};
use super::root::LogRoot;
use super::rotation::LogFiles;
use super::tail::{Place, Tail, TailTurn};

/// An audit log that is followed. It is pulled: nothing happens but in [`read`](Self::read).
#[derive(Debug)]
pub struct FileSource {
    root: LogRoot,
    path: String,
    /// Set once the path was found to lie beneath the root.
    files: Option<Arc<LogFiles>>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) state: State,
    pub(super) limits: Limits,
    /// A record that began in an earlier file than the present one.
    pub(super) cut: Option<Box<Cut>>,
    /// How many files were left that no batch has told of.
    left: u32,
}

#[derive(Debug)]
pub(super) enum State {
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
pub(super) struct Cut {
    /// Where it begins.
    pub(super) position: FilePosition,
    /// What was read of it, while between two files.
    pub(super) lines: Option<LineBuffer>,
}

/// What one turn came to.
pub(super) enum Turn {
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
            rotated_before: place.before.clone(),
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

    /// When the log was last written: whether nothing is logged, or nothing read. Looks at the disk.
    pub fn last_write(&self) -> Option<Timestamp> {
        match &self.state {
            // It is the live file, and there may be two hundred looks a second: the open one is asked, which is cheaper
            // than to follow the path.
            State::Reading(tail) if tail.unfinished().is_some() => tail.open.contents.last_write(),
            _ => self.files.as_ref()?.last_write(),
        }
    }

    fn files(&mut self) -> Result<Arc<LogFiles>, SourceError> {
        let files = match self.files.take() {
            Some(files) => files,
            None => {
                let order = match &self.state {
                    State::Resuming(at) => Order::resumed(at.rotated_after.as_ref(), &at.rotated_before),
                    _ => Order::default(),
                };
                Arc::new(LogFiles::new(&self.root, &self.path, self.limits.lingering, order)?)
            }
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

    /// Ends the stream and begins another, with the first file after `past`.
    pub(super) fn gap(
        &mut self,
        files: &LogFiles,
        after: Position,
        reason: GapReason,
        past: Option<Stamp>,
    ) -> Result<Turn, SourceError> {
        let stream = new_stream()?;
        self.cut = None;
        let before = files.seemingly_later(past.as_ref());
        self.state = State::Between(Place { stream, base: 0, after: past, before, file: None });
        Ok(Turn::Gap(Gap { path: files.path(), after, reason, stream }))
    }
}

pub(super) fn new_stream() -> Result<StreamId, SourceError> {
    StreamId::random().map_err(|source| SourceError::Random { source })
}
