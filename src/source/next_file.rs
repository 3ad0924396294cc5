//! Which file reading goes on in: at the very start, after a restart, after another one's end.
use std::iter;

use super::error::SourceError;
use super::file::{FileSource, State, Turn, new_stream};
use super::gap::GapReason;
use super::lines::LineBuffer;
use super::position::{FilePosition, Position, StartAt};
use super::root::OpenFile;
use super::rotation::{LogFiles, Rotated};
use super::tail::{Place, Tail, after_last_newline};

impl FileSource {
    /// Begins a stream where there was none.
    pub(super) fn start(&mut self, files: &LogFiles, start_at: StartAt) -> Result<Turn, SourceError> {
        let Some(look) = files.settled_look()? else {
            return Ok(Turn::Idle);
        };
        let place = Place {
            stream: new_stream()?,
            base: 0,
            after: look.newest().cloned(),
            before: Vec::new(),
            file: None,
        };
        if start_at != StartAt::End {
            let wanted = self.not_before.map(|time| look.surely_before(time));
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
    pub(super) fn resume(&mut self, files: &LogFiles, position: &FilePosition) -> Result<Turn, SourceError> {
        let (stream, base) = (position.stream, position.base);
        let (after, before) = (position.rotated_after.clone(), position.rotated_before.clone());
        let place = Place { stream, base, after, before, file: position.next };
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
    pub(super) fn open_next(&mut self, files: &LogFiles, place: Place) -> Result<Turn, SourceError> {
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
}
