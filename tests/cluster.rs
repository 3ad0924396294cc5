//! The whole of it: the chart's pods on a real node read the API server's log from the host, and what people do in the
//! cluster becomes alerts, whatever befalls the pods meanwhile.
mod support;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::clock::Clock;
use support::kubectl::Running;
use support::node::images::BUSYBOX;
use support::node::{Node, NodeOptions, is_possible};
use support::operator::{alerts, counted, list, rule, source_at, wait_for_alerts};
use support::process::free_port;
use support::release::{NAMESPACE, Release};
use support::sessions::{PODS, Sessions, opened_in};
use support::webhook::Webhook;
use support::{ControlPlane, Options, wait_for};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_release_watches_its_cluster_through_all_that_befalls_it() -> Result<()> {
    if !is_possible()? {
        return Ok(());
    }
    // The policy that the documents give; and small files, so that the log is rotated all the while.
    let policy = include_str!("../docs/audit-policy.yaml").to_owned();
    let plane = Options { audit_log_max_size: 1, audit_policy: Some(policy), ..Options::default() };
    Node::with(NodeOptions { plane, ..NodeOptions::default() }, |node| {
        let mut clock = Clock::start();
        let release = Release::install(node, &[])?;
        clock.took("install, until all is ready");
        let plane = node.plane();
        plane.apply("admin", &list(&own_rules()))?;
        plane.run("admin", &["wait", "--for=condition=Ready", "detectionrules", "--all", "--timeout=60s"])?;
        let pod = run_a_pod(plane)?;
        clock.took("rules, and a pod to look at");
        let said = release.helm(&["test", "tripline", "--logs"])?;
        ensure!(said.contains("Phase:          Succeeded"), "{said}");
        clock.took("helm test");
        a_log_that_is_not_roots_is_refused(plane)?;
        sessions_become_alerts(plane, &pod)?;
        the_canary_is_its_own_rules_only(plane)?;
        clock.took("exec, cp, attach, port-forward, debug");
        nothing_is_lost_when_pods_are(node, &release)?;
        clock.took("kills, upgrade, rollback, drain under load");
        own_traffic_is_quiet(plane)?;
        it_can_be_sent_as_well(node, &release)?;
        clock.took("the webhook instead of the file");
        let plane = node.plane();
        release.helm(&["uninstall", "tripline", "--wait"])?;
        ensure!(!alerts(plane)?.is_empty(), "the alerts are gone with the release");
        clock.took("uninstall");
        Ok(())
    })
}

/// Rules beside those that come along: a request each that a person can make of a pod, the load, and Tripline itself.
fn own_rules() -> Vec<Value> {
    let on = |name: &str, subresource: &str| {
        rule(
            name,
            &format!(
                "objectRef.resource:pods and objectRef.subresource:{subresource} and user.name:(alice or admin)"
            ),
        )
    };
    let own = format!(
        "user.name:(\"{0}-reader\" or \"{0}-controller\")",
        format_args!("system:serviceaccount:{NAMESPACE}:tripline")
    );
    vec![
        on("attach", "attach"),
        on("port-forward", "portforward"),
        on("debug", "ephemeralcontainers"),
        rule("load", "objectRef.subresource:exec and objectRef.name:pod-* and user.name:alice"),
        rule("by-tripline", &own),
    ]
}

fn run_a_pod(plane: &ControlPlane) -> Result<String> {
    let script = "trap 'exit 0' TERM; httpd -p 8080 -h /etc; while :; do echo tick; sleep 1 & wait $!; done";
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "namespace": "shop"},
        "spec": {
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}],
        },
    });
    plane.make_namespace("shop")?;
    plane.apply("admin", &pod.to_string())?;
    plane
        .run("admin", &["wait", "--for=condition=Ready", "pod/web-0", "--namespace=shop", "--timeout=60s"])?;
    Ok("web-0".to_owned())
}

/// Its refused request is what rules of the library look for.
fn the_canary_is_its_own_rules_only(plane: &ControlPlane) -> Result<()> {
    let user = format!("system:serviceaccount:{NAMESPACE}:tripline-canary");
    let all = alerts(plane)?;
    let by_canary =
        all.iter().filter(|alert| alert["spec"]["detection"]["event"]["user"]["username"] == user.as_str());
    let rules: Vec<_> = by_canary.map(|alert| alert["spec"]["detection"]["ruleName"].clone()).collect();
    ensure!(rules == ["tripline-canary"], "the canary is in alerts of {rules:?}");
    Ok(())
}

/// As where kube-apiserver runs as somebody else: root without capabilities is not above others' files.
fn a_log_that_is_not_roots_is_refused(plane: &ControlPlane) -> Result<()> {
    let log = plane.audit_log();
    let folder = log.parent().context("a log is in a folder")?.join("foreign");
    std::fs::create_dir(&folder)?;
    let file = folder.join("audit.log");
    std::fs::write(&file, "")?;
    for (path, mode) in [(&file, 0o600), (&folder, 0o700)] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    plane.apply("admin", &source_at("foreign", &file, "End"))?;
    let condition = "--output=jsonpath={.status.conditions[?(@.type==\"Reading\")].reason}";
    wait_for("the refusal", PATIENCE, || {
        let reason = plane.run("admin", &["get", "auditsource", "foreign", condition]).ok()?;
        (reason == "PermissionDenied").then_some(())
    })
}

