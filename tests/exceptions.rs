//! What is known and allowed raises no alert: exceptions of a rule and of their own kind, what each let pass, and what
//! is said of those that do not apply.
mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::operator::{
    Operator, PATIENCE, alerts, counted, exception, install, rule, source_at, wait_for_alerts,
    wait_for_condition,
};
use support::proxy::{Fault, Proxy};
use support::written_log::{WrittenLog, record};
use support::{ControlPlane, Options, wait_for};

/// A log with a source of its own.
fn install_log(plane: &ControlPlane) -> Result<WrittenLog> {
    let log = WrittenLog::create(plane)?;
    plane.apply("admin", &source_at("made", log.path(), "Start"))?;
    Ok(log)
}

/// So many requests of each user for a widget.
fn pour(log: &WrittenLog, users: &[&str], count: usize) -> Result<()> {
    let request = |number: usize, user: &str| {
        record(json!({
            "auditID": format!("7d2c8f3e-5c1b-4f7a-9d60-{number:012}"),
            "user": {"username": user, "groups": ["system:authenticated"]},
            "objectRef": {"resource": "widgets", "namespace": "shop", "name": "x", "apiVersion": "v1"},
        }))
    };
    log.append((0..count).flat_map(|number| users.iter().map(move |user| request(number, user))))
}

/// The matches that the reader's checkpoint counts.
fn matches_on_disk(plane: &ControlPlane) -> Option<i64> {
    let state = std::fs::read_dir(plane.folder().join("state-of-control-plane-1")).ok()?;
    // A kill may leave behind what was to replace it.
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("checkpoint-") && name.ends_with(".json")
    };
    let path = state.filter_map(|entry| Some(entry.ok()?.path())).find(is_it)?;
    let checkpoint: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let rules = checkpoint["found"]["counts"]["rules"].as_object()?;
    rules.values().map(|counts| counts["matches"].as_i64()).sum()
}

/// What a rule's status says of an exception.
fn of_rule(rule: &Value, origin: &str, name: &str) -> Value {
    let exceptions = rule["status"]["exceptions"].as_array().cloned().unwrap_or_default();
    exceptions.into_iter().find(|e| e["origin"] == origin && e["name"] == name).unwrap_or_default()
}

