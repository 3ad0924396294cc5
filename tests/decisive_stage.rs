//! One request is one detection, whatever kind of request it is and however often it is logged.
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use support::broken_api::{BROKEN, BrokenApi};
use support::kubectl::Running;
use support::node::images::BUSYBOX;
use support::node::{Node, NodeOptions, is_possible};
use support::operator::{Operator, PATIENCE, counted, install, rule, source, wait_for_alerts};
use support::{ControlPlane, Options, wait_for};

/// Rules, each of one kind of request, grouped by nothing: one alert each, whose count is the number of requests.
const RULES: [(&str, &str); 9] = [
    ("exec", "objectRef.subresource:exec and user.name:alice"),
    ("log", "objectRef.subresource:log and user.name:alice"),
    ("watch", "verb:watch and user.name:alice and objectRef.resource:configmaps"),
    ("read", "verb:get and objectRef.resource:configmaps and user.name:alice"),
    ("nobody", "responseStatus.code:401"),
    ("forbidden", "responseStatus.code:403 and user.name:bob"),
    ("broken-list", "verb:list and objectRef.apiGroup:broken.example.com"),
    ("broken-watch", "verb:watch and objectRef.apiGroup:broken.example.com"),
    (
        "at-its-end",
        "stage:ResponseComplete and verb:watch and user.name:alice and objectRef.resource:configmaps",
    ),
];

/// A cluster with a pod and the rules; gives the operator's account.
fn prepare(plane: &ControlPlane) -> Result<PathBuf> {
    plane.make_pod("shop", "web-0")?;
    install_rules(plane)
}

/// Installs the rules; gives the operator's account.
fn install_rules(plane: &ControlPlane) -> Result<PathBuf> {
    let account = install(plane)?;
    for (name, query) in RULES {
        let mut rule = rule(name, query);
        rule["spec"]["grouping"]["by"] = json!([]);
        plane.apply("admin", &rule.to_string())?;
    }
    Ok(account)
}

/// The operator, which evaluates the rules and reads the log.
fn start(plane: &ControlPlane, account: &Path) -> Result<Operator> {
    let operator = Operator::start(plane, account)?;
    for kind in ["auditsources", "detectionrules"] {
        plane.run("admin", &["wait", "--for=condition=Ready", kind, "--all", "--timeout=20s"])?;
    }
    Ok(operator)
}

/// A watch of configmaps by kubectl that runs until it is stopped.
struct Watch(Child);

