//! `tripline replay`: what rules make of logs that are already written.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::alert_list::{AlertList, Form};
use super::log_file::{self, LogFile, TooLong};
use super::{Outcome, load, terminal};
use crate::alert::{Ledger, Match, text};
use crate::api::{Mode, RecordPlace};
use crate::controller::{LoadedRule, LoadedRules};
use crate::detect::{self, Context, Judgement};
use crate::event::{Event, Stage, Tape};

/// How many malformed lines are shown.
const SHOWN_MALFORMED: u64 = 5;
/// The node that the alerts name: no node read these logs.
const NODE: &str = "replay";

/// Options of `tripline replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline replay --rules rules/ audit.log
  tripline replay --rules rules/ audit-2026-11-24T05-52-29.123.log.gz audit.log --output yaml
  zcat *.gz | tripline replay --rules rule.yaml --matches -

Logs are read in the order given, as one. Without --matches the result is what `run` would have written: one alert
a group, each request counted once at its decisive stage, exceptions applied. With --matches every event that meets
a query is printed, before all of that. Lines that are no audit event are counted and the first few shown.

Exit codes: 0 all was read, 1 a rule has an error (the others were applied), 2 a path cannot be read or holds no
rule. Where a log cannot be read to its end, what was found up to there is printed.")]
pub struct Args {
    /// Files and folders with rules; may be given several times
    #[arg(long, required = true, value_name = "PATH", env = "TRIPLINE_RULES", value_delimiter = ',')]
    rules: Vec<PathBuf>,
    /// Logs, plain or .gz; `-` reads standard input
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// How alerts are printed
    #[arg(short, long, value_enum, default_value_t, env = "TRIPLINE_REPLAY_OUTPUT")]
    output: Form,
    /// Print one line of JSON for every event that meets a query, instead of alerts
    #[arg(long, env = "TRIPLINE_MATCHES", conflicts_with = "output")]
    matches: bool,
    /// Name of the cluster, which rules see as orchestrator.cluster.name
    #[arg(long, value_name = "NAME", env = "TRIPLINE_CLUSTER")]
    cluster: Option<String>,
    /// A stage that the audit policy leaves out, repeatable: a request is then decided at another
    #[arg(long, value_name = "STAGE", value_delimiter = ',', env = "TRIPLINE_OMIT_STAGES")]
    omit_stage: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MatchLine<'a> {
    rule: &'a str,
    file: &'a str,
    line: u64,
    #[serde(rename = "auditID")]
    audit_id: Option<&'a str>,
    stage: Option<&'a str>,
}

#[derive(Debug, Default)]
struct Totals {
    events: u64,
    malformed: u64,
    matches: u64,
    detections: u64,
    suppressed: u64,
    undecidable: u64,
    bytes: u64,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let loading = load::load(&args.rules)?;
    loading.report_errors()?;
    let broken = loading.has_errors();
    let evaluated = loading.rules.into_iter().filter(|rule| rule.object.spec.mode != Mode::Disabled);
    let rules: LoadedRules = evaluated
        .map(|rule| LoadedRule {
            rule: Arc::new(rule.compiled.rule),
            facts: Arc::new((&rule.object).into()),
            mode: rule.object.spec.mode,
        })
        .collect();
    let omitted_stages = super::explain::stages(&args.omit_stage)?;
    // A misspelt name is said now, not when the logs before it are read.
    args.logs.iter().try_for_each(|path| log_file::check(path))?;
    let mut replay = Replay {
        rules: &rules,
        context: Context { cluster: args.cluster.as_deref(), omitted_stages: &omitted_stages },
        print_matches: args.matches,
        ledger: Ledger::new(NODE),
        totals: Totals::default(),
        outcomes: Vec::new(),
    };
    let progress = progress_bar(args);
    let started = Instant::now();
    let mut logs = args.logs.iter().enumerate();
    let read = logs.try_for_each(|(number, path)| replay.read(number, path, &progress, out));
    progress.finish_and_clear();
    if !args.matches {
        AlertList::take(&replay.ledger).print(args.output, out)?;
    }
    out.flush()?;
    replay.totals.report(started.elapsed().as_secs_f64());
    read.map(|()| Outcome::from(!broken))
}

/// Rules on their way through logs.
struct Replay<'a> {
    rules: &'a LoadedRules,
    context: Context<'a>,
    print_matches: bool,
    ledger: Ledger,
    totals: Totals,
    outcomes: Vec<detect::Outcome>,
}

