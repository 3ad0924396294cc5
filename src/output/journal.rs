//! A file of lines that only grows, until it is replaced by a shorter one that says the same.
//!
//! A line carries its checksum. What a crash left of the last one is not a line, and is cut off.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::QueueError;

/// Hexadecimal digits of a checksum, and the space behind them.
const PREFIX: usize = 9;

/// Lines, without their checksums.
pub(super) type Lines = Vec<Box<[u8]>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// None once a write failed: nobody knows what of it is there.
    file: Option<File>,
    length: u64,
}

impl Journal {
    /// Opens the journal in `folder`, which is made where it is missing; gives its lines too, and how many bytes behind
    /// the last good one were cut off.
    pub(super) fn open(folder: &Path) -> Result<(Self, Lines, usize), QueueError> {
        let create = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        create.map_err(failed("create", folder))?;
        let mut journal = Self { folder: folder.to_owned(), file: None, length: 0 };
        let path = journal.path();
        let mut options = OpenOptions::new();
        let file =
            options.create(true).append(true).mode(0o600).open(&path).map_err(failed("open", &path))?;
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        let (lines, good) = read(&bytes);
        if good < bytes.len() {
            file.set_len(good as u64).and_then(|()| file.sync_all()).map_err(failed("cut", &path))?;
        }
        journal.length = good as u64;
        journal.file = Some(file);
        Ok((journal, lines, bytes.len() - good))
    }

    fn path(&self) -> PathBuf {
        self.folder.join("queue.log")
    }

    /// Its file becomes one that takes no byte.
    #[cfg(test)]
    pub(super) fn fill_disk(&mut self) {
        self.file = OpenOptions::new().append(true).open("/dev/full").ok();
    }

    /// How long it is.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether lines can be added. Where a write failed it has to be replaced first.
    pub(super) fn is_whole(&self) -> bool {
        self.file.is_some()
    }

    /// Adds lines; durable on return.
    pub(super) fn append<'l>(&mut self, lines: impl Iterator<Item = &'l [u8]>) -> Result<(), QueueError> {
        let path = self.path();
        let bytes = written(lines);
        let Some(mut file) = self.file.take() else {
            return Err(failed("append to", &path)(io::Error::other("an earlier write failed")));
        };
        file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed("append to", &path))?;
        self.length += bytes.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Replaces all lines in one step; durable on return.
    pub(super) fn replace<'l>(&mut self, lines: impl Iterator<Item = &'l [u8]>) -> Result<(), QueueError> {
        let (path, new) = (self.path(), self.folder.join("queue.new"));
        let bytes = written(lines);
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        write().map_err(failed("write", &new))?;
        // From here on the old file is not the journal any more, whatever fails.
        self.file = None;
        fs::rename(&new, &path).map_err(failed("replace", &path))?;
        File::open(&self.folder).and_then(|f| f.sync_all()).map_err(failed("sync", &self.folder))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(failed("open", &path))?;
        self.file = Some(file);
        self.length = bytes.len() as u64;
        Ok(())
    }
}

/// The lines of `bytes` up to the first that is none, and where that begins.
fn read(bytes: &[u8]) -> (Lines, usize) {
    let (mut lines, mut good) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n").and_then(|line| line.split_at_checked(PREFIX)) else {
            break;
        };
        if text.0 != checksum(text.1).as_bytes() {
            break;
        }
        lines.push(text.1.into());
        good += line.len();
    }
    (lines, good)
}

fn written<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(checksum(line).as_bytes());
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes
}

fn checksum(line: &[u8]) -> String {
    format!("{:08x} ", crc32fast::hash(line))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> QueueError {
    let path = path.to_owned();
    move |source| QueueError { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&'static str]) -> impl Iterator<Item = &'static [u8]> {
        texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>().into_iter()
    }

    fn texts(lines: &[Box<[u8]>]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn what_was_written_is_read_up_to_the_first_damage() {
        let temp = tempfile::tempdir().unwrap();
        let (mut journal, found, _) = Journal::open(temp.path()).unwrap();
        assert!(found.is_empty());
        journal.append(lines(&["one", "two"])).unwrap();
        journal.append(lines(&["three"])).unwrap();
        let path = temp.path().join("queue.log");
        let whole = fs::read(&path).unwrap();
        assert_eq!(journal.length(), whole.len() as u64);
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (_, found, cut) = Journal::open(temp.path()).unwrap();
            let ends = [13, 26, 41].iter().filter(|end| **end <= length).count();
            assert_eq!(texts(&found), ["one", "two", "three"][..ends], "{length}");
            assert_eq!(fs::read(&path).unwrap().len() + cut, length);
        }
        let mut damaged = whole.clone();
        damaged[20] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(texts(&Journal::open(temp.path()).unwrap().1), ["one"]);
    }

    #[test]
    fn it_is_replaced_in_one_step() {
        let temp = tempfile::tempdir().unwrap();
        let (mut journal, ..) = Journal::open(temp.path()).unwrap();
        journal.append(lines(&["one", "two"])).unwrap();
        // What an earlier crash left.
        fs::write(temp.path().join("queue.new"), "half").unwrap();
        assert_eq!(texts(&Journal::open(temp.path()).unwrap().1), ["one", "two"]);
        journal.replace(lines(&["two"])).unwrap();
        journal.append(lines(&["three"])).unwrap();
        assert_eq!(texts(&Journal::open(temp.path()).unwrap().1), ["two", "three"]);
    }

    #[test]
    fn after_a_failed_write_it_is_replaced_before_it_grows() {
        let temp = tempfile::tempdir().unwrap();
        let (mut journal, ..) = Journal::open(temp.path()).unwrap();
        journal.fill_disk();
        assert!(journal.append(lines(&["one"])).is_err());
        assert!(!journal.is_whole() && journal.append(lines(&["two"])).is_err());
        journal.replace(lines(&["one", "two"])).unwrap();
        journal.append(lines(&["three"])).unwrap();
        assert_eq!(texts(&Journal::open(temp.path()).unwrap().1), ["one", "two", "three"]);
    }
}