#[test]
fn what_each_exception_lets_pass_is_counted_exactly_through_kills() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let (account, log) = (install(plane)?, install_log(plane)?);
        let mut reads = rule("reads", "verb:get and objectRef.resource:widgets");
        reads["metadata"]["labels"] = json!({"team": "web"});
        reads["spec"]["exceptions"] = json!([
            {"name": "deploys", "query": "user.username:ci", "reason": "deploys look at what they made"},
            {"name": "last-year", "query": "user.username:mallory", "expireTime": "2020-01-01T00:00:00Z"},
        ]);
        plane.apply("admin", &reads.to_string())?;
        plane.apply("admin", &exception("bots", "reads", "user.username:bot").to_string())?;
        let mut by_label = exception("web", "none-of-this-name", "user.username:web");
        by_label["spec"]["rules"]["selector"] = json!({"matchLabels": {"team": "web"}});
        plane.apply("admin", &by_label.to_string())?;

        let launch = || -> Result<Operator> {
            let operator = Operator::launch_on(plane, &account, "control-plane-1", &[])?;
            operator.wait_for_page("/readyz", 200, "ok")?;
            Ok(operator)
        };
        let users = ["mallory", "ci", "bot", "web"];
        // What is there already is judged as soon as reading begins, which is not before all exceptions are known.
        pour(&log, &users, 300)?;
        let mut operator = launch()?;
        for round in 1..4 {
            // On disk is the half of it; what is poured then is judged once or twice, and counted once.
            let mut on_disk = None;
            wait_for("a checkpoint that holds all so far", PATIENCE, || {
                on_disk = matches_on_disk(plane);
                (on_disk? == i64::from(round) * 1200).then_some(())
            })
            .with_context(|| format!("in round {round} it holds {on_disk:?}"))?;
            let judged = || operator.metric("tripline_matches_total{rule=\"reads\"}").unwrap_or_default();
            let before = judged();
            pour(&log, &users, 300)?;
            wait_for("some of it to be judged", PATIENCE, || (judged() > before).then_some(()))?;
            operator.kill();
            operator = launch()?;
        }
        wait_for_alerts(plane, "every request to be counted", |alerts| counted(alerts, "reads") >= 1200)?;
        let mut said = Value::Null;
        let reads = wait_for("the rule to say what its exceptions let pass", PATIENCE, || {
            said = plane.get(&["detectionrule", "reads"]).ok()?;
            let status = &said["status"];
            (status["suppressed"] == 3600 && status["matches"] == 4800).then(|| said.clone())
        })
        .with_context(|| {
            format!("on disk are {:?} matches, it says {:#}", matches_on_disk(plane), said["status"])
        })?;
        let found = alerts(plane)?;
        ensure!(found.len() == 1 && counted(&found, "reads") == 1200, "{found:#?}");
        for (origin, name, suppressed, expired) in [
            ("Rule", "deploys", 1200, false),
            ("Rule", "last-year", 0, true),
            ("DetectionException", "bots", 1200, false),
            ("DetectionException", "web", 1200, false),
        ] {
            let said = of_rule(&reads, origin, name);
            ensure!(said["suppressed"] == suppressed && said["expired"] == expired, "{name}: {said}");
            ensure!(said["lastSuppressedTime"].is_string() == (suppressed > 0), "{name}: {said}");
        }
        ensure!(reads["status"]["exceptions"].as_array().map(Vec::len) == Some(4), "{reads:#}");
        wait_for("the exceptions to say what they let pass", PATIENCE, || {
            let said = |name| plane.get(&["detectionexception", name]).ok();
            let (bots, web) = (said("bots")?["status"].clone(), said("web")?["status"].clone());
            let is_said = |status: &Value| {
                status["suppressed"] == 1200
                    && status["rules"] == json!(["reads"])
                    && status["ruleCount"] == 1
                    && status["lastSuppressedTime"].is_string()
            };
            (is_said(&bots) && is_said(&web)).then_some(())
        })?;
        // The counters of a process begin anew with it; the series are there.
        let series =
            "tripline_suppressed_total{rule=\"reads\",exception=\"bots\",origin=\"DetectionException\"}";
        ensure!(operator.metric(series).is_some());

        // Without the exception the rule alerts again, and what it let pass is no longer said.
        plane.run("admin", &["delete", "detectionexception", "bots"])?;
        wait_for("the exception to be gone from the rule", PATIENCE, || {
            let reads = plane.get(&["detectionrule", "reads"]).ok()?;
            of_rule(&reads, "DetectionException", "bots").is_null().then_some(())
        })?;
        ensure!(operator.metric(series).is_none());
        pour(&log, &["bot"], 3)?;
        wait_for_alerts(plane, "the bot's requests", |alerts| counted(alerts, "reads") == 1203)?;

        // By its labels the rule leaves the other one.
        plane.run("admin", &["label", "detectionrule", "reads", "team=db", "--overwrite"])?;
        let message = wait_for_condition(plane, ("detectionexception", "web"), ("Ready", "False", "NoRule"))?;
        ensure!(message.contains("no rule has one of these names or labels"), "{message}");
        pour(&log, &["web", "ci"], 2)?;
        wait_for_alerts(plane, "the requests of web", |alerts| counted(alerts, "reads") == 1205)?;
        operator.terminate()
    })
}

#[test]
fn nothing_is_judged_before_all_rules_and_exceptions_are_known() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let (account, log) = (install(plane)?, install_log(plane)?);
        plane.apply("admin", &rule("reads", "verb:get and objectRef.resource:widgets").to_string())?;
        plane.apply("admin", &exception("bots", "reads", "user.username:bot").to_string())?;
        pour(&log, &["bot", "mallory"], 5)?;

        let proxy = Proxy::start(&account)?;
        // First neither of the two can be listed, then only the exceptions cannot.
        proxy.inject(Fault::AnswerTo("/v1alpha1/detection", 503));
        let kubeconfig = proxy.kubeconfig(plane.folder())?;
        let operator = Operator::launch_on(plane, &kubeconfig, "control-plane-1", &[])?;
        let stays_unjudged = |rules: f64| -> Result<()> {
            wait_for("the rules to be taken in", PATIENCE, || {
                (operator.metric("tripline_rules").unwrap_or_default() >= rules).then_some(())
            })?;
            let began = Instant::now();
            wait_for("the fault to last", PATIENCE, || {
                (began.elapsed() >= Duration::from_secs(3)).then_some(())
            })?;
            operator.wait_for_page("/readyz", 503, "rules")?;
            let events = operator.metric("tripline_events_total{source=\"made\"}").unwrap_or_default();
            ensure!(events < 1.0, "{events} events are judged by {rules} rules");
            Ok(())
        };
        stays_unjudged(0.0)?;
        proxy.inject(Fault::AnswerTo("/detectionexceptions", 503));
        stays_unjudged(1.0)?;
        proxy.inject(Fault::None);
        let found = wait_for_alerts(plane, "what is not excepted", |alerts| counted(alerts, "reads") >= 5)?;
        ensure!(found.len() == 1 && counted(&found, "reads") == 5, "{found:#?}");
        let excepted =
            "tripline_suppressed_total{rule=\"reads\",exception=\"bots\",origin=\"DetectionException\"}";
        ensure!(operator.metric(excepted) == Some(5.0), "{:?}", operator.metric(excepted));
        operator.terminate()
    })
}

