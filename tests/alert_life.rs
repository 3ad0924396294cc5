//! The end of an alert on a real API server: how long it is kept, which go first where there are too many, and that no
//! crash makes anything count twice.
mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::operator::{Operator, PATIENCE, alerts, counted, install, rule, source, wait_for_alerts};
use support::sessions::{PODS, Sessions};
use support::{ControlPlane, Options, wait_for};

const NODE: &str = "control-plane-1";

/// A control plane with the kinds, a rule for alice's sessions and the source of its log; gives the account.
fn prepare(plane: &ControlPlane) -> Result<std::path::PathBuf> {
    let account = install(plane)?;
    plane.apply("admin", &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string())?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    Ok(account)
}

fn launch(plane: &ControlPlane, account: &std::path::Path, arguments: &[&str]) -> Result<Operator> {
    let operator = Operator::launch_on(plane, account, NODE, arguments)?;
    operator.wait_for_page("/readyz", 200, "ok")?;
    Ok(operator)
}

fn wait_until_read(plane: &ControlPlane) -> Result<()> {
    wait_for("the log to be read by the rule", PATIENCE, || {
        let rule = plane.get(&["detectionrule", "sessions"]).ok()?;
        (rule["status"]["agents"][0]["ready"] == true).then_some(())
    })
}

/// A session of alice's, which opens or joins the alert of this pod.
fn open(plane: &ControlPlane, pod: &str) -> Result<()> {
    plane.kubectl(
        "alice",
        &["get", "--raw", &format!("/api/v1/namespaces/shop/pods/{pod}/exec?command=id")],
    )?;
    Ok(())
}

fn of_pod(alerts: &[Value], pod: &str) -> Vec<Value> {
    let target = format!("pods/exec shop/{pod}");
    alerts.iter().filter(|alert| alert["spec"]["detection"]["target"] == target).cloned().collect()
}

fn wait_for_pod(plane: &ControlPlane, pod: &str, count: i64) -> Result<Value> {
    let found = wait_for_alerts(plane, "the alert of a pod", |alerts| {
        of_pod(alerts, pod).iter().any(|alert| alert["status"]["count"] == count)
    })?;
    of_pod(&found, pod).into_iter().find(|alert| alert["status"]["count"] == count).context("no alert")
}

