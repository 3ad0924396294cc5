//! What was received and is not yet judged, on disk: a log like kube-apiserver's own.
//!
//! `audit.log` is appended and, when it is long enough, renamed to `audit-<time>.log`, so that a
//! [`FileSource`](super::super::FileSource) reads it as it reads any log. A part is deleted once a durable position is
//! past it. All writes are one thread's: what arrives while it writes shares the next write and its fsync.
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::{Timestamp, ToSpan as _};

use super::super::position::Stamp;
use super::seen::Seen;

/// The name of the part of a spool that is written: what a [`FileSource`](super::super::FileSource) follows.
pub const SPOOL_LOG: &str = "audit.log";

/// How long a part gets before the next is begun.
const PART: u64 = 8 << 20;

/// What became of lines that were to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// They are on disk, those among them that were not there already; these many were.
    Durable {
        /// How many had been received before.
        repeated: u64,
    },
    /// There is no room for them.
    Full,
    /// Writing failed; none, some or all of them are on disk.
    Failed,
}

/// The spool of one source.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    seen: Seen,
    live: File,
    length: u64,
    /// Whether the last line was not written whole.
    is_unended: bool,
    /// Whether what was written last may not be durable. A closed part is.
    is_unsynced: bool,
    /// The hashes of the lines of the live part.
    hashes: Vec<u128>,
    /// The closed parts with their sizes, oldest first.
    closed: VecDeque<(Stamp, u64)>,
    limit: u64,
    part: u64,
    last_stamp: Option<Stamp>,
    buffer: Vec<u8>,
    /// How much the disk takes before it is full.
    #[cfg(test)]
    room: usize,
    /// Whether the disk fails to make durable what it took.
    #[cfg(test)]
    fails_to_sync: bool,
}

