//! The node of the tests is a real one: pods run there, and what kubectl does to them works and is audited.
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use support::ControlPlane;
use support::clock::Clock;
use support::kubectl::Running;
use support::node::images::BUSYBOX;
use support::node::{Node, NodeOptions, is_possible};
use support::wait_for;

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn pods_run_and_what_kubectl_does_to_them_is_audited() -> Result<()> {
    if !is_possible()? {
        return Ok(());
    }
    let mut clock = Clock::start();
    Node::with(NodeOptions::default(), |node| {
        clock.took("start");
        let pod = run_a_deployment(node)?;
        clock.took("a Deployment of two pods");
        a_pod_talks_to_the_api_server(node)?;
        clock.took("a pod's own requests");
        exec(node.plane(), &pod)?;
        clock.took("exec, twice");
        read_streams(node.plane(), &pod)?;
        clock.took("logs, attach, port-forward");
        copy(node.plane(), &pod)?;
        clock.took("cp, twice");
        debug(node.plane(), &pod)?;
        clock.took("debug");
        crash(node, &pod)?;
        clock.took("a crash and the restart");
        drain(node)?;
        clock.took("drain");
        for (server, megabytes) in node.memory()? {
            eprintln!("{megabytes:>7} MB {server}");
        }
        Ok(())
    })?;
    clock.took("stop");
    Ok(())
}

/// Gives the name of one of its pods.
fn run_a_deployment(node: &Node) -> Result<String> {
    let plane = node.plane();
    assert!(plane.run("admin", &["get", "node", Node::NAME])?.contains(" Ready "));
    let script = "trap 'exit 0' TERM; echo hello >/tmp/index.html; httpd -f -p 8080 -h /tmp & \
                  while :; do echo tick; sleep 1 & wait $!; done";
    let container = json!({
        "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", script],
        "readinessProbe": {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1},
    });
    let labels = json!({"app": "web"});
    let items = json!([
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
         "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"tolerations": [tolerated()], "containers": [container]},
            },
         }},
    ]);
    plane.apply("admin", &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
    plane.run("admin", &["rollout", "status", "deployment/web", "--namespace=shop", "--timeout=60s"])?;
    plane.run("alice", &["get", "pods", "--namespace=shop", "--output=jsonpath={.items[0].metadata.name}"])
}

/// What a pod tolerates to run on a control plane's node.
fn tolerated() -> Value {
    json!({"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"})
}

/// With nothing but what every pod is given: the address in its environment, the token and the certificate.
fn a_pod_talks_to_the_api_server(node: &Node) -> Result<()> {
    let plane = node.plane();
    let kubectl = plane.kubectl_command("admin").get_program().to_owned();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client", "namespace": "inside"},
        "spec": {
            "tolerations": [tolerated()],
            "containers": [{
                "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sleep", "600"],
                "volumeMounts": [
                    {"name": "kubectl", "mountPath": "/bin/kubectl"},
                    {"name": "audit", "mountPath": "/var/log/kubernetes", "readOnly": true},
                ],
            }],
            "volumes": [
                {"name": "kubectl", "hostPath": {"path": kubectl.to_string_lossy()}},
                {"name": "audit", "hostPath": {"path": plane.audit_log().parent()}},
            ],
            "terminationGracePeriodSeconds": 0,
        },
    });
    plane.make_namespace("inside")?;
    let refused = plane.apply("admin", &pod.to_string()).err().map(|error| format!("{error:#}"));
    assert!(refused.is_some_and(|refused| refused.contains("violates PodSecurity \"baseline:latest\"")));
    plane.run("admin", &["label", "namespace", "inside", "pod-security.kubernetes.io/enforce=privileged"])?;
    plane.apply("admin", &pod.to_string())?;
    plane.run(
        "admin",
        &["wait", "--for=condition=Ready", "pod/client", "--namespace=inside", "--timeout=60s"],
    )?;
    let whoami =
        "kubectl auth whoami --output jsonpath='{.status.userInfo.username} '; echo $KUBERNETES_SERVICE_HOST";
    let said = plane.run("admin", &["exec", "--namespace=inside", "client", "--", "sh", "-c", whoami])?;
    assert_eq!(said.trim(), "system:serviceaccount:inside:default 10.96.0.1");
    let audit =
        ["exec", "--namespace=inside", "client", "--", "head", "-c1", "/var/log/kubernetes/audit.log"];
    assert_eq!(plane.run("admin", &audit)?, "{", "the audit log can be read in a pod");
    Ok(())
}

