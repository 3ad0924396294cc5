//! `tripline coverage`: which techniques of ATT&CK rules detect, which of them are on, and what they need of the log.

mod detections;
mod markdown;
mod navigator;
mod pages;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use tabwriter::TabWriter;

use self::detections::Detections;
use super::load::{self, Loaded};
use super::{Outcome, terminal};
use crate::api::{DetectionRule, Mode, Severity, ThreatReference};
use crate::detect::Level;

/// Options of `tripline coverage`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline coverage rules/
  tripline coverage --output navigator rules/ > layer.json
  tripline coverage --pages site/rules rules/
  kubectl get detectionrules -o yaml | tripline coverage -

The layer is for the ATT&CK Navigator: open it there by `Open Existing Layer`. A technique's score is how many rules \
for it are on.

Exit codes: 0 all is well, 1 a rule has an error and is left out, 2 a path cannot be read or holds no rule.")]
pub(super) struct Args {
    /// Files and folders with rules; `-` reads standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How the coverage is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table, env = "TRIPLINE_OUTPUT")]
    output: Output,
    /// A file with the detections that rules name in `tripline.dev/covers`, for the page of `--output markdown`
    #[arg(long, value_name = "FILE", env = "TRIPLINE_DETECTIONS")]
    detections: Option<PathBuf>,
    /// Write a page a rule into this folder as well, and an index README.md
    #[arg(long, value_name = "FOLDER", env = "TRIPLINE_PAGES")]
    pages: Option<PathBuf>,
}

/// How coverage is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line a technique and rule, for people.
    Table,
    /// The same, one JSON object a line.
    Json,
    /// A layer for the ATT&CK Navigator.
    Navigator,
    /// A page.
    Markdown,
}

/// The framework whose tactics and techniques are told apart.
pub(super) const FRAMEWORK: &str = "MITRE ATT&CK";

/// The tactics of ATT&CK for Enterprise in the order of its matrix.
const TACTICS: [&str; 14] = [
    "TA0043", "TA0042", "TA0001", "TA0002", "TA0003", "TA0004", "TA0005", "TA0006", "TA0007", "TA0008",
    "TA0009", "TA0011", "TA0010", "TA0040",
];

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let loaded = load::load(&args.paths, load::Installation::default())?;
    loaded.report_errors()?;
    loaded.need_rules()?;
    let detections = args.detections.as_deref().map(detections::read).transpose()?;
    let mut rules: Vec<Rule<'_>> = loaded.rules.iter().map(Rule::of).collect();
    rules.sort_by_key(Rule::name);
    let coverage = Coverage::of(&rules);
    match args.output {
        Output::Table => coverage.print_table(out)?,
        Output::Json => coverage.print_json(out)?,
        Output::Navigator => writeln!(out, "{}", navigator::layer(&coverage)?)?,
        Output::Markdown => write!(out, "{}", markdown::page(&coverage, &rules, detections.as_ref()))?,
    }
    if let Some(folder) = &args.pages {
        pages::save_all(folder, &coverage, &rules)?;
    }
    out.flush()?;
    Ok(Outcome::from(!loaded.has_errors()))
}

/// A rule, for what is said of it here.
struct Rule<'a> {
    object: &'a DetectionRule,
    /// The levels of the audit policy at which its requests can be decided, and the verbs of each.
    levels: BTreeMap<Level, Vec<&'static str>>,
}

impl<'a> Rule<'a> {
    fn of(loaded: &'a Loaded) -> Self {
        Self { object: &loaded.object, levels: loaded.compiled.rule.levels() }
    }

    fn name(&self) -> &'a str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    fn mode(&self) -> &'static str {
        match self.object.spec.mode {
            Mode::Alert => "Alert",
            Mode::DryRun => "DryRun",
            Mode::Disabled => "Disabled",
        }
    }

    fn is_on(&self) -> bool {
        self.object.spec.mode != Mode::Disabled
    }

    fn severity(&self) -> Severity {
        self.object.spec.severity
    }

    /// Its levels for people: `Request, RequestResponse for patch`.
    fn level(&self) -> String {
        let least = self.levels.first_key_value().map_or(Level::None, |(level, _)| *level);
        let higher = self
            .levels
            .iter()
            .skip(1)
            .map(|(level, verbs)| format!("{} for {}", level.as_str(), verbs.join("/")));
        std::iter::once(least.as_str().to_owned()).chain(higher).collect::<Vec<_>>().join(", ")
    }
}

/// A technique, or what is found under a tactic alone.
struct Technique<'a> {
    reference: Option<&'a ThreatReference>,
    rules: Vec<&'a Rule<'a>>,
}