fn triage(plane: &ControlPlane, alert: &Value, state: &str) -> Result<()> {
    let name = alert["metadata"]["name"].as_str().context("no name")?;
    let patch = json!({"spec": {"triage": {"state": state}}}).to_string();
    plane.run("admin", &["patch", "securityalert", name, "--type=merge", "--patch", &patch])?;
    Ok(())
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Waits until the alert says that it expires so long after a time of its own.
fn wait_for_expiry(
    plane: &ControlPlane,
    pod: &str,
    from: impl Fn(&Value) -> Option<Timestamp>,
    seconds: i64,
) -> Result<()> {
    let mut last = Value::Null;
    wait_for("the alert to say when it expires", PATIENCE, || {
        last = of_pod(&alerts(plane).ok()?, pod).pop()?;
        let expire = time(&last["status"]["expireTime"])?;
        (expire == from(&last)? + SignedDuration::from_secs(seconds)).then_some(())
    })
    .with_context(|| format!("it is {last:#}"))
}

fn last_seen(alert: &Value) -> Option<Timestamp> {
    time(&alert["status"]["lastSeenTime"])
}

fn closed(alert: &Value) -> Option<Timestamp> {
    let last = alert["status"]["transitions"].as_array()?.last()?;
    (last["state"] == "Closed").then(|| time(&last["time"]))?
}

#[test]
fn an_alert_says_when_it_expires_and_goes_then() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = prepare(plane)?;
        let operator = launch(plane, &account, &[])?;
        wait_until_read(plane)?;
        // It moves with the matches, and follows the setting and the state.
        for count in 1..=2 {
            open(plane, "kept")?;
            wait_for_pod(plane, "kept", count)?;
            wait_for_expiry(plane, "kept", last_seen, 90 * 86_400)?;
        }
        operator.terminate()?;
        let operator = launch(plane, &account, &["--retain-open", "3600", "--retain-closed", "4"])?;
        wait_for_expiry(plane, "kept", last_seen, 3_600)?;
        let alert = wait_for_pod(plane, "kept", 2)?;
        triage(plane, &alert, "Acknowledged")?;
        // One that somebody looks at counts on.
        open(plane, "kept")?;
        let alert = wait_for_pod(plane, "kept", 3)?;
        assert_eq!(of_pod(&alerts(plane)?, "kept").len(), 1);
        wait_for_expiry(plane, "kept", last_seen, 3_600)?;
        triage(plane, &alert, "Closed")?;
        wait_for_expiry(plane, "kept", closed, 4)?;
        // What comes after it was closed is another one, and only the closed one goes.
        open(plane, "kept")?;
        let found = wait_for_alerts(plane, "a new alert of the group", |alerts| {
            let of_pod = of_pod(alerts, "kept");
            of_pod.len() == 2 && of_pod[1]["status"]["count"] == 1
        })?;
        assert_eq!(of_pod(&found, "kept")[0]["status"]["count"], 3, "a closed alert takes no more");
        wait_for_alerts(plane, "the closed alert to go", |alerts| {
            // Somebody else's requests move the reader's published position on.
            open(plane, "another").is_ok() && of_pod(alerts, "kept").len() == 1
        })?;
        let gone = closed(&of_pod(&found, "kept")[0]).context("no transition")?;
        ensure!(Timestamp::now().duration_since(gone) >= SignedDuration::from_secs(4), "it went too early");
        assert_eq!(operator.metric("tripline_alerts_deleted_total{reason=\"expired\"}"), Some(1.0));
        operator.terminate()?;
        // What the rule has opened in all stays counted, of whoever is gone.
        let opened =
            plane.get(&["detectionrule", "sessions"])?["status"]["alerts"].as_i64().context("no count")?;
        assert_eq!(opened, 3);
        let operator = launch(plane, &account, &[])?;
        open(plane, "third")?;
        wait_for("the rule to count one more", PATIENCE, || {
            let rule = plane.get(&["detectionrule", "sessions"]).ok()?;
            (rule["status"]["alerts"] == opened + 1).then_some(())
        })?;
        operator.terminate()
    })
}

#[test]
fn an_alert_stays_until_its_matches_are_behind_every_reader() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = prepare(plane)?;
        let controller = Operator::launch_on(
            plane,
            &account,
            "elsewhere",
            &["--role", "controller", "--retain-closed", "1"],
        )?;
        let mut reader = launch(plane, &account, &["--role", "reader"])?;
        wait_until_read(plane)?;
        open(plane, "early")?;
        let early = wait_for_pod(plane, "early", 1)?;
        let offset = |alert: &Value| alert["status"]["sources"][0]["offset"].as_i64().unwrap_or(i64::MAX);
        let settled = || -> Option<i64> {
            let source = plane.get(&["auditsource", "log"]).ok()?;
            source["status"]["agents"][0]["settledOffset"].as_i64()
        };
        wait_for("the first alert's match to be behind the reader", PATIENCE, || {
            plane.run("bob", &["get", "pods", "--namespace", "shop"]).ok()?;
            (settled()? >= offset(&early)).then_some(())
        })?;
        // A reader that is killed before it has told that it is past a match, as a crash can have it.
        let mut round = 0;
        let (late, pod) = loop {
            let pod = format!("late-{round}");
            open(plane, &pod)?;
            let late = wait_for_pod(plane, &pod, 1)?;
            reader.kill();
            if settled().context("no position")? < offset(&late) {
                break (late, pod);
            }
            round += 1;
            ensure!(round < 10, "the reader is always quicker");
            reader = launch(plane, &account, &["--role", "reader"])?;
        };
        triage(plane, &late, "Closed")?;
        triage(plane, &early, "Closed")?;
        wait_for_alerts(plane, "the alert that is behind to go", |alerts| {
            of_pod(alerts, "early").is_empty()
        })?;
        let late = of_pod(&alerts(plane)?, &pod)
            .pop()
            .context("the alert was deleted before the reader was past it")?;
        let due = time(&late["status"]["expireTime"]).context("no time")?;
        wait_for("its time to be over", PATIENCE, || (Timestamp::now() > due).then_some(()))?;
        // Another one of its kind goes meanwhile: so it is looked at, and passed over.
        assert_eq!(of_pod(&alerts(plane)?, &pod).len(), 1);

        // Back again, the reader judges its log from before the match; then the alert goes, and none comes for it.
        let reader = launch(plane, &account, &["--role", "reader"])?;
        open(plane, "after")?;
        wait_for_pod(plane, "after", 1)?;
        wait_for_alerts(plane, "the alert to go at last", |alerts| {
            plane.run("bob", &["get", "pods", "--namespace", "shop"]).is_ok()
                && of_pod(alerts, &pod).is_empty()
        })?;
        reader.kill();
        let reader = launch(plane, &account, &["--role", "reader"])?;
        open(plane, "after")?;
        let found = wait_for_alerts(plane, "the next session", |alerts| {
            of_pod(alerts, "after").iter().any(|alert| alert["status"]["count"] == 2)
        })?;
        assert_eq!((of_pod(&found, &pod).len(), of_pod(&found, "early").len()), (0, 0));
        reader.terminate()?;
        controller.terminate()
    })
}

