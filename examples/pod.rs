//! What the reader's pod takes on a real node while a log grows by 400 events a second:
//! `cargo run --release --example pod -- LOG [SECONDS]`, as root.
//!
//! The lines of LOG, a log of kube-apiserver's, are appended in turn to a second log beside the API server's own. The
//! yardstick is kube-apiserver itself in the same time.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use support::node::{Node, NodeOptions};
use support::operator::source_at;
use support::process::memory;
use support::release::{NAMESPACE, Release};
use support::wait_for;

const EVENTS_A_SECOND: u64 = 400;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let log = arguments.next().context("usage: pod LOG [SECONDS]")?;
    let seconds: u64 = match arguments.next() {
        Some(seconds) => seconds.to_string_lossy().parse()?,
        None => 300,
    };
    let mut lines = BufReader::new(File::open(&log)?).lines();
    Node::with(NodeOptions::default(), |node| {
        let release = Release::install(node, &[])?;
        let plane = node.plane();
        let path = plane.folder().join("audit/load.log");
        let mut load = File::create(&path)?;
        plane.apply("admin", &source_at("load", &path, "End"))?;
        let reader = Release::wait_for_pods(plane, "reader", 1)?.remove(0);
        let process = node.process(NAMESPACE, &reader, "tripline")?;
        let (name, server) =
            node.servers().into_iter().find(|s| s.0 == "kube-apiserver").context("no server")?;

        let (began, before) = (Instant::now(), (spent(process)?, spent(server)?));
        let mut written = 0;
        while began.elapsed() < Duration::from_secs(seconds) {
            let due = u64::try_from(began.elapsed().as_millis())? * EVENTS_A_SECOND / 1000;
            while written < due {
                let line = lines.next().context("the log is too short for this time")??;
                writeln!(load, "{line}")?;
                written += 1;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = began.elapsed().as_secs_f64();
        let share = |process, before| -> Result<f64> { Ok((spent(process)? - before) / took * 100.0) };
        let (own, servers) = (share(process, before.0)?, share(server, before.1)?);
        let read = wait_for("the last event to be counted", Duration::from_mins(2), || {
            let source = plane.get(&["auditsource", "load"]).ok()?;
            (source["status"]["events"].as_u64()? == written).then_some(written)
        })?;
        println!("{read} events in {took:.0} s, every one judged");
        println!("reader  {own:.2} % of a core, {}", memory(process)?);
        println!("{name}  {servers:.2} % of a core, {}", memory(server)?);
        release.helm(&["uninstall", "tripline", "--wait"]).map(drop)
    })
}

/// Seconds of processor time that a process has had.
fn spent(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<_> = stat.rsplit_once(") ").context("no stat")?.1.split(' ').collect();
    ensure!(fields.len() > 12, "{stat}");
    // A hundred ticks a second, on every Linux there is.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}
