//! What the audit policy leaves out, a rule says of itself, from what the real API server logs.
mod support;

use anyhow::Result;
use serde_json::{Value, json};
use support::operator::{Operator, install, rule, source, wait_for_condition};
use support::{ControlPlane, Options};

fn wait_for_observable(plane: &ControlPlane, rule: &str, status: &str, reason: &str) -> Result<String> {
    wait_for_condition(plane, ("detectionrule", rule), ("Observable", status, reason))
}

#[test]
fn a_rule_says_which_stage_and_which_bodies_the_policy_leaves_out() -> Result<()> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["ResponseStarted"],
        "rules": [{"level": "Metadata"}],
    });
    let options = Options { audit_policy: Some(policy.to_string()), ..Options::default() };
    ControlPlane::with(options, |plane| {
        let account = install(plane)?;
        plane.make_pod("shop", "web-0")?;
        for (name, query) in [
            ("exec", "objectRef.resource:pods and objectRef.subresource:exec and user.name:alice"),
            (
                "scaled",
                "objectRef.resource:deployments and verb:create and requestObject.spec.replicas >= 1000",
            ),
            ("unseen", "objectRef.resource:ingresses and verb:create"),
            ("seen", "objectRef.resource:namespaces and verb:create and user.name:nobody"),
        ] {
            plane.apply("admin", &rule(name, query).to_string())?;
        }
        let mut log: Value = serde_json::from_str(&source(plane, "log", "End"))?;
        plane.apply("admin", &log.to_string())?;
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=20s"])?;
        plane.kubectl("alice", &["get", "--raw", "/api/v1/namespaces/shop/pods/web-0/exec?command=id"])?;
        plane.run("admin", &["create", "deployment", "web", "--image=x", "--namespace=shop"])?;
        plane.run("admin", &["create", "namespace", "another"])?;

        let said = wait_for_observable(plane, "exec", "False", "StageNotLogged")?;
        assert!(
            said.contains("get pods/exec: decided at stage ResponseStarted, which is not logged"),
            "{said}"
        );
        let said = wait_for_observable(plane, "scaled", "False", "BodiesNotLogged")?;
        for part in [
            "create deployments: `requestObject.spec.replicas` needs level Request, and the log has Metadata",
            "  - level: Request\n    verbs: [create]\n    resources:\n      - {group: apps, resources: [deployments]}",
        ] {
            assert!(said.contains(part), "{said}");
        }
        wait_for_observable(plane, "unseen", "Unknown", "Pending")?;
        wait_for_observable(plane, "seen", "True", "Decided")?;

        // What it says helps.
        log["spec"]["omitStages"] = json!(["ResponseStarted"]);
        plane.apply("admin", &log.to_string())?;
        plane.kubectl("alice", &["get", "--raw", "/api/v1/namespaces/shop/pods/web-0/exec?command=id"])?;
        wait_for_observable(plane, "exec", "True", "Decided")?;
        operator.terminate()
    })
}
