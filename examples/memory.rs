//! What `tripline run` keeps in memory: `make memory LOG=audit.log`.
//!
//! The operator as built with `--release`, on a real API server with the two rules of the library, follows a file to
//! which the given log is appended. Its resident memory is printed before, at its peak, and when all is judged.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use support::operator::{Operator, install, source_at};
use support::{ControlPlane, Options, wait_for};

fn main() -> Result<()> {
    let log = std::env::args_os().nth(1).context("usage: memory LOG")?;
    let mut log = File::open(&log).with_context(|| format!("{} cannot be opened", log.display()))?;
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.apply("admin", include_str!("../rules/execution/exec-into-pod.yaml"))?;
        plane.apply("admin", include_str!("../rules/execution/user-exec-into-pod.yaml"))?;
        let path = plane.folder().join("audit/big.log");
        let mut followed = File::create(&path)?;
        plane.apply("admin", &source_at("big", &path, "End"))?;
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "big", "--timeout=10s"])?;
        println!("at rest            {}", operator.memory()?);
        let started = Instant::now();
        let bytes = std::io::copy(&mut log, &mut followed)?;
        let done = "tripline_source_lag_bytes{source=\"big\"} 0";
        wait_for("all of it to be judged", Duration::from_mins(10), || {
            // The offset of the report, since the lag is 0 before the first byte is seen as well.
            let status = plane
                .run("admin", &["get", "auditsource", "big", "-o", "jsonpath={.status.agents[0].offset}"]);
            let lag = operator.page("/metrics").ok()?.1.contains(done);
            (lag && status.ok()?.parse() == Ok(bytes)).then_some(())
        })?;
        println!(
            "{} MB judged   {} (within {:.0?})",
            bytes / 1_000_000,
            operator.memory()?,
            started.elapsed()
        );
        operator.terminate()
    })
}