impl Watch {
    fn start(plane: &ControlPlane) -> Result<Self> {
        let arguments = ["get", "--raw", "/api/v1/namespaces/shop/configmaps?watch=true&timeoutSeconds=300"];
        let mut command = plane.kubectl_command("alice");
        Ok(Self(command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Two requests whose answers break off in the midst, for which the API server's handlers panic.
fn break_off(plane: &ControlPlane) -> Result<BrokenApi> {
    let api = BrokenApi::start()?;
    plane.apply("admin", &api.manifests())?;
    plane.run("admin", &["wait", "--for=condition=Available", "apiservice", BROKEN, "--timeout=30s"])?;
    for more in ["", "?watch=true"] {
        let path = format!("/apis/broken.example.com/v1/widgets{more}");
        let answer = plane.kubectl("admin", &["get", "--raw", &path])?;
        ensure!(!answer.status.success(), "{path} is answered whole");
    }
    Ok(api)
}

/// How many requests of a verb to the broken API are logged with each of the two stages.
fn broken(plane: &ControlPlane, verb: &str) -> Result<(usize, usize)> {
    let at = |stage: &str| {
        logged(plane, |event| {
            event["verb"] == verb
                && event["objectRef"]["apiGroup"] == "broken.example.com"
                && event["stage"] == stage
        })
    };
    Ok((at("ResponseStarted")?, at("Panic")?))
}

/// How many events of the log are so.
fn logged(plane: &ControlPlane, is_it: impl Fn(&Value) -> bool) -> Result<usize> {
    Ok(plane.audit_events()?.iter().filter(|event| is_it(event)).count())
}

fn make_requests(plane: &ControlPlane) -> Result<Watch> {
    plane.kubectl("alice", &["logs", "--namespace=shop", "web-0"])?;
    for _ in 0..2 {
        plane.kubectl("alice", &["get", "--namespace=shop", "configmap", "settings"])?;
    }
    plane.add_user("nobody", "a-token-that-nobody-has")?;
    plane.kubectl("nobody", &["get", "--raw", "/api/v1/namespaces/shop/configmaps"])?;
    plane.kubectl("bob", &["get", "--raw", "/api/v1/namespaces/shop/secrets"])?;
    Watch::start(plane)
}

#[test]
fn a_request_is_detected_once_when_it_is_decided() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = prepare(plane)?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = start(plane, &account)?;
        let watch = make_requests(plane)?;
        // The watch is still going on, and detected; where a rule names the end, it waits for the end.
        let found = wait_for_alerts(plane, "the requests", |alerts| {
            counted(alerts, "watch") == 1
                && counted(alerts, "forbidden") >= 1
                && counted(alerts, "nobody") >= 1
        })?;
        ensure!(counted(&found, "at-its-end") == 0, "{found:#?}");
        drop(watch);
        wait_for_alerts(plane, "its end", |alerts| counted(alerts, "at-its-end") == 1)?;
        // Each of them is logged two or three times, and a client may ask more than once.
        for (rule, is_it) in [
            ("log", (|event| event["objectRef"]["subresource"] == "log") as fn(&Value) -> bool),
            ("watch", |event| {
                event["user"]["username"] == "alice" && event["requestURI"].to_string().contains("watch=true")
            }),
            ("read", |event| event["verb"] == "get" && event["objectRef"]["name"] == "settings"),
            ("nobody", |event| event["responseStatus"]["code"] == 401),
            ("forbidden", |event| {
                event["responseStatus"]["code"] == 403 && event["user"]["username"] == "bob"
            }),
        ] {
            let events = plane.audit_events()?;
            let ids =
                events.iter().filter(|event| is_it(event)).filter_map(|event| event["auditID"].as_str());
            let requests = i64::try_from(ids.collect::<BTreeSet<_>>().len())?;
            ensure!(requests > 0, "no request is logged that {rule} is for");
            wait_for_alerts(plane, &format!("{requests} requests of {rule}"), |alerts| {
                counted(alerts, rule) == requests
            })?;
        }
        ensure!(logged(plane, |event| event["stage"] == "RequestReceived")? > 0);
        operator.terminate()
    })
}

#[test]
fn a_handler_that_panics_ends_a_request_like_any_other() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = prepare(plane)?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = start(plane, &account)?;
        let _api = break_off(plane)?;
        // A watch is decided when its answer begins, so that the panic is no second one.
        let wanted = wait_for("the panics to be logged", PATIENCE, || {
            let ((_, lists), (started, watches)) =
                (broken(plane, "list").ok()?, broken(plane, "watch").ok()?);
            (lists > 0 && watches > 0 && started == watches).then_some((lists, watches))
        })
        .with_context(|| format!("{:?} {:?}", broken(plane, "list"), broken(plane, "watch")))?;
        wait_for_alerts(plane, &format!("{wanted:?} of them to be counted"), |alerts| {
            let (lists, watches) = (counted(alerts, "broken-list"), counted(alerts, "broken-watch"));
            (usize::try_from(lists), usize::try_from(watches)) == (Ok(wanted.0), Ok(wanted.1))
        })?;
        operator.terminate()
    })
}

