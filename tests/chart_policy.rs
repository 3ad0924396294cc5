//! What the chart's admission policies let people do who may do everything to Tripline's kinds, and what not.
mod support;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use support::helm::{Helm, TRIPLINE, alert, name, objects};
use support::operator::{Operator, PATIENCE, source, wait_for_alerts};
use support::{ControlPlane, Options, wait_for};

const NAMESPACE: &str = "watch";
const READER: &str = "tripline-reader";
const CONTROLLER: &str = "tripline-controller";
/// What the garbage collector is called in most clusters.
const COLLECTOR: [&str; 2] =
    ["--as=system:serviceaccount:kube-system:generic-garbage-collector", "--as-group=system:serviceaccounts"];

/// Installs the chart, gives bob every right on Tripline's kinds, and waits until the policies are at work.
fn install(plane: &ControlPlane, arguments: &[&str]) -> Result<()> {
    let helm = Helm::of(plane, "admin")?;
    let common = ["install", "tripline", TRIPLINE, "--namespace", NAMESPACE, "--create-namespace"];
    helm.run(&[&common[..], arguments].concat())?;
    let everything =
        ["create", "clusterrole", "tripline-everything", "--verb=*", "--resource=*.tripline.dev"];
    plane.run("admin", &everything)?;
    let bind = ["create", "clusterrolebinding", "bob", "--clusterrole=tripline-everything", "--user=bob"];
    plane.run("admin", &bind)?;
    let mut probe = json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource", "metadata": {"name": "probe"},
        "spec": {"file": {"path": "/var/log/probe"}},
    });
    let refused = |manifest: &Value| {
        let answer = plane.kubectl_file("bob", &["create", "--dry-run=server"], manifest).ok()?;
        String::from_utf8_lossy(&answer.stderr).contains("ValidatingAdmissionPolicy").then_some(())
    };
    wait_for("the policy of sources to be at work", PATIENCE, || refused(&probe))?;
    probe = alert("probe-aaaaaaaaaaaaa-1");
    wait_for("the policy of alerts to be at work", PATIENCE, || refused(&probe))
}

/// Changes an object by a merge patch; the answer when it is refused.
fn patch(
    plane: &ControlPlane,
    user: &str,
    more: &[&str],
    object: &str,
    change: &Value,
) -> Result<Option<String>> {
    let change = change.to_string();
    let output =
        plane.kubectl(user, &[&["patch", object, "--type=merge", "--patch", &change], more].concat())?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn refuses(answer: Option<String>, message: &str) -> Result<()> {
    let answer = answer.context("it was accepted")?;
    ensure!(answer.contains(message), "it was refused, but not for {message:?}: {answer}");
    Ok(())
}

fn accepts(answer: Option<String>) -> Result<()> {
    ensure!(answer.is_none(), "it was refused: {}", answer.unwrap_or_default());
    Ok(())
}

/// The status as Tripline writes it, by replacing it.
fn count(plane: &ControlPlane, user: &str, alert: &str) -> Result<Option<String>> {
    let mut stored = plane.get(&["securityalert", alert])?;
    stored["status"] = json!({"count": 1});
    let output = plane.kubectl_file(user, &["replace", "--subresource=status"], &stored)?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn alerts_are_triplines_and_their_triage_is_everybodys() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| alerts(plane))
}

