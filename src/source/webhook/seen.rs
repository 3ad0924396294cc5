//! Which records were received lately, so that a batch that is sent again is not counted again.
//!
//! kube-apiserver sends a batch again when the answer was late or lost, for some four minutes. A record is known by a
//! keyed hash of its line: who can choose what is in an event cannot choose what collides. The hashes of a part of the
//! spool are those of its lines for as long as it is there, and a file of their own for [`KEPT`] after that.
use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::hash::Hasher as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use foldhash::fast::RandomState;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::super::position::Stamp;

/// How long a record is known after its bytes are gone.
pub(super) const KEPT: Duration = Duration::from_mins(15);

/// How many records are known at most; that is 70 MiB. At 4,000 a second it is these fifteen minutes.
const MOST: usize = (1 << 22) / 8 * 7;

/// The name of a file of hashes.
const PREFIX: &str = "seen-";

/// The hashes of the records of a spool.
#[derive(Debug)]
pub(super) struct Seen {
    folder: PathBuf,
    key: [u8; 16],
    hashes: HashSet<u128, RandomState>,
    /// The closed parts of the spool, oldest first.
    parts: VecDeque<Part>,
    most: usize,
}

#[derive(Debug)]
struct Part {
    stamp: Stamp,
    /// When its bytes were deleted.
    freed: Option<SystemTime>,
}

impl Seen {
    /// None yet. The key is the folder's, made with it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let key = key_of(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            key,
            hashes: HashSet::default(),
            parts: VecDeque::new(),
            most: MOST,
        })
    }

    /// The hash of a line.
    pub(super) fn hash(&self, line: &[u8]) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(line);
        hasher.finish128().as_u128()
    }

    /// Notes a record. False when it was known.
    pub(super) fn insert(&mut self, hash: u128) -> bool {
        if self.hashes.len() >= self.most && !self.hashes.contains(&hash) {
            self.forget_oldest();
        }
        // With nothing to forget, all of them are of the part that is being written, which is bounded.
        self.hashes.insert(hash)
    }

    /// Forgets a record that could not be stored.
    pub(super) fn remove(&mut self, hash: u128) {
        self.hashes.remove(&hash);
    }

    /// Keeps the hashes of a part of the spool that was closed; durable on return.
    pub(super) fn close(&mut self, stamp: Stamp, hashes: &[u128]) -> io::Result<()> {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        replace(&self.file_of(&stamp), &bytes)?;
        self.parts.push_back(Part { stamp, freed: None });
        Ok(())
    }

    /// The bytes of a part are about to be deleted.
    pub(super) fn free(&mut self, stamp: &Stamp, now: SystemTime) -> io::Result<()> {
        if let Some(part) = self.parts.iter_mut().find(|part| part.stamp == *stamp) {
            part.freed = Some(now);
            let file = OpenOptions::new().write(true).open(self.file_of(stamp))?;
            file.set_times(FileTimes::new().set_modified(now))?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Forgets what was freed long enough ago.
    pub(super) fn expire(&mut self, now: SystemTime) {
        let is_over = |part: &Part| {
            part.freed.is_some_and(|freed| now.duration_since(freed).is_ok_and(|age| age >= KEPT))
        };
        while self.parts.front().is_some_and(is_over) {
            self.forget_oldest();
        }
    }

    /// Takes in what an earlier process has kept. `is_there` says of which parts the bytes are.
    pub(super) fn load(&mut self, is_there: impl Fn(&Stamp) -> bool) -> io::Result<()> {
        let mut parts = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let stamp = entry.file_name().to_str().and_then(|name| Stamp::parse(name.strip_prefix(PREFIX)?));
            let Some(stamp) = stamp else { continue };
            let freed = if is_there(&stamp) { None } else { Some(entry.metadata()?.modified()?) };
            self.hashes.extend(hashes_in(&entry.path())?);
            parts.push(Part { stamp, freed });
        }
        parts.sort_by(|a, b| a.stamp.cmp(&b.stamp));
        self.parts = parts.into();
        Ok(())
    }

    /// Whether the hashes of a part are kept in a file.
    pub(super) fn has(&self, stamp: &Stamp) -> bool {
        self.parts.iter().any(|part| part.stamp == *stamp)
    }

    fn forget_oldest(&mut self) {
        let Some(part) = self.parts.pop_front() else { return };
        let file = self.file_of(&part.stamp);
        // One that cannot be read costs memory until the process ends, and nothing else.
        for hash in hashes_in(&file).unwrap_or_default() {
            self.hashes.remove(&hash);
        }
        if let Err(error) = fs::remove_file(&file) {
            tracing::warn!(file = %file.display(), %error, "hashes of received records could not be deleted");
        }
    }

    fn file_of(&self, stamp: &Stamp) -> PathBuf {
        self.folder.join(format!("{PREFIX}{stamp}"))
    }
}

