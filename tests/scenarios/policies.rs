//! What the scenarios come to under other policies than the one that they ran under, and with a line less.
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tripline::detect::Level;
use tripline::event::Stage;
use tripline::policy::{Line, Policy};

use super::all_well;
use super::certificates::Authority;
use super::judging::{Judge, Part, Parts};
use super::running::{in_parallel, logged, options, prepare, run};
use super::scenario::Scenario;
use super::support::ControlPlane;
use super::support::projection::{level, projected, request};

/// The log of all scenarios, written under the policy for all rules.
pub(crate) struct Proof<'a> {
    judge: &'a Judge,
    parts: Vec<Part<'a>>,
}

/// A policy with a line less, and a scenario that this takes something from.
pub(crate) struct Lacking {
    /// The line.
    line: Line,
    policy: Policy,
    scenario: Scenario,
    /// The rules that still fire.
    fired: BTreeSet<String>,
}

impl<'a> Proof<'a> {
    pub(crate) fn new(
        scenarios: &'a [Scenario],
        judge: &'a Judge,
        policy: &Policy,
        events: Vec<Value>,
    ) -> Result<Self> {
        is_written_by(policy, &events)?;
        Ok(Self { judge, parts: Parts::split(scenarios, events)?.of_scenarios })
    }

    /// The rules that match a part as another policy has it logged.
    fn matching(&self, part: &Part<'_>, policy: &Policy) -> Result<BTreeSet<String>> {
        let events: Vec<_> = part.events.iter().filter_map(|event| projected(event, policy)).collect();
        self.judge.matching(&events)
    }

    /// Whether the same rules fire under a quiet policy, and under that of the documents.
    pub(crate) fn is_judged_alike_under_others(&self) -> Result<()> {
        let quiet = Policy::parse(&self.judge.policy(&["--quiet"])?)?;
        let documents = Policy::parse(&of_the_documents()?)?;
        all_well(in_parallel(2, &self.parts, |part| {
            let before = self.judge.matching(&part.events)?;
            for (name, policy) in [("--quiet", &quiet), ("docs/audit-policy.yaml", &documents)] {
                let found = self.matching(part, policy)?;
                // What a kubelet does all day is left out, and then nothing can be said of it.
                let is_alike = found == before || part.scenario.is_everyday && found.is_subset(&before);
                ensure!(is_alike, "{}: {found:?}, and not {before:?}, under {name}", part.scenario.name);
            }
            Ok(())
        }))
    }

    /// For each line by which something is logged, here and in a quiet policy, that without it a rule does not fire
    /// that should. Gives what shows it, once a scenario.
    pub(crate) fn without_a_line(&self) -> Result<Vec<Lacking>> {
        let mut found: Vec<Lacking> = Vec::new();
        for arguments in [&[][..], &["--quiet"]] {
            let policy = Policy::parse(&self.judge.policy(arguments)?)?;
            let decided = |event| policy.decide(&request(event)).by;
            let by: Vec<Vec<_>> =
                self.parts.iter().map(|part| part.events.iter().map(decided).collect()).collect();
            for (at, line) in policy.lines.iter().enumerate() {
                if line.level == Level::None || is_for_tripline(line) {
                    continue;
                }
                let mut less = policy.clone();
                less.lines.remove(at);
                let parts = self.parts.iter().zip(&by).filter(|(_, by)| by.contains(&Some(at)));
                let lost = self.lost(parts.map(|(part, _)| part), &less, &found)?;
                let (scenario, fired) =
                    lost.with_context(|| format!("every rule fires without this line:\n{}", line.to_yaml()))?;
                if found.iter().all(|lacking| lacking.scenario.name != scenario.name) {
                    found.push(Lacking {
                        line: line.clone(),
                        policy: less,
                        scenario: scenario.clone(),
                        fired,
                    });
                }
            }
        }
        Ok(found)
    }

    /// A scenario in which a rule does not fire under this policy that should, and what fires there; if there is one,
    /// another than these.
    fn lost<'p>(
        &self,
        parts: impl Iterator<Item = &'p Part<'a>>,
        less: &Policy,
        besides: &[Lacking],
    ) -> Result<Option<(&'a Scenario, BTreeSet<String>)>>
    where
        'a: 'p,
    {
        let mut lost = None;
        for part in parts {
            // What the log does not hold cannot be had from it.
            let is_held = |event: &Value| less.decide(&request(event)).level <= level(event);
            ensure!(part.events.iter().all(is_held), "the scenarios ran under a policy that logs less");
            let fired = self.matching(part, less)?;
            if !fired.is_superset(&part.scenario.fires()) {
                let is_new = besides.iter().all(|lacking| lacking.scenario.name != part.scenario.name);
                lost = Some((part.scenario, fired));
                if is_new {
                    break;
                }
            }
        }
        Ok(lost)
    }
}

/// Whether the line is there for Tripline itself and not for a rule: `tests/triage.rs` shows what it is good for.
fn is_for_tripline(line: &Line) -> bool {
    line.resources.iter().any(|resources| resources.group == "tripline.dev")
}

/// The policy of the documents, and what one rule asks for besides, which is off by default.
fn of_the_documents() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-policy.yaml");
    let policy = std::fs::read_to_string(path)?;
    let more = "\nrules:\n  - level: Request\n    namespaces: [credentials-in-configmap]\n    resources:\n      \
                - {group: \"\", resources: [configmaps]}\n";
    ensure!(policy.contains("\nrules:\n"), "the policy has no rules");
    Ok(policy.replacen("\nrules:\n", more, 1))
}

/// Whether each event is logged as the policy is understood here.
fn is_written_by(policy: &Policy, events: &[Value]) -> Result<()> {
    for event in events {
        let decision = policy.decide(&request(event));
        let stage = event["stage"].as_str().and_then(Stage::from_name).context("an event of no stage")?;
        ensure!(
            decision.level == level(event) && decision.has(stage),
            "it should be logged as {decision:?}: {event:#}"
        );
    }
    Ok(())
}

/// Shows on a real API server what each of these policies takes away: the same as was found in the one log.
pub(crate) fn live(lacking: &[Lacking], judge: &Judge, authority: &Authority, folder: &Path) -> Result<()> {
    let folder = folder.join("live");
    std::fs::create_dir(&folder)?;
    let text = |policy: &Policy| policy.to_yaml("A line less.");
    let first = lacking.first().context("no line logs anything")?;
    ControlPlane::with(options(authority, text(&first.policy)), |plane| {
        let scenarios: Vec<_> = lacking.iter().map(|lacking| lacking.scenario.clone()).collect();
        prepare(plane, &scenarios)?;
        for (number, Lacking { line, policy, scenario, fired }) in lacking.iter().enumerate() {
            let about = || format!("{} without\n{}", scenario.name, line.to_yaml());
            if number > 0 {
                plane.set_audit_policy(&text(policy))?;
                plane.restart_api_server()?;
            }
            let before = plane.audit_events()?.len();
            all_well(run(plane, std::slice::from_ref(scenario), authority, &folder))?;
            let events = logged(plane, &format!("the-last-one-{number}"))?.split_off(before);
            is_written_by(policy, &events).with_context(about)?;
            let parts = Parts::split(std::slice::from_ref(scenario), events)?;
            let fires = judge.matching(&parts.of_scenarios[0].events)?;
            ensure!(fires == *fired, "{}: {fires:?} fire, and not {fired:?}", about());
        }
        Ok(())
    })
}
