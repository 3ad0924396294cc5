//! `tripline audit-policy`: the API server's audit policy that rules need.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::load::{self, Loaded};
use super::terminal::{self, say};
use super::{Outcome, Output};
use crate::api::Mode;
use crate::detect::Rule;
use crate::event::Stage;
use crate::policy::{self, Breadth, Kinds, Policy};

/// Options of `tripline audit-policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline audit-policy --rules rules/ >audit-policy.yaml
  tripline audit-policy --rules rules/ --check /etc/kubernetes/audit-policy.yaml
  tripline audit-policy --rules rules/ --base site.yaml >merged.yaml
  kubectl get detectionrules -o yaml | tripline audit-policy --rules - --check site.yaml

Rules that are disabled need nothing; --all counts them in.

Exit codes: 0 the policy is printed, or blinds no rule; 1 a rule has an error, or is blinded; 2 a file cannot be used.")]
pub(super) struct Args {
    /// Files and folders with rules; `-` reads standard input
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", env = "TRIPLINE_RULES")]
    rules: Vec<PathBuf>,
    /// Say which rules this policy blinds, instead of printing one
    #[arg(long, value_name = "FILE", conflicts_with = "base", env = "TRIPLINE_AUDIT_POLICY_CHECK")]
    check: Option<PathBuf>,
    /// Put what the rules need into this policy; it goes on to log all that it logs
    #[arg(long, value_name = "FILE", conflicts_with = "quiet", env = "TRIPLINE_AUDIT_POLICY_BASE")]
    base: Option<PathBuf>,
    /// Leave out the cluster's heartbeat and its own parts' reads even where rules on all kinds of requests see them;
    /// with --check, do not miss them
    #[arg(long, env = "TRIPLINE_AUDIT_POLICY_QUIET")]
    quiet: bool,
    /// A stage that the AuditSource omits, repeatable: what is decided then is decided at another
    #[arg(long, value_name = "STAGE", value_delimiter = ',', env = "TRIPLINE_OMIT_STAGES")]
    omit_stage: Vec<String>,
    /// Count disabled rules in
    #[arg(long, env = "TRIPLINE_AUDIT_POLICY_ALL")]
    all: bool,
    /// How --check prints what it finds
    #[arg(short, long, value_enum, default_value_t = Output::Text, env = "TRIPLINE_OUTPUT")]
    output: Output,
}

/// The machine-readable form of `--check`: one line a rule that is blinded.
#[derive(Serialize)]
struct Blinded<'a> {
    rule: &'a str,
    reasons: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let loaded = load::load(&args.rules, load::Installation::default())?;
    loaded.report_errors()?;
    loaded.need_rules()?;
    let is_on = |rule: &&Loaded| args.all || rule.object.spec.mode != Mode::Disabled;
    let rules: Vec<&Rule> = loaded.rules.iter().filter(is_on).map(|rule| &rule.compiled.rule).collect();
    let left_out = loaded.rules.len() - rules.len();
    let left_out = if left_out > 0 { format!(", {left_out} disabled") } else { String::new() };
    let summary = format!("{}{left_out}", loaded.summary());
    let omitted = super::explain::stages(&args.omit_stage)?;
    let breadth = if args.quiet { Breadth::Quiet } else { Breadth::Complete };
    let is_fine = match (&args.check, &args.base) {
        (Some(path), _) => {
            let blinded = check((&rules, &omitted, breadth), (&read(path)?, path), args.output, out)?;
            out.flush()?;
            say!("{summary}: {} blinded", load::counted(blinded, "rule"));
            blinded == 0
        }
        (None, Some(path)) => {
            let merged = policy::merge(&read(path)?, &rules, &omitted);
            let comment =
                format!("{} with what Tripline's rules need; nothing is logged less.", path.display());
            out.write_all(merged.to_yaml(&terminal::line(&comment)).as_bytes())?;
            out.flush()?;
            say!("{summary}");
            remaining(&rules, &merged, &omitted, breadth)
        }
        (None, None) => {
            let made = policy::generate(&rules, breadth);
            out.write_all(made.to_yaml(COMMENT).as_bytes())?;
            out.flush()?;
            say!("{summary}");
            remaining(&rules, &made, &omitted, breadth)
        }
    };
    Ok(Outcome::from(is_fine && !loaded.has_errors()))
}

const COMMENT: &str = "An audit policy for kube-apiserver (--audit-policy-file): what Tripline's rules look at. The first \
                       entry that fits a request decides. Made by `tripline audit-policy`.";

fn read(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    Policy::parse(&text).with_context(|| format!("failed to use {}", path.display()))
}

/// How many rules are blinded.
fn check(
    (rules, omitted, breadth): (&[&Rule], &[Stage], Breadth),
    (policy, path): (&Policy, &Path),
    output: Output,
    out: &mut dyn Write,
) -> anyhow::Result<usize> {
    let kinds = Kinds::of(rules, &[policy]);
    let mut blinded = 0;
    for rule in rules {
        let lacks = policy::check(rule, policy, &kinds, omitted, breadth);
        if lacks.is_empty() {
            continue;
        }
        blinded += 1;
        let reasons = policy::words(rule, &lacks, Some(policy));
        match output {
            Output::Json => {
                writeln!(out, "{}", terminal::json(&Blinded { rule: rule.name(), reasons })?)?;
            }
            Output::Text => {
                for reason in reasons {
                    let path = path.display().to_string();
                    let (path, rule) = (terminal::line(&path), terminal::line(rule.name()));
                    writeln!(out, "{path}: {rule}: {}", terminal::line(&reason))?;
                }
            }
        }
    }
    Ok(blinded)
}

/// Says what the policy cannot give; whether that is nothing.
fn remaining(rules: &[&Rule], policy: &Policy, omitted: &[Stage], breadth: Breadth) -> bool {
    let kinds = Kinds::of(rules, &[policy]);
    let mut is_fine = true;
    for rule in rules {
        for reason in policy::words(rule, &policy::check(rule, policy, &kinds, omitted, breadth), None) {
            is_fine = false;
            let rule = terminal::line(rule.name());
            say!("{rule} still lacks what no line can give safely: {}", terminal::line(&reason));
        }
    }
    is_fine
}
