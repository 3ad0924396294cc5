//! A log that grows by 400 events a second, and the reading thread of `run` that follows it: how long until a record
//! is a match, and what it takes. Nothing is written to an API server.
//!
//! The reader is a process of its own (this program with [`FOLLOW`]), so that what it takes can be told from what
//! writing the log takes. It prints the time from the record's own stage timestamp, which is taken just before the
//! record is written, to when whoever writes alerts has the match in hand.

use std::env;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use tripline::alert::{Bounds, Ledger, RuleFacts};
use tripline::api::Evidence;
use tripline::api::Mode;
use tripline::controller::compile::{compile, describe};
use tripline::controller::{
    LoadedRule, LoadedRules, Reader, SharedReport, SourceSettings, Surroundings, TriageWrites,
};
use tripline::detect::{Judgement, Reading};
use tripline::source::{FileSource, LogRoot, StartAt, StateFolder, Wakeup};
use tripline::telemetry::Metrics;

use crate::generate;
use crate::inputs::{Inputs, matcher};
use crate::measure::{self, Rounds, shown};
use crate::passes::lines;
use crate::report::{Goal, Row, Taken};

/// The argument that makes this program the reader.
const FOLLOW: &str = "follow";

/// How fast the log grows, and for how long.
const EVENTS_A_SECOND: u32 = 400;
const EVENTS: u32 = EVENTS_A_SECOND * 30;

/// One record in so many matches a rule: more than on any cluster, for there to be something to measure.
const ONE_MATCH_IN: u32 = 10;

/// How much of the log the records are taken from, in MB.
const FROM: usize = 128;

pub(crate) const HALF: Row = Row {
    name: "follow-p50",
    figure: "append to match, 400 events/s, half of them within",
    goal: Goal::Below(1.0, "ms"),
    take: |inputs, _| delay(inputs, 50),
};

pub(crate) const MOST: Row = Row {
    name: "follow-p99",
    figure: "append to match, 400 events/s, 99 % within",
    goal: Goal::Below(10.0, "ms"),
    take: |inputs, _| delay(inputs, 99),
};

pub(crate) const SHARE: Row = Row {
    name: "follow-cpu",
    figure: "share of a core at 400 events/s, 50 rules",
    goal: Goal::Below(1.0, "%"),
    take: share,
};

/// What following came to.
struct Followed {
    /// From a record's write to its match, in milliseconds, the shortest first.
    delays: Vec<f64>,
    /// Shares of a core, in per cent.
    reader: f64,
    tail: f64,
}

fn delay(inputs: &Inputs, percent: usize) -> Result<Taken> {
    let Followed { delays, .. } = followed(inputs)?;
    let delay = delays[(delays.len() * percent / 100).min(delays.len() - 1)];
    let against =
        format!("{} matches, the last after {}", delays.len(), shown(delays[delays.len() - 1], "ms"));
    Ok(Taken::number(delay, shown(delay, "ms"), against))
}

fn share(inputs: &Inputs, _: Rounds) -> Result<Taken> {
    let followed = followed(inputs)?;
    let against = format!("tail -F to nowhere, {}", shown(followed.tail, "%"));
    Ok(Taken::number(followed.reader, shown(followed.reader, "%"), against))
}

/// The three rows are of one run.
fn followed(inputs: &Inputs) -> Result<&'static Followed> {
    static FOLLOWED: OnceLock<Result<Followed, String>> = OnceLock::new();
    let followed = FOLLOWED.get_or_init(|| follow(inputs).map_err(|error| format!("{error:#}")));
    followed.as_ref().map_err(|error| anyhow!("{error}"))
}

fn follow(inputs: &Inputs) -> Result<Followed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("audit.log");
    let mut log = File::create(&path)?;
    let mut reader = Command::new(env::current_exe()?);
    reader.arg(FOLLOW).args([folder.path(), &inputs.few()?.folder]);
    let mut reader = Child(reader.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let mut printed = BufReader::new(reader.0.stdout.take().context("the reader has no output")?);
    let mut line = String::new();
    printed.read_line(&mut line)?;
    ensure!(line == "following\n", "the reader did not start: {line}");
    let mut tail = Child(Command::new("tail").arg("-F").arg(&path).stdout(Stdio::null()).spawn()?);

    let matches = append(inputs, &mut log)?;

    let taken_by_tail = measure::of_other(tail.0.id())?;
    tail.end()?;
    // The reader ends when its input does.
    drop(reader.0.stdin.take());
    let (mut delays, mut taken) = (Vec::new(), None);
    for line in printed.lines() {
        match line?.split_once(' ') {
            Some(("delay", milliseconds)) => delays.push(milliseconds.parse::<f64>()?),
            Some(("seconds", seconds)) => taken = Some(seconds.parse::<f64>()?),
            _ => anyhow::bail!("the reader printed something else"),
        }
    }
    ensure!(delays.len() == matches, "{} of {matches} matches were found", delays.len());
    delays.sort_by(f64::total_cmp);
    let seconds = f64::from(EVENTS) / f64::from(EVENTS_A_SECOND);
    let reader = taken.context("the reader did not say what it took")?;
    Ok(Followed {
        delays,
        reader: reader / seconds * 100.0,
        tail: taken_by_tail.as_secs_f64() / seconds * 100.0,
    })
}

