//! What audit policies cost on a real node: `cargo run --release --example audit-cost -- [SECONDS]`, as root.
//!
//! One cluster, with Tripline and a Deployment on it, logs everything at RequestResponse. For so long (600 s) nobody is
//! at work there, and for as long somebody is. What kube-apiserver would have written of the same requests under other
//! policies is told for an hour. Then it gets one of these policies, and half as long shows that it does.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use support::node::images::BUSYBOX;
use support::node::{Node, NodeOptions};
use support::operator::{NAMESPACE, made_policy};
use support::projection::projected;
use support::release::Release;
use support::{ControlPlane, Options, all_at};
use tripline::policy::Policy;

/// How long a cluster is given to come to rest.
const REST: Duration = Duration::from_secs(30);

/// What the policy comes to that Kubernetes' scripts for Google's cloud made common: bodies of all that is written in the
/// groups that they know, reads of these without the answer. What they say of identities that no cluster has any more,
/// or not this one, is left out.
/// <https://github.com/kubernetes/cloud-provider-gcp/blob/master/cluster/gce/gci/configure-helper.sh>
fn of_google() -> String {
    let known = [
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "extensions",
        "metrics.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    ];
    let known: Vec<Value> = known.iter().map(|group| json!({"group": group})).collect();
    let core = |names: &[&str]| json!([{"group": "", "resources": names}]);
    let controllers = "system:kube-controller-manager";
    let endpoints = "system:serviceaccount:kube-system:endpoint-controller";
    let secret = json!([
        {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
        {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
    ]);
    let lines = json!([
        {"level": "None", "users": ["system:kube-proxy"], "verbs": ["watch"],
         "resources": core(&["endpoints", "services", "services/status"])},
        {"level": "None", "userGroups": ["system:nodes"], "verbs": ["get"],
         "resources": core(&["nodes", "nodes/status"])},
        {"level": "None", "users": [controllers, "system:kube-scheduler", endpoints],
         "verbs": ["get", "update"], "namespaces": ["kube-system"], "resources": core(&["endpoints"])},
        {"level": "None", "users": ["system:apiserver"], "verbs": ["get"],
         "resources": core(&["namespaces", "namespaces/status", "namespaces/finalize"])},
        {"level": "None", "users": [controllers], "verbs": ["get", "list"],
         "resources": [{"group": "metrics.k8s.io"}]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/version", "/swagger*"]},
        {"level": "None", "resources": core(&["events"])},
        {"level": "Request", "userGroups": ["system:nodes"], "verbs": ["update", "patch"],
         "resources": core(&["nodes/status", "pods/status"])},
        {"level": "Request", "users": ["system:serviceaccount:kube-system:namespace-controller"],
         "verbs": ["deletecollection"]},
        {"level": "Metadata", "resources": secret},
        {"level": "Request", "verbs": ["get", "list", "watch"], "resources": known},
        {"level": "RequestResponse", "resources": known},
        {"level": "Metadata"},
    ]);
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": lines,
    })
    .to_string()
}

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(600), |text| text.parse())?;
    let window = Duration::from_secs(seconds);
    let plane = Options {
        audit_log_max_size: 2000,
        audit_policy: Some(all_at("RequestResponse")),
        ..Options::default()
    };
    Node::with(NodeOptions { plane, ..NodeOptions::default() }, |node| {
        let release = Release::install_in(NAMESPACE, node, &[])?;
        let plane = node.plane();
        run_a_deployment(plane)?;
        std::thread::sleep(REST);
        let idle = record(plane, window, || Ok(()))?;
        plane.apply("alice", &cron_job().to_string())?;
        let work = record(plane, window, || be_at_work(plane))?;
        plane.run("alice", &["delete", "cronjob", "often"])?;
        println!("{:<44} {:>9} {:>12} {:>9} {:>12}", "", "idle", "", "at work", "");
        println!("{:<44} {:>9} {:>12} {:>9} {:>12}", "policy", "events/h", "bytes/h", "events/h", "bytes/h");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let generated = made_policy(&rules, &["--quiet"])?;
        for (name, policy) in [
            ("audit-policy --quiet", generated.clone()),
            ("audit-policy --quiet --all", made_policy(&rules, &["--quiet", "--all"])?),
            ("docs/audit-policy.yaml", include_str!("../docs/audit-policy.yaml").to_owned()),
            ("audit-policy", made_policy(&rules, &[])?),
            ("audit-policy --all", made_policy(&rules, &["--all"])?),
            ("of Google's cluster scripts", of_google()),
            ("Metadata for everything", all_at("Metadata")),
            ("RequestResponse for everything", all_at("RequestResponse")),
        ] {
            let policy = Policy::parse(&policy).with_context(|| format!("in the policy {name}"))?;
            row(name, &[idle.under(&policy), work.under(&policy)]);
        }
        let policy = Policy::parse(&all_at("RequestResponse"))?;
        ensure!(idle.under(&policy).bytes == idle.bytes, "kube-apiserver writes the same otherwise");
        node.plane_mut().set_audit_policy(&generated)?;
        node.plane_mut().restart_api_server()?;
        std::thread::sleep(REST * 2);
        let live = record(node.plane(), window / 2, || Ok(()))?;
        row("audit-policy --quiet, as it is written", &[live.under(&Policy::parse(&generated)?)]);
        release.helm(&["uninstall", "tripline", "--wait"]).map(drop)
    })
}

