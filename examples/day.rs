//! What a day's log leaves in the cluster: `make day LOG=audit.log`, or `LOG=-` for what comes on standard input.
//!
//! The operator as built with `--release`, on a real API server with the whole library, follows a file to which the log
//! is appended as fast as it is judged; the file is rotated as kube-apiserver does it. Afterwards: the alerts, what was
//! written, and by how much etcd's file grew. A day goes by in minutes here: the alerts are a real day's, as windows go by
//! the events' own times; counts of one alert that a day would write one after the other meet in fewer writes.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use support::operator::{Operator, alerts, install, source_at};
use support::{ControlPlane, Options, wait_for};

/// The file is rotated at this size.
const FILE_SIZE: u64 = 100_000_000;
/// The most that waits to be judged: more would only be read from the disk again.
const AHEAD: u64 = 2 * FILE_SIZE;
const PATIENCE: Duration = Duration::from_mins(10);

fn main() -> Result<()> {
    let log = std::env::args_os().nth(1).context("usage: day LOG")?;
    let log: Box<dyn Read> =
        if log == "-" { Box::new(io::stdin()) } else { Box::new(File::open(&log).context("the log")?) };
    // A real day holds hundreds of etcd's compactions, which are five minutes apart.
    let options = Options {
        api_server_arguments: vec!["--etcd-compaction-interval=10s".to_owned()],
        ..Options::default()
    };
    ControlPlane::with(options, |plane| {
        let account = install(plane)?;
        plane.run("admin", &["apply", "--server-side", "--recursive", "--filename", "rules/"])?;
        let path = plane.folder().join("audit/day.log");
        File::create(&path)?;
        plane.apply("admin", &source_at("day", &path, "End"))?;
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "day", "--timeout=60s"])?;
        let (size, writes) = (etcd_bytes(plane)?, writes(plane)?);
        let begun = Instant::now();
        let bytes = append(plane, BufReader::new(log), &path)?;
        await_judged(plane, bytes)?;
        wait_for("all that was found to be written", PATIENCE, || {
            let settled = offset(plane, "settledOffset").ok()?;
            (settled == bytes && operator.metric("tripline_pending_alerts")? == 0.0).then_some(())
        })?;
        println!(
            "{} MB judged within {:.0?}, memory {}",
            bytes / 1_000_000,
            begun.elapsed(),
            operator.memory()?
        );
        tell(plane)?;
        for (request, count) in self::writes(plane)? {
            let more = count - writes.get(&request).copied().unwrap_or_default();
            if more > 0.0 {
                println!("  {more:>6} {request}");
            }
        }
        let grown = etcd_bytes(plane)? - size;
        println!("etcd's file grew by {:.1} MB, from {:.1} MB", grown / 1e6, size / 1e6);
        operator.terminate()
    })
}

/// Appends the whole log; gives its bytes.
fn append(plane: &ControlPlane, mut log: impl BufRead, path: &Path) -> Result<u64> {
    let (mut live, mut size, mut bytes) = (open(path)?, 0, 0);
    let (mut rotated, mut record): (Vec<PathBuf>, Vec<u8>) = (Vec::new(), Vec::new());
    // lumberjack's names carry the time; a rotation a second is more than there are.
    let mut stamp = Timestamp::now();
    while log.read_until(b'\n', &mut record)? > 0 {
        live.write_all(&record)?;
        size += record.len() as u64;
        bytes += record.len() as u64;
        record.clear();
        if size < FILE_SIZE {
            continue;
        }
        stamp = Timestamp::now().max(stamp + SignedDuration::from_secs(1));
        let name = format!("day-{}.log", stamp.strftime("%Y-%m-%dT%H-%M-%S.%3f"));
        rotated.push(path.with_file_name(name));
        live.flush()?;
        fs::rename(path, rotated.last().context("it was just added")?)?;
        (live, size) = (open(path)?, 0);
        wait_for("the reader to come near", PATIENCE, || {
            (offset(plane, "offset").ok()? + AHEAD >= bytes).then_some(())
        })?;
        // Two files are ahead; those before them are read.
        let kept = rotated.len().saturating_sub(4);
        rotated.drain(..kept).try_for_each(fs::remove_file)?;
    }
    live.flush()?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<io::BufWriter<File>> {
    Ok(io::BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?))
}

fn await_judged(plane: &ControlPlane, bytes: u64) -> Result<()> {
    wait_for("all of it to be judged", PATIENCE, || (offset(plane, "offset").ok()? == bytes).then_some(()))
}

fn offset(plane: &ControlPlane, name: &str) -> Result<u64> {
    let field = format!("jsonpath={{.status.agents[0].{name}}}");
    Ok(plane.run("admin", &["get", "auditsource", "day", "--output", &field])?.parse()?)
}

/// How many alerts there are of each severity, how many matches they count, and how long they are.
fn tell(plane: &ControlPlane) -> Result<()> {
    let all = alerts(plane)?;
    let mut by_severity: BTreeMap<&str, (usize, i64)> = BTreeMap::new();
    for alert in &all {
        let severity = alert["spec"]["detection"]["severity"].as_str().unwrap_or("?");
        let entry = by_severity.entry(severity).or_default();
        *entry = (entry.0 + 1, entry.1 + alert["status"]["count"].as_i64().unwrap_or_default());
    }
    println!("{} alerts", all.len());
    for (severity, (alerts, matches)) in by_severity {
        println!("  {alerts:>6} {severity}, of {matches} matches");
    }
    let bytes: usize = all.iter().map(|alert| alert.to_string().len()).sum();
    println!(
        "{} bytes an alert on average; requests to the API server that wrote:",
        bytes / all.len().max(1)
    );
    Ok(())
}

fn etcd_bytes(plane: &ControlPlane) -> Result<f64> {
    let sizes = samples(plane, "apiserver_storage_size_bytes")?;
    sizes.into_values().next().context("the API server does not tell etcd's size")
}

/// The requests that wrote Tripline's kinds and Events, by verb, resource and code.
fn writes(plane: &ControlPlane) -> Result<BTreeMap<String, f64>> {
    let mut found = BTreeMap::new();
    for (labels, count) in samples(plane, "apiserver_request_total")? {
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let (verb, resource) = (label("verb").unwrap_or_default(), label("resource").unwrap_or_default());
        let is_ours = label("group") == Some("tripline.dev") || resource == "events";
        if is_ours && !["GET", "LIST", "WATCH"].contains(&verb) {
            let subresource = label("subresource").filter(|name| !name.is_empty());
            let subresource = subresource.map(|name| format!("/{name}")).unwrap_or_default();
            let key = format!("{verb} {resource}{subresource} {}", label("code").unwrap_or_default());
            *found.entry(key).or_default() += count;
        }
    }
    Ok(found)
}

fn samples(plane: &ControlPlane, metric: &str) -> Result<BTreeMap<String, f64>> {
    let text = plane.run("admin", &["get", "--raw", "/metrics"])?;
    let lines = text.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
    lines.map(|(labels, value)| Ok((labels.to_owned(), value.parse()?))).collect()
}
