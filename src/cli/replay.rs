//! `tripline replay`: what rules make of logs that are already written.

mod in_turn;
mod judged;
mod report;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::in_turn::in_turn;
use self::judged::{Judged, Order};
use self::report::Report;
use super::alert_list::{AlertList, Form};
use super::load::Loaded;
use super::log_file::{self, Limits, Logs};
use super::terminal::say;
use super::{Outcome, load};
use crate::api::Mode;
use crate::controller::{LoadedRule, LoadedRules};
use crate::detect::{Context, Reading};

/// Options of `tripline replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline replay --rules rules/ audit.log
  tripline replay --rules rules/ audit-2026-11-24T05-52-29.123.log.gz audit.log --output yaml
  zcat *.gz | tripline replay --rules rule.yaml --matches -

Logs are read in the order given, as one. Without --matches the result is what `run` would have written: one alert a \
group, each request counted once at its decisive stage, exceptions applied. With --matches every event that meets a \
query is printed, before all of that. Lines that are no audit event are counted and the first few shown; without \
--strict a line that no rule matches is not read to its end, and counts as an event whatever its end looks like.

Exit codes: 0 all was read, 1 a rule has an error (the others were applied), 2 a path cannot be read or holds no rule. \
Where a log cannot be read to its end, what was found up to there is printed.")]
pub(super) struct Args {
    /// Files and folders with rules, and exceptions that apply to them; may be given several times
    #[arg(long, required = true, value_name = "PATH", env = "TRIPLINE_RULES", value_delimiter = ',')]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    installation: load::Installation,
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
    /// Read every line to its end, so that each malformed one is found
    #[arg(long, env = "TRIPLINE_STRICT")]
    strict: bool,
    /// How many threads judge the logs [default: one a processor]
    #[arg(long, value_name = "N", value_parser = threads, env = "TRIPLINE_JOBS")]
    jobs: Option<NonZeroUsize>,
}

fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "it must be a whole number, 1 or more")
}

pub(super) fn run(args: &Args, out: &mut (dyn Write + Send)) -> anyhow::Result<Outcome> {
    let loading = load::load(&args.rules, args.installation)?;
    loading.report_errors()?;
    loading.need_rules()?;
    let broken = loading.has_errors();
    let rules = evaluated(loading.rules);
    let omitted_stages = super::explain::stages(&args.omit_stage)?;
    // A misspelt name is said now, not when the logs before it are read.
    args.logs.iter().try_for_each(|path| log_file::check(path))?;
    let order = Order {
        rules: &rules,
        context: Context { cluster: args.cluster.as_deref(), omitted_stages: &omitted_stages },
        reading: if args.strict { Reading::Whole } else { Reading::Enough },
        print_matches: args.matches,
    };
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let progress = progress_bar(args);
    let started = Instant::now();
    let mut report = Report::new(&order, &args.logs, &progress, out);
    let read = judge(&order, Logs::new(&args.logs, &progress, Limits::default()), jobs, &mut report);
    let (ledger, totals) = report.into_parts();
    progress.finish_and_clear();
    if !args.matches {
        AlertList::take(&ledger).print(args.output, out)?;
    }
    out.flush()?;
    say!("{}", totals.summary(started.elapsed().as_secs_f64()));
    read.map(|()| Outcome::from(!broken))
}

fn evaluated(rules: Vec<Loaded>) -> LoadedRules {
    let evaluated = rules.into_iter().filter(|rule| rule.object.spec.mode != Mode::Disabled);
    evaluated
        .map(|rule| LoadedRule {
            rule: Arc::new(rule.compiled.rule),
            facts: Arc::new((&rule.object).into()),
            mode: rule.object.spec.mode,
        })
        .collect()
}

/// Judges the logs to their end, a chunk a thread at a time.
fn judge(
    order: &Order<'_>,
    mut logs: Logs<'_>,
    jobs: NonZeroUsize,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    in_turn(
        jobs,
        || Judged::new(order),
        |judged| logs.read(&mut judged.chunk),
        Judged::judge,
        |judged| report.take(judged),
    )
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