fn hashes_in(file: &Path) -> io::Result<Vec<u128>> {
    let mut bytes = Vec::new();
    File::open(file)?.read_to_end(&mut bytes)?;
    let (whole, _) = bytes.as_chunks();
    Ok(whole.iter().map(|bytes| u128::from_le_bytes(*bytes)).collect())
}

/// The key of a spool's hashes, made at random where there is none.
fn key_of(folder: &Path) -> io::Result<[u8; 16]> {
    let file = folder.join("key");
    match fs::read(&file) {
        Ok(bytes) if bytes.len() == 16 => {
            let mut key = [0; 16];
            key.copy_from_slice(&bytes);
            return Ok(key);
        }
        // A file of another length was cut off by a crash: nothing was hashed with it.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    replace(&file, &key)?;
    Ok(key)
}

/// Writes a file in one step; durable on return.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = file.with_added_extension("new");
    let mut open = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    fs::rename(&new, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn stamp(second: i64) -> Stamp {
        Stamp::at(Timestamp::from_second(1_800_000_000 + second).unwrap())
    }

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + second)
    }

    #[test]
    fn a_record_is_known_for_a_while_after_its_bytes_are_gone_also_by_a_later_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::open(folder.path()).unwrap();
        let first = seen.hash(b"first");
        assert!(seen.insert(first) && !seen.insert(first));
        seen.close(stamp(1), &[first]).unwrap();
        seen.expire(at(1_000_000));
        assert!(!seen.insert(first), "its bytes are still there");
        seen.free(&stamp(1), at(10)).unwrap();

        let mut later = Seen::open(folder.path()).unwrap();
        assert_eq!(later.hash(b"first"), first, "the key is kept");
        later.load(|_| false).unwrap();
        for mut seen in [seen, later] {
            seen.expire(at(10 + KEPT.as_secs() - 1));
            assert!(!seen.insert(first));
            seen.expire(at(10 + KEPT.as_secs()));
            assert!(seen.insert(first));
            // The file is gone with the first of the two.
            fs::write(folder.path().join(format!("{PREFIX}{}", stamp(1))), first.to_le_bytes()).unwrap();
        }
    }

    #[test]
    fn two_spools_hash_differently() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [a, b] = folders.each_ref().map(|folder| Seen::open(folder.path()).unwrap().hash(b"one"));
        assert_ne!(a, b);
    }

    #[test]
    fn the_oldest_are_forgotten_where_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen { most: 100, ..Seen::open(folder.path()).unwrap() };
        for part in 0..10 {
            let hashes: Vec<u128> = (0..25).map(|number| part * 25 + number).collect();
            for hash in &hashes {
                assert!(seen.insert(*hash));
            }
            seen.close(stamp(i64::try_from(part).unwrap()), &hashes).unwrap();
            assert!(seen.hashes.len() <= 100);
        }
        assert!(!seen.insert(249) && !seen.insert(200) && seen.insert(0));
    }
}