#[test]
fn where_there_are_too_many_the_least_severe_that_matched_longest_ago_go() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = prepare(plane)?;
        let mut severe =
            rule("severe", "objectRef.subresource:exec and user.name:alice and objectRef.name:severe*");
        severe["spec"]["severity"] = json!("High");
        plane.apply("admin", &severe.to_string())?;
        let operator = launch(plane, &account, &["--max-alerts", "10"])?;
        wait_until_read(plane)?;
        // One of each rule, the oldest of all; and as many little ones as leave the other severities their tenth.
        open(plane, "severe-0")?;
        wait_for_alerts(plane, "the severe alert", |alerts| alerts.len() == 2)?;
        for n in 0..6 {
            open(plane, &format!("pod-{n:02}"))?;
        }
        wait_for_alerts(plane, "all of them", |alerts| alerts.len() == 8)?;
        // More of them find no room; more severe ones take theirs.
        open(plane, "pod-06")?;
        for n in 1..5 {
            open(plane, &format!("severe-{n}"))?;
        }
        let found = wait_for_alerts(plane, "the bound to be kept", |alerts| {
            // Ten, and the one that counts what found no room.
            alerts.len() == 11
                && alerts.iter().filter(|a| a["spec"]["detection"]["ruleName"] == "severe").count() == 5
                && operator.metric("tripline_alerts_evicted_total{severity=\"Low\"}") == Some(2.0)
        })?;
        let left: Vec<_> = (0..7).filter(|n| !of_pod(&found, &format!("pod-{n:02}")).is_empty()).collect();
        assert_eq!(left, [1, 2, 3, 4, 5], "others than the oldest were evicted");
        wait_for("the count on the rule", PATIENCE, || {
            (plane.get(&["detectionrule", "sessions"]).ok()?["status"]["evicted"] == 2).then_some(())
        })?;
        assert_eq!(plane.get(&["detectionrule", "severe"])?["status"]["evicted"], 0);
        let events = || -> Result<Vec<Value>> {
            let list = plane.get(&["events.events.k8s.io", "--namespace", "kube-system"])?;
            let items = list["items"].as_array().cloned().unwrap_or_default();
            Ok(items.into_iter().filter(|event| event["reason"] == "AlertsEvicted").collect())
        };
        let told = events()?;
        ensure!((1..=2).contains(&told.len()), "{told:#?}");
        assert_eq!(
            (&told[0]["regarding"]["kind"], &told[0]["regarding"]["name"]),
            (&json!("DetectionRule"), &json!("sessions"))
        );

        // Closed ones take no bound, and as many of them are kept.
        for pod in ["pod-01", "pod-02", "pod-03"] {
            triage(plane, &of_pod(&found, pod)[0], "Closed")?;
        }
        // The reader hears of it when it hears of it.
        wait_for_alerts(plane, "an alert in their place", |alerts| {
            open(plane, "pod-14").is_ok() && !of_pod(alerts, "pod-14").is_empty()
        })?;
        let found = alerts(plane)?;
        assert_eq!(found.len(), 12);
        assert_eq!(operator.metric("tripline_alerts_evicted_total{severity=\"Low\"}"), Some(2.0));
        for alert in &found {
            triage(plane, alert, "Closed")?;
        }
        let found = wait_for_alerts(plane, "the closed ones to be within their bound", |alerts| {
            open(plane, "pod-15").is_ok()
                && alerts.iter().filter(|a| a["spec"]["triage"]["state"] == "Closed").count() == 10
        })?;
        assert!(of_pod(&found, "pod-01").is_empty() && of_pod(&found, "pod-02").is_empty());
        assert_eq!(operator.metric("tripline_alerts_deleted_total{reason=\"closed_surplus\"}"), Some(2.0));
        operator.terminate()
    })
}

