//! The operator on a real API server: from a request to its alert.
mod support;

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use support::operator::{
    Operator, PATIENCE, alerts, close, condition, counted, install, install_account, install_kinds,
    printed_kinds, rule, source, source_at, wait_for_alerts, wait_for_condition,
};
use support::written_log::{WrittenLog, record};
use support::{ControlPlane, Options, wait_for};
use tripline::api::SCHEMA_REVISION;

const SEED_RULE: &str = include_str!("../rules/execution/user-exec-into-pod.yaml");
const WIDE_RULE: &str = include_str!("../rules/execution/exec-into-pod.yaml");

#[test]
fn an_exec_becomes_an_alert_an_event_and_a_count() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| main_job(plane))
}

fn main_job(plane: &ControlPlane) -> Result<()> {
    // Without the kinds the operator says what is missing, and goes on by itself once they are there.
    let account = install_account(plane)?;
    let operator = Operator::launch(plane, &account)?;
    operator.wait_for_page("/readyz", 503, "auditsources.tripline.dev is missing")?;
    operator.wait_for_page("/livez", 200, "ok")?;
    let revision = |revision: u32| format!("tripline.dev/schema-revision: \"{revision}\"");
    let older = printed_kinds()?.replace(&revision(SCHEMA_REVISION), &revision(SCHEMA_REVISION - 1));
    plane.apply("admin", &older)?;
    operator.wait_for_page("/readyz", 503, "is older than this program")?;
    install_kinds(plane)?;
    operator.wait_for_page("/readyz", 200, "ok")?;

    plane.make_pod("shop", "web-0")?;
    plane.apply("admin", SEED_RULE)?;
    plane.apply("admin", WIDE_RULE)?;
    let lists = rule("list-secrets", "verb:list and objectRef.resource:secrets and stage:ResponseComplete");
    let anonymous =
        rule("anonymous", "user.name:\"system:anonymous\" and requestURI:\"/version/nothing?x=1\"");
    plane.apply("admin", &lists.to_string())?;
    plane.apply("admin", &anonymous.to_string())?;
    for name in ["user-exec-into-pod", "exec-into-pod", "list-secrets", "anonymous"] {
        plane.run("admin", &["wait", "--for=condition=Accepted", "detectionrule", name, "--timeout=10s"])?;
    }
    wait_for_condition(plane, ("detectionrule", "user-exec-into-pod"), ("Tested", "True", "Passed"))?;
    plane.apply("admin", &source(plane, "kube-apiserver", "End"))?;
    plane
        .run("admin", &["wait", "--for=condition=Ready", "auditsource", "kube-apiserver", "--timeout=10s"])?;

    // Today's kubectl opens a session by GET (WebSocket), which the seed rule does not see. Where that fails it tries
    // POST (SPDY) next; this is the first of the two alone.
    plane.kubectl("alice", &["get", "--raw", "/api/v1/namespaces/shop/pods/web-0/exec?command=id"])?;
    let found = wait_for_alerts(plane, "the alert of a WebSocket exec", |alerts| {
        counted(alerts, "exec-into-pod") > 0
    })?;
    assert_eq!(counted(&found, "user-exec-into-pod"), 0);
    let seen = counted(&found, "exec-into-pod");

    // By POST both rules match the one event, which gives two alerts.
    let mut command = plane.kubectl_command("alice");
    command.args(["exec", "--namespace", "shop", "web-0", "--", "id"]);
    command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false").output()?;
    let found = wait_for_alerts(plane, "the alert of the seed rule", |alerts| {
        counted(alerts, "user-exec-into-pod") == 1 && counted(alerts, "exec-into-pod") == seen + 1
    })?;
    assert_eq!(found.len(), 2, "one alert a rule: {found:#?}");
    let alert = &found[1];
    let name = alert["metadata"]["name"].as_str().unwrap_or_default();
    assert!(name.starts_with("user-exec-into-pod-") && name.ends_with("-1"), "{name}");
    let detection = &alert["spec"]["detection"];
    assert_eq!(detection["target"], "pods/exec shop/web-0");
    assert_eq!(detection["ruleId"], "14de811c-d60f-11ec-9fd7-f661ea17fbce");
    assert_eq!((&detection["severity"], &detection["riskScore"]), (&json!("Medium"), &json!(47)));
    assert_eq!(detection["threat"][0]["techniques"][0]["id"], "T1609");
    let event = &detection["event"];
    assert_eq!((&event["user"]["username"], &event["verb"]), (&json!("alice"), &json!("create")));
    assert_eq!((&event["stage"], &event["decision"]), (&json!("ResponseStarted"), &json!("allow")));
    assert_eq!(event["sourceIPs"], json!(["127.0.0.1"]));
    let group = json!([
        {"field": "user.username", "value": "alice"},
        {"field": "objectRef.namespace", "value": "shop"},
        {"field": "objectRef.name", "value": "web-0"},
    ]);
    assert_eq!(detection["group"], group);
    assert_eq!(alert["metadata"]["labels"]["tripline.dev/rule"], "user-exec-into-pod");
    assert_eq!(alert["status"]["sources"][0]["count"], 1);
    assert_eq!(alert["status"]["samples"][0]["auditID"], event["auditID"]);

    // One Event, on the pod.
    let events = plane.get(&["events.events.k8s.io", "--namespace", "shop"])?;
    let about = |e: &&Value| e["related"]["name"] == name;
    let events: Vec<_> = events["items"].as_array().into_iter().flatten().filter(about).collect();
    assert_eq!(events.len(), 1, "{events:#?}");
    let pod = plane.get(&["pod", "web-0", "--namespace", "shop"])?;
    assert_eq!(events[0]["regarding"]["uid"], pod["metadata"]["uid"]);
    assert_eq!(
        events[0]["note"],
        format!("[Medium] Kubernetes user exec into pod: see securityalert {name}")
    );

    // A list names no object; a request without credentials names none either, and no resource at all.
    plane.run("bob", &["get", "pods", "--namespace", "shop"])?;
    plane.run("admin", &["get", "secrets", "--namespace", "shop"])?;
    ask_anonymously(plane, "/version/nothing?x=1")?;
    let found = wait_for_alerts(plane, "alerts without an object", |alerts| {
        counted(alerts, "list-secrets") == 1 && counted(alerts, "anonymous") >= 1
    })?;
    let of = |rule: &str| {
        found.iter().find(|a| a["spec"]["detection"]["ruleName"] == rule).cloned().unwrap_or_default()
    };
    assert_eq!(of("list-secrets")["spec"]["detection"]["target"], "secrets shop");
    assert_eq!(of("list-secrets")["spec"]["detection"]["group"][2], json!({"field": "objectRef.name"}));
    assert_eq!(of("anonymous")["spec"]["detection"]["target"], "/version/nothing");

    status_and_metrics(plane, &operator, seen)?;
    evidence_is_immutable(plane, name)?;
    operator.terminate()
}