impl Replay<'_> {
    /// Judges one log from its beginning to its end.
    fn read(
        &mut self,
        number: usize,
        path: &Path,
        progress: &ProgressBar,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut log = LogFile::open(path, progress)?;
        let file = path.display().to_string();
        let mut place = RecordPlace {
            node: NODE.to_owned(),
            source: text::short(&file, 63),
            stream: number.to_string(),
            offset: 0,
        };
        let mut tape = Tape::default();
        while let Some(line) = log.next_line().with_context(|| format!("{file} cannot be read on"))? {
            place.offset = place.offset.saturating_add_unsigned(line.length);
            self.totals.bytes += line.length;
            let event = match line.text {
                Ok([]) => Err("an empty line".to_owned()),
                Ok(text) => Event::decode(text, &mut tape).map_err(|why| why.to_string()),
                Err(TooLong) => Err("longer than 16 MiB".to_owned()),
            };
            match event {
                Ok(event) => self.judge(&event, &file, line.number, &place, out)?,
                Err(why) => {
                    self.totals.malformed += 1;
                    if self.totals.malformed <= SHOWN_MALFORMED {
                        let shown = format!("{file}:{}: {why}", line.number);
                        progress.suspend(|| eprintln!("{}", terminal::line(&shown)));
                    }
                }
            }
        }
        Ok(())
    }

    fn judge(
        &mut self,
        event: &Event<'_>,
        file: &str,
        line: u64,
        place: &RecordPlace,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        self.totals.events += 1;
        self.rules.set.judge(event, &self.context, &mut self.outcomes);
        for outcome in &self.outcomes {
            let rule = &self.rules.facts[outcome.rule];
            let (matched, detected) = self.totals.count(outcome.what);
            if matched && self.print_matches {
                let audit_id = event.audit_id();
                let stage = event.stage().map(Stage::as_str);
                let line = MatchLine { rule: &rule.name, file, line, audit_id: audit_id.as_deref(), stage };
                writeln!(out, "{}", terminal::json(&line)?)?;
            }
            if detected && !self.print_matches && self.rules.modes[outcome.rule] == Mode::Alert {
                let group = self.rules.set.rules()[outcome.rule].group(event, &self.context);
                // A record without any time is one no API server wrote; the epoch keeps a replay the same each time.
                let time = event.stage_time().or_else(|| event.request_received_time()).unwrap_or_default();
                self.ledger.enter(&Match { rule, group: &group, event, place, time });
            }
        }
        Ok(())
    }
}

impl Totals {
    /// Counts an outcome; says whether it is a match, and whether it is a detection.
    fn count(&mut self, what: Judgement) -> (bool, bool) {
        match what {
            Judgement::Undecidable => {
                self.undecidable += 1;
                return (false, false);
            }
            Judgement::Detection => self.detections += 1,
            Judgement::Suppressed { .. } => self.suppressed += 1,
            Judgement::Passing => {}
        }
        self.matches += 1;
        (true, matches!(what, Judgement::Detection))
    }

    fn report(&self, seconds: f64) {
        #[allow(clippy::cast_precision_loss)] // a speed is read to two digits
        let megabytes = self.bytes as f64 / 1e6;
        eprintln!(
            "{} events, {} malformed lines, {} matches ({} detections, {} suppressed), {} undecidable; {megabytes:.1} MB in \
             {seconds:.2} s, {:.0} MB/s",
            self.events,
            self.malformed,
            self.matches,
            self.detections,
            self.suppressed,
            self.undecidable,
            megabytes / seconds.max(1e-9),
        );
    }
}

/// A bar on a terminal, nothing elsewhere. Its length is the files' size on disk, unknown for standard input.
fn progress_bar(args: &Args) -> ProgressBar {
    // Matches are printed while the bar is there: on one terminal they would break each other's lines.
    if !io::stderr().is_terminal() || (args.matches && io::stdout().is_terminal()) {
        return ProgressBar::hidden();
    }
    let sizes = args.logs.iter().map(|path| std::fs::metadata(path).map(|m| m.len()));
    let bar = match sizes.sum::<io::Result<u64>>() {
        Ok(length) => ProgressBar::new(length),
        Err(_) => ProgressBar::no_length(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}