/// Each way into a pod, by somebody who may: as many detections as there are requests.
fn sessions_become_alerts(plane: &ControlPlane, pod: &str) -> Result<()> {
    let exec = ["exec", "--namespace=shop", pod, "--", "echo", "said inside"];
    assert_eq!(plane.run("alice", &exec)?, "said inside\n");
    wait_for_alerts(plane, "the alert of a WebSocket session", |found| counted(found, "exec-into-pod") == 1)?;
    let mut spdy = plane.kubectl_command("alice");
    let output = spdy.args(exec).env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false").output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "said inside\n");
    let found = wait_for_alerts(plane, "the alert of a SPDY session", |found| {
        counted(found, "exec-into-pod") == 2 && counted(found, "user-exec-into-pod") == 1
    })?;
    let alert = found.iter().find(|a| a["spec"]["detection"]["ruleName"] == "exec-into-pod");
    let name = alert.and_then(|a| a["metadata"]["name"].as_str()).context("no alert")?.to_owned();

    // In the columns, and on the pod.
    let columns = plane.run("admin", &["get", "securityalerts", &name])?;
    let row = columns.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(row.starts_with(&format!("{name} Medium alice 2 Open")), "{columns}");
    let described = plane.run("admin", &["describe", "pod", "--namespace=shop", pod])?;
    ensure!(described.contains(&format!("see securityalert {name}")), "{described}");

    let file = plane.folder().join("carried");
    std::fs::write(&file, "carried\n")?;
    let inside = format!("shop/{pod}:/tmp/carried");
    plane.run("alice", &["cp", &file.to_string_lossy(), &inside])?;
    plane.run("alice", &["cp", &inside, &file.to_string_lossy()])?;
    Running::start(plane, &["attach", "--namespace=shop", pod])?.line_with("tick")?;
    Running::start(plane, &["port-forward", "--namespace=shop", pod, ":8080"])?.line_with("127.0.0.1:")?;
    let image = format!("--image={BUSYBOX}");
    let debug = [
        "debug",
        "--namespace=shop",
        pod,
        &image,
        "--image-pull-policy=Never",
        "--profile=baseline",
        "--",
        "ps",
    ];
    plane.run("admin", &debug)?;
    let wanted = requests(plane)?;
    ensure!(wanted["exec"] >= 4 && wanted["ephemeralcontainers"] == 1, "{wanted:?}");
    wait_for_alerts(plane, &format!("as many detections as requests: {wanted:?}"), |found| {
        [
            ("exec", "exec-into-pod"),
            ("attach", "attach"),
            ("portforward", "port-forward"),
            ("ephemeralcontainers", "debug"),
        ]
        .iter()
        .all(|(subresource, rule)| Some(&counted(found, rule)) == wanted.get(*subresource))
    })?;
    Ok(())
}

/// How many requests for the pod's subresources the log holds: one at the stage that decides it.
fn requests(plane: &ControlPlane) -> Result<BTreeMap<String, i64>> {
    let mut requests = BTreeMap::new();
    for event in plane.audit_events()? {
        let subresource = event["objectRef"]["subresource"].as_str().unwrap_or_default();
        let decisive =
            if subresource == "ephemeralcontainers" { "ResponseComplete" } else { "ResponseStarted" };
        if event["objectRef"]["name"] == "web-0" && event["stage"] == decisive {
            *requests.entry(subresource.to_owned()).or_default() += 1;
        }
    }
    Ok(requests)
}

