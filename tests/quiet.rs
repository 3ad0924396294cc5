//! The rules that are on keep quiet where nothing is wrong: a node comes up, our chart is installed, upgraded and
//! uninstalled, people roll out the usual things, look at them and remove them, and the servers do all that they do in
//! an hour, in a hurry: `hour.tsv` says what that is.
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::clock::Clock;
use support::node::images::BUSYBOX;
use support::node::{Node, NodeOptions, Pace, services_are_possible};
use support::operator::{NAMESPACE, list, made_policy, replayed};
use support::ordinary::{Kind, kinds, roll_out};
use support::projection::request;
use support::release::Release;
use support::{ControlPlane, Options, all_at, wait_for};
use tripline::detect::Level;
use tripline::event::Stage;
use tripline::policy::Policy;

const PATIENCE: Duration = Duration::from_mins(2);

/// What is done on purpose here, and rightly told of: the rule, and how its target begins.
const DELIBERATE: [(&str, &str); 4] = [
    ("admission-control-deleted", "validatingadmissionpolic"),
    // The namespace's label, which the chart's notes ask for: its pods mount the host's log.
    ("pod-security-lowered", "namespaces tripline-system/tripline-system"),
    // How the tests' own users get their rights.
    ("powerful-role-bound", "clusterrolebindings test-editors"),
    // And how kubelets get their certificates approved, when a cluster is set up.
    ("powerful-role-bound", "clusterrolebindings kubeadm:node-autoapprove-"),
];

/// What comes less than once an hour, or only when something happens, and is made to happen here: who, the verb, and on
/// what.
const RARE: [(&str, &str, &str); 9] = [
    ("system:node:control-plane-1", "create", "certificatesigningrequests"),
    (
        "system:serviceaccount:kube-system:certificate-controller",
        "update",
        "certificatesigningrequests/approval",
    ),
    (
        "system:serviceaccount:kube-system:certificate-controller",
        "update",
        "certificatesigningrequests/status",
    ),
    ("system:serviceaccount:kube-system:node-controller", "update", "nodes/status"),
    ("system:serviceaccount:kube-system:node-controller", "patch", "nodes"),
    ("system:serviceaccount:kube-system:node-controller", "delete", "pods"),
    ("system:serviceaccount:kube-system:pod-garbage-collector", "delete", "pods"),
    ("system:serviceaccount:kube-system:ttl-after-finished-controller", "delete", "jobs"),
    ("system:serviceaccount:kube-system:generic-garbage-collector", "delete", "pods"),
];

/// What of an hour's requests cannot be hurried, or happens by chance: an event that is the eleventh of its kind within
/// ten minutes, and a Job that is gone before its CronJob's status says so.
const BY_CHANCE: [(&str, &str, &str); 2] = [
    ("system:serviceaccount:kube-system:cronjob-controller", "patch", "events"),
    ("system:serviceaccount:kube-system:cronjob-controller", "get", "cronjobs"),
];

#[test]
fn the_rules_that_are_on_say_nothing_of_an_ordinary_day() -> Result<()> {
    if !services_are_possible()? {
        return Ok(());
    }
    // With bodies and answers of everything: what is not logged raises nothing.
    let policy = Some(all_at("RequestResponse"));
    let plane = Options { audit_log_max_size: 500, audit_policy: policy, ..Options::default() };
    let options = NodeOptions { plane, services: true, pace: Pace::Hastened, ..NodeOptions::default() };
    Node::with(options, |node| {
        let mut clock = Clock::start();
        let release = Release::install_in(NAMESPACE, node, &[])?;
        clock.took("install");
        release.upgrade(&["clusterName=other"])?;
        clock.took("upgrade");
        roll_out(node.plane())?;
        clock.took("twenty objects");
        what_comes_and_goes(node.plane())?;
        node.plane_mut().restart_api_server()?;
        clock.took("another start of kube-apiserver");
        let plane = node.plane();
        look_at(plane)?;
        change(plane)?;
        clock.took("kubectl");
        the_kubelets_certificate_is_renewed(plane)?;
        clock.took("a certificate");
        the_node_is_away(node)?;
        clock.took("an outage of the kubelet");
        an_hour_has_passed(plane)?;
        clock.took("the rest of an hour");
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

/// What ends by itself and is taken away: by the controller of finished Jobs, by that of finished pods, and, when the
/// node does not answer, by that of taints.
fn what_comes_and_goes(plane: &ControlPlane) -> Result<()> {
    let pod = |command: &str, restart: &str, tolerations: Value| {
        json!({
            "metadata": {"labels": {"app": "brief"}},
            "spec": {
                "tolerations": tolerations, "restartPolicy": restart, "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", command],
                }],
            },
        })
    };
    let everywhere = json!([{"operator": "Exists"}]);
    // Not where the kubelet is away.
    let fragile = json!([{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}]);
    let mut objects = vec![
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "brief", "namespace": "shop"},
            "spec": {"ttlSecondsAfterFinished": 1, "template": pod("true", "Never", everywhere.clone())},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fragile", "namespace": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": "brief"}}, "template": pod("sleep 3600", "Always", fragile),
            },
        }),
    ];
    for name in ["done-1", "done-2", "done-3"] {
        let spec = &pod("true", "Never", everywhere.clone())["spec"];
        objects.push(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        }));
    }
    plane.apply("alice", &list(&objects))?;
    plane
        .run("alice", &["rollout", "status", "deployment/fragile", "--namespace=shop", "--timeout=2m"])
        .map(drop)
}

