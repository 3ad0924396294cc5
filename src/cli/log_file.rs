//! Log files read one after the other, many whole lines at a time, in bounded memory. Parts of a record that a container
//! runtime has cut stay together, also where they are in two files.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

use crate::source::{Boundary, MAX_LINE, Passing};

/// How much is read at once and kept of one line. The second is the greater.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a chunk.
    pub(super) chunk: usize,
    /// Bytes of a line without its newline.
    pub(super) line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { chunk: 1 << 20, line: MAX_LINE }
    }
}

/// Whole lines of one log, or one record that is too long to be kept. It is filled again and again.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The log's index.
    pub(super) log: usize,
    /// Where in the log it begins.
    pub(super) offset: u64,
    /// How many bytes of the log it takes up.
    pub(super) length: u64,
    /// Lines of the log before, of whose last record the rest is here.
    pub(super) parts: Vec<u8>,
    /// Whether the lines are only parts of a record, and of lines between them, of which the next chunk has the rest.
    pub(super) is_open: bool,
    /// What a record that is too long was.
    pub(super) passed: Passed,
    /// The text and, after it, what was in the buffer before: clearing that each time would cost more than reading.
    buffer: Vec<u8>,
    filled: usize,
}

/// How many lines a record took that is too long.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// In all.
    pub(super) lines: u64,
    /// Those of standard error, between its parts.
    pub(super) text_lines: u64,
}

impl Chunk {
    /// The lines with their newlines, of which a log's last line may have none. Nothing of a record that is too long.
    pub(super) fn text(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Whether it stands for a record that is too long.
    pub(super) fn is_too_long(&self) -> bool {
        self.filled == 0
    }
}

/// Logs that are read as one.
pub(super) struct Logs<'a> {
    paths: &'a [PathBuf],
    progress: &'a ProgressBar,
    limits: Limits,
    at: usize,
    log: Option<LogFile>,
    /// Lines at the end of a log whose record goes on in the next.
    parts: Vec<u8>,
}

impl<'a> Logs<'a> {
    /// These logs, of which none is opened yet. `progress` is told how much of the files was read.
    pub(super) fn new(paths: &'a [PathBuf], progress: &'a ProgressBar, limits: Limits) -> Self {
        Self { paths, progress, limits, at: 0, log: None, parts: Vec::new() }
    }

    /// Fills `chunk` with the next lines, all of one log; false at the end of the last.
    pub(super) fn read(&mut self, chunk: &mut Chunk) -> anyhow::Result<bool> {
        while let Some(path) = self.paths.get(self.at) {
            let log = match &mut self.log {
                Some(log) => log,
                None => {
                    let log = LogFile::open(path, self.progress, self.limits)?;
                    self.log.insert(LogFile { begins_within: !self.parts.is_empty(), ..log })
                }
            };
            if log.read(chunk).with_context(|| format!("{} cannot be read on", path.display()))? {
                chunk.log = self.at;
                chunk.parts = mem::take(&mut self.parts);
                chunk.is_open &= self.at + 1 < self.paths.len()
                    && chunk.parts.len() + chunk.text().len() <= self.limits.line;
                if chunk.is_open {
                    self.parts = [&chunk.parts, chunk.text()].concat();
                }
                return Ok(true);
            }
            self.log = None;
            self.at += 1;
        }
        Ok(false)
    }
}

/// An open log.
struct LogFile {
    input: Box<dyn Read + Send>,
    limits: Limits,
    /// Whether the log before ended within a record.
    begins_within: bool,
    offset: u64,
    /// What was read and not given out: the beginning of a line or, after a line that was too long, more.
    carried: Vec<u8>,
}

/// Whether the log can be opened. A pipe is left alone: whoever writes to it would notice.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    let opened = || {
        path.metadata()
            .and_then(|found| if found.is_file() { File::open(path)?.metadata() } else { Ok(found) })
    };
    if path.as_os_str() != "-" {
        let found = opened().with_context(|| format!("{} cannot be opened", path.display()))?;
        anyhow::ensure!(!found.is_dir(), "{} is a folder: name the logs in it", path.display());
    }
    Ok(())
}

impl LogFile {
    /// Opens a log: plain, gzip by its `.gz`, or standard input for `-`.
    fn open(path: &Path, progress: &ProgressBar, limits: Limits) -> anyhow::Result<Self> {
        let raw: Box<dyn Read + Send> = if path.as_os_str() == "-" {
            Box::new(progress.wrap_read(io::stdin()))
        } else {
            let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
            Box::new(progress.wrap_read(file))
        };
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        Ok(Self::new(if gzip { Box::new(MultiGzDecoder::new(raw)) } else { raw }, limits))
    }

