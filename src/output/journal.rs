//! A file of lines that only grows, until it is replaced by a shorter one that says the same.
//!
//! A line carries its checksum. What a crash left of the last one is not a line, and is cut off.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::QueueError;

/// Hexadecimal digits of a checksum, and the space behind them.
const PREFIX: usize = 9;
/// The longest line that is read. None that is written comes near.
const LONGEST: u64 = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Journal {
    folder: PathBuf,
    /// None once a write failed: nobody knows what of it is there.
    file: Option<File>,
    length: u64,
}

impl Journal {
    /// Opens the journal in `folder`, which is made where it is missing, and reads its lines; says how many bytes behind
    /// the last good one were cut off.
    pub(super) fn open(folder: &Path, line: impl FnMut(Box<[u8]>)) -> Result<(Self, u64), QueueError> {
        let create = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        create.map_err(failed("create", folder))?;
        let mut journal = Self { folder: folder.to_owned(), file: None, length: 0 };
        let path = journal.path();
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).read(true).mode(0o600).open(&path);
        let file = file.map_err(failed("open", &path))?;
        let good = read(BufReader::new(&file), line).map_err(failed("read", &path))?;
        let size = file.metadata().map_err(failed("look at", &path))?.len();
        if good < size {
            file.set_len(good).and_then(|()| file.sync_all()).map_err(failed("cut", &path))?;
        }
        journal.length = good;
        journal.file = Some(file);
        Ok((journal, size.saturating_sub(good)))
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
        let Some(file) = self.file.take() else {
            return Err(failed("append to", &path)(io::Error::other("an earlier write failed")));
        };
        let written = write(&file, lines).and_then(|length| file.sync_data().map(|()| length));
        self.length += written.map_err(failed("append to", &path))?;
        self.file = Some(file);
        Ok(())
    }

    /// Replaces all lines in one step; durable on return.
    pub(super) fn replace<'l>(&mut self, lines: impl Iterator<Item = &'l [u8]>) -> Result<(), QueueError> {
        let (path, new) = (self.path(), self.folder.join("queue.new"));
        let write_new = || {
            let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            let length = write(&file, lines)?;
            file.sync_all().map(|()| length)
        };
        let length = write_new().map_err(failed("write", &new))?;
        // From here on the old file is not the journal any more, whatever fails.
        self.file = None;
        fs::rename(&new, &path).map_err(failed("replace", &path))?;
        File::open(&self.folder).and_then(|f| f.sync_all()).map_err(failed("sync", &self.folder))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(failed("open", &path))?;
        self.file = Some(file);
        self.length = length;
        Ok(())
    }
}

/// Reads lines up to the first that is none; says where that begins.
fn read(mut file: impl BufRead, mut each: impl FnMut(Box<[u8]>)) -> io::Result<u64> {
    let (mut line, mut good) = (Vec::new(), 0);
    loop {
        line.clear();
        let length = file.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        let Some(text) = line.strip_suffix(b"\n").and_then(|line| line.split_at_checked(PREFIX)) else {
            break;
        };
        if text.0 != checksum(text.1).as_bytes() {
            break;
        }
        each(text.1.into());
        good += length as u64;
    }
    Ok(good)
}

/// Writes lines; says how many bytes they are.
fn write<'l>(file: &File, lines: impl Iterator<Item = &'l [u8]>) -> io::Result<u64> {
    let (mut file, mut length) = (BufWriter::new(file), 0);
    for line in lines {
        file.write_all(checksum(line).as_bytes())?;
        file.write_all(line)?;
        file.write_all(b"\n")?;
        length += (PREFIX + line.len() + 1) as u64;
    }
    file.flush()?;
    Ok(length)
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

    fn open(folder: &Path) -> (Journal, Vec<String>, u64) {
        let mut found = Vec::new();
        let each = |line: Box<[u8]>| found.push(String::from_utf8_lossy(&line).into_owned());
        let (journal, cut) = Journal::open(folder, each).unwrap();
        (journal, found, cut)
    }

    #[test]
    fn what_was_written_is_read_up_to_the_first_damage() {
        let temp = tempfile::tempdir().unwrap();
        let (mut journal, found, _) = open(temp.path());
        assert!(found.is_empty());
        journal.append(lines(&["one", "two"])).unwrap();
        journal.append(lines(&["three"])).unwrap();
        let path = temp.path().join("queue.log");
        let whole = fs::read(&path).unwrap();
        assert_eq!(journal.length(), whole.len() as u64);
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (_, found, cut) = open(temp.path());
            let ends = [13, 26, 41].iter().filter(|end| **end <= length).count();
            assert_eq!(found, ["one", "two", "three"][..ends], "{length}");
            assert_eq!(fs::read(&path).unwrap().len() + usize::try_from(cut).unwrap(), length);
        }
        let mut damaged = whole.clone();
        damaged[20] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(open(temp.path()).1, ["one"]);
    }

    #[test]
    fn it_is_replaced_in_one_step() {
        let temp = tempfile::tempdir().unwrap();
        let (mut journal, ..) = open(temp.path());
        journal.append(lines(&["one", "two"])).unwrap();
        // What an earlier crash left.
        fs::write(temp.path().join("queue.new"), "half").unwrap();
        assert_eq!(open(temp.path()).1, ["one", "two"]);
        journal.replace(lines(&["two"])).unwrap();
        journal.append(lines(&["three"])).unwrap();
        assert_eq!(open(temp.path()).1, ["two", "three"]);
    }

    #[test]
    fn after_a_failed_write_it_is_replaced_before_it_grows() {
        let temp = tempfile::tempdir().unwrap();
        let (mut journal, ..) = open(temp.path());
        journal.fill_disk();
        assert!(journal.append(lines(&["one"])).is_err());
        assert!(!journal.is_whole() && journal.append(lines(&["two"])).is_err());
        journal.replace(lines(&["one", "two"])).unwrap();
        journal.append(lines(&["three"])).unwrap();
        assert_eq!(open(temp.path()).1, ["one", "two", "three"]);
    }
}