/// A request without credentials.
fn ask_anonymously(plane: &ControlPlane, uri: &str) -> Result<()> {
    let mut config = kube::Config::new(plane.url().parse()?);
    config.accept_invalid_certs = true;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = kube::Client::try_from(config)?;
        let answer = client.request_text(http::Request::get(uri).body(Vec::new())?).await;
        anyhow::ensure!(matches!(&answer, Err(kube::Error::Api(_))), "it was answered with {answer:?}");
        Ok(())
    })
}

fn status_and_metrics(plane: &ControlPlane, operator: &Operator, seen: i64) -> Result<()> {
    let status = wait_for("the rule's counts", PATIENCE, || {
        let status = plane.get(&["detectionrule", "exec-into-pod"]).ok()?["status"].clone();
        (status["matches"] == seen + 1).then_some(status)
    })?;
    assert_eq!((&status["alerts"], &status["suppressed"]), (&json!(1), &json!(0)));
    assert_eq!(status["agents"][0]["name"], "control-plane-1");
    assert!(status["lastMatchTime"].is_string());
    let printed = plane.run("admin", &["get", "detectionrule", "exec-into-pod"])?;
    assert!(printed.lines().next().is_some_and(|head| {
        head.split_whitespace()
            .eq(["NAME", "SEVERITY", "ACCEPTED", "MATCHES", "ALERTS", "LAST", "MATCH", "AGE"])
    }));
    let selected = [
        "get",
        "securityalerts",
        "--field-selector",
        "spec.detection.event.user.username=alice",
        "-o",
        "name",
    ];
    assert_eq!(plane.run("admin", &selected)?.lines().count(), 2);
    let agent = plane.get(&["auditsource", "kube-apiserver"])?["status"]["agents"][0].clone();
    let number = |name: &str| agent[name].as_i64().unwrap_or(-1);
    assert_eq!(number("size"), number("offset") + number("lagBytes"), "{agent}");
    let time = |name: &str| agent[name].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    // A file's time is that of the kernel's last tick.
    let tick = jiff::SignedDuration::from_millis(100);
    assert!(time("lastWriteTime").map(|time| time + tick) >= time("lastEventTime"), "{agent}");
    wait_for_condition(plane, ("auditsource", "kube-apiserver"), ("Receiving", "True", "EventsArrive"))?;

    let (_, metrics) = operator.page("/metrics")?;
    for line in [
        format!("tripline_matches_total{{rule=\"exec-into-pod\"}} {}", seen + 1),
        "tripline_alerts_total{rule=\"exec-into-pod\",severity=\"Medium\"} 1".to_owned(),
        "tripline_events_total{source=\"kube-apiserver\"}".to_owned(),
        "tripline_undecidable_total{rule=\"exec-into-pod\"} 0".to_owned(),
        "tripline_source_lag_bytes{source=\"kube-apiserver\"}".to_owned(),
        "tripline_source_lag_seconds{source=\"kube-apiserver\"}".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    for name in ["tripline_malformed_lines", "tripline_write_errors"] {
        assert!(metrics.contains(&format!("# TYPE {name} counter")), "{name} is not in\n{metrics}");
    }
    // What Tripline itself asks of the API server is counted, and raises nothing.
    assert!(
        metrics.contains("tripline_ignored_events_total{source=\"kube-apiserver\",reason=\"own\"}"),
        "{metrics}"
    );
    Ok(())
}

fn evidence_is_immutable(plane: &ControlPlane, alert: &str) -> Result<()> {
    let patch = |patch: &str| {
        plane.kubectl("admin", &["patch", "securityalert", alert, "--type=merge", "--patch", patch])
    };
    let refused = patch(r#"{"spec":{"detection":{"title":"nothing to see"}}}"#)?;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("evidence"));
    assert!(patch(r#"{"spec":{"triage":{"state":"Acknowledged","assignee":"carol"}}}"#)?.status.success());
    Ok(())
}

#[test]
fn rules_take_effect_at_once_and_a_bad_one_hurts_only_itself() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| rules(plane))
}

fn rules(plane: &ControlPlane) -> Result<()> {
    let account = install(plane)?;
    plane.make_pod("shop", "web-0")?;
    let operator = Operator::start(plane, &account)?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;

    let good: Vec<_> =
        (0..100).map(|n| rule(&format!("good-{n}"), &format!("objectRef.name:\"cm-{n}\""))).collect();
    plane.apply("admin", &json!({"apiVersion": "v1", "kind": "List", "items": good}).to_string())?;
    let touch = |n: u32| plane.kubectl("alice", &["get", "configmap", &format!("cm-{n}")]);
    let bad =
        "verb:create and\n  objectRef.resource:pods and\n  kubernetes.audit.objectRef.subresource: and x:y";
    plane.apply("admin", &rule("bad", bad).to_string())?;
    plane.apply("admin", &rule("empty", "").to_string())?;
    plane.apply("admin", &rule("long", &format!("x:\"{}\"", "y".repeat(66 * 1024))).to_string())?;
    plane.apply("admin", &rule("deep", &format!("{}x:y{}", "(".repeat(70), ")".repeat(70))).to_string())?;
    let refused = ("Accepted", "False", "InvalidQuery");
    let message = wait_for_condition(plane, ("detectionrule", "bad"), refused)?;
    assert!(message.starts_with("line 3, column "), "{message}");
    assert!(
        message.contains("subresource") && message.contains('^') && message.contains("not running"),
        "{message}"
    );
    for name in ["empty", "long", "deep"] {
        wait_for_condition(plane, ("detectionrule", name), refused)?;
    }
    for n in 0..100 {
        let name = format!("detectionrule/good-{n}");
        plane.run("admin", &["wait", "--for=condition=Accepted", &name, "--timeout=10s"])?;
    }
    touch(7)?;
    wait_for_alerts(plane, "a good rule's alert", |alerts| counted(alerts, "good-7") == 1)?;

    // Edited: the old query no longer counts, the new one does.
    plane.apply("admin", &rule("good-7", "objectRef.name:\"cm-other\"").to_string())?;
    plane.apply("admin", &rule("bad", "objectRef.name:\"cm-7\"").to_string())?;
    wait_for_condition(plane, ("detectionrule", "bad"), ("Accepted", "True", "Compiled"))?;
    touch(7)?;
    let found = wait_for_alerts(plane, "the mended rule's alert", |alerts| counted(alerts, "bad") == 1)?;
    assert_eq!(counted(&found, "good-7"), 1);

    // Disabled, dry-run and deleted: what comes after them shows that they were passed over.
    let mut disabled = rule("bad", "objectRef.name:\"cm-7\"");
    disabled["spec"]["mode"] = "Disabled".into();
    plane.apply("admin", &disabled.to_string())?;
    let mut dry = rule("good-8", "objectRef.name:\"cm-8\"");
    dry["spec"]["mode"] = "DryRun".into();
    plane.apply("admin", &dry.to_string())?;
    plane.run("admin", &["delete", "detectionrule", "good-9"])?;
    wait_for("the changes to be seen", PATIENCE, || {
        let seen = |name: &str, reason: &str| {
            let object = plane.get(&["detectionrule", name]).ok()?;
            let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            (current && condition(&object, "Ready")["reason"] == reason).then_some(())
        };
        seen("bad", "Disabled").and(seen("good-8", "Compiled"))
    })?;
    for n in [7, 8, 9, 10] {
        touch(n)?;
    }
    let found = wait_for_alerts(plane, "the last alert", |alerts| counted(alerts, "good-10") == 1)?;
    assert_eq!((counted(&found, "bad"), counted(&found, "good-8"), counted(&found, "good-9")), (1, 0, 0));
    wait_for("the dry run's count", PATIENCE, || {
        (plane.get(&["detectionrule", "good-8"]).ok()?["status"]["matches"] == 1).then_some(())
    })?;

    sources_in_trouble(plane, &operator)?;
    operator.terminate()
}

fn sources_in_trouble(plane: &ControlPlane, operator: &Operator) -> Result<()> {
    let make = |name: &str, path: &str| {
        let source = json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource", "metadata": {"name": name},
            "spec": {"file": {"path": path}},
        });
        plane.apply("admin", &source.to_string())
    };
    let later = plane.folder().join("audit/later.log");
    make("later", &later.display().to_string())?;
    make("outside", "/etc/passwd")?;
    let elsewhere = json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource", "metadata": {"name": "elsewhere"},
        "spec": {"file": {"path": "audit.log"}, "nodeSelector": {"zone": "elsewhere"}},
    });
    plane.apply("admin", &elsewhere.to_string())?;
    for (name, reason, part) in [
        ("elsewhere", "NotSelected", "nodeSelector"),
        ("later", "NotFound", "--audit-log-path"),
        ("outside", "OutsideLogRoot", "--log-root"),
    ] {
        let message = wait_for_condition(plane, ("auditsource", name), ("Reading", "False", reason))?;
        assert!(message.contains(part), "{message}");
    }
    wait_for_condition(plane, ("auditsource", "log"), ("Reading", "True", "Tailing"))?;

    // A path that appears later is read from its start.
    let event = record(json!({"objectRef": {"resource": "configmaps", "name": "cm-11"}}));
    // What is no audit event is counted, and its neighbours are judged.
    let mut lines = format!("no json\n{{\"kind\":\"Pod\"}}\n{event}\n{{\"kind\":\"Event\"\n\n").into_bytes();
    lines.extend(b"\xff\xfe\n");
    lines.extend(format!("{event}\n").into_bytes());
    std::fs::write(&later, lines)?;
    wait_for_alerts(plane, "the alert of a log that came later", |alerts| counted(alerts, "good-11") == 2)?;
    wait_for_condition(plane, ("auditsource", "later"), ("Reading", "True", "Tailing"))?;
    for line in [
        "tripline_plain_text_lines_total{source=\"later\"} 2",
        "tripline_malformed_lines_total{source=\"later\",reason=\"not_json\"} 1",
        "tripline_malformed_lines_total{source=\"later\",reason=\"not_an_event\"} 1",
        "tripline_malformed_lines_total{source=\"later\",reason=\"not_utf8\"} 1",
        "tripline_events_total{source=\"later\"} 2",
    ] {
        operator.wait_for_page("/metrics", 200, line)?;
    }

    // What was read is taken away: that is said on the source, in its row, and by one Event.
    std::fs::write(&later, "no json\n")?;
    let message =
        wait_for_condition(plane, ("auditsource", "later"), ("GapDetected", "True", "PositionLost"))?;
    assert!(message.contains("was truncated or overwritten"), "{message}");
    operator.wait_for_page("/metrics", 200, "tripline_source_gaps_total{source=\"later\"} 1")?;
    let row = plane.run("admin", &["get", "auditsource", "later"])?;
    let cells: Vec<Vec<_>> = row.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0].join(" "), "NAME READING RECEIVING LAG EVENTS LAST EVENT GAP AGE");
    assert_eq!((&cells[1][..2], cells[1][3], cells[1][4]), (&["later", "True"][..], "0", "2"), "{row}");
    assert_eq!(cells[1][cells[1].len() - 2], "True", "{row}");
    let events = plane.get(&["events.events.k8s.io", "--namespace=kube-system"])?;
    let gaps: Vec<_> = events["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["reason"] == "GapDetected")
        .collect();
    assert_eq!(gaps.len(), 1, "{gaps:#?}");
    assert_eq!(gaps[0]["regarding"]["name"], "later");
    assert!(gaps[0]["note"].as_str().unwrap_or_default().contains("may be lost"), "{:#}", gaps[0]);
    Ok(())
}