/// What was logged in some time.
struct Recorded {
    events: Vec<Value>,
    bytes: usize,
    hours: f64,
}

/// What is logged of it in that time, and what that is an hour.
#[derive(Clone, Copy)]
struct Cost {
    events: usize,
    bytes: usize,
    hours: f64,
}

impl Recorded {
    fn under(&self, policy: &Policy) -> Cost {
        let found = self.events.iter().filter_map(|event| projected(event, policy));
        let sizes: Vec<usize> = found.map(|event| as_written(&event).len()).collect();
        Cost { events: sizes.len(), bytes: sizes.iter().sum(), hours: self.hours }
    }
}

fn row(name: &str, costs: &[Cost]) {
    print!("{name:<44}");
    for cost in costs {
        #[allow(clippy::cast_precision_loss, reason = "a log is not that large")]
        let an_hour = |count: usize| count as f64 / cost.hours;
        print!(" {:>9.0} {:>12.0}", an_hour(cost.events), an_hour(cost.bytes));
    }
    println!();
}

/// A line of the log, as kube-apiserver escapes it.
fn as_written(event: &Value) -> String {
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    let text = escapes.iter().fold(event.to_string(), |text, (from, to)| text.replace(*from, to));
    text + "\n"
}

/// Does it each minute for so long, and gives what was logged meanwhile.
fn record(plane: &ControlPlane, window: Duration, work: impl Fn() -> Result<()>) -> Result<Recorded> {
    let (began, before) = (Instant::now(), fs::metadata(plane.audit_log())?.len());
    while began.elapsed() < window {
        let next = Instant::now() + Duration::from_mins(1).min(window.saturating_sub(began.elapsed()));
        work()?;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let hours = began.elapsed().as_secs_f64() / 3600.0;
    let log = fs::read_to_string(plane.audit_log())?;
    let new = log.get(usize::try_from(before)?..).context("the log was rotated")?;
    let whole = new.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let events = whole.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(Recorded { events, bytes: whole.len() + 1, hours })
}

/// Somebody looks at what runs, runs a command there, and rolls it out anew.
fn be_at_work(plane: &ControlPlane) -> Result<()> {
    for arguments in [
        &["get", "pods"][..],
        &["describe", "deployment", "web"],
        &["logs", "deployment/web"],
        &["exec", "deployment/web", "--", "true"],
        &["rollout", "restart", "deployment/web"],
        &["rollout", "status", "deployment/web", "--timeout=60s"],
    ] {
        plane.run("alice", arguments)?;
    }
    Ok(())
}

fn run_a_deployment(plane: &ControlPlane) -> Result<()> {
    let labels = json!({"app": "web"});
    let command = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";
    let container = json!({"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", command]});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"tolerations": [{"operator": "Exists"}], "containers": [container]},
            },
        },
    });
    plane.apply("admin", &deployment.to_string())?;
    plane.run("admin", &["rollout", "status", "deployment/web", "--timeout=60s"]).map(drop)
}

/// A Job each minute.
fn cron_job() -> Value {
    let container =
        json!({"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["true"]});
    let pod = json!({
        "restartPolicy": "Never", "tolerations": [{"operator": "Exists"}], "containers": [container],
    });
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "often", "namespace": "default"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    })
}