#[test]
fn an_exception_that_does_not_apply_says_why_and_hurts_nobody_else() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let (account, log) = (install(plane)?, install_log(plane)?);
        let query = "verb:get and objectRef.resource:widgets";
        let mut bad = rule("bad", query);
        bad["spec"]["exceptions"] = json!([{"name": "typo", "query": "user.username:"}]);
        let mut all = rule("all", query);
        all["spec"]["exceptions"] = json!([{"name": "anything", "query": "user.username:*"}]);
        let (low, mut top) = (rule("low", query), rule("top", query));
        top["spec"]["severity"] = json!("Critical");
        for object in [&bad, &all, &low, &top] {
            plane.apply("admin", &object.to_string())?;
        }
        let mut both = exception("both", "low", "user.username:ci");
        both["spec"]["rules"]["names"] = json!(["low", "top"]);
        let mut old = exception("old", "low", "user.username:mallory");
        old["spec"]["expireTime"] = json!("2020-01-01T00:00:00Z");
        let objects = [
            both,
            old,
            exception("typo", "low", "verb:get and\n  user.username:)"),
            exception("anything", "low", "not verb:nothing"),
            exception("silencer", "low", "verb:get or user.username:x"),
            exception("only-top", "top", "user.username:ci"),
        ];
        for object in &objects {
            plane.apply("admin", &object.to_string())?;
        }
        let operator =
            Operator::launch_on(plane, &account, "control-plane-1", &["--critical-exceptions=forbid"])?;
        operator.wait_for_page("/readyz", 200, "ok")?;
        pour(&log, &["ci", "mallory"], 5)?;
        // All matches of the Critical rule alert; of the other one only what no exception in force covers.
        let found = wait_for_alerts(plane, "the alerts", |alerts| {
            counted(alerts, "top") == 10 && counted(alerts, "low") == 5
        })?;
        ensure!(counted(&found, "bad") + counted(&found, "all") == 0);

        let kind = "detectionexception";
        for (object, wanted, parts) in [
            (
                ("detectionrule", "bad"),
                ("Accepted", "False", "InvalidQuery"),
                &["exception typo: line 1, column", "^"][..],
            ),
            (
                ("detectionrule", "all"),
                ("Accepted", "False", "InvalidQuery"),
                &["exception anything: ", "for every event is refused", "mode"],
            ),
            ((kind, "both"), ("Ready", "True", "Applied"), &["applies to rule low; not to top: Critical"]),
            ((kind, "only-top"), ("Ready", "False", "NotApplied"), &["not to top: Critical"]),
            (
                (kind, "silencer"),
                ("Ready", "False", "NotApplied"),
                &["not to low: it would let every match pass"],
            ),
            ((kind, "old"), ("Ready", "False", "Expired"), &["ended at 2020-01-01T00:00:00Z"]),
            (
                (kind, "typo"),
                ("Accepted", "False", "InvalidQuery"),
                &["line 2, column 17: ", "^", "does not apply"],
            ),
            ((kind, "anything"), ("Accepted", "False", "InvalidQuery"), &["for every event is refused"]),
        ] {
            let message = wait_for_condition(plane, object, wanted)?;
            for part in parts {
                ensure!(message.contains(part), "{object:?}: {message}");
            }
        }
        let columns = plane.run("admin", &["get", "dexc", "both"])?;
        ensure!(columns.starts_with("NAME   RULES   SUPPRESSED   EXPIRES   ACCEPTED   AGE"), "{columns}");

        // Mended, it applies; what is refused by the schema is refused.
        plane.apply("admin", &exception("typo", "low", "user.username:mallory").to_string())?;
        wait_for_condition(plane, (kind, "typo"), ("Ready", "True", "Applied"))?;
        pour(&log, &["mallory"], 5)?;
        wait_for_alerts(plane, "the Critical rule's", |alerts| counted(alerts, "top") == 15)?;
        ensure!(counted(&alerts(plane)?, "low") == 5);
        for rules in [
            json!({}),
            json!({"selector": {}}),
            json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
        ] {
            let mut object = exception("refused", "low", "user.username:ci");
            object["spec"]["rules"] = rules.clone();
            ensure!(plane.apply("admin", &object.to_string()).is_err(), "{rules}");
        }
        operator.terminate()
    })
}