/// The kubelet asks for its next certificate, which controllers approve and sign.
fn the_kubelets_certificate_is_renewed(plane: &ControlPlane) -> Result<()> {
    let by_node = "--field-selector=spec.signerName=kubernetes.io/kube-apiserver-client-kubelet";
    let output = "--output=jsonpath={range .items[?(@.status.certificate)]}{.spec.username} {end}";
    let user = format!("system:node:{}", Node::NAME);
    wait_for("the kubelet's next certificate", PATIENCE, || {
        plane
            .run("admin", &["get", "certificatesigningrequests", by_node, output])
            .ok()?
            .contains(&user)
            .then_some(())
    })
}

/// It does not answer, so the node is not ready, and what does not tolerate that runs elsewhere, or waits. Then all is
/// as before.
fn the_node_is_away(node: &Node) -> Result<()> {
    let plane = node.plane();
    let (_, kubelet) =
        node.servers().into_iter().find(|(name, _)| *name == "kubelet").context("no kubelet")?;
    let send = |signal: &str| Command::new("kill").args([signal, &kubelet.to_string()]).status();
    let replacement = "--output=jsonpath={range .items[?(@.status.phase==\"Pending\")]}{.metadata.name}{end}";
    send("-STOP")?;
    let pods = ["get", "pods", "--namespace=shop", "--selector=app=brief", replacement];
    let replaced = wait_for("the pod to be evicted", PATIENCE, || {
        plane.run("admin", &pods).ok().filter(|pods| pods.starts_with("fragile-"))
    });
    send("-CONT")?;
    replaced?;
    let node = format!("node/{}", Node::NAME);
    plane.run("admin", &["wait", "--for=condition=Ready", &node, "--timeout=2m"])?;
    plane
        .run("alice", &["rollout", "status", "deployment/fragile", "--namespace=shop", "--timeout=2m"])
        .map(drop)
}

/// All the kinds of requests are in the log that an hour holds, and those of what was hurried besides.
fn an_hour_has_passed(plane: &ControlPlane) -> Result<()> {
    let of_hour = include_str!("hour.tsv").lines().filter_map(|line| {
        let mut fields = line.split('\t').skip(1);
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let wanted: BTreeSet<Kind> = of_hour
        .filter(|kind| !BY_CHANCE.contains(kind))
        .chain(RARE)
        .map(|(user, verb, on)| (user.into(), verb.into(), on.into()))
        .collect();
    ensure!(wanted.len() > 100, "only {} kinds of requests are looked for", wanted.len());
    let mut missing = Vec::new();
    let complete = wait_for("all kinds of requests", PATIENCE, || {
        let found = kinds(&plane.audit_events().ok()?);
        missing = wanted.iter().filter(|kind| !found.contains_key(*kind)).cloned().collect();
        missing.is_empty().then(|| found.values().sum::<u64>())
    });
    let requests = complete.with_context(|| format!("missing are {missing:#?}"))?;
    eprintln!("         {requests} requests, of {} kinds of an hour", wanted.len());
    Ok(())
}

/// Whether each line by which Tripline's policies leave something out does so in this log.
fn is_left_out(plane: &ControlPlane) -> Result<()> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let stage = |event: &Value| event["stage"].as_str().and_then(Stage::from_name);
    let events = plane.audit_events()?;
    let requests: Vec<_> = events.iter().filter_map(|event| Some((request(event), stage(event)?))).collect();
    for arguments in [&[][..], &["--quiet"]] {
        let policy = Policy::parse(&made_policy(&rules, arguments)?)?;
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
