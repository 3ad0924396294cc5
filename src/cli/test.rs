//! `tripline test`: runs the cases that rules bring along in `spec.tests`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use tabwriter::TabWriter;

use super::load::{self, Loaded};
use super::terminal::{self, say};
use super::{Outcome, Output};
use crate::api::Expectation;
use crate::controller::rule_tests::{TestOutcome, run_tests};
use crate::detect::{self, Context};
use crate::event::{Event, Tape};

/// Options of `tripline test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline test rules/
  tripline test --output json rules/ | jq 'select(.ok | not)'

A case states what the query says of an event: Match, NoMatch, or Unknown where a body that it needs \
was not logged. A case that fails is followed by the query as a tree with each part's value.

Exit codes: 0 all passed, 1 a case failed or a rule has an error, 2 a path cannot be read or holds no rule.")]
pub(super) struct Args {
    /// Files and folders with rules; `-` reads standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    installation: load::Installation,
    /// How results are printed
    #[arg(short, long, value_enum, default_value_t = Output::Text, env = "TRIPLINE_OUTPUT")]
    output: Output,
}

/// The machine-readable form: one line a case.
#[derive(Serialize)]
struct Line<'a> {
    rule: &'a str,
    test: &'a str,
    expected: Expectation,
    got: Option<Expectation>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let rules = load::load(&args.paths, args.installation)?;
    rules.report_errors()?;
    rules.need_rules()?;
    let results: Vec<_> = rules
        .rules
        .iter()
        .map(|loaded| (loaded, run_tests(&loaded.compiled.rule, &loaded.object.spec.tests, || true)))
        .collect();
    match args.output {
        Output::Text => print_table(&results, out)?,
        Output::Json => print_json(&results, out)?,
    }
    out.flush()?;
    let cases = results.iter().map(|(_, outcomes)| outcomes.len()).sum::<usize>();
    let failed = results.iter().flat_map(|(_, outcomes)| outcomes).filter(|outcome| !outcome.ok()).count();
    for (loaded, _) in results.iter().filter(|(_, outcomes)| outcomes.is_empty()) {
        say!("{}: no tests", terminal::line(name(loaded)));
    }
    let broken = rules.count - rules.rules.len();
    let broken = if broken > 0 {
        format!(", {} not run because of errors", load::counted(broken, "rule"))
    } else {
        String::new()
    };
    say!("{}: {}, {failed} failed{broken}", rules.summary(), load::counted(cases, "case"));
    Ok(Outcome::from(failed == 0 && !rules.has_errors()))
}

fn name(loaded: &Loaded) -> &str {
    loaded.object.metadata.name.as_deref().unwrap_or_default()
}

fn print_json(results: &[(&Loaded, Vec<TestOutcome>)], out: &mut dyn Write) -> anyhow::Result<()> {
    for (loaded, outcomes) in results {
        for outcome in outcomes {
            let line = Line {
                rule: name(loaded),
                test: &outcome.name,
                expected: outcome.expected,
                got: outcome.got.as_ref().ok().copied(),
                ok: outcome.ok(),
                error: outcome.got.as_ref().err().map(ToString::to_string),
            };
            writeln!(out, "{}", terminal::json(&line)?)?;
        }
    }
    Ok(())
}

fn print_table(results: &[(&Loaded, Vec<TestOutcome>)], out: &mut dyn Write) -> anyhow::Result<()> {
    if results.iter().any(|(_, outcomes)| !outcomes.is_empty()) {
        let mut table = TabWriter::new(&mut *out).minwidth(0).padding(2);
        writeln!(table, "RULE\tTEST\tEXPECTED\tGOT\tRESULT")?;
        for (loaded, outcomes) in results {
            for outcome in outcomes {
                let got = outcome.got.as_ref().map_or_else(|_| "-".to_owned(), |got| format!("{got:?}"));
                let (rule, test) = (terminal::line(name(loaded)), terminal::line(&outcome.name));
                let result = if outcome.ok() { "ok" } else { "FAILED" };
                writeln!(table, "{rule}\t{test}\t{:?}\t{got}\t{result}", outcome.expected)?;
            }
        }
        table.flush()?;
    }
    for (loaded, outcomes) in results {
        for (outcome, test) in
            outcomes.iter().zip(&loaded.object.spec.tests).filter(|(outcome, _)| !outcome.ok())
        {
            let (rule, name) = (terminal::line(name(loaded)), terminal::line(&outcome.name));
            writeln!(out, "\n{rule}: {name}")?;
            match &outcome.got {
                Ok(got) => {
                    writeln!(out, "expected {:?}, got {got:?}:", outcome.expected)?;
                    write!(out, "{}", terminal::lines(&explain(loaded, &test.event)?))?;
                }
                Err(error) => writeln!(out, "{}", terminal::line(&error.to_string()))?,
            }
        }
    }
    Ok(())
}

fn explain(loaded: &Loaded, event: &serde_json::Value) -> anyhow::Result<String> {
    let text = serde_json::to_string(event)?;
    let mut tape = Tape::default();
    let event = Event::from_object(&text, &mut tape).context("the test's event cannot be read")?;
    Ok(detect::explain(&loaded.compiled.rule, &event, &Context::default()).to_string())
}