    fn new(input: Box<dyn Read + Send>, limits: Limits) -> Self {
        Self { input, limits, begins_within: false, offset: 0, carried: Vec::new() }
    }

    /// Fills `chunk` with the next lines; false at the end. Once it holds a line it is not read on: whoever writes to a
    /// pipe may take their time. Open is only what a log ends with.
    fn read(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        let buffer = &mut chunk.buffer;
        let wanted = self.limits.chunk.max(self.carried.len());
        if buffer.len() < wanted || buffer.len() > self.limits.chunk * 4 {
            resize(buffer, wanted);
        }
        let mut filled = self.carried.len();
        buffer[..filled].copy_from_slice(&self.carried);
        self.carried.clear();
        self.carried.shrink_to(self.limits.chunk);
        let begins_within = self.begins_within && self.offset == 0;
        let mut boundary = if begins_within { Boundary::within_record() } else { Boundary::default() };
        let mut searched = 0;
        chunk.is_open = false;
        let whole = loop {
            if let Some(newline) = memchr::memrchr(b'\n', &buffer[searched..filled]) {
                match boundary.advance(&buffer[..=searched + newline]) {
                    0 => {}
                    whole => break whole,
                }
            }
            if filled > self.limits.line {
                return self.pass_over(filled, chunk);
            }
            if filled == buffer.len() {
                resize(buffer, (filled * 2).min(self.limits.line + 1));
            }
            searched = filled;
            filled += read_some(&mut *self.input, &mut buffer[filled..])?;
            if filled == searched {
                chunk.is_open = buffer[..filled].ends_with(b"\n");
                break filled;
            }
        };
        self.carried.extend_from_slice(&buffer[whole..filled]);
        chunk.filled = whole;
        Ok(self.give_out(chunk, whole as u64))
    }

    /// Reads to the end of a record that is too long, of which `filled` bytes were read.
    fn pass_over(&mut self, filled: usize, chunk: &mut Chunk) -> io::Result<bool> {
        let buffer = &mut chunk.buffer;
        let (mut passing, mut filled, mut length) = (Passing::begin(self.limits.line), filled, 0);
        let is_whole = loop {
            let (used, is_over) = passing.pass(&buffer[..filled]);
            length += used as u64;
            if is_over {
                self.carried.extend_from_slice(&buffer[used..filled]);
                break true;
            }
            buffer.copy_within(used..filled, 0);
            filled -= used;
            resize(buffer, self.limits.chunk.max(filled + 1));
            let read = read_some(&mut *self.input, &mut buffer[filled..])?;
            if read == 0 {
                length += filled as u64;
                break filled == 0 && passing.is_between_lines();
            }
            filled += read;
        };
        let lines = passing.lines() + u64::from(!is_whole);
        chunk.passed = Passed { lines, text_lines: passing.end().text_lines };
        chunk.filled = 0;
        Ok(self.give_out(chunk, length))
    }

    fn give_out(&mut self, chunk: &mut Chunk, length: u64) -> bool {
        chunk.offset = self.offset;
        chunk.length = length;
        self.offset += length;
        length > 0
    }
}

/// Makes the buffer this long, without the spare room that a vector takes when it grows, or keeps when it shrinks.
fn resize(buffer: &mut Vec<u8>, length: usize) {
    buffer.reserve_exact(length.saturating_sub(buffer.len()));
    buffer.resize(length, 0);
    buffer.shrink_to_fit();
}