/// Sessions are opened all the while: each is counted once, whatever happens to who counts.
fn nothing_is_lost_when_pods_are(node: &Node, release: &Release) -> Result<()> {
    let plane = node.plane();
    let sessions = Sessions::start(&plane.kubeconfig("alice"), u64::MAX, Duration::from_millis(20))?;
    sessions.wait_for(PODS)?;
    let reader = || -> Result<String> { Ok(Release::wait_for_pods(plane, "reader", 1)?.remove(0)) };

    let first = reader()?;
    node.kill(NAMESPACE, &first, "tripline")?;
    let restarts = "--output=jsonpath={.status.containerStatuses[0].restartCount}";
    wait_for("the killed reader to be started again", PATIENCE, || {
        let said = plane.run("admin", &["get", "pod", &first, "--namespace", NAMESPACE, restarts]).ok()?;
        (said == "1").then_some(())
    })?;
    let first = reader()?;
    plane
        .run("admin", &["delete", "pod", &first, "--namespace", NAMESPACE, "--force", "--grace-period=0"])?;
    let second = reader()?;
    ensure!(first != second, "the pod was not replaced");
    let leader = Release::wait_for_pods(plane, "controller", 2)?.remove(0);
    plane
        .run("admin", &["delete", "pod", &leader, "--namespace", NAMESPACE, "--force", "--grace-period=0"])?;

    // To the API server of the pod's own host, as where the cluster's network is of no help.
    let port = plane.url().rsplit(':').next().context("a URL without a port")?.to_owned();
    let host = format!("kubernetesApi.host=127.0.0.1,kubernetesApi.port={port}");
    release.upgrade(&[
        "hostNetwork=true",
        &host,
        "controller.port=9465",
        "controller.replicas=1",
        // And above the files of others, as the preset for Talos has it.
        "reader.addCapabilities={DAC_READ_SEARCH}",
    ])?;
    plane.run("admin", &["wait", "--for=condition=Reading", "auditsource/foreign", "--timeout=30s"])?;
    plane.run("admin", &["delete", "auditsource/foreign"])?;
    let third = reader()?;
    ensure!(second != third, "the upgrade replaced no pod");
    release.helm(&["rollback", "tripline", "1", "--wait", "--timeout=2m"])?;
    ensure!(reader()? != third, "the rollback replaced no pod");

    // One workload for all, and back: the same node goes on where its other pod stopped.
    release.upgrade(&["mode=all"])?;
    Release::wait_for_pods(plane, "all", 1)?;
    Release::wait_for_pods(plane, "reader", 0)?;
    release.upgrade(&[])?;
    reader()?;
    Release::wait_for_pods(plane, "controller", 2)?;

    // A drain leaves a DaemonSet's pod alone, and one controller: there is no second node for it.
    let drain =
        ["drain", Node::NAME, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=20s"];
    let drained = plane.kubectl("admin", &drain)?;
    let said = String::from_utf8_lossy(&drained.stderr).into_owned();
    ensure!(said.contains("disruption budget"), "the budget kept no controller: {said}");
    let at = sessions.opened();
    sessions.wait_for(at + PODS)?;
    plane.run("admin", &["uncordon", Node::NAME])?;
    Release::wait_for_pods(plane, "controller", 2)?;

    let opened = sessions.stop()?;
    eprintln!("         {opened} sessions");
    let expected = i64::try_from(opened)?;
    let found =
        wait_for_alerts(plane, "every session to be counted", |found| counted(found, "load") >= expected)?;
    let of_load: Vec<_> = found.iter().filter(|a| a["spec"]["detection"]["ruleName"] == "load").collect();
    ensure!(of_load.len() as u64 == PODS, "{} alerts instead of {PODS}", of_load.len());
    for alert in of_load {
        let pod = alert["spec"]["detection"]["event"]["object"]["name"].as_str().unwrap_or_default();
        let wanted = opened_in(pod, opened)?;
        ensure!(alert["status"]["count"] == wanted, "{pod}: {:#} instead of {wanted}", alert["status"]);
    }
    Ok(())
}

/// The same log by the webhook: the upgrade, the Secret that the controller fills and the kubelet mounts, what
/// `webhook-config` prints, and sessions that only the webhook can have told of.
fn it_can_be_sent_as_well(node: &mut Node, release: &Release) -> Result<()> {
    let port = free_port()?;
    let port_value = format!("source.webhook.port={port}");
    release.upgrade(&[
        "source.webhook.enabled=true",
        &port_value,
        "source.file.path=",
        "source.file.mountPath=",
    ])?;
    // The kubelet brings the keys when it next looks, which it does within one and a half minutes.
    wait_for("the reader to listen", PATIENCE * 3, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())?;
    let webhook = Webhook::of_release(node.plane(), NAMESPACE);
    webhook.configure(node.plane_mut(), "batch", &[])?;
    let plane = node.plane();
    let before = counted(&alerts(plane)?, "load");
    Sessions::start(&plane.kubeconfig("alice"), 3, Duration::ZERO)?.finish()?;
    wait_for_alerts(plane, "the sessions that were sent", |found| counted(found, "load") == before + 3)?;
    plane.run(
        "admin",
        &["wait", "--for=condition=Receiving", "auditsource/kube-apiserver", "--timeout=30s"],
    )?;
    Ok(())
}

/// What Tripline asked of the API server all this time is in the log, and no rule was asked about it.
fn own_traffic_is_quiet(plane: &ControlPlane) -> Result<()> {
    let reader = format!("system:serviceaccount:{NAMESPACE}:tripline-reader");
    let asked = plane.audit_events()?.iter().filter(|e| e["user"]["username"] == *reader).count();
    ensure!(asked > 100, "only {asked} requests of the reader are in the log");
    let found = alerts(plane)?;
    ensure!(counted(&found, "by-tripline") == 0, "Tripline's own requests were judged");
    let source = plane.get(&["auditsource", "kube-apiserver"])?;
    let agent = &source["status"]["agents"][0];
    ensure!(agent["gaps"] == 0 && agent["malformedLines"] == 0, "{agent:#}");
    Ok(())
}
