//! Tripline watches over itself: its account used by somebody else and its configuration changed raise alerts, its own
//! work raises none.
mod support;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use support::operator::{
    NAMESPACE, Operator, PATIENCE, alerts, close, counted, install, of_rule, rule, source, wait_for_alerts,
};
use support::{ControlPlane, Options, wait_for};

const MISUSE: &str = "tripline-account-misuse";
const TAMPERING: &str = "tripline-tampering";

/// The account's kubeconfig with the token that a pod of this name has.
fn account_of_pod(plane: &ControlPlane, pod: &str) -> Result<PathBuf> {
    let pod_object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": NAMESPACE},
        "spec": {"nodeName": "paper", "serviceAccountName": "tripline", "containers": [{"name": "main", "image": "none"}]},
    });
    plane.apply("admin", &pod_object.to_string())?;
    let bound = format!("--bound-object-name={pod}");
    let arguments =
        ["create", "token", "tripline", "--namespace", NAMESPACE, "--bound-object-kind=Pod", &bound];
    plane.add_user(pod, plane.run("admin", &arguments)?.trim())
}

#[test]
fn others_are_seen_and_its_own_work_is_not() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        install(plane)?;
        plane.make_pod("shop", "web-0")?;
        let account = account_of_pod(plane, "tripline-x7z2p")?;
        plane.apply(
            "admin",
            &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string(),
        )?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let deployed = [&format!("--own-namespace={NAMESPACE}"), "--own-name=tripline", "--deployer=admin"];
        let operator = Operator::launch_on(plane, &account, "control-plane-1", &deployed)?;
        operator.wait_for_page("/readyz", 200, "ok")?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;

        // Its own work: an alert, an Event, counts, statuses.
        let exec = ["exec", "--namespace=shop", "web-0", "--", "id"];
        plane.kubectl("alice", &exec)?;
        let found = wait_for_alerts(plane, "the session's alert", |alerts| counted(alerts, "sessions") > 0)?;
        wait_for("own requests to be passed over", PATIENCE, || {
            let own = "tripline_ignored_events_total{source=\"log\",reason=\"own\"}";
            operator.metric(own).filter(|own| *own > 10.0)
        })?;
        let alert = found[0]["metadata"]["name"].as_str().context("no name")?.to_owned();
        ensure!(alerts(plane)?.len() == 1, "{:#?}", alerts(plane)?);

        // A token of the account that is in no pod of Tripline's, doing what Tripline may do.
        let stolen = plane.run("admin", &["create", "token", "tripline", "--namespace", NAMESPACE])?;
        plane.add_user("thief", stolen.trim())?;
        plane.run("thief", &["get", "securityalerts"])?;
        plane.kubectl("thief", &["get", "secrets", "--all-namespaces"])?;
        wait_for_alerts(plane, "the account's misuse", |alerts| {
            let resources: Vec<_> = of_rule(alerts, MISUSE)
                .into_iter()
                .filter_map(|alert| alert["spec"]["detection"]["event"]["object"]["resource"].as_str())
                .collect();
            resources.contains(&"secrets") && resources.contains(&"securityalerts")
        })?;

        // Whoever deploys Tripline may change it; nobody else may, and triage is no change.
        plane.run(
            "admin",
            &["create", "clusterrolebinding", "alice-admin", "--clusterrole=cluster-admin", "--user=alice"],
        )?;
        close(plane, "alice", &alert)?;
        plane.run("alice", &["annotate", "detectionrule", "sessions", "note=quiet"])?;
        plane.run("alice", &["delete", "securityalert", &alert])?;
        let found = wait_for_alerts(plane, "the changes by alice", |alerts| counted(alerts, TAMPERING) == 2)?;
        let tampering = of_rule(&found, TAMPERING);
        ensure!(tampering.len() == 1, "{tampering:#?}");
        ensure!(tampering[0]["spec"]["detection"]["event"]["user"]["username"] == "alice", "{tampering:#?}");

        // The name of such a rule is taken.
        plane.apply("admin", &rule(TAMPERING, "verb:nothing").to_string())?;
        let wait = ["wait", "--for=condition=Accepted=False", "detectionrule", TAMPERING, "--timeout=10s"];
        plane.run("admin", &wait)?;
        operator.terminate()
    })
}