/// A match after an alert was closed opens the next, even where somebody's object has the next name.
fn a_closed_alert_is_followed_by_another(plane: &ControlPlane) -> Result<()> {
    let of = |alerts: &[Value]| {
        let about = |alert: &&Value| alert["spec"]["detection"]["target"] == "configmaps default/cm-0";
        alerts.iter().filter(about).cloned().collect::<Vec<_>>()
    };
    let first = of(&alerts(plane)?).remove(0);
    let name = first["metadata"]["name"].as_str().unwrap_or_default();
    close(plane, "admin", name)?;
    let mut squatter =
        json!({"apiVersion": first["apiVersion"], "kind": first["kind"], "spec": first["spec"]});
    squatter["metadata"]["name"] = name.replace("-1", "-2").into();
    squatter["spec"]["detection"]["groupHash"] = "another".into();
    squatter["spec"]["detection"]["target"] = "squatter".into();
    plane.apply("admin", &squatter.to_string())?;
    plane.kubectl("alice", &["get", "configmap", "cm-0"])?;
    let found = wait_for_alerts(plane, "the next alert", |alerts| {
        let found = of(alerts);
        found.len() == 2 && found.iter().all(|alert| alert["status"]["count"] == 1)
    })?;
    assert!(of(&found)[1]["metadata"]["name"].as_str().is_some_and(|name| name.ends_with("-3")));
    Ok(())
}

