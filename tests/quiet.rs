//! The rules that are on keep quiet where nothing is wrong: a node comes up, our chart is installed, upgraded and
//! uninstalled, and people roll out the usual things, look at them and remove them.
mod support;

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;
use support::clock::Clock;
use support::node::{Node, NodeOptions, is_possible};
use support::operator::{NAMESPACE, replayed, tripline};
use support::ordinary::roll_out;
use support::projection::request;
use support::release::Release;
use support::{ControlPlane, Options};
use tripline::detect::Level;
use tripline::event::Stage;
use tripline::policy::Policy;

/// What is done on purpose here, and rightly told of: the rule, and how its target begins.
const DELIBERATE: [(&str, &str); 3] = [
    ("admission-control-deleted", "validatingadmissionpolic"),
    // The namespace's label, which the chart's notes ask for: its pods mount the host's log.
    ("pod-security-lowered", "namespaces tripline-system/tripline-system"),
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
        let release = Release::install_in(NAMESPACE, node, &[])?;
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
        is_left_out(plane)?;
        clock.took("judging");
        Ok(())
    })
}

/// Whether each line by which Tripline's policies leave something out does so in this log.
fn is_left_out(plane: &ControlPlane) -> Result<()> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let stage = |event: &Value| event["stage"].as_str().and_then(Stage::from_name);
    let events = plane.audit_events()?;
    let requests: Vec<_> = events.iter().filter_map(|event| Some((request(event), stage(event)?))).collect();
    for arguments in [&[][..], &["--quiet"]] {
        let output = tripline(plane, &["audit-policy", "--rules"]).arg(&rules).args(arguments).output()?;
        let policy = Policy::parse(&String::from_utf8(output.stdout)?)?;
        let logged = |policy: &Policy| {
            requests.iter().filter(|(request, stage)| policy.decide(request).has(*stage)).count()
        };
        let all = logged(&policy);
        for (at, line) in policy.lines.iter().enumerate().filter(|(_, line)| line.level == Level::None) {
            let mut less = policy.clone();
            less.lines.remove(at);
            let more = logged(&less);
            ensure!(more > all, "{all} events, and without this line {more}:\n{}", line.to_yaml());
        }
    }
    Ok(())
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