#[test]
fn a_leader_killed_among_deletions_leaves_the_rest_to_the_next() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = prepare(plane)?;
        let reader = launch(plane, &account, &["--role", "reader"])?;
        wait_until_read(plane)?;
        let sessions = Sessions::start(&plane.kubeconfig("alice"), PODS, Duration::from_millis(2))?;
        let opened = i64::try_from(sessions.finish()?)?;
        let all = wait_for_alerts(plane, "all alerts", |alerts| counted(alerts, "sessions") == opened)?;
        assert_eq!(all.len() as u64, PODS);
        let highest = all.iter().filter_map(|a| a["status"]["sources"][0]["offset"].as_i64()).max();
        wait_for("the reader to be past them", PATIENCE, || {
            plane.run("bob", &["get", "pods", "--namespace", "shop"]).ok()?;
            let source = plane.get(&["auditsource", "log"]).ok()?;
            (source["status"]["agents"][0]["settledOffset"].as_i64() >= highest).then_some(())
        })?;
        let lease = ["--role", "controller", "--lease", "tripline-system/tripline", "--retain-open", "1"];
        let first = Operator::launch_on(plane, &account, "first", &lease)?;
        let second = Operator::launch_on(plane, &account, "second", &lease)?;
        let leads = |operator: &Operator| operator.metric("tripline_leader") == Some(1.0);
        wait_for("a leader", PATIENCE, || (leads(&first) || leads(&second)).then_some(()))?;
        let (leader, other) = if leads(&first) { (first, second) } else { (second, first) };
        let left = |alerts: &[Value]| alerts.len();
        wait_for_alerts(plane, "some to be gone", |alerts| left(alerts) <= 50)?;
        leader.kill();
        let rest = left(&alerts(plane)?);
        ensure!(rest > 0, "all were gone before the leader was killed");
        wait_for("all to be gone", Duration::from_mins(1), || alerts(plane).ok()?.is_empty().then_some(()))?;
        assert_eq!(
            other.metric("tripline_alerts_deleted_total{reason=\"expired\"}"),
            Some(f64::from(u32::try_from(rest)?))
        );
        // The reader counts on as if nothing had been.
        open(plane, "pod-0")?;
        let found = wait_for_alerts(plane, "a new session", |alerts| counted(alerts, "sessions") == 1)?;
        assert_eq!(found.len(), 1);
        wait_for("the sum on the rule", PATIENCE, || {
            (plane.get(&["detectionrule", "sessions"]).ok()?["status"]["matches"] == opened + 1).then_some(())
        })?;
        reader.terminate()?;
        other.terminate()
    })
}