impl Spool {
    /// Opens the spool in `folder`, which is created where it is missing. It takes up to `limit` bytes.
    pub(super) fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut seen = Seen::open(folder)?;
        let mut closed = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(stamp) = entry.file_name().to_str().and_then(stamp_of) {
                closed.push((stamp, entry.metadata()?.len()));
            }
        }
        closed.sort_by(|a, b| a.0.cmp(&b.0));
        seen.load(|stamp| closed.iter().any(|(there, _)| there == stamp))?;
        let last_stamp = closed.last().map(|(stamp, _)| stamp.clone());
        let path = folder.join(SPOOL_LOG);
        let live = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path)?;
        File::open(folder)?.sync_all()?;
        let mut spool = Self {
            folder: folder.to_owned(),
            seen,
            live,
            length: 0,
            is_unended: false,
            is_unsynced: false,
            hashes: Vec::new(),
            closed: closed.into(),
            limit,
            part: PART,
            last_stamp,
            buffer: Vec::new(),
            #[cfg(test)]
            room: usize::MAX,
            #[cfg(test)]
            fails_to_sync: false,
        };
        // A part whose hashes no file has was closed just before a crash.
        for (stamp, _) in spool.closed.clone() {
            if !spool.seen.has(&stamp) {
                let (hashes, _) = spool.read_hashes(&File::open(spool.path_of(&stamp))?)?;
                spool.seen.close(stamp, &hashes)?;
            }
        }
        let (hashes, length) = spool.read_hashes(&spool.live)?;
        (spool.hashes, spool.length) = (hashes, length);
        // The beginning of a line that a crash cut off was not answered, and nobody has read it: no reader runs yet.
        spool.live.set_len(length)?;
        for index in 0..spool.hashes.len() {
            spool.seen.insert(spool.hashes[index]);
        }
        Ok(spool)
    }

    #[cfg(test)]
    pub(super) fn set_part(&mut self, part: u64) {
        self.part = part;
    }

    #[cfg(test)]
    pub(super) fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    #[cfg(test)]
    pub(super) fn fail_sync(&mut self, fails: bool) {
        self.fails_to_sync = fails;
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many bytes are kept.
    pub(super) fn used(&self) -> u64 {
        self.length + self.closed.iter().map(|(_, size)| size).sum::<u64>()
    }

    /// Appends the lines of several senders, each line ended by a newline, and says of each sender what became of its.
    pub(super) fn append(&mut self, senders: &[Vec<u8>]) -> Vec<Stored> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        if self.is_unended {
            // What was begun is a line of its own, which no record shares.
            buffer.push(b'\n');
        }
        // Of each sender: how much of the buffer must be on disk, and its new lines, each with its end in the buffer.
        let mut wanted: Vec<Result<(usize, u64), Stored>> = Vec::new();
        let mut ends: Vec<(usize, u128)> = Vec::new();
        let room = self.limit.saturating_sub(self.used());
        for lines in senders {
            let (start, first) = (buffer.len(), ends.len());
            let mut repeated = 0;
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let hash = self.seen.hash(&line[..line.len() - 1]);
                if self.seen.insert(hash) {
                    buffer.extend_from_slice(line);
                    ends.push((buffer.len(), hash));
                } else {
                    repeated += 1;
                }
            }
            if buffer.len() as u64 > room && buffer.len() > start {
                for (_, hash) in ends.drain(first..) {
                    self.seen.remove(hash);
                }
                buffer.truncate(start);
                wanted.push(Err(Stored::Full));
            } else {
                wanted.push(Ok((buffer.len(), repeated)));
            }
        }
        let written = self.write(&buffer);
        self.is_unsynced = self.sync().inspect_err(|error| self.failed("made durable", error)).is_err();
        // What is in the file is known, durable or not: it is read from there, and must not be read twice when it is sent
        // again. So is a line that lacks but its newline: it gets one from whoever is next.
        for (end, hash) in ends {
            if end <= written + 1 {
                self.hashes.push(hash);
            } else {
                self.seen.remove(hash);
            }
        }
        self.buffer = buffer;
        self.buffer.shrink_to(1 << 20);
        let result = |wanted| match wanted {
            Ok((end, repeated)) if end <= written && !self.is_unsynced => Stored::Durable { repeated },
            Ok(_) => Stored::Failed,
            Err(refused) => refused,
        };
        wanted.into_iter().map(result).collect()
    }

    /// Appends to the live part; gives how much of it is there.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            let next = &bytes[written..];
            #[cfg(test)]
            let next = &next[..next.len().min(self.room - written)];
            match self.live.write(next) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed("stored", &error);
                    break;
                }
            }
        }
        self.length += written as u64;
        if written > 0 {
            self.is_unended = bytes[written - 1] != b'\n';
        }
        written
    }

    fn failed(&self, what: &str, error: &io::Error) {
        tracing::error!(folder = %self.folder.display(), %error, "received records could not be {what}");
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.fails_to_sync {
            return Err(io::Error::other("on purpose"));
        }
        self.live.sync_data()
    }

    /// Begins a new part where the present one is long enough.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        if self.length < self.part || self.is_unended || self.is_unsynced {
            return Ok(());
        }
        let (stamp, live) = (self.next_stamp(), self.folder.join(SPOOL_LOG));
        let closed = self.path_of(&stamp);
        // First the new file under another name: without one nothing changes, and no line goes to a closed part.
        let new = live.with_added_extension("new");
        let next = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        fs::rename(&live, &closed)?;
        if let Err(error) = fs::rename(&new, &live) {
            fs::rename(&closed, &live)?;
            return Err(error);
        }
        self.live = next;
        self.closed.push_back((stamp.clone(), std::mem::take(&mut self.length)));
        self.last_stamp = Some(stamp.clone());
        // The folder is synced with it.
        self.seen.close(stamp, &std::mem::take(&mut self.hashes))
    }

    /// Whether there is a part that could be free.
    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Deletes the parts up to this one, which a durable position is past.
    pub(super) fn free(&mut self, past: &Stamp, now: SystemTime) -> io::Result<()> {
        while let Some((stamp, _)) = self.closed.front().filter(|(stamp, _)| stamp <= past) {
            let stamp = stamp.clone();
            self.seen.free(&stamp, now)?;
            match fs::remove_file(self.path_of(&stamp)) {
                // Somebody else was quicker.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            self.closed.pop_front();
        }
        Ok(())
    }

    /// Forgets the hashes of what was freed long enough ago.
    pub(super) fn expire(&mut self, now: SystemTime) {
        self.seen.expire(now);
    }

    /// A stamp later than all before it, also where the clock was set back.
    fn next_stamp(&self) -> Stamp {
        let mut time = Timestamp::now();
        loop {
            let stamp = Stamp::at(time);
            match &self.last_stamp {
                Some(last) if stamp <= *last => {
                    let after = last.time().and_then(|last| last.checked_add(1.milliseconds()).ok());
                    time = after.unwrap_or(Timestamp::MAX);
                }
                _ => return stamp,
            }
        }
    }

    fn path_of(&self, stamp: &Stamp) -> PathBuf {
        self.folder.join(format!("audit-{stamp}.log"))
    }

    /// The hashes of the whole lines of a part, and where the last of them ends.
    fn read_hashes(&self, part: &File) -> io::Result<(Vec<u128>, u64)> {
        let mut part = BufReader::with_capacity(1 << 16, part);
        part.seek(SeekFrom::Start(0))?;
        let (mut hashes, mut length, mut line) = (Vec::new(), 0, Vec::new());
        loop {
            line.clear();
            let count = part.by_ref().read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                return Ok((hashes, length));
            }
            hashes.push(self.seen.hash(&line));
            length += count as u64;
        }
    }
}

/// The stamp of a closed part.
fn stamp_of(name: &str) -> Option<Stamp> {
    Stamp::parse(name.strip_prefix("audit-")?.strip_suffix(".log")?)
}
