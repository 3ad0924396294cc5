//! The proof of the library: for each rule a script of real commands against a real API server, whose audit log is
//! written by the policy that `tripline audit-policy` makes, and after which exactly the rules fire that the script
//! says. Without any one line of the policy one does not.
//!
//! `tests/scenarios/README.md` says how to write one. `TRIPLINE_SCENARIOS=exec cargo test --test scenarios` runs those
//! with such a name only; `UPDATE_MATRIX=1` writes `tests/scenarios/matrix.md` anew.
mod support;

#[path = "scenarios/certificates.rs"]
mod certificates;
#[path = "scenarios/judging.rs"]
mod judging;
#[path = "scenarios/policies.rs"]
mod policies;
#[path = "scenarios/running.rs"]
mod running;
#[path = "scenarios/scenario.rs"]
mod scenario;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use certificates::Authority;
use judging::{Judge, Parts};
use policies::{Proof, live};
use running::{in_parallel, logged, options, prepare, run};
use scenario::{AGAIN, EVERYDAY, Scenario, files, place};
use support::ControlPlane;
use support::clock::Clock;
use tripline::policy::Policy;

#[test]
fn every_rule_has_a_scenario() -> Result<()> {
    let places = |folder, ending| {
        files(folder, ending)?.iter().map(|path| place(path)).collect::<Result<BTreeSet<_>>>()
    };
    let (rules, mut scenarios) = (places("rules", "yaml")?, places("tests/scenarios", "sh")?);
    scenarios.retain(|(tactic, _)| tactic != EVERYDAY && tactic != AGAIN);
    let without: Vec<_> = rules.difference(&scenarios).collect();
    let left_over: Vec<_> = scenarios.difference(&rules).collect();
    ensure!(without.is_empty() && left_over.is_empty(), "no scenario: {without:?}; no rule: {left_over:?}");
    let names: BTreeSet<_> = rules.into_iter().map(|(_, name)| name).collect();
    for scenario in Scenario::all()? {
        let unknown: Vec<_> = scenario.also.keys().filter(|rule| !names.contains(*rule)).collect();
        ensure!(unknown.is_empty(), "{} fires rules that do not exist: {unknown:?}", scenario.name);
    }
    Ok(())
}

#[test]
fn the_matrix_is_what_the_scenarios_say() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/matrix.md");
    let matrix = matrix(&Scenario::all()?)?;
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        fs::write(&path, &matrix)?;
    }
    ensure!(
        fs::read_to_string(&path)? == matrix,
        "it is not: UPDATE_MATRIX=1 cargo test --test scenarios matrix"
    );
    Ok(())
}

/// Scenario by scenario, which rules fire besides its own, and why that is right.
fn matrix(scenarios: &[Scenario]) -> Result<String> {
    let mut disabled = BTreeSet::new();
    for path in files("rules", "yaml")? {
        if fs::read_to_string(&path)?.contains(judging::DISABLED) {
            disabled.insert(place(&path)?.1);
        }
    }
    let marked = |rule: &str| format!("`{rule}`{}", if disabled.contains(rule) { "¹" } else { "" });
    let mut text = "# Which rule fires in which scenario\n\nWritten by `UPDATE_MATRIX=1 cargo test --test scenarios \
                    matrix`. Each rule fires in the scenario of its name; what fires besides is here. ¹ ships \
                    disabled.\n\n| scenario | what is done | fires besides | because |\n|---|---|---|---|\n"
        .to_owned();
    for scenario in scenarios {
        let name =
            if scenario.is_again { format!("{AGAIN}: `{}`", scenario.name) } else { marked(&scenario.name) };
        let title = &scenario.title;
        if scenario.is_everyday {
            writeln!(text, "| {EVERYDAY}: {name} | {title} | nothing that is on by default | |")?;
        } else if scenario.also.is_empty() {
            writeln!(text, "| {name} | {title} | | |")?;
        }
        for (at, (rule, reason)) in scenario.also.iter().enumerate() {
            let (name, title) = if at == 0 { (name.as_str(), title.as_str()) } else { ("", "") };
            writeln!(text, "| {name} | {title} | {} | {reason} |", marked(rule))?;
        }
    }
    Ok(text)
}

#[test]
fn each_scenario_fires_exactly_the_rules_it_says_and_not_without_a_line_of_the_policy() -> Result<()> {
    let mut scenarios = Scenario::all()?;
    let part = std::env::var("TRIPLINE_SCENARIOS").ok();
    if let Some(part) = &part {
        scenarios.retain(|scenario| scenario.name.contains(part));
        ensure!(!scenarios.is_empty(), "no scenario has {part:?} in its name");
    }
    let folder = tempfile::tempdir()?;
    let authority = Authority::make(folder.path())?;
    let judge = Judge::new(folder.path())?;
    let text = judge.policy(&[])?;
    let policy = Policy::parse(&text)?;
    let mut clock = Clock::start();
    let events = ControlPlane::with(options(&authority, text), |plane| {
        prepare(plane, &scenarios)?;
        let runs = run(plane, &scenarios, &authority, folder.path());
        let events = logged(plane, "the-last-one")?;
        clock.took("all scenarios");
        let parts = Parts::split(&scenarios, events.clone())?;
        let mut problems = in_parallel(2, &parts.of_scenarios, |part| judge.compare(part));
        problems.push(judge.keep_quiet("the cluster's own parts", &parts.rest));
        all_well(runs.into_iter().chain(problems))?;
        Ok(events)
    })?;
    clock.took("judging");
    let proof = Proof::new(&scenarios, &judge, &policy, events)?;
    proof.is_judged_alike_under_others()?;
    clock.took("other policies");
    if part.is_none() {
        let lacking = proof.without_a_line()?;
        clock.took("policies with a line less");
        live(&lacking, &judge, &authority, folder.path())?;
        clock.took("the same, live");
    }
    Ok(())
}

/// Fails with everything that went wrong.
fn all_well(outcomes: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let problems: Vec<_> =
        outcomes.into_iter().filter_map(|outcome| outcome.err().map(|error| format!("{error:#}"))).collect();
    ensure!(problems.is_empty(), "{} problems:\n\n{}", problems.len(), problems.join("\n\n"));
    Ok(())
}
