//! The command line, one file a subcommand.
//!
//! Data goes to standard output, everything else to standard error. The exit code is 0 when all is well, 1 when
//! rules or tests have errors, 2 when the command or its input cannot be used.

mod alert_list;
mod alerts;
mod audit_policy;
mod canary;
mod completion;
mod coverage;
pub mod crds;
mod document;
mod explain;
mod finding;
mod lint;
mod load;
mod log_file;
mod metadata;
mod output_args;
mod replay;
mod rule_files;
mod run;
mod scalar;
mod schema;
mod terminal;
mod test;
mod webhook_config;

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use self::terminal::say;
use crate::telemetry::Chain;

/// Detection rules over the Kubernetes audit log.
#[derive(Debug, Parser)]
#[command(
    name = "tripline",
    version,
    about = "Detection rules over the Kubernetes audit log",
    long_about = "Detection rules over the Kubernetes audit log.\n\n\
        Rules are DetectionRule objects with a query in KQL. `run` is the operator that evaluates a cluster's rules on its \
        audit log, `canary` tries it, and `alerts` is for what it finds; every other command works on files, without a \
        cluster.",
    after_help = "Examples:
  tripline lint rules/                               check every rule below a folder
  tripline test rules/                               run the cases that the rules bring along
  tripline replay --rules rules/ audit.log           what do the rules make of this log?
  tripline explain --rule rule.yaml event.json       why does this event match, or not?
  tripline audit-policy --rules rules/               what must the API server log for them?
  tripline coverage rules/                           which techniques do the rules detect?
  tripline crds | kubectl apply -f -                 install the kinds
  tripline run --node \"$NODE_NAME\"                   run the operator
  tripline alerts list --state Open                  what has been found, and is to be looked at?

Exit codes:
  0  all is well
  1  a rule has an error, or a test failed
  2  the command is wrong, or its input cannot be read

Every flag can be set by an environment variable, which its help names.",
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator: read audit logs and record what rules find
    // Boxed, because it has the most options by far.
    Run(Box<run::Args>),
    /// Run rules over logs that are already written
    Replay(replay::Args),
    /// Check rule files and say where and how they are wrong
    Lint(lint::Args),
    /// Run the tests that rules bring along
    Test(test::Args),
    /// Show which techniques rules detect, which are on, and what they need
    Coverage(coverage::Args),
    /// Show how a rule judges an event, step by step
    Explain(explain::Args),
    /// Look at alerts and triage them
    Alerts(alerts::Args),
    /// Make a request that a rule waits for, and wait for its alert
    Canary(canary::Args),
    /// Print the audit policy that rules need, or check one
    AuditPolicy(audit_policy::Args),
    /// Print what kube-apiserver needs to send its audit log to a webhook
    WebhookConfig(webhook_config::Args),
    /// Print the CustomResourceDefinitions
    Crds(crds::Args),
    /// Print a completion script for a shell
    Completion(completion::Args),
}

/// What a command came to, apart from failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Exit code 0.
    Fine,
    /// Exit code 1: a rule has an error, or a test failed.
    Findings,
}

impl From<bool> for Outcome {
    fn from(fine: bool) -> Self {
        if fine { Self::Fine } else { Self::Findings }
    }
}

/// How findings and results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches(&command(program()).get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let mut out = BufWriter::new(io::stdout());
    let outcome = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Replay(args) => replay::run(&args, &mut out),
        Command::Lint(args) => lint::run(&args, &mut out),
        Command::Test(args) => test::run(&args, &mut out),
        Command::Coverage(args) => coverage::run(&args, &mut out),
        Command::Explain(args) => explain::run(&args, &mut out),
        Command::Alerts(args) => alerts::run(&args, &mut out),
        Command::Canary(args) => canary::run(&args),
        Command::AuditPolicy(args) => audit_policy::run(&args, &mut out),
        Command::WebhookConfig(args) => webhook_config::run(&args, &mut out),
        Command::Crds(args) => crds::run(&args, &mut out),
        Command::Completion(args) => Ok(completion::run(&args, &mut out)),
    };
    // What was found before a failure is still printed.
    let flushed = out.flush().map_err(anyhow::Error::from);
    match outcome.and_then(|outcome| flushed.map(|()| outcome)) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        // The reader went away, as `head` does: there is nobody left to tell.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say!("error: {}", terminal::line(&Chain(error.as_ref()).to_string()));
            ExitCode::from(2)
        }
    }
}

/// How this program is called by who uses it: kubectl runs one that is called `kubectl-tripline` as `kubectl tripline`.
fn program() -> &'static str {
    let path = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_default();
    let is_plugin = path.file_stem().is_some_and(|name| name.as_encoded_bytes().starts_with(b"kubectl-"));
    if is_plugin { "kubectl tripline" } else { "tripline" }
}

/// The command line, whose help calls the program so.
fn command(program: &'static str) -> clap::Command {
    let command = Cli::command();
    if program == command.get_name() { command } else { renamed(command, program).bin_name(program) }
}

/// The same with examples that call the program so.
fn renamed(command: clap::Command, program: &str) -> clap::Command {
    let examples = command
        .get_after_help()
        .map(|help| help.to_string().replace("  tripline ", &format!("  {program} ")));
    let command = command.mut_subcommands(|sub| renamed(sub, program));
    match examples {
        Some(examples) => command.after_help(examples),
        None => command,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        for command in Cli::command().get_subcommands() {
            check_flags(command);
        }
    }

    #[test]
    fn the_paragraphs_of_the_help_are_as_wide_as_the_terminal() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().collect();
            let is_text = |line: &str| !line.is_empty() && !line.starts_with("  ");
            for pair in lines.windows(2) {
                // A line that is broken here is broken again where the terminal is narrower.
                assert!(!(is_text(pair[0]) && is_text(pair[1])), "{}: {pair:?}", command.get_name());
            }
            assert!(
                lines.iter().all(|line| is_text(line) || line.len() <= 100),
                "{}: a long example in {help}",
                command.get_name()
            );
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn every_flag_of_the_operator_is_in_its_page() {
        let page = include_str!("../../docs/operating.md");
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for flag in run.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(flag == "help" || page.contains(&format!("`--{flag}`")), "--{flag}");
        }
    }

    fn check_flags(command: &clap::Command) {
        for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let id = argument.get_id().as_str();
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            assert!(
                matches!(id, "help" | "version")
                    || variable.is_some_and(|name| name.starts_with("TRIPLINE_")),
                "{} --{id}",
                command.get_name()
            );
        }
        command.get_subcommands().for_each(check_flags);
    }

    #[test]
    fn as_a_plugin_its_help_says_how_it_is_called() {
        let mut plugin = command("kubectl tripline");
        plugin.build();
        let help = plugin.render_long_help().to_string();
        assert!(
            help.contains("Usage: kubectl tripline") && help.contains("\n  kubectl tripline lint rules/"),
            "{help}"
        );
        let alerts = plugin.find_subcommand_mut("alerts").unwrap().render_help().to_string();
        assert!(
            alerts.contains("Usage: kubectl tripline alerts") && !alerts.contains("\n  tripline "),
            "{alerts}"
        );
    }
}
