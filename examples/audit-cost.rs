//! What audit policies cost on a real node: `cargo run --release --example audit-cost -- [SECONDS]`, as root.
//!
//! Each policy has a cluster of its own, with Tripline and a Deployment on it, which is left alone for that time; the
//! bytes that the API server logs meanwhile are told for an hour.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use support::node::images::BUSYBOX;
use support::node::{Node, NodeOptions};
use support::release::Release;
use support::{ControlPlane, Options};

/// How long a cluster is given to come to rest.
const REST: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(120), |text| text.parse())?;
    let everything =
        |level: &str| format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{{level: {level}}}]\n");
    println!("{:<32} {:>12} {:>12}", "policy", "events/h", "bytes/h");
    for (name, policy) in [
        ("docs/audit-policy.yaml", include_str!("../docs/audit-policy.yaml").to_owned()),
        ("Metadata for everything", everything("Metadata")),
        ("RequestResponse for everything", everything("RequestResponse")),
    ] {
        let plane = Options { audit_policy: Some(policy), ..Options::default() };
        Node::with(NodeOptions { plane, ..NodeOptions::default() }, |node| {
            let release = Release::install_in("tripline-system", node, &[])?;
            run_a_deployment(node.plane())?;
            std::thread::sleep(REST);
            let (began, before) = (Instant::now(), logged(node.plane())?);
            std::thread::sleep(Duration::from_secs(seconds));
            let (hours, after) = (began.elapsed().as_secs_f64() / 3600.0, logged(node.plane())?);
            #[allow(clippy::cast_precision_loss, reason = "a log is not that large")]
            let an_hour = |before: usize, after: usize| (after - before) as f64 / hours;
            println!("{name:<32} {:>12.0} {:>12.0}", an_hour(before.0, after.0), an_hour(before.1, after.1));
            release.helm(&["uninstall", "tripline", "--wait"]).map(drop)
        })?;
    }
    Ok(())
}

/// Lines and bytes of the log.
fn logged(plane: &ControlPlane) -> Result<(usize, usize)> {
    let log = fs::read(plane.audit_log())?;
    Ok((memchr::memchr_iter(b'\n', &log).count(), log.len()))
}

fn run_a_deployment(plane: &ControlPlane) -> Result<()> {
    let labels = json!({"app": "web"});
    let container =
        json!({"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sleep", "86400"]});
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