fn alerts(plane: &ControlPlane) -> Result<()> {
    install(plane, &["--set-json=admissionPolicy.alertWriters={\"groups\":[\"backup\"]}"])?;
    plane.add_service_account(NAMESPACE, READER)?;
    let (one, two) = ("exec-aaaaaaaaaaaaa-1", "exec-aaaaaaaaaaaaa-2");
    let create = |user: &str, name: &str| {
        let output = plane.kubectl_file(user, &["create"], &alert(name))?;
        Ok::<_, anyhow::Error>(
            (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()),
        )
    };
    refuses(create("bob", one)?, "only Tripline creates SecurityAlerts")?;
    // Not even an administrator, unless they change the policy, which is in the audit log.
    refuses(create("admin", one)?, "only Tripline creates SecurityAlerts")?;
    for name in [one, two] {
        accepts(create(READER, name)?)?;
        accepts(count(plane, READER, name)?)?;
    }
    refuses(count(plane, "bob", one)?, "only Tripline writes the status of a SecurityAlert")?;

    // The controller writes the status as well, and deletes.
    plane.add_service_account(NAMESPACE, CONTROLLER)?;
    accepts(count(plane, CONTROLLER, two)?)?;
    plane.run(
        CONTROLLER,
        &["delete", "--raw", &format!("/apis/tripline.dev/v1alpha1/securityalerts/{two}")],
    )?;
    accepts(create(READER, two)?)?;

    let object = format!("securityalert/{one}");
    let bob = |change: Value| patch(plane, "bob", &[], &object, &change);
    accepts(bob(json!({"spec": {"triage": {"state": "Acknowledged", "assignee": "bob"}}}))?)?;
    accepts(bob(json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"ticket": "7"}}}))?)?;
    accepts(bob(json!({"metadata": {"labels": {"team": null}}}))?)?;

    let labels = "only Tripline changes the labels tripline.dev/*";
    for value in [json!("other"), json!(""), Value::Null] {
        refuses(bob(json!({"metadata": {"labels": {"tripline.dev/rule": value}}}))?, labels)?;
    }
    refuses(bob(json!({"metadata": {"labels": {"tripline.dev/new": ""}}}))?, labels)?;
    refuses(bob(json!({"metadata": {"labels": null}}))?, labels)?;
    let finalizers = "only Tripline changes the finalizers";
    refuses(bob(json!({"metadata": {"finalizers": ["example.com/mine"]}}))?, finalizers)?;
    // Set by hand, this one would delete nothing and keep the alert from going for good.
    refuses(bob(json!({"metadata": {"finalizers": ["foregroundDeletion"]}}))?, finalizers)?;
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}]);
    let taken = bob(json!({"metadata": {"ownerReferences": owner}}))?;
    refuses(taken, "only Tripline changes the ownerReferences")?;
    refuses(bob(json!({"spec": {"detection": {"title": "Nothing"}}}))?, "is evidence and cannot be changed")?;

    // A backup tool of the chart's values may write what it restores.
    let restored = alert("exec-aaaaaaaaaaaaa-3");
    let arguments = ["create", "--as=restore", "--as-group=backup", "--as-group=system:masters"];
    let output = plane.kubectl_file("admin", &arguments, &restored)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // A plain delete, and one that the garbage collector has to finish.
    plane.run("bob", &["delete", "securityalert", two])?;
    plane.run("bob", &["delete", &object, "--cascade=foreground", "--wait=false"])?;
    let held = ["get", &object, "--output", "jsonpath={.metadata.finalizers}"];
    assert_eq!(plane.run("admin", &held)?, r#"["foregroundDeletion"]"#);
    accepts(patch(plane, "admin", &COLLECTOR, &object, &json!({"metadata": {"finalizers": null}}))?)?;
    let left = plane.run("admin", &["get", "securityalerts", "--output=name"])?;
    assert_eq!(left.trim(), format!("securityalert.tripline.dev/{}", name(&restored)));
    Ok(())
}

#[test]
fn sources_are_the_administrators() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| sources(plane))
}

