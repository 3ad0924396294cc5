//! Nobody can flood the cluster with alerts: what may be open is bounded, what finds no room is counted exactly, and a
//! flood of what is little leaves room for what is severe.
mod support;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::operator::{
    Operator, alerts, close, condition, counted, install, of_rule, rule, source_at, wait_for_alerts,
};
use support::written_log::WrittenLog;
use support::{ControlPlane, Options, wait_for};

/// Small, so that they are reached.
const BOUNDS: [&str; 2] = ["--max-alerts=100", "--max-alerts-per-rule=20"];

/// A log that a test writes, with the operator that follows it.
struct Flood {
    log: WrittenLog,
    account: PathBuf,
    written: i64,
}

impl Flood {
    fn install(plane: &ControlPlane, rules: &[(&str, &str)]) -> Result<Self> {
        let (account, log) = (install(plane)?, WrittenLog::create(plane)?);
        for (name, severity) in rules {
            let mut rule = rule(name, &format!("verb:get and objectRef.resource:{name}"));
            rule["spec"]["severity"] = json!(severity);
            plane.apply("admin", &rule.to_string())?;
        }
        plane.apply("admin", &source_at("flood", log.path(), "Start"))?;
        Ok(Self { log, account, written: 0 })
    }

    fn operator(&self, plane: &ControlPlane) -> Result<Operator> {
        let operator = Operator::launch_on(plane, &self.account, "control-plane-1", &BOUNDS)?;
        operator.wait_for_page("/readyz", 200, "ok")?;
        Ok(operator)
    }

    /// Requests for so many objects of their own, numbered from `first` on.
    fn pour(&mut self, resource: &str, first: usize, count: usize) -> Result<()> {
        self.log.get(resource, (first..first + count).map(|number| format!("{resource}-{number}")))?;
        self.written += i64::try_from(count)?;
        Ok(())
    }
}

fn is_overflow(alert: &Value) -> bool {
    alert["metadata"]["name"].as_str().is_some_and(|name| name.contains("-overflow"))
}

/// For how many seconds a match waited to be an alert.
fn waited(alert: &Value) -> Result<i64> {
    let time = |time: &Value| -> Result<Timestamp> { Ok(time.as_str().context("no time")?.parse()?) };
    let found = time(&alert["spec"]["detection"]["event"]["stageTime"])?;
    Ok(time(&alert["metadata"]["creationTimestamp"])?.duration_since(found).as_secs())
}

fn limited(plane: &ControlPlane, rule: &str) -> Result<Value> {
    let object = plane.get(&["detectionrule", rule])?;
    Ok(json!({"condition": condition(&object, "Limited"), "limited": object["status"]["limited"]}))
}

#[test]
fn what_finds_no_room_is_counted_through_kills_and_said() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let mut flood = Flood::install(plane, &[("pods", "Low"), ("nodes", "Critical")])?;
        let mut operator = flood.operator(plane)?;
        for round in 0..4 {
            flood.pour("pods", 500 * round, 500)?;
            // Wherever it is with what was poured.
            wait_for("some of it to be judged", support::operator::PATIENCE, || {
                let matches = "tripline_matches_total{rule=\"pods\"}";
                operator.metric(matches).filter(|matches| *matches > 0.0)
            })?;
            operator.kill();
            operator = flood.operator(plane)?;
        }
        let wanted = flood.written;
        let found = wait_for_alerts(plane, "every request to be counted", |alerts| {
            counted(alerts, "pods") >= wanted
        })?;
        ensure!(counted(&found, "pods") == wanted, "{} of {wanted}", counted(&found, "pods"));
        let of_pods = of_rule(&found, "pods");
        ensure!(of_pods.len() == 21, "{} alerts", of_pods.len());
        let overflow: Vec<_> = of_pods.into_iter().filter(|alert| is_overflow(alert)).collect();
        ensure!(overflow.len() == 1 && overflow[0]["metadata"]["name"] == "pods-overflow");
        let status = &overflow[0]["status"];
        ensure!(status["count"] == wanted - 20, "{status:#}");
        ensure!(
            status["overflow"]["users"][0] == json!({"value": "mallory", "count": wanted - 20}),
            "{status:#}"
        );

        // It is said where the rule was applied, and once as an Event.
        let said = wait_for("the rule to say that it is limited", support::operator::PATIENCE, || {
            let said = limited(plane, "pods").ok()?;
            (said["condition"]["status"] == "True" && said["limited"] == wanted - 20).then_some(said)
        })?;
        let message = said["condition"]["message"].as_str().unwrap_or_default();
        ensure!(message.contains("counted in securityalert pods-overflow"), "{message}");
        let events = plane.run(
            "admin",
            &["get", "events", "--namespace=kube-system", "--field-selector=reason=Limited", "--output=name"],
        )?;
        ensure!(events.lines().count() == 1, "{events}");
        ensure!(limited(plane, "nodes")?["condition"]["status"] == "False");

        // What is severe finds room, and what is closed gives it back.
        flood.pour("nodes", 0, 3)?;
        wait_for_alerts(plane, "what is severe", |alerts| of_rule(alerts, "nodes").len() == 3)?;
        let first = of_rule(&found, "pods").into_iter().find(|alert| !is_overflow(alert)).cloned();
        let first = first.unwrap_or_default()["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        close(plane, "admin", &first)?;
        let mut number = 10_000;
        wait_for_alerts(plane, "an alert in the place of the closed one", |alerts| {
            // The operator hears of the closing when it hears of it.
            number += 1;
            let poured = flood.log.get("pods", std::iter::once(format!("pods-{number}")));
            poured.is_ok() && of_rule(alerts, "pods").len() == 22
        })?;
        operator.terminate()
    })
}

#[test]
fn a_closed_overflow_alert_is_followed_by_another() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let mut flood = Flood::install(plane, &[("pods", "Low")])?;
        let operator = flood.operator(plane)?;
        flood.pour("pods", 0, 30)?;
        wait_for_alerts(plane, "the overflow alert", |alerts| counted(alerts, "pods") == 30)?;
        close(plane, "admin", "pods-overflow")?;
        flood.pour("pods", 100, 7)?;
        let found = wait_for_alerts(plane, "the next", |alerts| counted(alerts, "pods") == 37)?;
        let next = found.iter().find(|alert| alert["metadata"]["name"] == "pods-overflow-2");
        ensure!(next.is_some_and(|alert| alert["status"]["count"] == 7), "{found:#?}");
        operator.terminate()
    })
}

#[test]
fn a_burst_of_groups_becomes_an_alert_each() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let mut flood = Flood::install(plane, &[("pods", "Low"), ("nodes", "High")])?;
        let operator = Operator::launch_on(plane, &flood.account, "control-plane-1", &[])?;
        operator.wait_for_page("/readyz", 200, "ok")?;
        flood.pour("pods", 0, 500)?;
        flood.pour("nodes", 0, 500)?;
        let found = wait_for("an alert for each, counted", Duration::from_mins(2), || {
            let found = alerts(plane).ok()?;
            let is_counted = |alert: &Value| alert["status"]["count"] == 1;
            (found.len() >= 1_000 && found.iter().all(is_counted)).then_some(found)
        })?;
        ensure!(found.len() == 1_000 && !found.iter().any(is_overflow));
        let waited = found.iter().map(waited).collect::<Result<Vec<_>>>()?;
        let longest = waited.into_iter().max().unwrap_or_default();
        // Within half a minute where nothing else keeps the machine busy, as the pace's own tests have it.
        eprintln!("the longest waited {longest} s");
        ensure!(longest <= 45, "an alert waited {longest} s");
        operator.terminate()
    })
}
