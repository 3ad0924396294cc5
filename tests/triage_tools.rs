//! The tools of triage on a real API server: `kubectl get`, `describe`, `wait` and selectors, the roles for people, and
//! `tripline alerts`, also as a plugin of kubectl's.
mod support;

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::helm::alert;
use support::operator::{Operator, PATIENCE, alerts, install, list, rule, source, tripline};
use support::{ControlPlane, Options, wait_for};

/// An alert with long names, as they are.
fn long_alert(number: u8, severity: &str, user: &str, state: &str) -> Value {
    let rule = "kubernetes-privileged-container-created";
    let name = format!("{rule}-k3j5mwq2xr7t{}-1", char::from(b'a' + number));
    let mut long = alert(&name);
    let detection = &mut long["spec"]["detection"];
    detection["ruleName"] = json!(rule);
    detection["severity"] = json!(severity);
    detection["who"] = json!("…et-controller");
    detection["target"] = json!("pods/exec storefront-production/checkout-service-7d9c6b5f4-x2x9k");
    detection["event"] = json!({
        "user": {"username": user}, "verb": "create", "object": {"resource": "pods", "namespace": "storefront-production"},
        "sourceIPs": ["10.0.0.5"], "userAgent": "kubectl/v1.36.0",
    });
    long["spec"]["triage"] = json!({"state": state});
    long
}

/// The status as it is after many matches.
fn count(plane: &ControlPlane, name: &str) -> Result<()> {
    let mut stored = plane.get(&["securityalert", name])?;
    let time = format!("{:.6}", Timestamp::now());
    stored["status"] = json!({
        "count": 99_999, "firstSeenTime": time, "lastSeenTime": time,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Recorded", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    let output = plane.kubectl_file("admin", &["replace", "--subresource=status"], &stored)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn kubectl_tells_the_story() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.apply("admin", &rule("user-exec-into-pod", "objectRef.subresource:exec").to_string())?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = Operator::launch_on(plane, &account, "control-plane-1", &[])?;
        for kind in [["detectionrule", "user-exec-into-pod"], ["auditsource", "log"]] {
            plane.run("admin", &["wait", "--for=condition=Ready", kind[0], kind[1], "--timeout=30s"])?;
        }
        // One of its own, by a service account with a long name.
        let impersonated = "--as=system:serviceaccount:kube-system:replicaset-controller";
        let uri =
            "/api/v1/namespaces/storefront-production/pods/checkout-service-7d9c6b5f4-x2x9k/exec?command=id";
        plane.kubectl("admin", &["get", "--raw", uri, impersonated])?;
        let name = wait_for("the alert", PATIENCE, || {
            let found = alerts(plane).ok()?;
            found.first()?["metadata"]["name"].as_str().map(str::to_owned)
        })?;
        plane.run("admin", &["wait", "--for=condition=Ready", "securityalert", &name, "--timeout=30s"])?;
        plane.run(
            "admin",
            &["wait", "--for=jsonpath={.status.count}=1", "securityalert", &name, "--timeout=30s"],
        )?;
        let expires = "--for=jsonpath={.status.expireTime}";
        plane.run("admin", &["wait", expires, "securityalert", &name, "--timeout=30s"])?;
        operator.terminate()?;

        let users = ["system:serviceaccount:kube-system:replicaset-controller", "alice", "ä,b=c"];
        for (number, user) in (0..).zip(users) {
            let severity = ["Critical", "Medium", "High"][usize::from(number)];
            let long =
                long_alert(number, severity, user, ["Acknowledged", "Open", "Closed"][usize::from(number)]);
            plane.create("admin", &long)?;
            count(plane, long["metadata"]["name"].as_str().context("no name")?)?;
        }
        let table = plane.run("admin", &["get", "securityalerts"])?;
        let head: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(head, ["NAME", "SEVERITY", "WHO", "COUNT", "STATE", "LAST", "SEEN"]);
        for line in table.lines() {
            ensure!(line.trim_end().chars().count() <= 120, "longer than 120 characters:\n{table}");
        }
        let row = table.lines().find(|line| line.starts_with(&name)).context("no row")?;
        ensure!(row.contains("admin") && row.contains("Low") && row.contains("Open"), "{row}");
        for kind in ["detectionrules", "auditsources"] {
            let table = plane.run("admin", &["get", kind])?;
            ensure!(table.lines().all(|line| line.trim_end().chars().count() <= 120), "{table}");
        }
        let wide = plane.run("admin", &["get", "securityalerts", "--output=wide"])?;
        ensure!(wide.contains("ASSIGNEE") && wide.contains("TARGET") && wide.contains("10.0.0.5"), "{wide}");
        let page = plane.run("admin", &["describe", "securityalert", &name])?;
        for part in
            ["Rule Name:", "user-exec-into-pod", "Triage:", "Expire Time:", "Last Seen Time:", "Samples:"]
        {
            ensure!(page.contains(part), "{part} is not in\n{page}");
        }

        // Every selectable field; a comma in a value takes a backslash.
        for (selector, wanted) in [
            ("spec.detection.severity=Critical", 1),
            ("spec.detection.severity!=Critical", 3),
            ("spec.detection.ruleName=user-exec-into-pod", 1),
            ("spec.triage.state=Acknowledged", 1),
            ("spec.detection.event.user.username=system:serviceaccount:kube-system:replicaset-controller", 1),
            (r"spec.detection.event.user.username=ä\,b\=c", 1),
            ("spec.detection.event.object.namespace=storefront-production", 4),
            ("spec.detection.event.object.namespace=storefront-production,spec.triage.state=Open", 2),
        ] {
            let selected =
                plane.run("admin", &["get", "securityalerts", "-o", "name", "--field-selector", selector])?;
            assert_eq!(selected.lines().count(), wanted, "{selector}");
        }
        for selector in ["spec.severity=Low", "spec.mode=Alert"] {
            let selected =
                plane.run("admin", &["get", "detectionrules", "-o", "name", "--field-selector", selector])?;
            assert_eq!(selected.lines().count(), 1, "{selector}");
        }
        Ok(())
    })
}

