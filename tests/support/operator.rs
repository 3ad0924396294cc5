//! The operator as a test runs it: the built binary, with the account of the chart and what that may.
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::ControlPlane;
use super::helm::Helm;
use super::process::{Server, free_port, memory, wait_for};

/// The namespace of the accounts.
pub(crate) const NAMESPACE: &str = "tripline-system";

/// How long anything that the operator does may take in a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The built program with these arguments, as the administrator runs it.
pub(crate) fn tripline(plane: &ControlPlane, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.env("KUBECONFIG", plane.kubeconfig("admin")).args(arguments);
    command
}

/// The built program. An example has no `CARGO_BIN_EXE_tripline`: there it is in the folder above.
fn program() -> PathBuf {
    option_env!("CARGO_BIN_EXE_tripline").map_or_else(
        || {
            let example = std::env::current_exe().unwrap_or_default();
            example.ancestors().nth(2).unwrap_or(Path::new(".")).join("tripline")
        },
        PathBuf::from,
    )
}

/// A running operator.
pub(crate) struct Operator {
    server: Server,
    port: u16,
}

/// Installs the kinds and the account, and gives the account's kubeconfig.
pub(crate) fn install(plane: &ControlPlane) -> Result<PathBuf> {
    let account = install_account(plane)?;
    install_kinds(plane)?;
    Ok(account)
}

/// Installs the account only, and gives its kubeconfig.
pub(crate) fn install_account(plane: &ControlPlane) -> Result<PathBuf> {
    plane.apply("admin", &list(&permissions("mode=all")?))?;
    plane.add_service_account(NAMESPACE, "tripline")
}

/// The chart's accounts with these values, and what they may.
pub(crate) fn permissions(values: &str) -> Result<Vec<Value>> {
    let mut objects = Helm::new()?.objects(&["--set", values, "--set", "test.enabled=false"])?;
    let kinds = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    objects.retain(|object| kinds.iter().any(|kind| object["kind"] == *kind));
    Ok(objects)
}

/// Objects in one manifest.
pub(crate) fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// Installs the kinds only.
pub(crate) fn install_kinds(plane: &ControlPlane) -> Result<()> {
    let answer = plane.apply("admin", &printed_kinds()?)?;
    ensure!(!answer.contains("Warning"), "the definitions are not accepted without a warning: {answer}");
    plane.await_definitions()
}

/// The definitions, as `tripline crds` prints them.
pub(crate) fn printed_kinds() -> Result<String> {
    let printed = Command::new(program()).arg("crds").output()?;
    ensure!(printed.status.success(), "tripline crds failed");
    Ok(String::from_utf8(printed.stdout)?)
}

/// The audit policy that Tripline makes for the rules in these files.
pub(crate) fn made_policy(rules: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program());
    let output = command.args(["audit-policy", "--rules"]).arg(rules).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// An `AuditSource` for the control plane's log.
pub(crate) fn source(plane: &ControlPlane, name: &str, start_at: &str) -> String {
    source_at(name, &plane.audit_log(), start_at)
}

/// An `AuditSource` for another log.
pub(crate) fn source_at(name: &str, path: &Path, start_at: &str) -> String {
    json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource", "metadata": {"name": name},
        "spec": {"file": {"path": path}, "startAt": start_at},
    })
    .to_string()
}

/// A rule with this query, grouped by user, namespace and object.
pub(crate) fn rule(name: &str, query: &str) -> Value {
    json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": name},
        "spec": {
            "displayName": format!("Rule {name}"), "severity": "Low", "riskScore": 10, "query": query,
            "grouping": {"by": ["user.username", "objectRef.namespace", "objectRef.name"]},
        },
    })
}

/// An exception of its own kind, for one rule.
pub(crate) fn exception(name: &str, rule: &str, query: &str) -> Value {
    json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionException", "metadata": {"name": name},
        "spec": {"rules": {"names": [rule]}, "query": query, "reason": "it is known and allowed"},
    })
}

impl Operator {
    /// Starts the operator and waits until it is ready.
    pub(crate) fn start(plane: &ControlPlane, kubeconfig: &Path) -> Result<Self> {
        let mut operator = Self::launch(plane, kubeconfig)?;
        let port = operator.port;
        operator.server.wait_until(PATIENCE, || get(port, "/readyz").is_ok_and(|answer| answer.0 == 200))?;
        Ok(operator)
    }

    /// Starts the operator. Its state is in the folder of the control plane, so that a second one goes on where the
    /// first stopped.
    pub(crate) fn launch(plane: &ControlPlane, kubeconfig: &Path) -> Result<Self> {
        Self::launch_on(plane, kubeconfig, "control-plane-1", &[])
    }

    /// Starts the operator for a node, with more arguments.
    pub(crate) fn launch_on(
        plane: &ControlPlane,
        kubeconfig: &Path,
        node: &str,
        more: &[&str],
    ) -> Result<Self> {
        Self::launch_at(plane, kubeconfig, node, &plane.folder().join("audit"), more)
    }

