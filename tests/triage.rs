//! Triage on a real API server: what people may do with alerts, and that it is noted who did what, or nobody.
mod support;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::operator::{Operator, PATIENCE, alerts, install, made_policy, rule, source, wait_for_alerts};
use support::{ControlPlane, Options, wait_for};
use tripline::detect::Level;
use tripline::policy::Policy;

/// The rule by which alerts come about.
fn sessions() -> String {
    rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string()
}

/// The policy that Tripline makes for it.
fn policy() -> Result<Policy> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rule.json");
    std::fs::write(&file, sessions())?;
    Ok(Policy::parse(&made_policy(&file, &[])?)?)
}

fn with(policy: &Policy) -> Options {
    Options { audit_policy: Some(policy.to_yaml("Of this test.")), ..Options::default() }
}

/// The same without the line for Tripline itself.
fn without_bodies() -> Result<Options> {
    let mut policy = policy()?;
    let lines = policy.lines.len();
    policy.lines.retain(|line| line.level <= Level::Metadata);
    ensure!(policy.lines.len() == lines - 1, "no line is for the bodies of alerts: {policy:?}");
    Ok(with(&policy))
}

/// The kinds, roles and a rule; alice and bob may triage. Gives the operator's account.
fn prepare(plane: &ControlPlane) -> Result<PathBuf> {
    let account = install(plane)?;
    let bind = [
        "create",
        "clusterrolebinding",
        "triage",
        "--clusterrole=tripline-triage",
        "--user=alice",
        "--user=bob",
    ];
    plane.run("admin", &bind)?;
    plane.apply("admin", &sessions())?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    Ok(account)
}