#[test]
fn people_may_do_what_their_role_says_and_no_more() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        install(plane)?;
        plane.create("admin", &alert("exec-aaaaaaaaaaaaa-1"))?;
        plane.apply("admin", &rule("one", "verb:x").to_string())?;
        for role in ["viewer", "triage", "rule-editor"] {
            let (role, user) = (format!("--clusterrole=tripline-{role}"), format!("--user={role}"));
            plane.run("admin", &["create", "clusterrolebinding", &role[14..], &role, &user])?;
        }
        let can = |user: &str, arguments: &[&str]| -> Result<bool> {
            let user = format!("--as={user}");
            Ok(plane
                .kubectl("admin", &[&["auth", "can-i"], arguments, &[user.as_str()]].concat())?
                .status
                .success())
        };
        wait_for("the roles to be at work", PATIENCE, || {
            can("rule-editor", &["create", "detectionrules.tripline.dev"]).ok()?.then_some(())
        })?;
        let kinds = ["auditsources", "detectionrules", "securityalerts"];
        for user in ["viewer", "triage", "rule-editor"] {
            for kind in kinds {
                let kind = format!("{kind}.tripline.dev");
                for verb in ["get", "list", "watch"] {
                    assert!(can(user, &[verb, &kind])?, "{user} may not {verb} {kind}");
                }
                for verb in ["create", "update", "patch", "delete", "deletecollection"] {
                    let wanted = match (user, kind.as_str()) {
                        ("triage", "securityalerts.tripline.dev") => matches!(verb, "update" | "patch"),
                        ("rule-editor", "detectionrules.tripline.dev") => true,
                        _ => false,
                    };
                    assert_eq!(can(user, &[verb, &kind])?, wanted, "{user} {verb} {kind}");
                    assert!(
                        !can(user, &[verb, &kind, "--subresource=status"])?,
                        "{user} {verb} {kind}/status"
                    );
                }
            }
            for (verb, kind) in [
                ("get", "secrets"),
                ("list", "pods"),
                ("create", "clusterrolebindings"),
                ("patch", "customresourcedefinitions"),
            ] {
                assert!(!can(user, &[verb, kind])?, "{user} may {verb} {kind}");
            }
        }
        // And tried.
        let patch = |user: &str, more: &[&str], kind: &str, name: &str, change: &Value| -> Result<Output> {
            let (user, change) = (format!("--as={user}"), change.to_string());
            plane.kubectl(
                "admin",
                &[&["patch", kind, name, "--type=merge", "--patch", &change, &user], more].concat(),
            )
        };
        let closed = json!({"spec": {"triage": {"state": "Closed"}}});
        let title = json!({"spec": {"detection": {"title": "nothing"}}});
        let name = "exec-aaaaaaaaaaaaa-1";
        ensure!(
            patch("triage", &[], "securityalert", name, &closed)?.status.success(),
            "triage may not close"
        );
        let refused = |output: Output, why: &str| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(!output.status.success() && said.to_lowercase().contains(why), "{said}");
            Ok(())
        };
        refused(patch("triage", &[], "securityalert", name, &title)?, "evidence")?;
        refused(
            patch(
                "triage",
                &["--subresource=status"],
                "securityalert",
                name,
                &json!({"status": {"count": 0}}),
            )?,
            "forbidden",
        )?;
        refused(patch("viewer", &[], "securityalert", name, &closed)?, "forbidden")?;
        refused(patch("rule-editor", &[], "securityalert", name, &closed)?, "forbidden")?;
        let mode = json!({"spec": {"mode": "Disabled"}});
        ensure!(patch("rule-editor", &[], "detectionrule", "one", &mode)?.status.success());
        refused(patch("triage", &[], "detectionrule", "one", &mode)?, "forbidden")
    })
}

