//! The rules that are on keep quiet where nothing is wrong: a node comes up, our chart is installed, upgraded and
//! uninstalled, and people roll out the usual things, look at them and remove them.
mod support;

use std::path::Path;

use anyhow::{Result, ensure};
use support::clock::Clock;
use support::node::{Node, NodeOptions, is_possible};
use support::operator::replayed;
use support::ordinary::roll_out;
use support::release::Release;
use support::{ControlPlane, Options};

/// What is done on purpose here, and rightly told of: the rule, and how its target begins.
const DELIBERATE: [(&str, &str); 3] = [
    ("admission-control-deleted", "validatingadmissionpolic"),
    // The namespace's label, which the chart's notes ask for: its pods mount the host's log.
    ("pod-security-lowered", "namespaces watch/watch"),
    // How the tests' own users get their rights.
    ("powerful-role-bound", "clusterrolebindings test-editors"),
];

#[test]
fn the_rules_that_are_on_say_nothing_of_an_ordinary_day() -> Result<()> {
    if !is_possible()? {
        return Ok(());
    }
    // With bodies and answers of everything: what is not logged raises nothing.
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n".to_owned();
    let plane = Options { audit_log_max_size: 500, audit_policy: Some(policy), ..Options::default() };
    Node::with(NodeOptions { plane, ..NodeOptions::default() }, |node| {
        let mut clock = Clock::start();
        let release = Release::install(node, &[])?;
        clock.took("install");
        release.upgrade(&["clusterName=other"])?;
        clock.took("upgrade");
        let plane = node.plane();
        roll_out(plane)?;
        clock.took("twenty objects");
        look_at(plane)?;
        change(plane)?;
        clock.took("kubectl");
        plane.run("admin", &["delete", "namespace", "shop", "--timeout=2m"])?;
        release.helm(&["uninstall", "tripline", "--wait"])?;
        clock.took("delete and uninstall");
        let alarms = alarms(plane)?;
        ensure!(alarms.is_empty(), "the rules that are on told of an ordinary day:\n{}", alarms.join("\n"));
        Ok(())
    })
}

/// As people look at what they have rolled out.
fn look_at(plane: &ControlPlane) -> Result<()> {
    for arguments in [
        &["get", "all"][..],
        &["get", "pods", "--output=wide"],
        &["get", "deployment", "web", "--output=yaml"],
        &["get", "configmaps,ingresses,networkpolicies,events"],
        &["describe", "deployment", "web"],
        &["describe", "pod", "alone"],
        &["logs", "deployment/web"],
        &["logs", "--selector=app=web", "--tail=5"],
        &["rollout", "history", "deployment/web"],
        &["explain", "deployment.spec"],
        &["auth", "can-i", "create", "deployments"],
        &["diff", "--filename=-"],
    ] {
        // What it comes to does not matter: it was asked.
        plane.kubectl("alice", &[arguments, &["--namespace=shop"]].concat())?;
    }
    for arguments in
        [&["get", "nodes"][..], &["get", "pods", "--all-namespaces"], &["describe", "node", Node::NAME]]
    {
        plane.run("admin", arguments)?;
    }
    Ok(())
}

/// As people change it.
fn change(plane: &ControlPlane) -> Result<()> {
    for arguments in [
        &["scale", "deployment/web", "--replicas=2"][..],
        &["set", "env", "deployment/web", "COLOUR=blue"],
        &["rollout", "status", "deployment/web", "--timeout=2m"],
        &["rollout", "restart", "deployment/web"],
        &["rollout", "status", "deployment/web", "--timeout=2m"],
        &["rollout", "undo", "deployment/web"],
        &["rollout", "status", "deployment/web", "--timeout=2m"],
        &["rollout", "restart", "daemonset/agent"],
        &["label", "pod", "alone", "tier=back"],
        &["annotate", "deployment", "web", "team=shop"],
        &["delete", "pod", "alone"],
    ] {
        plane.run("alice", &[arguments, &["--namespace=shop"]].concat())?;
    }
    Ok(())
}

/// The alerts of Medium or more that the library's rules make of the log, but those of what was meant.
fn alarms(plane: &ControlPlane) -> Result<Vec<String>> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let found = replayed(&rules, &plane.audit_log(), &["--strict"])?;
    // Those are made in every run: the log was judged.
    ensure!(found.len() >= DELIBERATE.len(), "only {} alerts", found.len());
    let alarms = found.iter().map(|alert| &alert["spec"]["detection"]).filter(|detection| {
        let is_meant = |(rule, target): &(&str, &str)| {
            detection["ruleName"] == *rule
                && detection["target"].as_str().is_some_and(|found| found.starts_with(target))
        };
        detection["severity"] != "Low" && !DELIBERATE.iter().any(is_meant)
    });
    Ok(alarms.map(|detection| format!("{detection:#}")).collect())
}