/// Sessions in a pod that runs.
#[test]
fn what_lasts_is_detected_while_it_does_and_once() -> Result<()> {
    if !is_possible()? {
        return Ok(());
    }
    Node::with(NodeOptions::default(), |node| {
        let plane = node.plane();
        let account = install_rules(plane)?;
        plane.make_namespace("shop")?;
        let container = json!({
            "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never",
            "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do echo tick; sleep 1 & wait $!; done"],
        });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "busy", "namespace": "shop"},
            "spec": {"tolerations": [{"operator": "Exists"}], "containers": [container]},
        });
        plane.apply("admin", &pod.to_string())?;
        let ready = ["wait", "--for=condition=Ready", "pod/busy", "--namespace=shop", "--timeout=60s"];
        plane.run("admin", &ready)?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = start(plane, &account)?;
        let says = ["exec", "--namespace=shop", "busy", "--", "sh", "-c", "echo begun; exec sleep 600"];
        let mut exec = Running::start(plane, &says)?;
        exec.line_with("begun")?;
        let mut log = Running::start(plane, &["logs", "--follow", "--namespace=shop", "busy"])?;
        log.line_with("tick")?;
        let is_each_once = |alerts: &[Value]| counted(alerts, "exec") == 1 && counted(alerts, "log") == 1;
        wait_for_alerts(plane, "both while they last", is_each_once)?;
        let ends = |event: &Value| {
            event["stage"] == "ResponseComplete"
                && event["objectRef"]["name"] == "busy"
                && (event["objectRef"]["subresource"] == "exec" || event["objectRef"]["subresource"] == "log")
        };
        ensure!(logged(plane, ends)? == 0, "they are over");
        drop((exec, log));
        wait_for("their ends", PATIENCE, || (logged(plane, ends).ok()? == 2).then_some(()))?;
        // What is logged after their ends is judged after them.
        plane.kubectl("alice", &["get", "--namespace=shop", "configmap", "settings"])?;
        let found = wait_for_alerts(plane, "what came after", |alerts| counted(alerts, "read") > 0)?;
        ensure!(is_each_once(&found), "{found:#?}");
        operator.terminate()
    })
}

#[test]
fn an_id_that_the_client_chose_decides_nothing() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = prepare(plane)?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = start(plane, &account)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let config = Kubeconfig::read_from(plane.kubeconfig("alice"))?;
            let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
            let client = kube::Client::try_from(config)?;
            for _ in 0..5 {
                let request = http::Request::get("/api/v1/namespaces/shop/configmaps/settings")
                    .header("Audit-ID", "7d2c8f3e-5c1b-4f7a-9d60-1f1a4c8f7a10")
                    .body(Vec::new())?;
                // There is none.
                drop(client.request_text(request).await);
            }
            anyhow::Ok(())
        })?;
        wait_for_alerts(plane, "each to be counted", |alerts| counted(alerts, "read") == 5)?;
        let same = logged(plane, |event| event["auditID"] == "7d2c8f3e-5c1b-4f7a-9d60-1f1a4c8f7a10")?;
        ensure!(same == 10, "{same} events have the id");
        operator.terminate()
    })
}

#[test]
fn where_the_policy_omits_a_stage_the_next_one_decides() -> Result<()> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata"}],
    });
    let options = Options { audit_policy: Some(policy.to_string()), ..Options::default() };
    ControlPlane::with(options, |plane| {
        let account = prepare(plane)?;
        let mut source: Value = serde_json::from_str(&source(plane, "log", "End"))?;
        source["spec"]["omitStages"] = json!(["RequestReceived", "ResponseStarted"]);
        plane.apply("admin", &source.to_string())?;
        let operator = start(plane, &account)?;
        let watch = make_requests(plane)?;
        let _api = break_off(plane)?;
        // With nothing else left, the panic decides a watch as well.
        let found = wait_for_alerts(plane, "the requests", |alerts| {
            let panics = |verb| broken(plane, verb).ok().and_then(|(_, panics)| i64::try_from(panics).ok());
            let is_each = |rule, verb| panics(verb).is_some_and(|n| n > 0 && counted(alerts, rule) == n);
            counted(alerts, "read") >= 1
                && counted(alerts, "forbidden") >= 1
                && is_each("broken-list", "list")
                && is_each("broken-watch", "watch")
        })?;
        ensure!(counted(&found, "watch") == 0, "{found:#?}");
        drop(watch);
        wait_for_alerts(plane, "the end of the watch", |alerts| {
            counted(alerts, "watch") == 1 && counted(alerts, "at-its-end") == 1
        })?;
        wait_for("the log to hold nothing else", PATIENCE, || {
            logged(plane, |event| event["stage"] == "ResponseStarted").ok().filter(|count| *count == 0)
        })
        .context("a stage that is omitted is logged")?;
        operator.terminate()
    })
}
