//! Who may write a part of an object can write times into its `managedFields` that are valid for the API server and beyond
//! what Tripline can count. Nobody but that object may be hurt by it, and no match lost.
mod support;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::operator::{Operator, counted, install, rule, source, wait_for_alerts};
use support::{ControlPlane, Options};

/// Writes a time into the object that is later than any there is for Tripline.
fn poison(plane: &ControlPlane, kind: &str, name: &str, field: &Value) -> Result<()> {
    let entry = json!({
        "manager": "mallory", "operation": "Update", "apiVersion": "tripline.dev/v1alpha1", "fieldsType": "FieldsV1",
        "time": "9999-12-31T23:59:59Z", "fieldsV1": {"f:spec": field},
    });
    let patch = json!([{"op": "add", "path": "/metadata/managedFields/-", "value": entry}]).to_string();
    plane.run("admin", &["patch", kind, name, "--type=json", "--patch", &patch])?;
    let stored = plane.run("admin", &["get", kind, name, "--output=json", "--show-managed-fields"])?;
    ensure!(stored.contains("9999-12-31"), "the API server does not keep it: {stored}");
    Ok(())
}

#[test]
fn a_time_that_cannot_be_read_hides_no_match() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.make_pod("shop", "web-0")?;
        plane.make_pod("shop", "web-1")?;
        let exec =
            |pod: &str| plane.kubectl("alice", &["exec", "--namespace=shop", pod, "--", "id"]).map(drop);
        // kubectl tries another verb where the first one fails.
        let query = "objectRef.subresource:exec and user.name:alice and verb:get";
        plane.apply("admin", &rule("sessions", query).to_string())?;
        plane.apply("admin", &rule("others", query).to_string())?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;
        exec("web-0")?;
        let found = wait_for_alerts(plane, "the first session", |alerts| {
            counted(alerts, "sessions") == 1 && counted(alerts, "others") == 1
        })?;
        for alert in &found {
            let name = alert["metadata"]["name"].as_str().unwrap_or_default();
            poison(plane, "securityalert", name, &json!({"f:triage": {"f:state": {}}}))?;
        }
        poison(plane, "detectionrule", "others", &json!({"f:query": {}}))?;
        poison(plane, "auditsource", "log", &json!({"f:startAt": {}}))?;
        // While it runs, and for one that starts.
        exec("web-0")?;
        wait_for_alerts(plane, "the second session", |alerts| {
            counted(alerts, "sessions") == 2 && counted(alerts, "others") == 2
        })?;
        operator.terminate()?;
        let operator = Operator::start(plane, &account)?;
        exec("web-0")?;
        exec("web-1")?;
        wait_for_alerts(plane, "the other sessions", |alerts| {
            counted(alerts, "sessions") == 4 && counted(alerts, "others") == 4
        })?;
        // The leader keeps them as any other.
        for alert in &found {
            let name = alert["metadata"]["name"].as_str().unwrap_or_default();
            poison(plane, "securityalert", name, &json!({"f:triage": {"f:state": {}}}))?;
            let close = r#"{"spec": {"triage": {"state": "Closed"}}}"#;
            plane.run("admin", &["patch", "securityalert", name, "--type=merge", "--patch", close])?;
            plane.run(
                "admin",
                &[
                    "wait",
                    "--for=jsonpath={.status.transitions[0].state}=Closed",
                    "securityalert",
                    name,
                    "--timeout=30s",
                ],
            )?;
        }
        operator.terminate()
    })
}
