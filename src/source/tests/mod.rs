//! A log on disk that is written, rotated and followed, also while the source is in the middle of a look.
mod container;
mod follow;
mod links;
mod losses;
mod model;
mod resume;

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;

thread_local! {
    /// What another process does before the next access of this thread's source to the disk.
    static MEANWHILE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// Every access of a source to the disk passes here first, so that a test can let something happen in between.
pub(super) fn meanwhile() {
    let act = MEANWHILE.take();
    if let Some(mut act) = act {
        act();
        MEANWHILE.set(Some(act));
    }
}

/// A log as kube-apiserver writes and rotates it, or a container runtime and the kubelet.
struct Log {
    folder: TempDir,
    rotations: u32,
    is_container: bool,
}

impl Log {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), rotations: 0, is_container: false }
    }

    fn of_container() -> Self {
        Self { is_container: true, ..Self::new() }
    }

    fn with(content: &str) -> Self {
        let log = Self::new();
        log.write(content);
        log
    }

    fn live(&self) -> PathBuf {
        self.folder.path().join(self.name())
    }

    fn name(&self) -> &'static str {
        if self.is_container { "0.log" } else { "audit.log" }
    }

    fn rotated(&self, number: u32) -> PathBuf {
        self.folder.path().join(if self.is_container {
            format!("0.log.20261124-05{:02}{:02}", number / 60, number % 60)
        } else {
            format!("audit-2026-11-24T05-52-29.{number:03}.log")
        })
    }

    fn write(&self, content: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.live()).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    /// The first half of a rotation.
    fn rename(&mut self) -> PathBuf {
        let rotated = self.rotated(self.rotations);
        self.rotations += 1;
        fs::rename(self.live(), &rotated).unwrap();
        rotated
    }

    fn rotate(&mut self) -> PathBuf {
        let rotated = self.rename();
        File::create_new(self.live()).unwrap();
        rotated
    }

    fn compressed(&self, number: u32) -> PathBuf {
        self.rotated(number).with_added_extension("gz")
    }

    /// The first half of a compression: both files are there.
    fn begin_to_compress(&self, number: u32) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&fs::read(self.rotated(number)).unwrap()).unwrap();
        fs::write(self.compressed(number), encoder.finish().unwrap()).unwrap();
    }

    fn compress(&self, number: u32) {
        self.begin_to_compress(number);
        fs::remove_file(self.rotated(number)).unwrap();
    }

    fn source(&self, start_at: StartAt, resume: Option<FilePosition>) -> FileSource {
        let now = "2026-11-24T06:00:00Z".parse::<Timestamp>().unwrap();
        FileSource::new(LogRoot::open(self.folder.path()).unwrap(), self.name(), start_at, now, resume)
    }

    fn started(&self) -> FileSource {
        self.source(StartAt::Start, None)
    }

    /// What another process makes of a position: it has been through JSON.
    fn resumed(&self, position: &FilePosition) -> FileSource {
        let json = serde_json::to_string(position).unwrap();
        self.source(StartAt::End, Some(serde_json::from_str(&json).unwrap()))
    }
}

/// What a source gave until nothing was new.
#[derive(Debug, Default)]
struct Seen {
    lines: Vec<(String, Position)>,
    new_files: usize,
    skipped: usize,
    gaps: Vec<Gap>,
}

impl Seen {
    fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|(line, _)| line.as_str()).collect()
    }

    /// Adds what was seen later.
    fn add(&mut self, later: Seen) {
        self.lines.extend(later.lines);
        self.new_files += later.new_files;
        self.skipped += later.skipped;
        self.gaps.extend(later.gaps);
    }

    fn offsets(&self) -> Vec<u64> {
        self.lines.iter().map(|(_, position)| position.offset).collect()
    }

    fn reasons(&self) -> Vec<GapReason> {
        self.gaps.iter().map(|gap| gap.reason).collect()
    }
}

fn drain(source: &mut FileSource) -> Seen {
    try_drain(source).unwrap()
}

fn try_drain(source: &mut FileSource) -> Result<Seen, SourceError> {
    let mut seen = Seen::default();
    loop {
        let batch = source.read()?;
        seen.lines.extend(batch.lines().map(|(line, at)| (String::from_utf8(line.to_vec()).unwrap(), at)));
        seen.new_files += usize::from(batch.identified_new_file());
        seen.skipped += batch.long_lines().len();
        seen.gaps.extend(batch.gap().cloned());
        assert!(!batch.identified_new_file() || batch.is_empty());
        if batch.is_idle() {
            return Ok(seen);
        }
    }
}

fn category(source: &mut FileSource) -> &'static str {
    try_drain(source).err().map_or("ok", |error| error.category())
}