    /// Starts the operator for a node that has its logs in this folder, with more arguments.
    pub(crate) fn launch_at(
        plane: &ControlPlane,
        kubeconfig: &Path,
        node: &str,
        logs: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let port = free_port()?;
        let text = |path: &Path| path.display().to_string();
        let arguments = [
            "run",
            "--kubeconfig",
            &text(kubeconfig),
            "--state-dir",
            &text(&plane.folder().join(format!("state-of-{node}"))),
            "--log-root",
            &text(logs),
            "--node",
            node,
            "--listen",
            &format!("127.0.0.1:{port}"),
        ];
        let arguments: Vec<_> = arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect();
        let server = Server::start(&program(), plane.folder(), &arguments)?;
        Ok(Self { server, port })
    }

    /// The value of a sample of `/metrics`.
    pub(crate) fn metric(&self, sample: &str) -> Option<f64> {
        let (_, page) = self.page("/metrics").ok()?;
        page.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .find(|(name, _)| *name == sample)?
            .1
            .parse()
            .ok()
    }

    /// Status and body of a page of the health endpoint.
    pub(crate) fn page(&self, path: &str) -> Result<(u16, String)> {
        get(self.port, path)
    }

    /// Waits until a page of the health endpoint says this.
    pub(crate) fn wait_for_page(&self, path: &str, status: u16, text: &str) -> Result<()> {
        wait_for(&format!("{path} to answer {status} with {text:?}"), PATIENCE, || {
            let (answered, body) = self.page(path).ok()?;
            (answered == status && body.contains(text)).then_some(())
        })
    }

    /// Its resident memory, now and at its peak.
    pub(crate) fn memory(&self) -> Result<String> {
        memory(self.server.id()).map(|memory| memory.to_string())
    }

    /// SIGKILL, at whatever it is doing.
    pub(crate) fn kill(mut self) {
        self.server.stop();
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) fn terminate(mut self) -> Result<()> {
        self.server.terminate(PATIENCE)
    }
}

/// The alerts, oldest first.
pub(crate) fn alerts(plane: &ControlPlane) -> Result<Vec<Value>> {
    let list = plane.get(&["securityalerts", "--sort-by=.metadata.name"])?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// A rule's alerts.
pub(crate) fn of_rule<'a>(alerts: &'a [Value], rule: &str) -> Vec<&'a Value> {
    alerts.iter().filter(|alert| alert["spec"]["detection"]["ruleName"] == rule).collect()
}

/// The sum of the counts of a rule's alerts.
pub(crate) fn counted(alerts: &[Value], rule: &str) -> i64 {
    of_rule(alerts, rule).into_iter().filter_map(|alert| alert["status"]["count"].as_i64()).sum()
}

/// Closes an alert, as a user.
pub(crate) fn close(plane: &ControlPlane, user: &str, alert: &str) -> Result<()> {
    let closed = r#"{"spec":{"triage":{"state":"Closed"}}}"#;
    plane.run(user, &["patch", "securityalert", alert, "--type=merge", "--patch", closed]).map(drop)
}

/// Waits until the alerts are as wanted.
pub(crate) fn wait_for_alerts(
    plane: &ControlPlane,
    what: &str,
    mut wanted: impl FnMut(&[Value]) -> bool,
) -> Result<Vec<Value>> {
    let mut last = Vec::new();
    let outcome = wait_for(what, PATIENCE, || {
        last = alerts(plane).ok()?;
        wanted(&last).then(|| last.clone())
    });
    outcome.with_context(|| format!("the alerts are {last:#?}"))
}

/// A condition of an object; null where there is none.
pub(crate) fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default()
}

/// Waits until a condition of an object has this status and reason, and gives its message.
pub(crate) fn wait_for_condition(
    plane: &ControlPlane,
    (kind, name): (&str, &str),
    (type_, status, reason): (&str, &str, &str),
) -> Result<String> {
    let mut last = Value::Null;
    let waited = wait_for(&format!("{kind} {name} to be {type_}={status} by {reason}"), PATIENCE, || {
        last = condition(&plane.get(&[kind, name]).ok()?, type_);
        let is_it = last["status"] == status && last["reason"] == reason;
        is_it.then(|| last["message"].as_str().unwrap_or_default().to_owned())
    });
    waited.with_context(|| format!("it is {last:#}"))
}

/// The alerts that `tripline replay` makes of a log, with further arguments.
pub(crate) fn replayed(rules: &Path, log: &Path, arguments: &[&str]) -> Result<Vec<Value>> {
    let command = ["replay", "--output=json"];
    let output =
        Command::new(program()).args(command).args(arguments).arg("--rules").args([rules, log]).output()?;
    ensure!(output.status.success(), "replay failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut alerts: Value = serde_json::from_slice(&output.stdout)?;
    match alerts["items"].take() {
        Value::Array(alerts) => Ok(alerts),
        other => bail!("no list of alerts: {other}"),
    }
}

fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP answer")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}
