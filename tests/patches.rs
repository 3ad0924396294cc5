//! Patches, whose bytes the API server logs as the client wrote them: duplicate keys and escapes are an attacker's to
//! choose. A rule says of each what the API server made of it.
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use support::{ControlPlane, Options};
use tripline::detect::{Context, Judgement, Matcher, Reading, Rule, RuleSet, RuleSource};

/// Patches of a deployment that set `hostPID` or seem to, by name.
fn patches() -> BTreeMap<&'static str, String> {
    let plain = json!({"spec": {"template": {"spec": {"hostPID": true}}}});
    let with = |members: &str| format!(r#"{{"spec":{{"template":{{"spec":{{{members}}}}}}}}}"#);
    BTreeMap::from([
        ("plain", plain.to_string()),
        ("escaped", escaped(&plain)),
        ("escaped-elsewhere", escaped(&json!({"spec": {"template": {"spec": {"hostIPC": true}}}}))),
        ("one-letter", with(r#""host\u0050ID":true"#)),
        ("last-is-true", with(r#""hostPID":false,"hostPID":true"#)),
        ("last-is-false", with(r#""hostPID":true,"hostPID":false"#)),
        ("last-is-escaped", with(r#""hostPID":true,"host\u0050ID":false"#)),
        ("first-is-escaped", with(r#""host\u0050ID":false,"hostPID":true"#)),
        ("another-spec", r#"{"spec":{"template":{"spec":{"hostPID":true}}},"spec":{}}"#.to_owned()),
        ("in-a-value", json!({"metadata": {"annotations": {"a": "\"hostPID\":true"}}}).to_string()),
        ("spaced", plain.to_string().replace(':', " : \t").replace('{', "{\n ")),
        ("json-member", operation("/spec/template/spec/hostPID", &json!(true))),
        ("json-word-before", operation("any/spec/template/spec/hostPID", &json!(true))),
        (
            "json-escaped",
            escaped(&json!([{"op": "add", "path": "/spec/template/spec/hostPID", "value": true}])),
        ),
        ("json-false", operation("/spec/template/spec/hostPID", &json!(false))),
        ("json-label", operation("/metadata/labels", &json!({"hostPID": "true"}))),
        (
            "json-last-path",
            r#"[{"op":"add","path":"/metadata/labels/a","value":true,"path":"/spec/template/spec/hostPID"}]"#
                .to_owned(),
        ),
        (
            "json-pod-spec",
            operation(
                "/spec/template/spec",
                &json!({"hostPID": true, "containers": [{"name": "main", "image": "none"}]}),
            ),
        ),
    ])
}

/// A JSON patch of one operation.
fn operation(path: &str, value: &Value) -> String {
    json!([{"op": "add", "path": path, "value": value}]).to_string()
}

/// JSON with every letter of its keys and texts written as an escape.
fn escaped(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let member =
                |(key, value): (&String, &Value)| format!("{}:{}", escaped(&json!(key)), escaped(value));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(escaped).collect::<Vec<_>>().join(",")),
        Value::String(text) => {
            let mut written = String::new();
            for unit in text.encode_utf16() {
                write!(written, "\\u{unit:04x}").expect("a string takes everything");
            }
            format!("\"{written}\"")
        }
        other => other.to_string(),
    }
}

#[test]
fn a_patch_is_judged_by_what_the_api_server_made_of_it() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(send(plane))?;
        ensure!(done.values().any(|is_set| *is_set) && done.values().any(|is_set| !is_set), "{done:?}");

        let query = "verb:patch and objectRef.resource:deployments and podSpec.hostPID:true";
        let source = RuleSource { name: "host-pid".into(), query: query.into(), ..RuleSource::default() };
        let (rule, _) = Rule::compile(source).map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
        let rules = Arc::new(RuleSet::new(vec![Arc::new(rule)]));
        let lines = logged(plane)?;
        for (name, is_set) in done {
            let line = lines.get(name).with_context(|| format!("the patch {name} was not logged"))?;
            let is_escaped = patches()[name].contains("\\u00");
            ensure!(line.contains("\\u00") == is_escaped, "the API server changed {name}: {line}");
            for reading in [Reading::Enough, Reading::Whole] {
                let mut matcher = Matcher::new(Arc::clone(&rules), &Context::default());
                let outcomes = matcher.judge(line.as_bytes(), reading)?;
                let is_found = outcomes.iter().any(|outcome| outcome.what == Judgement::Detection);
                ensure!(
                    is_found == is_set,
                    "{name}, {reading:?}: found {is_found}, but set {is_set}: {line}"
                );
            }
        }
        Ok(())
    })
}

/// Sends each patch to a deployment of its own; says for which one `hostPID` is set afterwards.
async fn send(plane: &ControlPlane) -> Result<BTreeMap<&'static str, bool>> {
    let config = Kubeconfig::read_from(plane.kubeconfig("admin"))?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let mut done = BTreeMap::new();
    for (name, patch) in patches() {
        let labels = json!({"app": name});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]},
            }},
        });
        plane.apply("admin", &deployment.to_string())?;
        let kind = if name.starts_with("json-") { "json" } else { "merge" };
        let request = http::Request::patch(format!("/apis/apps/v1/namespaces/default/deployments/{name}"))
            .header("Content-Type", format!("application/{kind}-patch+json"))
            .body(patch.into_bytes())?;
        let patched: Value = client.request(request).await.with_context(|| format!("the patch {name}"))?;
        done.insert(name, patched["spec"]["template"]["spec"]["hostPID"] == true);
    }
    Ok(done)
}

/// The last line of each patch, by the deployment's name.
fn logged(plane: &ControlPlane) -> Result<BTreeMap<String, String>> {
    let log = std::fs::read_to_string(plane.folder().join("audit/audit.log"))?;
    let mut lines = BTreeMap::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line)?;
        if event["verb"] == "patch"
            && event["objectRef"]["resource"] == "deployments"
            && event["stage"] == "ResponseComplete"
        {
            let name = event["objectRef"]["name"].as_str().unwrap_or_default();
            lines.insert(name.to_owned(), line.to_owned());
        }
    }
    Ok(lines)
}