fn sources(plane: &ControlPlane) -> Result<()> {
    install(plane, &["--set-json=admissionPolicy.auditSourceWriters={\"users\":[\"alice\"]}"])?;
    plane.add_service_account(NAMESPACE, READER)?;
    plane.run(
        "admin",
        &["create", "clusterrolebinding", "carol", "--clusterrole=cluster-admin", "--user=carol"],
    )?;
    let bind = ["create", "clusterrolebinding", "alice", "--clusterrole=tripline-everything", "--user=alice"];
    plane.run("admin", &bind)?;

    let object = "auditsource/kube-apiserver";
    let away = json!({"spec": {"file": {"path": "/var/log/kubernetes/empty.log"}}});
    let only = "only cluster administrators write AuditSources";
    refuses(patch(plane, "bob", &[], object, &away)?, only)?;
    let to_webhook = json!({"spec": {"file": null, "webhook": {"address": "0.0.0.0"}}});
    refuses(patch(plane, "bob", &[], object, &to_webhook)?, only)?;
    let create = |user: &str, name: &str| {
        let output =
            plane.kubectl_file(user, &["create"], &serde_json::from_str(&source(plane, name, "End"))?)?;
        Ok::<_, anyhow::Error>(
            (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()),
        )
    };
    refuses(create("bob", "bobs")?, only)?;
    for arguments in [["delete", object], ["delete", "--raw=/apis/tripline.dev/v1alpha1/auditsources"]] {
        let output = plane.kubectl("bob", &arguments)?;
        refuses(Some(String::from_utf8_lossy(&output.stderr).into_owned()), only)?;
    }
    let forged = json!({"status": {"events": 1_000_000}});
    let status = ["--subresource=status"];
    let refused = patch(plane, "bob", &status, object, &forged)?;
    refuses(refused, "only Tripline writes the status of an AuditSource")?;

    // By RBAC alone, by the group that may do everything, and by the chart's values.
    accepts(patch(plane, "admin", &["--as=carol"], object, &json!({"spec": {"startAt": "Start"}}))?)?;
    accepts(patch(plane, "admin", &[], object, &json!({"spec": {"startAt": "End"}}))?)?;
    accepts(create("alice", "alices")?)?;
    let stored = plane.get(&[object])?;
    let mut counted = stored.clone();
    counted["status"] = json!({"events": 5});
    let output = plane.kubectl_file(READER, &["replace", "--subresource=status"], &counted)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Its own account cannot point it elsewhere; that much RBAC says.
    refuses(patch(plane, READER, &[], object, &away)?, "cannot get resource")?;

    // The garbage collector finishes a delete, and changes nothing otherwise.
    let labelled = json!({"metadata": {"finalizers": ["example.com/x"]}});
    refuses(patch(plane, "admin", &COLLECTOR, object, &labelled)?, only)?;
    plane.run("admin", &["delete", object, "--cascade=foreground", "--wait=false"])?;
    accepts(patch(plane, "admin", &COLLECTOR, object, &json!({"metadata": {"finalizers": null}}))?)?;
    assert_eq!(
        plane.run("admin", &["get", "auditsources", "--output=name"])?.trim(),
        "auditsource.tripline.dev/alices"
    );
    Ok(())
}

/// The whole way of `helm test`, but for the pod: the account, the rule and the request that it makes.
#[test]
fn the_program_works_with_the_charts_account_and_policies() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let log = plane.audit_log();
        let file = json!({"path": log, "mountPath": log.parent()});
        let file = format!("--set-json=source.file={file}");
        install(plane, &["--set=distribution=custom,mode=all", &file])?;
        let account = plane.add_service_account(NAMESPACE, "tripline")?;

        let helm = Helm::of(plane, "admin")?;
        let hooks = objects(&helm.run(&["get", "hooks", "tripline", "--namespace", NAMESPACE])?)?;
        for hook in hooks.iter().filter(|hook| hook["kind"] != "Pod") {
            plane.create("admin", hook)?;
        }
        let operator = Operator::start(plane, &account)?;
        let ready = ["wait", "--for=condition=Ready", "detectionrule/tripline-canary", "--timeout=30s"];
        plane.run("admin", &ready)?;
        let reading = ["wait", "--for=condition=Reading", "auditsource/kube-apiserver", "--timeout=30s"];
        plane.run("admin", &reading)?;

        plane.add_service_account(NAMESPACE, "tripline-canary")?;
        let request = format!("--raw=/api/v1/namespaces/{NAMESPACE}/pods/tripline-canary/exec?command=true");
        let answer = plane.kubectl_file("tripline-canary", &["create", &request], &json!({}))?;
        let answer = String::from_utf8_lossy(&answer.stderr).into_owned();
        ensure!(answer.contains("cannot create resource \"pods/exec\""), "{answer}");

        // The library may have a rule for such a request as well.
        let found = wait_for_alerts(plane, "the canary's alert", |alerts| {
            let rule = |alert: &Value| alert["spec"]["detection"]["ruleName"].clone();
            alerts.iter().all(|alert| alert["status"]["count"] == 1)
                && alerts.iter().any(|alert| rule(alert) == "tripline-canary")
        })?;
        // As its account sees it, which may list alerts.
        let listed = plane.run("tripline-canary", &["get", "securityalerts", "--output=name"])?;
        assert_eq!(listed.lines().count(), found.len());
        let rule = ["get", "detectionrule", "tripline-canary", "--output=name"];
        plane.run("tripline-canary", &rule)?;
        operator.terminate()
    })
}
