//! `make bench`: what judging costs, each figure against something else taken in the same run; `benches/README.md`
//! says how each is taken and what it means. It measures and fails nobody.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "table/allocations.rs"]
mod allocations;
#[path = "table/compiling.rs"]
mod compiling;
#[path = "table/fastjson.rs"]
mod fastjson;
#[path = "table/following.rs"]
mod following;
#[path = "table/generate.rs"]
mod generate;
#[path = "table/in_memory.rs"]
mod in_memory;
#[path = "table/inputs.rs"]
mod inputs;
#[path = "table/measure.rs"]
mod measure;
#[path = "table/passes.rs"]
mod passes;
#[path = "table/process.rs"]
mod process;
#[path = "table/replay.rs"]
mod replay;
#[path = "table/report.rs"]
mod report;
#[path = "table/variants.rs"]
mod variants;

use std::env;

use anyhow::{Context, Result};
use inputs::Inputs;
use measure::Rounds;
use report::{Report, Row};

/// The rows in the order of the table.
const ROWS: [Row; 22] = [
    replay::AGAINST_JQ,
    in_memory::AGAINST_SKIPPING,
    in_memory::ONE_RULE,
    in_memory::FIFTY_RULES,
    in_memory::MANY_RULES,
    in_memory::LIBRARY,
    in_memory::DERIVED_ASKED,
    in_memory::DERIVED_NOT_ASKED,
    in_memory::TWO_THREADS,
    replay::TWO_CORES,
    in_memory::REORDERED,
    in_memory::UNIQUE,
    in_memory::MANY_UNIQUE,
    in_memory::WHOLE,
    replay::PEAK,
    allocations::NO_MATCH,
    following::HALF,
    following::MOST,
    following::SHARE,
    fastjson::AGAINST_FALCO,
    compiling::COMPILE,
    compiling::REPLACE,
];

fn main() -> Result<()> {
    if let Some(command) = process::asked_for_peak() {
        return process::print_peak(&command);
    }
    if let Some((folder, pack)) = following::asked_for() {
        return following::print_delays(&folder, &pack);
    }
    let megabytes = number("BENCH_SIZE", 512)?;
    let rounds = Rounds { most: number("BENCH_ROUNDS", 7)? };
    let wanted = env::var("ROWS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split([',', ' ']).filter(|part| !part.is_empty()).collect();
    let inputs = Inputs::new(megabytes)?;
    let mut report = Report::default();
    for row in &ROWS {
        if wanted.is_empty() || wanted.iter().any(|part| row.name.contains(part)) {
            eprintln!("{}", row.name);
            report.add(row, (row.take)(&inputs, rounds));
        }
    }
    println!("{megabytes} MB log, medians of {} rounds at most\n\n{}", rounds.most, report.table()?);
    Ok(())
}

/// A number from the environment; a size may be written with its unit, `64MB`.
fn number(variable: &str, default: usize) -> Result<usize> {
    match env::var(variable) {
        Ok(text) => text.trim_end_matches("MB").parse().with_context(|| format!("{variable} is no number")),
        Err(_) => Ok(default),
    }
}