/// A tactic with its techniques by their ids; without a reference, the rules that name no tactic.
struct Tactic<'a> {
    reference: Option<&'a ThreatReference>,
    techniques: BTreeMap<&'a str, Technique<'a>>,
}

impl<'a> Tactic<'a> {
    /// Its rules by name, each once.
    fn rules(&self) -> Vec<&'a Rule<'a>> {
        let mut rules: Vec<_> =
            self.techniques.values().flat_map(|technique| technique.rules.iter().copied()).collect();
        rules.sort_by_key(|rule| rule.name());
        rules.dedup_by_key(|rule| rule.name());
        rules
    }
}

/// Tactics in the order of the matrix, those of no known id behind them, and at last the rules without one.
struct Coverage<'a>(BTreeMap<(usize, &'a str), Tactic<'a>>);

impl<'a> Coverage<'a> {
    fn of(rules: &'a [Rule<'a>]) -> Self {
        let mut tactics = BTreeMap::new();
        let mut add = |tactic: Option<&'a ThreatReference>, technique: Option<&'a ThreatReference>, rule| {
            let id = tactic.map_or("", |tactic| tactic.id.as_str());
            let known = TACTICS.iter().position(|known| *known == id).unwrap_or(TACTICS.len());
            let place = (known + usize::from(tactic.is_none()), id);
            let tactic = tactics
                .entry(place)
                .or_insert_with(|| Tactic { reference: tactic, techniques: BTreeMap::new() });
            let id = technique.map_or("", |technique| technique.id.as_str());
            let new = || Technique { reference: technique, rules: Vec::new() };
            tactic.techniques.entry(id).or_insert_with(new).rules.push(rule);
        };
        for rule in rules {
            let threats = rule.object.spec.threat.iter().filter(|threat| threat.framework == FRAMEWORK);
            let mut is_placed = false;
            for threat in threats {
                is_placed = true;
                let techniques = threat.techniques.iter().map(Some);
                let alone = threat.techniques.is_empty().then_some(None);
                techniques.chain(alone).for_each(|technique| add(Some(&threat.tactic), technique, rule));
            }
            if !is_placed {
                add(None, None, rule);
            }
        }
        Self(tactics)
    }

    /// Each technique with its tactic.
    fn techniques(&self) -> impl Iterator<Item = (&Tactic<'a>, &Technique<'a>)> {
        self.0
            .values()
            .flat_map(|tactic| tactic.techniques.values().map(move |technique| (tactic, technique)))
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = |(tactic, technique): (&Tactic<'a>, &'_ Technique<'a>)| {
            let (tactic, reference) = (tactic.reference, technique.reference);
            technique
                .rules
                .iter()
                .map(move |rule| Line {
                    tactic: tactic.map(|tactic| tactic.id.as_str()),
                    tactic_name: tactic.map(|tactic| tactic.name.as_str()),
                    technique: reference.map(|technique| technique.id.as_str()),
                    technique_name: reference.map(|technique| technique.name.as_str()),
                    rule: rule.name(),
                    mode: rule.mode(),
                    severity: rule.severity().as_str(),
                    level: rule.level(),
                    levels: rule.levels.iter().map(|(level, verbs)| (level.as_str(), &verbs[..])).collect(),
                })
                .collect::<Vec<_>>()
        };
        self.techniques().flat_map(lines)
    }

    fn print_json(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        for line in self.lines() {
            writeln!(out, "{}", terminal::json(&line)?)?;
        }
        Ok(())
    }

    fn print_table(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut table = TabWriter::new(out).minwidth(0).padding(2);
        writeln!(table, "TACTIC\tTECHNIQUE\tRULE\tMODE\tSEVERITY\tLEVEL")?;
        for line in self.lines() {
            let named = |id: Option<&str>, name: Option<&str>| match id.zip(name) {
                Some((id, name)) => terminal::line(&format!("{id} {name}")).into_owned(),
                None => "-".to_owned(),
            };
            writeln!(
                table,
                "{}\t{}\t{}\t{}\t{}\t{}",
                named(line.tactic, line.tactic_name),
                named(line.technique, line.technique_name),
                terminal::line(line.rule),
                line.mode,
                line.severity,
                line.level
            )?;
        }
        table.flush()?;
        Ok(())
    }
}

/// A technique and a rule for it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    tactic: Option<&'a str>,
    tactic_name: Option<&'a str>,
    technique: Option<&'a str>,
    technique_name: Option<&'a str>,
    rule: &'a str,
    mode: &'static str,
    severity: &'static str,
    level: String,
    levels: BTreeMap<&'static str, &'a [&'static str]>,
}
