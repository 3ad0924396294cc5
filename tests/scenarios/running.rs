//! Scenarios at work on a control plane.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::certificates::Authority;
use super::scenario::Scenario;
use super::support::operator::{install_kinds, list};
use super::support::{ControlPlane, Options, wait_for};

/// How many run at a time.
const AT_A_TIME: usize = 4;

/// The control plane that they run on, with this policy.
pub(crate) fn options(authority: &Authority, policy: String) -> Options {
    Options {
        audit_policy: Some(policy),
        api_server_arguments: vec![
            format!("--client-ca-file={}", authority.certificate().display()),
            "--enable-bootstrap-token-auth".to_owned(),
        ],
        controllers: true,
        ..Options::default()
    }
}

/// Runs what is prepared. The files go to this folder.
pub(crate) fn run(
    plane: &ControlPlane,
    scenarios: &[Scenario],
    authority: &Authority,
    folder: &Path,
) -> Vec<Result<()>> {
    in_parallel(AT_A_TIME, scenarios, |scenario| Run::new(plane, scenario, authority, folder)?.run())
}

/// Tripline's kinds, and for each scenario a namespace, its actor's rights and a pod.
pub(crate) fn prepare(plane: &ControlPlane, scenarios: &[Scenario]) -> Result<()> {
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

/// The log, once all that was asked for until now is in it. The last request bears this name, and is one that every
/// policy of Tripline's logs.
pub(crate) fn logged(plane: &ControlPlane, last: &str) -> Result<Vec<Value>> {
    let nothing = plane.folder().join("nothing.json");
    fs::write(&nothing, "{}")?;
    let path = format!("/apis/tripline.dev/v1alpha1/securityalerts/{last}");
    // It is asked anew while it is not there: on a busy machine kubectl may not have reached the server.
    wait_for("the last request", Duration::from_mins(1), || {
        let nothing = nothing.to_str()?;
        plane.kubectl("admin", &["replace", "--raw", &path, "--filename", nothing]).ok()?;
        let events = plane.audit_events().ok()?;
        events.iter().any(|event| event["objectRef"]["name"] == last).then_some(events)
    })
}

/// What becomes of each, some at a time.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    workers: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
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