/// So many alerts; their names.
fn open(plane: &ControlPlane, count: usize) -> Result<Vec<String>> {
    plane.run("admin", &["wait", "--for=condition=Ready", "detectionrule", "sessions", "--timeout=30s"])?;
    for n in 0..count {
        plane.kubectl(
            "alice",
            &["get", "--raw", &format!("/api/v1/namespaces/shop/pods/web-{n}/exec?command=id")],
        )?;
    }
    let found = wait_for_alerts(plane, "alerts", |alerts| {
        alerts.len() == count && alerts.iter().all(|alert| alert["status"]["count"] == 1)
    })?;
    Ok(found.iter().filter_map(|alert| alert["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

fn patch(plane: &ControlPlane, user: &str, alert: &str, change: &Value) -> Result<()> {
    let change = change.to_string();
    plane.run(user, &["patch", "securityalert", alert, "--type=merge", "--patch", &change]).map(drop)
}

fn set(plane: &ControlPlane, user: &str, alert: &str, state: &str) -> Result<()> {
    patch(
        plane,
        user,
        alert,
        &json!({"spec": {"triage": {"state": state, "reason": format!("{user} says so")}}}),
    )
}

/// The API server's times of writes are to the second: after this, another one.
fn wait_for_next_second() -> Result<()> {
    let second = Timestamp::now().as_second();
    wait_for("another second", PATIENCE, || (Timestamp::now().as_second() > second).then_some(()))
}

fn transitions(plane: &ControlPlane, alert: &str) -> Result<Vec<Value>> {
    let alert: Value =
        serde_json::from_str(&plane.run("admin", &["get", "securityalert", alert, "-o", "json"])?)?;
    Ok(alert["status"]["transitions"].as_array().cloned().unwrap_or_default())
}

/// Each transition as `from>state by`.
fn story(transitions: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let told = |t: &Value| format!("{}>{} {}", text(&t["from"]), text(&t["state"]), text(&t["by"]));
    transitions.iter().map(told).collect()
}

fn wait_for_story(
    plane: &ControlPlane,
    alert: &str,
    wanted: &[&str],
    longest: Duration,
) -> Result<Vec<Value>> {
    let mut last = Vec::new();
    wait_for("the transitions", longest, || {
        // Somebody else's requests bring the log on.
        plane.run("bob", &["get", "pods", "--namespace", "shop"]).ok()?;
        last = transitions(plane, alert).ok()?;
        (story(&last) == wanted).then(|| last.clone())
    })
    .with_context(|| format!("they are {last:#?}"))
}

#[test]
fn where_the_log_holds_the_answer_each_change_has_its_maker() -> Result<()> {
    ControlPlane::with(with(&policy()?), |plane| {
        let account = prepare(plane)?;
        let operator = Operator::launch_on(plane, &account, "control-plane-1", &[])?;
        let names = open(plane, 3)?;
        set(plane, "alice", &names[0], "Closed")?;
        let noted = wait_for_story(plane, &names[0], &["Open>Closed alice"], PATIENCE)?;
        assert_eq!(noted[0]["reason"], "alice says so");
        let time: Timestamp = noted[0]["time"].as_str().context("no time")?.parse()?;
        ensure!(Timestamp::now().duration_since(time) < SignedDuration::from_secs(60), "{noted:#?}");

        // One after the other, as fast as it goes; who changes nothing has made nothing.
        set(plane, "alice", &names[1], "Acknowledged")?;
        set(plane, "bob", &names[1], "Acknowledged")?;
        patch(plane, "bob", &names[1], &json!({"spec": {"triage": {"comment": "I know her"}}}))?;
        wait_for_next_second()?;
        set(plane, "bob", &names[1], "Closed")?;
        let operation = json!([{"op": "replace", "path": "/spec/triage/state", "value": "Open"}]).to_string();
        wait_for_next_second()?;
        plane.run("alice", &["patch", "securityalert", &names[1], "--type=json", "--patch", &operation])?;
        let wanted = ["Open>Acknowledged alice", "Acknowledged>Closed bob", "Closed>Open alice"];
        let first = wait_for("three transitions with their makers", PATIENCE, || {
            let list = transitions(plane, &names[1]).ok()?;
            let told = story(&list);
            (told.len() == 3 && told[1..] == wanted[1..]).then(|| told[0].clone())
        })?;
        // Within one second of hers, bob was answered with the version that she had made: never his name, at worst none.
        ensure!(first == wanted[0] || first == "Open>Acknowledged ?", "{first}");

        // The newest sixteen are kept.
        for n in 0..18 {
            set(plane, "bob", &names[2], if n % 2 == 0 { "Acknowledged" } else { "Open" })?;
        }
        wait_for("the newest of many", PATIENCE, || {
            let told = story(&transitions(plane, &names[2]).ok()?);
            let is_bobs = |told: &String| told.ends_with(" bob");
            (told.len() == 16 && told.iter().all(is_bobs)).then_some(())
        })?;
        operator.terminate()
    })
}

/// Whether both users were answered within the second that the API server says of the change.
fn at_once(plane: &ControlPlane, alert: &str, second: &str) -> Result<bool> {
    let begin: Timestamp = second.parse()?;
    let end = begin + SignedDuration::from_secs(1);
    let time = |event: &Value, key: &str| event[key].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let events = plane.audit_events()?;
    let within = |user: &str| {
        events.iter().any(|event| {
            event["user"]["username"] == user
                && event["verb"] == "patch"
                && event["objectRef"]["name"] == alert
                && event["stage"] == "ResponseComplete"
                && time(event, "requestReceivedTimestamp").is_some_and(|time| time < end)
                && time(event, "stageTimestamp").is_some_and(|time| time >= begin)
        })
    };
    Ok(within("alice") && within("bob"))
}

#[test]
fn where_it_does_not_a_change_has_a_maker_only_if_nobody_else_wrote_then() -> Result<()> {
    ControlPlane::with(without_bodies()?, |plane| {
        let account = prepare(plane)?;
        let operator = Operator::launch_on(plane, &account, "control-plane-1", &[])?;
        let names = open(plane, 8)?;
        // What this process has seen from its start on is all there was.
        for _ in 0..2 {
            wait_for_next_second()?;
        }
        set(plane, "alice", &names[0], "Closed")?;
        // Two at once, of whom the log does not say which did what.
        let mut unclear = None;
        for name in &names[1..] {
            let comment = json!({"spec": {"triage": {"comment": "hm"}}}).to_string();
            let mut other = plane.kubectl_command("bob");
            other.args(["patch", "securityalert", name, "--type=merge", "--patch", &comment]);
            let mut other = other.stdout(Stdio::null()).spawn()?;
            set(plane, "alice", name, "Closed")?;
            ensure!(other.wait()?.success(), "bob's comment was refused");
            let noted = wait_for("the transition", PATIENCE, || transitions(plane, name).ok()?.pop())?;
            let second = noted["writeTime"].as_str().context("no time of the write")?;
            plane.wait_for_event("bob's comment in the log", |event| {
                event["user"]["username"] == "bob"
                    && event["objectRef"]["name"] == **name
                    && event["verb"] == "patch"
            })?;
            if at_once(plane, name, second)? {
                unclear = Some(name);
                break;
            }
        }
        let unclear = unclear.context("never were two requests at once")?;
        // Hers alone is hers, once the log is read so far that nobody else can have written then.
        wait_for_story(plane, &names[0], &["Open>Closed alice"], Duration::from_mins(2))?;
        wait_for("the other to be given up", Duration::from_mins(2), || {
            plane.run("bob", &["get", "pods", "--namespace", "shop"]).ok()?;
            transitions(plane, unclear).ok()?.pop()?["writeTime"].is_null().then_some(())
        })?;
        assert_eq!(story(&transitions(plane, unclear)?), ["Open>Closed ?"]);
        // What came about while nobody led is noted too, as nobody's.
        operator.terminate()?;
        set(plane, "bob", &names[0], "Open")?;
        let operator = Operator::launch_on(plane, &account, "control-plane-1", &[])?;
        wait_for_story(plane, &names[0], &["Open>Closed alice", "Closed>Open ?"], PATIENCE)?;
        assert_eq!(alerts(plane)?.len(), names.len());
        operator.terminate()
    })
}