/// What was found while nothing could be written is in the checkpoint, and outlives a kill.
fn killed_while_the_api_server_is_away(plane: &mut ControlPlane, account: &Path) -> Result<()> {
    let log = WrittenLog::create(plane)?;
    let append = |name: &str| -> Result<()> {
        let object = json!({"resource": "configmaps", "name": name});
        log.append([record(json!({"user": {"username": "alice"}, "objectRef": object}))])
    };
    append("first")?;
    plane.apply("admin", &source_at("by-hand", log.path(), "Start"))?;
    let operator = Operator::start(plane, account)?;
    let count = |alerts: &[Value], name: &str| {
        let of = alerts.iter().filter(|alert| alert["spec"]["detection"]["event"]["object"]["name"] == name);
        of.filter_map(|alert| alert["status"]["count"].as_i64()).collect::<Vec<_>>()
    };
    wait_for_alerts(plane, "the first alert", |alerts| count(alerts, "first") == [1])?;

    plane.stop_api_server();
    for name in ["first", "second", "first", "second", "second"] {
        append(name)?;
    }
    wait_for("a checkpoint with what is pending", PATIENCE, || {
        let checkpoints = std::fs::read_dir(plane.folder().join("state-of-control-plane-1")).ok()?;
        let texts = checkpoints.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
        let pending = |checkpoint: &Value| -> Option<i64> {
            let parcels = checkpoint["found"]["pending"].as_array()?;
            Some(parcels.iter().filter_map(|parcel| parcel["segments"][0]["count"].as_i64()).sum())
        };
        let saved: Vec<Value> = texts.filter_map(|text| serde_json::from_str(&text).ok()).collect();
        saved.iter().any(|c| c["source"] == "by-hand" && pending(c) == Some(5)).then_some(())
    })?;
    operator.kill();
    append("first")?;
    plane.restart_api_server()?;
    let operator = Operator::start(plane, account)?;
    let found = wait_for_alerts(plane, "every match", |alerts| {
        count(alerts, "first").iter().sum::<i64>() >= 4 && count(alerts, "second").iter().sum::<i64>() >= 3
    })?;
    assert_eq!((count(&found, "first"), count(&found, "second")), (vec![4], vec![3]));
    operator.terminate()?;
    plane.run("admin", &["delete", "auditsource", "by-hand"]).map(drop)
}

