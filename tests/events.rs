//! The Kubernetes Event of a new alert stands where it should, once, and never costs the alert its count.
mod support;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::operator::{Operator, PATIENCE, counted, install, rule, source, wait_for_alerts};
use support::proxy::{Fault, Proxy};
use support::{ControlPlane, Options, wait_for};

/// The Events of alerts in all namespaces, each as `namespace/kind/name of what it stands on`.
fn events(plane: &ControlPlane) -> Result<Vec<String>> {
    let list = plane.get(&["events.events.k8s.io", "--all-namespaces"])?;
    let events = list["items"].as_array().cloned().unwrap_or_default();
    let of_alerts = events.iter().filter(|event| event["reason"] == "SecurityAlert");
    let mut found: Vec<_> = of_alerts
        .map(|event| {
            let (namespace, on) = (&event["metadata"]["namespace"], &event["regarding"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{}/{}/{}", text(namespace), text(&on["kind"]), text(&on["name"]))
        })
        .collect();
    found.sort();
    Ok(found)
}

fn wait_for_events(plane: &ControlPlane, wanted: &[String]) -> Result<()> {
    let mut last = Vec::new();
    wait_for("the Events", PATIENCE, || {
        last = events(plane).ok()?;
        (last == wanted).then_some(())
    })
    .map_err(|error| error.context(format!("there are {last:#?}")))
}

fn start(plane: &ControlPlane, kubeconfig: &std::path::Path) -> Result<Operator> {
    plane.apply("admin", &source(plane, "log", "End"))?;
    let operator = Operator::start(plane, kubeconfig)?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;
    Ok(operator)
}

#[test]
fn each_stands_where_the_rule_or_the_object_lets_it() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.make_pod("shop", "web-0")?;
        plane.make_pod("leaving", "web-1")?;
        for (name, query, events) in [
            ("on-object", "objectRef.subresource:exec and user.name:alice and objectRef.name:web-0", None),
            (
                "on-alert",
                "objectRef.subresource:exec and user.name:alice and objectRef.name:web-0",
                Some("Alert"),
            ),
            (
                "on-none",
                "objectRef.subresource:exec and user.name:alice and objectRef.name:web-0",
                Some("None"),
            ),
            (
                "gone",
                "verb:get and user.name:alice and objectRef.resource:pods and objectRef.name:web-9",
                None,
            ),
            ("leaving", "objectRef.subresource:exec and user.name:alice and objectRef.name:web-1", None),
            ("colons", "verb:create and objectRef.resource:clusterroles and objectRef.name:*made*", None),
            ("unnamed", "verb:create and objectRef.resource:configmaps and not objectRef.name:*", None),
            ("collected", "verb:deletecollection and objectRef.resource:configmaps", None),
            ("nowhere", "verb:get and objectRef.resource:pods and objectRef.namespace:nowhere", None),
            ("listed", "verb:list and objectRef.resource:secrets and user.name:alice", None),
        ] {
            let mut rule = rule(name, query);
            if let Some(events) = events {
                rule["spec"]["events"] = json!(events);
            }
            plane.apply("admin", &rule.to_string())?;
        }
        let operator = start(plane, &account)?;
        // A namespace on its way out takes nothing new; nobody here finishes what holds it.
        plane.run("admin", &["delete", "namespace", "leaving", "--wait=false"])?;
        plane.kubectl("alice", &["get", "pod", "--namespace=shop", "web-9"])?;
        for (namespace, pod) in [("shop", "web-0"), ("leaving", "web-1")] {
            plane.kubectl("alice", &["exec", "--namespace", namespace, pod, "--", "id"])?;
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:made:up"}, "rules": [],
        });
        let named_by_the_server = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-", "namespace": "shop"},
        });
        let file = plane.folder().join("made.json");
        for object in [role, named_by_the_server] {
            std::fs::write(&file, object.to_string())?;
            plane.run("admin", &["create", "--filename", &file.display().to_string()])?;
        }
        plane.kubectl("alice", &["get", "secrets", "--namespace=shop"])?;
        plane.run("admin", &["delete", "--raw", "/api/v1/namespaces/shop/configmaps"])?;
        plane.kubectl("admin", &["get", "pod", "web-0", "--namespace=nowhere"])?;
        let on_alert = ["on-alert", "gone", "leaving", "colons", "unnamed", "listed", "collected", "nowhere"];
        let rules = [&on_alert[..], &["on-object", "on-none"]].concat();
        let found = wait_for_alerts(plane, "an alert of each rule", |alerts| {
            rules.iter().all(|rule| counted(alerts, rule) > 0)
        })?;
        let name_of = |rule: &str| {
            let is_its = |alert: &&Value| alert["spec"]["detection"]["ruleName"] == rule;
            let name = found.iter().find(is_its).map(|alert| alert["metadata"]["name"].clone());
            name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let mut wanted = vec!["shop/Pod/web-0".to_owned()];
        for rule in on_alert {
            wanted.push(format!("kube-system/SecurityAlert/{}", name_of(rule)));
        }
        wanted.sort();
        wait_for_events(plane, &wanted)?;
        // An Event that has expired is not written again: it told of the alert's beginning.
        plane.run("admin", &["delete", "events", "--all", "--namespace=shop"])?;
        let before = counted(&found, "on-object");
        plane.kubectl("alice", &["exec", "--namespace=shop", "web-0", "--", "id"])?;
        wait_for_alerts(plane, "another session", |alerts| counted(alerts, "on-object") > before)?;
        ensure!(!events(plane)?.contains(&"shop/Pod/web-0".to_owned()));
        operator.terminate()
    })
}

#[test]
fn where_events_are_not_taken_alerts_are_counted_and_events_come_later() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        let proxy = Proxy::start(&account)?;
        plane.apply(
            "admin",
            &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string(),
        )?;
        let operator = start(plane, &proxy.kubeconfig(plane.folder())?)?;
        let mut wanted = Vec::new();
        // As the admission plugin EventRateLimit answers, and an API server whose etcd for Events is away.
        for (pod, answer) in [("web-0", 429), ("web-1", 500), ("web-2", 504)] {
            plane.make_pod("shop", pod)?;
            proxy.inject(Fault::AnswerTo("events.k8s.io", answer));
            plane.kubectl("alice", &["exec", "--namespace=shop", pod, "--", "id"])?;
            let is_counted = |alert: &Value| {
                let detection = &alert["spec"]["detection"];
                detection["event"]["object"]["name"] == pod && alert["status"]["count"] == 1
            };
            wait_for_alerts(plane, "the session to be counted", |alerts| alerts.iter().any(is_counted))?;
            ensure!(events(plane)? == wanted);
            proxy.inject(Fault::None);
            wanted.push(format!("shop/Pod/{pod}"));
            wait_for_events(plane, &wanted)?;
        }
        ensure!(operator.metric("tripline_dropped_kubernetes_events_total") == Some(0.0));
        operator.terminate()
    })
}
