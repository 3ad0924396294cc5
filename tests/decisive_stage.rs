//! One request is one detection, whatever kind of request it is and however often it is logged.
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use support::operator::{Operator, PATIENCE, counted, install, rule, source, wait_for_alerts};
use support::{ControlPlane, Options, wait_for};

/// Rules, each of one kind of request, grouped by nothing: one alert each, whose count is the number of requests.
const RULES: [(&str, &str); 7] = [
    ("exec", "objectRef.subresource:exec and user.name:alice"),
    ("log", "objectRef.subresource:log and user.name:alice"),
    ("watch", "verb:watch and user.name:alice and objectRef.resource:configmaps"),
    ("read", "verb:get and objectRef.resource:configmaps and user.name:alice"),
    ("nobody", "responseStatus.code:401"),
    ("forbidden", "responseStatus.code:403 and user.name:bob"),
    (
        "at-its-end",
        "stage:ResponseComplete and verb:watch and user.name:alice and objectRef.resource:configmaps",
    ),
];

/// A cluster with a pod and the rules; gives the operator's account.
fn prepare(plane: &ControlPlane) -> Result<PathBuf> {
    let account = install(plane)?;
    plane.make_pod("shop", "web-0")?;
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
        let found = wait_for_alerts(plane, "the requests", |alerts| {
            counted(alerts, "read") >= 1 && counted(alerts, "forbidden") >= 1
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

/// The condition Observable of a rule: its status, its reason and its message.
fn observable(plane: &ControlPlane, rule: &str) -> Option<(String, String, String)> {
    let object = plane.run("admin", &["get", "detectionrule", rule, "--output=json"]).ok()?;
    let object: Value = serde_json::from_str(&object).ok()?;
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == "Observable")?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// Waits for the condition to be so, with these in its message.
fn wait_for_observable(
    plane: &ControlPlane,
    rule: &str,
    (status, reason): (&str, &str),
    parts: &[&str],
) -> Result<()> {
    let mut last = None;
    let waited = wait_for(&format!("Observable of {rule} to be {status}"), PATIENCE, || {
        last = observable(plane, rule);
        let (is, why, message) = last.clone()?;
        (is == status && why == reason && parts.iter().all(|part| message.contains(part))).then_some(())
    });
    waited.with_context(|| format!("it is {last:?}"))
}

#[test]
fn what_the_policy_does_not_log_is_said_of_each_rule_that_needs_it() -> Result<()> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "None", "resources": [{"group": "", "resources": ["limitranges"]}]},
            {"level": "Metadata"},
        ],
    });
    let options = Options { audit_policy: Some(policy.to_string()), ..Options::default() };
    ControlPlane::with(options, |plane| {
        let account = prepare(plane)?;
        for (name, query) in [
            ("body", "objectRef.resource:configmaps and verb:create and requestObject.data.a:b"),
            ("stage", "objectRef.resource:pods and objectRef.subresource:log and user.name:alice"),
            ("never", "objectRef.resource:limitranges and verb:create"),
            ("enough", "objectRef.resource:configmaps and verb:create and user.name:nobody"),
        ] {
            plane.apply("admin", &rule(name, query).to_string())?;
        }
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = start(plane, &account)?;
        plane.run("admin", &["create", "configmap", "--namespace=shop", "made", "--from-literal=a=c"])?;
        plane.kubectl("alice", &["logs", "--namespace=shop", "web-0"])?;
        let parts = [
            "create configmaps: `requestObject.data.a` needs level Request, and the log has Metadata",
            "  - level: Request\n    verbs: [create]\n    resources:\n      - {group: \"\", resources: [configmaps]}",
        ];
        wait_for_observable(plane, "body", ("False", "BodiesNotLogged"), &parts)?;
        let parts = ["get pods/log: decided at stage ResponseStarted, which is not logged", "omitStages"];
        wait_for_observable(plane, "stage", ("False", "StagesNotLogged"), &parts)?;
        wait_for_observable(plane, "enough", ("True", "Decided"), &[])?;
        wait_for_observable(plane, "never", ("Unknown", "Pending"), &[])?;
        // Told that the stage is omitted, it judges at the next one.
        let mut source: Value = serde_json::from_str(&source(plane, "log", "End"))?;
        source["spec"]["omitStages"] = json!(["RequestReceived", "ResponseStarted"]);
        plane.apply("admin", &source.to_string())?;
        wait_for_observable(plane, "stage", ("True", "Decided"), &[])?;
        operator.terminate()
    })
}
