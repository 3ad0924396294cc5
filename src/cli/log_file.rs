//! A log file read from its beginning to its end, line by line, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

use crate::source::MAX_LINE;

const BUFFER: usize = 1 << 20;

/// An open log.
pub(super) struct LogFile {
    input: BufReader<Box<dyn Read>>,
    number: u64,
    line: Vec<u8>,
}

/// A line that is too long to be read.
#[derive(Debug)]
pub(super) struct TooLong;

/// One line.
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// How many bytes it takes up, with its newline.
    pub(super) length: u64,
    /// What it says, without its newline.
    pub(super) text: Result<&'a [u8], TooLong>,
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
    /// Opens a log: plain, gzip by its `.gz`, or standard input for `-`. `progress` is told how much of the file was
    /// read.
    pub(super) fn open(path: &Path, progress: &ProgressBar) -> anyhow::Result<Self> {
        let raw: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(progress.wrap_read(io::stdin()))
        } else {
            let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
            Box::new(progress.wrap_read(file))
        };
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        let input: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(raw)) } else { raw };
        Ok(Self { input: BufReader::with_capacity(BUFFER, input), number: 0, line: Vec::new() })
    }

    /// The next line, or nothing at the end. A line longer than [`MAX_LINE`] is passed over without being kept.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut length = 0_u64;
        let mut too_long = false;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let newline = memchr::memchr(b'\n', available);
            let text = newline.map_or(available, |at| &available[..at]);
            if self.line.len() + text.len() > MAX_LINE {
                too_long = true;
                self.line.clear();
            }
            if !too_long {
                self.line.extend_from_slice(text);
            }
            let used = newline.map_or(available.len(), |at| at + 1);
            length += used as u64;
            self.input.consume(used);
            if newline.is_some() {
                break;
            }
        }
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let text = if too_long { Err(TooLong) } else { Ok(self.line.as_slice()) };
        Ok(Some(Line { number: self.number, length, text }))
    }
}