fn read_some(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, as a pipe does.
    struct Drips(io::Cursor<Vec<u8>>, usize);

    impl Read for Drips {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = buffer.len().min(self.1);
            self.0.read(&mut buffer[..end])
        }
    }

    /// The lines as they come out of the chunks, or the length of one that is too long.
    fn lines(text: &[u8], limits: Limits, drip: usize) -> Vec<Result<Vec<u8>, u64>> {
        let mut log = LogFile::new(Box::new(Drips(io::Cursor::new(text.to_vec()), drip)), limits);
        let (mut chunk, mut found, mut offset) = (Chunk::default(), Vec::new(), 0);
        while log.read(&mut chunk).unwrap() {
            assert_eq!(chunk.offset, offset);
            assert!(chunk.buffer.len() <= limits.line + 1, "{} bytes", chunk.buffer.len());
            offset += chunk.length;
            if chunk.is_too_long() {
                found.push(Err(chunk.length));
            } else {
                assert_eq!(chunk.text().len() as u64, chunk.length);
                found.extend(
                    chunk.text().split_inclusive(|byte| *byte == b'\n').map(|line| Ok(line.to_vec())),
                );
            }
        }
        assert_eq!(offset, text.len() as u64);
        found
    }

    #[test]
    fn chunks_are_the_lines_of_the_log_however_it_is_cut() {
        let long = "x".repeat(64);
        let longest = "y".repeat(63);
        let texts = [
            String::new(),
            "\n".to_owned(),
            "\n\n\na\n".to_owned(),
            "a\nbb\nccc".to_owned(),
            format!("a\n{longest}\nb\n{long}\nc\n\n{long}{long}{long}\n{long}"),
            format!("{longest}\n{longest}"),
            format!("{long}\n{longest}\n{long}\n"),
            (0..200).map(|n| "z".repeat(n % 90) + "\n").collect(),
        ];
        for text in texts {
            let expected: Vec<_> = text
                .split_inclusive('\n')
                .map(|line| {
                    let too_long = line.trim_end_matches('\n').len() > 63;
                    if too_long { Err(line.len() as u64) } else { Ok(line.as_bytes().to_vec()) }
                })
                .collect();
            for chunk in [1, 2, 7, 16, 63] {
                for drip in [1, 3, 50, 1000] {
                    let found = lines(text.as_bytes(), Limits { chunk, line: 63 }, drip);
                    assert_eq!(found, expected, "chunks of {chunk}, {drip} bytes at a time: {text:?}");
                }
            }
        }
    }

    #[test]
    fn parts_of_a_record_stay_together_however_the_log_is_cut() {
        let line = |stream: &str, tag: &str, length: usize| {
            format!("2026-11-25T21:00:00.5Z {stream} {tag} {}\n", "x".repeat(length))
        };
        // Each is a chunk's beginning; those that are too long have a number of lines.
        let records = [
            ("{}\n".to_owned(), None),
            (line("stdout", "P", 10) + &line("stderr", "F", 10) + &line("stdout", "F", 3), None),
            (line("stderr", "P", 10), None),
            (line("stdout", "P", 400) + &line("stderr", "F", 200) + &line("stdout", "F", 9), Some((3, 1))),
            (line("stdout", "F", 10), None),
            (line("stdout", "F", 400), Some((1, 0))),
            (line("stderr", "F", 400), Some((1, 0))),
            // What follows ends it.
            (line("stdout", "P", 200) + &line("stdout", "P", 100), Some((2, 0))),
            ("{}\n".to_owned(), None),
            (line("stdout", "P", 10) + &line("stdout", "P", 10), None),
        ];
        let text: String = records.iter().map(|(text, _)| text.as_str()).collect();
        let mut begin = 0;
        let begins = records.each_ref().map(|(text, _)| (begin, begin += text.len()).0);
        let too_long: Vec<_> =
            records.iter().filter_map(|(text, long)| long.map(|long| (text.len() as u64, long))).collect();
        for chunk in [1, 7, 150, 200] {
            for drip in [1, 50, 1000] {
                let limits = Limits { chunk, line: 200 };
                let mut log =
                    LogFile::new(Box::new(Drips(io::Cursor::new(text.clone().into_bytes()), drip)), limits);
                let (mut chunk, mut passed) = (Chunk::default(), Vec::new());
                while log.read(&mut chunk).unwrap() {
                    let offset = usize::try_from(chunk.offset).unwrap();
                    assert!(begins.contains(&offset), "a chunk begins at {offset}");
                    assert_eq!(chunk.is_open, offset == begins[9]);
                    if chunk.is_too_long() {
                        passed.push((chunk.length, (chunk.passed.lines, chunk.passed.text_lines)));
                    }
                }
                assert_eq!(passed, too_long, "{limits:?}, {drip} bytes at a time");
                assert_eq!(log.offset, text.len() as u64);
            }
        }
    }

    #[test]
    fn a_buffer_that_grew_shrinks_again() {
        let text = format!("{}\n{}", "x".repeat(5000), "y\n".repeat(5000));
        let limits = Limits { chunk: 64, line: 1 << 20 };
        let mut log = LogFile::new(Box::new(io::Cursor::new(text)), limits);
        let mut chunk = Chunk::default();
        assert!(log.read(&mut chunk).unwrap() && chunk.buffer.len() > 5000);
        while log.read(&mut chunk).unwrap() {}
        assert!(chunk.buffer.capacity() <= 256, "{} bytes", chunk.buffer.capacity());
        assert!(log.carried.capacity() <= 256, "{} bytes", log.carried.capacity());
    }
}
