//! The proof of the library: for each rule a script of real commands against a real API server with the audit policy
//! of the documents, after which exactly the rules fire that the script says.
//!
//! `tests/scenarios/README.md` says how to write one. `TRIPLINE_SCENARIOS=exec cargo test --test scenarios` runs those
//! with such a name only; `UPDATE_MATRIX=1` writes `tests/scenarios/matrix.md` anew.
mod support;

#[path = "scenarios/certificates.rs"]
mod certificates;
#[path = "scenarios/judging.rs"]
mod judging;
#[path = "scenarios/scenario.rs"]
mod scenario;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use certificates::Authority;
use judging::{Judge, Parts};
use scenario::{EVERYDAY, Scenario, files, place};
use serde_json::{Value, json};
use support::operator::{install_kinds, list};
use support::{ControlPlane, Options, wait_for};

/// How many run at a time.
const AT_A_TIME: usize = 4;

#[test]
fn every_rule_has_a_scenario() -> Result<()> {
    let places = |folder, ending| {
        files(folder, ending)?.iter().map(|path| place(path)).collect::<Result<BTreeSet<_>>>()
    };
    let (rules, mut scenarios) = (places("rules", "yaml")?, places("tests/scenarios", "sh")?);
    scenarios.retain(|(tactic, _)| tactic != EVERYDAY);
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
        let (name, title) = (marked(&scenario.name), &scenario.title);
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
fn each_scenario_fires_exactly_the_rules_it_says() -> Result<()> {
    let mut scenarios = Scenario::all()?;
    if let Ok(part) = std::env::var("TRIPLINE_SCENARIOS") {
        scenarios.retain(|scenario| scenario.name.contains(&part));
        ensure!(!scenarios.is_empty(), "no scenario has {part:?} in its name");
    }
    let folder = tempfile::tempdir()?;
    let authority = Authority::make(folder.path())?;
    let options = Options {
        audit_policy: Some(audit_policy()?),
        api_server_arguments: vec![
            format!("--client-ca-file={}", authority.certificate().display()),
            "--enable-bootstrap-token-auth".to_owned(),
        ],
        controllers: true,
        ..Options::default()
    };
    ControlPlane::with(options, |plane| {
        prepare(plane, &scenarios)?;
        let runs = in_parallel(AT_A_TIME, &scenarios, |scenario| {
            Run::new(plane, scenario, &authority, folder.path())?.run()
        });
        let judge = Judge::new(folder.path())?;
        let parts = Parts::split(&scenarios, logged(plane)?)?;
        let mut problems = in_parallel(2, &parts.of_scenarios, |part| judge.compare(part));
        problems.push(judge.keep_quiet("the cluster's own parts", &parts.rest));
        let problems: Vec<_> = runs
            .into_iter()
            .chain(problems)
            .filter_map(|outcome| outcome.err().map(|error| format!("{error:#}")))
            .collect();
        ensure!(problems.is_empty(), "{} problems:\n\n{}", problems.len(), problems.join("\n\n"));
        Ok(())
    })
}

/// The policy of the documents, and what one rule asks for besides, which is off by default.
fn audit_policy() -> Result<String> {
    let policy = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit-policy.yaml"))?;
    let more = "\nrules:\n  - level: Request\n    namespaces: [credentials-in-configmap]\n    resources:\n      \
                - {group: \"\", resources: [configmaps]}\n";
    ensure!(policy.contains("\nrules:\n"), "the policy has no rules");
    Ok(policy.replacen("\nrules:\n", more, 1))
}

/// Tripline's kinds, and for each scenario a namespace, its actor's rights and a pod.
fn prepare(plane: &ControlPlane, scenarios: &[Scenario]) -> Result<()> {
    install_kinds(plane)?;
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "paper"}})];
    objects.extend(scenarios.iter().flat_map(Scenario::objects));
    plane.apply("admin", &list(&objects))?;
    // No pod is accepted before its account is there.
    wait_for("the service accounts of all namespaces", Duration::from_mins(1), || {
        let wanted = [
            "get",
            "serviceaccounts",
            "--all-namespaces",
            "--output=jsonpath={.items[?(@.metadata.name==\"default\")].metadata.namespace}",
        ];
        let there = plane.run("admin", &wanted).ok()?;
        let there: BTreeSet<_> = there.split(' ').collect();
        scenarios.iter().all(|scenario| there.contains(scenario.name.as_str())).then_some(())
    })?;
    let pods: Vec<_> = scenarios.iter().map(Scenario::pod).collect();
    plane.apply("admin", &list(&pods))?;
    // Nobody listens there: a session begins, and ends with an error.
    let address = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
    }});
    let patch =
        ["patch", "node", "paper", "--subresource=status", "--type=merge", "--patch", &address.to_string()];
    plane.run("admin", &patch).map(drop)
}