/// Appends records of the log, each at its time and with that time as its stage timestamp. Answers how many match.
fn append(inputs: &Inputs, log: &mut File) -> Result<usize> {
    let text = std::fs::read(inputs.log_file(FROM)?)?;
    let mut judge = matcher(&inputs.few()?.rules);
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    for line in lines(&text) {
        match judge.judge(line, Reading::Enough).unwrap_or_default() {
            [] => others.push(line),
            [only] if only.what == Judgement::Detection => matching.push(line),
            _ => {}
        }
    }
    let (mut matching, mut others) = (matching.into_iter().cycle(), others.into_iter());
    let (began, mut record, mut matches) = (Instant::now(), Vec::new(), 0);
    for number in 0..EVENTS {
        let line = if number % ONE_MATCH_IN == 0 { matching.next() } else { others.next() };
        matches += usize::from(number % ONE_MATCH_IN == 0);
        let line = line.context("the log has too few records")?;
        let key = b"\"stageTimestamp\":\"";
        let time = memchr::memmem::rfind(line, key).context("a record has no stage timestamp")? + key.len();
        let due = Duration::from_secs(1) * number / EVENTS_A_SECOND;
        thread::sleep(due.saturating_sub(began.elapsed()));
        let now = format!("{:.6}", Timestamp::now());
        record.clear();
        record.extend_from_slice(&line[..time]);
        record.extend_from_slice(now.as_bytes());
        record.extend_from_slice(&line[time + now.len()..]);
        record.push(b'\n');
        log.write_all(&record)?;
    }
    Ok(matches)
}

/// A process that is ended, whatever happens.
struct Child(process::Child);

impl Child {
    fn end(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It fails where it has ended already.
        self.end().ok();
    }
}

/// What this process was started to follow, if it was: the folder of a log, and the pack of rules.
pub(crate) fn asked_for() -> Option<(PathBuf, PathBuf)> {
    let mut arguments = env::args_os().skip(1);
    (arguments.next()? == FOLLOW).then(|| Some((arguments.next()?.into(), arguments.next()?.into())))?
}

/// Follows `audit.log` in the folder until the input ends, and prints how long each match took and what all of it did.
pub(crate) fn print_delays(folder: &Path, pack: &Path) -> Result<()> {
    let state = folder.join("state");
    std::fs::create_dir(&state)?;
    let ledger = Arc::new(Ledger::new("bench", Bounds::default()));
    let metrics = Arc::new(Metrics::new());
    // Nobody takes them; a log of a benchmark holds few.
    let (triage, _writes_seen) = TriageWrites::new(&metrics);
    let around = Surroundings {
        stdout: None,
        rules: Arc::new(ArcSwap::from_pointee(loaded(pack)?)),
        ledger: Arc::clone(&ledger),
        ignored: Arc::default(),
        evidence: Evidence::default(),
        triage,
        metrics,
        state: Arc::new(StateFolder::open(state)?),
    };
    let settings = SourceSettings {
        name: "bench".to_owned(),
        path: "audit.log".to_owned(),
        cluster: None,
        omitted_stages: Vec::new(),
    };
    let root = LogRoot::open(folder)?;
    let wakeup = Wakeup::new(root.folder_of(&settings.path)?)?;
    let file = FileSource::new(root, "audit.log", StartAt::Start, Timestamp::now(), None);
    let (stop, report) = (Arc::new(AtomicBool::new(false)), SharedReport::default());
    let reader = Reader::new(settings, around, file, wakeup, Arc::clone(&stop), report.clone())?;
    let reader = thread::spawn(|| reader.run());

    println!("following");
    let began = measure::of_process()?;
    let delays = tokio::runtime::Builder::new_current_thread().build()?.block_on(delays(&ledger, || {
        let size = std::fs::metadata(folder.join("audit.log")).map_or(0, |log| log.len());
        u64::try_from(report.lock().offset).is_ok_and(|offset| offset >= size)
    }));
    let taken = measure::of_process()?.saturating_sub(began);
    stop.store(true, Ordering::Release);
    reader.join().map_err(|_| anyhow!("the reading thread panicked"))?.finish();
    for delay in &delays {
        println!("delay {delay}");
    }
    println!("seconds {}", taken.as_secs_f64());
    Ok(())
}

/// How old, in milliseconds, each match was when it arrived, until the input has ended and `is_done`.
async fn delays(ledger: &Ledger, is_done: impl Fn() -> bool) -> Vec<f64> {
    let mut delays = Vec::new();
    let mut take = || {
        for parcel in ledger.take_all() {
            let age = Timestamp::now().duration_since(parcel.first).as_secs_f64() * 1e3;
            delays.extend((0..parcel.count()).map(|_| age));
        }
    };
    let mut ended =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    loop {
        tokio::select! {
            () = ledger.arrived() => take(),
            _ = &mut ended => break,
        }
    }
    while !is_done() {
        take();
        thread::sleep(Duration::from_millis(1));
    }
    take();
    delays
}

fn loaded(pack: &Path) -> Result<LoadedRules> {
    let rules = generate::definitions(pack)?.into_iter().map(|rule| {
        let compiled = compile(&rule).map_err(|findings| anyhow!(describe(&findings)))?;
        let facts = Arc::new(RuleFacts::from(&rule));
        Ok(LoadedRule { rule: Arc::new(compiled.rule), facts, mode: Mode::Alert })
    });
    rules.collect()
}