/// The program with these arguments; what it printed.
fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn alerts_are_triaged_from_the_command_line_and_by_a_plugin() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        install(plane)?;
        let names = [
            "exec-aaaaaaaaaaaaa-1",
            "exec-aaaaaaaaaaaaa-2",
            "lists-bbbbbbbbbbbbb-1",
            "lists-bbbbbbbbbbbbb-2",
        ];
        let stored: Vec<_> = names.iter().map(|name| alert(name)).collect();
        plane.apply("admin", &list(&stored))?;
        let alerts = |arguments: &[&str]| run(tripline(plane, &["alerts"]).args(arguments));
        let state = |name: &str| -> Result<Value> {
            Ok(serde_json::from_str::<Value>(
                &plane.run("admin", &["get", "securityalert", name, "-o", "json"])?,
            )?["spec"]["triage"]
                .clone())
        };
        assert_eq!(alerts(&["list", "-o", "name"])?.lines().count(), 4);
        let said = alerts(&[
            "ack",
            names[0],
            &format!("securityalert.tripline.dev/{}", names[1]),
            "--assignee",
            "carol",
        ])?;
        assert_eq!(said.lines().count(), 2, "{said}");
        assert_eq!(state(names[1])?, json!({"state": "Acknowledged", "assignee": "carol"}));
        let table = alerts(&["list", "--state", "acknowledged", "--rule", "exec", "-o", "wide"])?;
        assert_eq!((table.lines().count(), table.matches("carol").count()), (3, 2), "{table}");

        // All of a filter, only when it is said twice.
        let all = ["close", "--all", "--rule", "lists", "--reason", "the backup"];
        let refused = tripline(plane, &["alerts"]).args(all).output()?;
        assert_eq!((refused.status.code(), String::from_utf8(refused.stdout)?.lines().count()), (Some(2), 2));
        ensure!(String::from_utf8_lossy(&refused.stderr).contains("add --yes"));
        assert_eq!(state(names[2])?["state"], "Open");
        for wrong in [
            &["close", "--all", "--reason", "x", "--yes"][..],
            &["close", names[0]],
            &["close", "../pods", "--reason", "x"],
        ] {
            assert_eq!(
                tripline(plane, &["alerts"]).args(wrong).output()?.status.code(),
                Some(2),
                "{wrong:?}"
            );
        }
        alerts(&[&all[..], &["--yes"]].concat())?;
        for name in &names[2..] {
            assert_eq!(state(name)?, json!({"state": "Closed", "reason": "the backup"}));
        }
        alerts(&["reopen", names[2]])?;
        assert_eq!(state(names[2])?["state"], "Open");
        let listed: Value = serde_json::from_str(&alerts(&["list", "-o", "json", "--state", "Closed"])?)?;
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));

        // As kubectl runs it, with kubectl's way to find a cluster.
        let plugins = plane.folder().join("plugins");
        std::fs::create_dir_all(&plugins)?;
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tripline"), plugins.join("kubectl-tripline"))?;
        let plugin = |arguments: &[&str]| {
            let mut command = plane.kubectl_command("admin");
            let path = std::env::var_os("PATH").unwrap_or_default();
            let path =
                std::env::join_paths([plugins.clone()].into_iter().chain(std::env::split_paths(&path)));
            command.arg("tripline").args(arguments).env("PATH", path.unwrap_or_default());
            command.env("KUBECONFIG", plane.kubeconfig("admin"));
            command
        };
        let page = run(&mut plugin(&["alerts", "show", names[0]]))?;
        ensure!(
            page.contains("kubectl tripline alerts close") && page.contains("pods/exec shop/web-0"),
            "{page}"
        );
        let help = run(&mut plugin(&["alerts", "close", "--help"]))?;
        ensure!(
            help.contains("Usage: kubectl tripline alerts close")
                && help.contains("\n  kubectl tripline alerts close NAME"),
            "{help}"
        );
        let context = plane.run("admin", &["config", "current-context"])?;
        run(&mut plugin(&["alerts", "list", "--context", context.trim()]))?;
        let wrong = plugin(&["alerts", "list", "--context", "nowhere"]).output()?;
        assert_eq!(wrong.status.code(), Some(2));
        ensure!(String::from_utf8_lossy(&wrong.stderr).contains("the context \"nowhere\" cannot be used"));
        let other = plane.kubeconfig("bob");
        let refused = run(plugin(&["alerts", "list", "--kubeconfig"]).arg(Path::new(&other)));
        let why = refused.err().context("bob may list alerts")?.to_string();
        // The API server's words, and no dump of its answer.
        ensure!(why.contains("is forbidden: User \"bob\"") && !why.contains("Status {"), "{why}");
        Ok(())
    })
}