/// A scenario that is about to run.
struct Run<'a> {
    scenario: &'a Scenario,
    command: Command,
}

impl<'a> Run<'a> {
    /// Makes its files: certificate, kubeconfig, and a folder for its own.
    fn new(
        plane: &ControlPlane,
        scenario: &'a Scenario,
        authority: &Authority,
        folder: &Path,
    ) -> Result<Self> {
        let name = &scenario.name;
        let (certificate, key) = authority.user(name, &scenario.actor, scenario.group.as_deref())?;
        let scratch = folder.join(format!("{name}.files"));
        fs::create_dir(&scratch)?;
        let admin: Value = serde_json::from_str(&fs::read_to_string(plane.kubeconfig("admin"))?)?;
        let context = |user: &str| json!({"cluster": "test", "user": user, "namespace": name});
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "actor",
            "clusters": admin["clusters"],
            "users": [
                {"name": "administrator", "user": admin["users"][0]["user"]},
                {"name": "actor", "user": {"client-certificate": certificate, "client-key": key}},
            ],
            "contexts": [
                {"name": "actor", "context": context("actor")},
                {"name": "administrator", "context": context("administrator")},
            ],
        });
        let kubeconfig = scratch.join("kubeconfig");
        fs::write(&kubeconfig, config.to_string())?;
        let kubectl = plane.kubectl_command("admin");
        let programs = Path::new(kubectl.get_program()).parent().context("kubectl is in no folder")?;
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("timeout");
        command.args(["120", "bash"]).arg(&scenario.script).current_dir(&scratch);
        for (variable, value) in kubectl.get_envs() {
            command.env(variable, value.unwrap_or_default());
        }
        command
            .env("PATH", path)
            .env("KUBECONFIG", kubeconfig)
            .env("BASH_ENV", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/prelude.sh"))
            .env("NAME", name)
            .env("ACTOR", &scenario.actor)
            .env("API", plane.url())
            .env("CA", plane.folder().join("certificates/apiserver.crt"))
            .env("CERTIFICATE", certificate)
            .env("KEY", key)
            .env("SCRATCH", scratch)
            .stdin(std::process::Stdio::null());
        Ok(Self { scenario, command })
    }

    fn run(mut self) -> Result<()> {
        let output = self.command.output().context("failed to run bash")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            output.status.success(),
            "the script of {} failed ({}):\n{}{}",
            self.scenario.name,
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        Ok(())
    }
}

/// The log, once all that was asked for until now is in it.
fn logged(plane: &ControlPlane) -> Result<Vec<Value>> {
    // It is asked anew while it is not there: on a busy machine kubectl may not have reached the server.
    wait_for("the last request", Duration::from_mins(1), || {
        plane.kubectl("admin", &["get", "namespace", "the-last-one"]).ok()?;
        let events = plane.audit_events().ok()?;
        events.iter().any(|event| event["objectRef"]["name"] == "the-last-one").then_some(events)
    })
}

/// What becomes of each, some at a time.
fn in_parallel<T: Sync, R: Send>(workers: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (waiting, done) = (Mutex::new(items.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(item) = waiting.lock().expect("nobody panics with it").next() else { break };
                    let result = work(item);
                    done.lock().expect("nobody panics with it").push(result);
                }
            });
        }
    });
    done.into_inner().expect("nobody panics with it")
}