fn exec(plane: &ControlPlane, pod: &str) -> Result<()> {
    let arguments = ["exec", "--namespace=shop", pod, "--", "echo", "said inside"];
    assert_eq!(plane.run("alice", &arguments)?, "said inside\n");
    let mut spdy = plane.kubectl_command("alice");
    let output = spdy.args(arguments).env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false").output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "said inside\n");
    is_audited(plane, "alice", "get", "exec", 101)?;
    is_audited(plane, "alice", "create", "exec", 101)?;
    // What shows who did it is for root only, as kube-apiserver has it.
    assert_eq!(fs::metadata(plane.audit_log())?.mode() & 0o777, 0o600);
    Ok(())
}

fn read_streams(plane: &ControlPlane, pod: &str) -> Result<()> {
    let mut logs = Running::start(plane, &["logs", "--follow", "--namespace=shop", pod])?;
    logs.line_with("tick")?;
    drop(logs);
    is_audited(plane, "alice", "get", "log", 200)?;

    let mut attached = Running::start(plane, &["attach", "--namespace=shop", pod])?;
    attached.line_with("tick")?;
    drop(attached);
    is_audited(plane, "alice", "get", "attach", 101)?;

    let mut forwarding = Running::start(plane, &["port-forward", "--namespace=shop", pod, ":8080"])?;
    let line = forwarding.line_with("127.0.0.1:")?;
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse()?))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.ends_with("hello\n"), "{answer}");
    drop(forwarding);
    is_audited(plane, "alice", "get", "portforward", 101)
}

fn copy(plane: &ControlPlane, pod: &str) -> Result<()> {
    let (there, back) = (plane.folder().join("there"), plane.folder().join("back"));
    fs::write(&there, "carried\n")?;
    let inside = format!("shop/{pod}:/tmp/carried");
    plane.run("alice", &["cp", &there.to_string_lossy(), &inside])?;
    plane.run("alice", &["cp", &inside, &back.to_string_lossy()])?;
    assert_eq!(fs::read_to_string(&back)?, "carried\n");
    Ok(())
}

fn debug(plane: &ControlPlane, pod: &str) -> Result<()> {
    let image = format!("--image={BUSYBOX}");
    let arguments = [
        "debug",
        "--namespace=shop",
        pod,
        &image,
        "--image-pull-policy=Never",
        "--profile=baseline",
        "--target=main",
        "--container=debugger",
        "--",
        "ps",
    ];
    // To edit in a namespace is not enough for this.
    assert!(!plane.kubectl("alice", &arguments)?.status.success());
    is_audited(plane, "alice", "patch", "ephemeralcontainers", 403)?;
    plane.run("admin", &arguments)?;
    let seen = wait_for("what the debugger saw", PATIENCE, || {
        let logs = plane.run("alice", &["logs", "--namespace=shop", pod, "--container=debugger"]).ok()?;
        logs.contains("ps").then_some(logs)
    })?;
    assert!(seen.contains("httpd -f"), "{seen}");
    is_audited(plane, "admin", "patch", "ephemeralcontainers", 200)
}

fn crash(node: &Node, pod: &str) -> Result<()> {
    node.kill("shop", pod, "main")?;
    let count = "--output=jsonpath={.status.containerStatuses[0].restartCount}";
    wait_for("the restart of the container", PATIENCE, || {
        let restarts = node.plane().run("alice", &["get", "pod", "--namespace=shop", pod, count]).ok()?;
        (restarts == "1").then_some(())
    })
}

fn drain(node: &Node) -> Result<()> {
    let plane = node.plane();
    // Nothing would make the pod without an owner again.
    plane.run("admin", &["drain", Node::NAME, "--force", "--timeout=60s"])?;
    let pods = ["get", "pods", "--namespace=shop", "--output=jsonpath={.items[*].spec.nodeName}"];
    assert_eq!(plane.run("admin", &pods)?, "", "no new pod has a node");
    is_audited(plane, "admin", "create", "eviction", 201)
}

/// Whether a request to a pod's subresource is in the audit log, with this code.
fn is_audited(plane: &ControlPlane, user: &str, verb: &str, subresource: &str, code: u16) -> Result<()> {
    plane
        .wait_for_event(&format!("{user}'s {verb} of {subresource} with {code}"), |event| {
            let is = |pointer: &str, text: &str| event.pointer(pointer).is_some_and(|value| value == text);
            is("/user/username", user)
                && is("/verb", verb)
                && is("/objectRef/resource", "pods")
                && is("/objectRef/subresource", subresource)
                && event.pointer("/responseStatus/code") == Some(&code.into())
        })
        .map(drop)
}
