//! Log files read one after the other, many whole lines at a time, in bounded memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

use crate::source::MAX_LINE;

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

/// Whole lines of one log, or one line that is too long to be kept. It is filled again and again.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The log's index.
    pub(super) log: usize,
    /// Where in the log it begins.
    pub(super) offset: u64,
    /// How many bytes of the log it takes up.
    pub(super) length: u64,
    /// The text and, after it, what was in the buffer before: clearing that each time would cost more than reading.
    buffer: Vec<u8>,
    filled: usize,
}

impl Chunk {
    /// The lines with their newlines, of which a log's last line may have none. Nothing of a line that is too long.
    pub(super) fn text(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Whether it stands for a line that is too long.
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
}

impl<'a> Logs<'a> {
    /// These logs, of which none is opened yet. `progress` is told how much of the files was read.
    pub(super) fn new(paths: &'a [PathBuf], progress: &'a ProgressBar, limits: Limits) -> Self {
        Self { paths, progress, limits, at: 0, log: None }
    }

    /// Fills `chunk` with the next lines, all of one log; false at the end of the last.
    pub(super) fn read(&mut self, chunk: &mut Chunk) -> anyhow::Result<bool> {
        while let Some(path) = self.paths.get(self.at) {
            let log = match &mut self.log {
                Some(log) => log,
                None => self.log.insert(LogFile::open(path, self.progress, self.limits)?),
            };
            if log.read(chunk).with_context(|| format!("{} cannot be read on", path.display()))? {
                chunk.log = self.at;
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
        Self { input, limits, offset: 0, carried: Vec::new() }
    }

    /// Fills `chunk` with the next lines; false at the end. Once it holds a line it is not read on: whoever writes to a
    /// pipe may take their time.
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
        let mut searched = 0;
        let whole = loop {
            if let Some(newline) = memchr::memrchr(b'\n', &buffer[searched..filled]) {
                break searched + newline + 1;
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
                break filled;
            }
        };
        self.carried.extend_from_slice(&buffer[whole..filled]);
        chunk.filled = whole;
        Ok(self.give_out(chunk, whole as u64))
    }

    /// Reads to the end of a line that is too long, of which `passed` bytes were read.
    fn pass_over(&mut self, passed: usize, chunk: &mut Chunk) -> io::Result<bool> {
        let buffer = &mut chunk.buffer;
        resize(buffer, self.limits.chunk);
        let mut length = passed as u64;
        loop {
            let read = read_some(&mut *self.input, buffer)?;
            let newline = memchr::memchr(b'\n', &buffer[..read]);
            let used = newline.map_or(read, |newline| newline + 1);
            length += used as u64;
            if read == 0 || newline.is_some() {
                self.carried.extend_from_slice(&buffer[used..read]);
                chunk.filled = 0;
                return Ok(self.give_out(chunk, length));
            }
        }
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
