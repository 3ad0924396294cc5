//! Bodies are evidence where a rule asks for them and the installation allows it, and what is secret never is.
mod support;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::operator::{Operator, counted, install, rule, source, wait_for_alerts, wait_for_condition};
use support::{ControlPlane, Options, all_at};

const PATCH: &str = r#"{"metadata":{"annotations":{"note":"kept","kubectl.kubernetes.io/last-applied-configuration":"hunter2"}}}"#;

/// The evidence of a patch, by a rule that asks for this much in an installation that allows that much.
fn evidence(plane: &ControlPlane, asked: &str, allowed: &str) -> Result<Value> {
    let name = format!("asks-{}-of-{}", asked.to_lowercase(), allowed.to_lowercase());
    let mut rule = rule(&name, "verb:patch and objectRef.resource:pods and objectRef.name:web-0");
    rule["spec"]["evidence"] = json!(asked);
    plane.apply("admin", &rule.to_string())?;
    let account = plane.kubeconfig("tripline");
    let allows = format!("--evidence={allowed}");
    let operator = Operator::launch_on(plane, &account, "control-plane-1", &[&allows])?;
    operator.wait_for_page("/readyz", 200, "ok")?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;
    plane.run("admin", &["patch", "pod", "web-0", "--namespace=shop", "--type=merge", "--patch", PATCH])?;
    let found = wait_for_alerts(plane, "the patch", |alerts| counted(alerts, &name) > 0)?;
    operator.terminate()?;
    let is_its = |alert: &&Value| alert["spec"]["detection"]["ruleName"] == name;
    let alert = found.iter().find(is_its).context("no alert")?;
    ensure!(!alert.to_string().contains("hunter2"), "{alert:#}");
    Ok(alert["spec"]["detection"]["event"].clone())
}

#[test]
fn as_much_is_shown_as_is_asked_for_and_allowed() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        install(plane)?;
        plane.make_pod("shop", "web-0")?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let has = |body: &Value, text: &str| body.as_str().is_some_and(|body| body.contains(text));
        let all = evidence(plane, "RequestResponse", "RequestResponse")?;
        ensure!(
            has(&all["requestObject"], "\"note\":\"kept\"")
                && has(&all["responseObject"], "\"kind\":\"Pod\"")
        );
        ensure!(has(&all["requestObject"], "(redacted)"), "{all:#}");
        let sent = evidence(plane, "Request", "RequestResponse")?;
        ensure!(has(&sent["requestObject"], "kept") && sent["responseObject"].is_null(), "{sent:#}");
        let capped = evidence(plane, "RequestResponse", "Request")?;
        ensure!(has(&capped["requestObject"], "kept") && capped["responseObject"].is_null(), "{capped:#}");
        let none = evidence(plane, "RequestResponse", "Metadata")?;
        ensure!(none["requestObject"].is_null() && none["responseObject"].is_null(), "{none:#}");
        Ok(())
    })
}

#[test]
fn a_rule_that_asks_for_more_than_is_allowed_is_told_so() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        let apply = |name, asked| {
            let mut rule = rule(name, "verb:patch and objectRef.name:web-0");
            rule["spec"]["evidence"] = json!(asked);
            plane.apply("admin", &rule.to_string())
        };
        apply("greedy", "RequestResponse")?;
        apply("modest", "Request")?;
        let launch = || Operator::launch_on(plane, &account, "control-plane-1", &["--evidence=Request"]);
        let operator = launch()?;
        let message =
            wait_for_condition(plane, ("detectionrule", "greedy"), ("Accepted", "True", "EvidenceCapped"))?;
        ensure!(message.starts_with("the rule compiles, with warnings\nevidence: "), "{message}");
        ensure!(
            message.contains("RequestResponse is asked for, and alerts here show at most Request"),
            "{message}"
        );
        wait_for_condition(plane, ("detectionrule", "modest"), ("Accepted", "True", "Compiled"))?;
        // The same, told by another process, is no news.
        operator.terminate()?;
        let operator = launch()?;
        operator.wait_for_page("/readyz", 200, "ok")?;
        let wide = "verb:(patch or update) and objectRef.name:web-0";
        let changed = json!({"spec": {"query": wide}}).to_string();
        plane.run("admin", &["patch", "detectionrule", "greedy", "--type=merge", "--patch", &changed])?;
        let seen = "--for=jsonpath={.status.observedGeneration}=2";
        plane.run("admin", &["wait", seen, "detectionrule/greedy", "--timeout=20s"])?;
        let of = "--field-selector=reason=EvidenceCapped";
        let events = plane.get(&["events", "--namespace=kube-system", of])?;
        let events = events["items"].as_array().context("no list")?;
        let [event] = &events[..] else { anyhow::bail!("{events:#?}") };
        ensure!(event["involvedObject"]["name"] == "greedy" && event["type"] == "Warning", "{event:#}");

        apply("greedy", "Request")?;
        let mended =
            wait_for_condition(plane, ("detectionrule", "greedy"), ("Accepted", "True", "Compiled"))?;
        ensure!(!mended.contains("evidence"), "{mended}");
        operator.terminate()
    })
}

#[test]
fn no_rule_learns_what_is_in_a_secret() -> Result<()> {
    let audit_policy = Some(all_at("RequestResponse"));
    ControlPlane::with(Options { audit_policy, ..Options::default() }, |plane| {
        let account = install(plane)?;
        plane.run("admin", &["create", "namespace", "shop"])?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let guesses = [
            ("by-data", "objectRef.resource:secrets and requestObject.data.password:aHVudGVyM*"),
            ("by-string-data", "objectRef.resource:secrets and requestObject.stringData.pin:*"),
            (
                "by-token",
                "objectRef.resource:serviceaccounts and objectRef.subresource:token and responseObject.status.token:ey*",
            ),
        ];
        // These are no mistake where another resource is meant, and see nothing of a Secret.
        let blind = [
            ("by-wildcard", "objectRef.name:login and requestObject.*:(*hunter3* or aHVudGVyM*)"),
            ("by-manifest", "objectRef.name:login and requestObject.metadata.annotations.*:*hunter3*"),
            ("by-data-of-any", "objectRef.name:login and responseObject.data.password:*"),
        ];
        let seen = ("by-label", "objectRef.resource:secrets and requestObject.metadata.labels.app:shop");
        for (name, query) in guesses.iter().chain(&blind).chain([&seen]) {
            plane.apply("admin", &rule(name, query).to_string())?;
        }
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;
        for (name, _) in guesses {
            let refused =
                wait_for_condition(plane, ("detectionrule", name), ("Accepted", "False", "InvalidQuery"))?;
            ensure!(refused.contains("is never read in events of"), "{refused}");
        }
        // As kubectl sends it, with the whole manifest in an annotation.
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "login", "namespace": "shop", "labels": {"app": "shop"}},
            "stringData": {"password": "hunter3", "pin": "hunter3"},
        });
        plane.apply("admin", &secret.to_string())?;
        plane.run("admin", &["create", "serviceaccount", "reader", "--namespace=shop"])?;
        plane.run("admin", &["create", "token", "reader", "--namespace=shop"])?;
        let found = wait_for_alerts(plane, "the Secret's label", |alerts| counted(alerts, seen.0) > 0)?;
        for (name, _) in guesses.iter().chain(&blind) {
            ensure!(counted(&found, name) == 0, "{name}: {found:#?}");
        }
        ensure!(found.iter().all(|alert| !alert.to_string().contains("hunter3")), "{found:#?}");
        operator.terminate()
    })
}
