//! The audit log as its files have it: rotated, compressed, and with what a killed server left in it.
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// What is in the files of a log that is no whole record in a line of its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Whole records that stand in one line behind something else.
    pub(crate) glued: u32,
    /// Beginnings of records.
    pub(crate) broken: u32,
}

/// Shows `visit` every whole record of the log, file by file, and says what else is there. The server must not run: what
/// it writes or compresses meanwhile might be seen twice or not at all.
pub(crate) fn visit_records(log: &Path, mut visit: impl FnMut(&Value)) -> Result<Damage> {
    let mut damage = Damage::default();
    for path in files(log)? {
        let mut text = BufReader::new(open(&path)?);
        let mut line = Vec::new();
        while text.read_until(b'\n', &mut line)? > 0 {
            if let Some(line) = line.strip_suffix(b"\n") {
                visit_line(line, &mut damage, &mut visit);
            } else {
                // The last line of a file; in the live one the next record will stand behind it.
                damage.glued += u32::from(path == log);
                visit_beginning(&line, &mut damage, &mut visit);
            }
            line.clear();
        }
    }
    Ok(damage)
}

/// Those that hold it: of a file that was being compressed, the plain one is whole.
fn files(live: &Path) -> Result<Vec<PathBuf>> {
    let folder = live.parent().context("the log has no folder")?;
    let mut files: Vec<_> =
        fs::read_dir(folder)?.map(|file| file.map(|file| file.path())).collect::<io::Result<_>>()?;
    files.retain(|path| !is_compressed(path) || !path.with_extension("").exists());
    files.sort();
    Ok(files)
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(if is_compressed(path) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn visit_line(line: &[u8], damage: &mut Damage, visit: &mut impl FnMut(&Value)) {
    if let Some(record) = record(line) {
        return visit(&record);
    }
    let mut starts = (1..line.len()).filter(|start| line[*start..].starts_with(b"{\"kind\":\"Event\""));
    match starts.find_map(|start| Some((start, record(&line[start..])?))) {
        Some((start, glued)) => {
            damage.glued += 1;
            visit_beginning(&line[..start], damage, visit);
            visit(&glued);
        }
        None => damage.broken += 1,
    }
}

/// What a killed server wrote of its last record: all, where only the newline is missing.
fn visit_beginning(text: &[u8], damage: &mut Damage, visit: &mut impl FnMut(&Value)) {
    match record(text) {
        Some(record) => visit(&record),
        None => damage.broken += 1,
    }
}

fn record(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok().filter(|value: &Value| value["kind"] == "Event")
}

/// The last line of the log that is a whole record like this one.
pub(crate) fn last_record(live: &Path, wanted: impl Fn(&Value) -> bool) -> Result<Option<String>> {
    let log = String::from_utf8(fs::read(live)?)?;
    let mut lines = log.lines().rev();
    Ok(lines.find(|line| record(line.as_bytes()).is_some_and(|record| wanted(&record))).map(str::to_owned))
}

/// Leaves at the end of the log what a server leaves there that is killed while it writes: the beginning of a record.
/// Where one has already done so, there is nothing to do.
pub(crate) fn break_off(live: &Path, beginning: &str) -> Result<()> {
    let log = fs::read(live)?;
    if log.last().is_none_or(|last| *last == b'\n') {
        OpenOptions::new().append(true).open(live)?.write_all(beginning.as_bytes())?;
    }
    Ok(())
}