#[test]
fn what_was_logged_while_the_operator_was_down_is_judged_by_all_rules() -> Result<()> {
    ControlPlane::with(Options::default(), downtime)
}

fn downtime(plane: &mut ControlPlane) -> Result<()> {
    let account = install(plane)?;
    plane.apply(
        "admin",
        &rule("configmaps", "objectRef.resource:configmaps and user.name:alice").to_string(),
    )?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    let operator = Operator::start(plane, &account)?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;
    operator.terminate()?;

    for n in 0..10 {
        plane.kubectl("alice", &["get", "configmap", &format!("cm-{n}")])?;
    }
    let operator = Operator::start(plane, &account)?;
    let found = wait_for_alerts(plane, "ten alerts", |alerts| counted(alerts, "configmaps") >= 10)?;
    assert_eq!((found.len(), counted(&found, "configmaps")), (10, 10));

    // The API server goes away in the middle: reading goes on, and what was found is written when it is back.
    plane.kubectl("alice", &["get", "configmap", "cm-10"])?;
    plane.stop_api_server();
    plane.restart_api_server()?;
    plane.kubectl("alice", &["get", "configmap", "cm-11"])?;
    let found = wait_for_alerts(plane, "two more alerts", |alerts| counted(alerts, "configmaps") >= 12)?;
    assert_eq!((found.len(), counted(&found, "configmaps")), (12, 12));
    a_closed_alert_is_followed_by_another(plane)?;
    operator.terminate()?;

    killed_while_the_api_server_is_away(plane, &account)?;

    // Without its state folder it cannot know what it had read: that is said, and counts nothing twice.
    let before = counted(&alerts(plane)?, "configmaps");
    std::fs::remove_dir_all(plane.folder().join("state-of-control-plane-1"))?;
    let operator = Operator::start(plane, &account)?;
    let message = wait_for_condition(plane, ("auditsource", "log"), ("GapDetected", "True", "PositionLost"))?;
    assert!(message.contains("the checkpoint is gone"), "{message}");
    operator.terminate()?;
    assert_eq!(counted(&alerts(plane)?, "configmaps"), before);
    Ok(())
}
