//! `tripline replay` as a whole: reading the file, judging, printing the alerts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::generate::jq_program;
use crate::inputs::{Inputs, Pack};
use crate::measure::{self, Rounds, shown, speed};
use crate::process;
use crate::report::{Goal, Row, Taken};

/// How much of the log jq is given, in MB.
const FOR_JQ: usize = 32;

pub(crate) const AGAINST_JQ: Row = Row {
    name: "replay-jq",
    figure: "replay, 50 rules, one core",
    goal: Goal::Faster(100.0),
    take: against_jq,
};

pub(crate) const TWO_CORES: Row = Row {
    name: "threads-replay",
    figure: "replay, 50 rules, two cores",
    goal: Goal::Faster(1.7),
    take: two_cores,
};

pub(crate) const PEAK: Row = Row {
    name: "peak",
    figure: "peak memory of replay, 50 rules",
    goal: Goal::Below(64.0, "MiB"),
    take: peak,
};

fn against_jq(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    if !process::is_found("jq") {
        return Ok(Taken::Nothing("jq not found".to_owned()));
    }
    let (pack, log, part) = (inputs.few()?, inputs.log_file(usize::MAX)?, inputs.log_file(FOR_JQ)?);
    let of_jq = by_jq(pack, &part)?;
    let remark = differences(&by_replay(pack, &part)?, &of_jq);
    let [replayed, queried] = rounds
        .in_turn([&mut || cpu(&mut replay(pack, &log, Some(1))?), &mut || cpu(&mut jq(pack, &part))])?;
    let (replayed, queried) = (speed(length(&log)?, replayed), speed(length(&part)?, queried));
    let version = String::from_utf8(process::output(Command::new("jq").arg("--version"))?)?;
    Ok(Taken::Number {
        number: replayed / queried,
        value: shown(replayed, "MB/s"),
        against: format!("{} on {FOR_JQ} MB, {}", version.trim(), shown(queried, "MB/s")),
        remark: Some(remark),
    })
}

fn two_cores(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    if std::thread::available_parallelism()?.get() < 2 {
        return Ok(Taken::Nothing("there is one core".to_owned()));
    }
    let (pack, log) = (inputs.few()?, inputs.log_file(usize::MAX)?);
    if !takes_jobs()? {
        return Ok(Taken::Nothing("replay has no --jobs".to_owned()));
    }
    let [two, one] = rounds.in_turn([&mut || wall(&mut replay(pack, &log, Some(2))?), &mut || {
        wall(&mut replay(pack, &log, Some(1))?)
    }])?;
    let bytes = length(&log)?;
    let against = format!("one core, {}", shown(speed(bytes, one), "MB/s"));
    Ok(Taken::number(one / two, shown(speed(bytes, two), "MB/s"), against))
}

fn peak(inputs: &Inputs, _: Rounds) -> Result<Taken> {
    let (pack, log) = (inputs.few()?, inputs.log_file(usize::MAX)?);
    let mebibytes = f64::from(process::peak(&replay(pack, &log, None)?)?) / 1024.0;
    Ok(Taken::number(mebibytes, shown(mebibytes, "MiB"), "-".to_owned()))
}

/// The program, built with this one. Without a number it takes every core.
fn replay(pack: &Pack, log: &Path, jobs: Option<usize>) -> Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tripline"));
    command.arg("replay").arg("--rules").arg(&pack.folder).arg(log);
    if let Some(jobs) = jobs
        && takes_jobs()?
    {
        command.arg("--jobs").arg(jobs.to_string());
    }
    Ok(command)
}

fn takes_jobs() -> Result<bool> {
    let help = process::output(Command::new(env!("CARGO_BIN_EXE_tripline")).args(["replay", "--help"]))?;
    Ok(String::from_utf8(help)?.contains("--jobs"))
}

fn jq(pack: &Pack, log: &Path) -> Command {
    let mut command = Command::new("jq");
    command.arg("--raw-output").arg("--from-file").arg(jq_program(&pack.folder)).arg(log);
    command
}

fn cpu(command: &mut Command) -> Result<Duration> {
    Ok(measure::of_children(|| process::output(command))?.0)
}

fn wall(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    process::output(command)?;
    Ok(started.elapsed())
}

fn length(file: &Path) -> Result<usize> {
    Ok(file.metadata()?.len().try_into()?)
}

type Matches = BTreeMap<String, u64>;

/// How many events match each rule, as jq has it.
fn by_jq(pack: &Pack, log: &Path) -> Result<Matches> {
    let printed = String::from_utf8(process::output(&mut jq(pack, log))?)?;
    let mut matches = Matches::new();
    for rule in printed.lines() {
        *matches.entry(rule.to_owned()).or_default() += 1;
    }
    Ok(matches)
}

/// The same as `replay --matches` has it.
fn by_replay(pack: &Pack, log: &Path) -> Result<Matches> {
    let printed = process::output(replay(pack, log, None)?.arg("--matches"))?;
    let mut matches = Matches::new();
    for line in String::from_utf8(printed)?.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let rule = line["rule"].as_str().context("a match without a rule")?;
        *matches.entry(rule.to_owned()).or_default() += 1;
    }
    Ok(matches)
}

fn differences(replay: &Matches, jq: &Matches) -> String {
    let total: u64 = jq.values().sum();
    let count = |matches: &Matches, rule: &str| matches.get(rule).copied().unwrap_or_default();
    let mut rules: Vec<&String> = replay.keys().chain(jq.keys()).collect();
    rules.sort();
    rules.dedup();
    let differing: Vec<String> = rules
        .into_iter()
        .filter(|rule| count(replay, rule) != count(jq, rule))
        .map(|rule| format!("{rule}: replay {}, jq {}", count(replay, rule), count(jq, rule)))
        .collect();
    let verdict = if differing.is_empty() { "equal".to_owned() } else { differing.join("; ") };
    format!(
        "matches of replay and jq on {FOR_JQ} MB, rule by rule: {verdict} ({total} by {} rules)",
        jq.len()
    )
}
