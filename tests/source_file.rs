//! The file source against the log of a real API server, which rotates while it is read.
mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::{ControlPlane, Options, wait_for};
use tripline::source::{FilePosition, FileSource, LogRoot, Position, StartAt};

/// How often the log is filled. A patch is logged with request and response, some 300 KB, so that a
/// log of one megabyte is rotated after every few.
const PATCHES: usize = 20;

#[test]
fn a_real_log_is_read_whole_across_its_rotations_and_restarts() -> Result<()> {
    reads_the_whole_log(None)
}

#[test]
fn also_where_the_log_is_a_link_which_the_server_rotates_as_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let audit = folder.path().join("audit");
    std::fs::create_dir(&audit)?;
    symlink("../elsewhere", audit.join("audit.log"))?;
    reads_the_whole_log(Some(folder.path()))?;
    // The server wrote through it before it gave it another name.
    let renamed = std::fs::read_dir(&audit)?.flatten().find(|file| file.path().is_symlink());
    let renamed = renamed.context("no link was rotated")?;
    ensure!(renamed.file_name() != "audit.log" && std::fs::metadata(renamed.path())?.len() > 500_000);
    Ok(())
}

fn reads_the_whole_log(folder: Option<&Path>) -> Result<()> {
    let options = Options { folder: folder.map(Path::to_owned), audit_log_max_size: 1, ..Options::default() };
    ControlPlane::with(options, |plane| {
        plane.make_pod("shop", "web-0")?;
        let mut source = source(plane, None)?;
        let mut read = BTreeMap::new();
        for number in 0..PATCHES {
            let patch = json!({"metadata": {"annotations": {"filler": number.to_string().repeat(100_000)}}});
            let patch_file = plane.folder().join("patch.json");
            std::fs::write(&patch_file, patch.to_string())?;
            let file = format!("--patch-file={}", patch_file.display());
            plane.run("alice", &["patch", "pod", "web-0", "--namespace=shop", "--type=merge", &file])?;
            // Some turns only, so that it falls behind; then another process goes on.
            for _ in 0..number {
                step(&mut source, &mut read)?;
            }
            if number % 3 == 2 {
                source = self::source(plane, source.position())?;
            }
        }
        let marker = "/api/v1/namespaces/the-last-one";
        plane.kubectl("bob", &["get", "--raw", marker])?;
        let is_last = |event: &Value| event["requestURI"] == marker && event["stage"] == "ResponseComplete";
        plane.wait_for_event("the last request", is_last)?;
        wait_for("the last request in the source", Duration::from_secs(30), || {
            step(&mut source, &mut read).ok()?;
            read.values().any(is_last).then_some(())
        })?;

        // Other requests may have come after the last one; what was read is the log without a hole.
        let log = plane.audit_events()?;
        let read: Vec<_> = read.into_values().collect();
        ensure!(log.len() >= read.len() && log[..read.len()] == read[..], "the log and what was read differ");
        let files = std::fs::read_dir(plane.folder().join("audit"))?.count();
        ensure!(files > 4, "there were only {files} files");
        Ok(())
    })
}

fn source(plane: &ControlPlane, resume: Option<FilePosition>) -> Result<FileSource> {
    let root = LogRoot::open(plane.folder())?;
    Ok(FileSource::new(root, "audit/audit.log", StartAt::Start, Timestamp::UNIX_EPOCH, resume))
}

/// One turn; every event must have a position of its own in the one stream.
fn step(source: &mut FileSource, read: &mut BTreeMap<Position, Value>) -> Result<()> {
    let batch = source.read()?;
    ensure!(batch.gap().is_none(), "{:?}", batch.gap());
    for (line, position) in batch.lines() {
        let first = read.first_key_value().map_or(position.stream, |(first, _)| first.stream);
        ensure!(position.stream == first, "another stream");
        ensure!(
            read.insert(position, serde_json::from_slice(&line)?).is_none(),
            "{position:?} was read twice"
        );
    }
    Ok(())
}
