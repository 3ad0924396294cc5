//! Where alerts go besides the API: a real Alertmanager, a receiver of webhooks that fails in many ways, standard output.
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::alertmanager::{Alertmanager, PASSWORD, USER};
use support::operator::{
    NAMESPACE, Operator, PATIENCE, alerts, install_kinds, list, permissions, rule, source, wait_for_alerts,
};
use support::process::free_port;
use support::receiver::{Attempt, Fault, Receiver};
use support::{ControlPlane, Options, wait_for};

const NODE: &str = "control-plane-1";

/// What the chart installs with these outputs, a rule whose every object is an alert, and the log.
fn install(plane: &ControlPlane, values: &str) -> Result<PathBuf> {
    install_kinds(plane)?;
    plane.apply("admin", &list(&permissions(&format!("mode=all,{values}"))?))?;
    let mut touched = rule("touched", "verb:get and objectRef.resource:configmaps and user.name:alice");
    touched["spec"]["severity"] = json!("High");
    plane.apply("admin", &touched.to_string())?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    plane.add_service_account(NAMESPACE, "tripline")
}

fn launch(plane: &ControlPlane, account: &std::path::Path, arguments: &[String]) -> Result<Operator> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let operator = Operator::launch_on(plane, account, NODE, &arguments)?;
    operator.wait_for_page("/readyz", 200, "ok")?;
    plane.run("admin", &["wait", "--for=condition=Reading", "auditsource", "log", "--timeout=30s"])?;
    Ok(operator)
}

/// Does what the rule finds, so often, and waits for the alert; gives its name.
fn touch(plane: &ControlPlane, object: &str, times: u64) -> Result<String> {
    let path = format!("/api/v1/namespaces/default/configmaps/{object}");
    let found = |alerts: &[Value]| {
        let target = format!("configmaps default/{object}");
        let is_it = |alert: &&Value| {
            alert["spec"]["detection"]["target"] == *target && alert["spec"]["triage"]["state"] != "Closed"
        };
        alerts.iter().find(is_it).cloned()
    };
    let count =
        |alerts: &[Value]| found(alerts).and_then(|alert| alert["status"]["count"].as_u64()).unwrap_or(0);
    let before = count(&alerts(plane)?);
    for _ in 0..times {
        plane.kubectl("alice", &["get", "--raw", &path])?;
    }
    let after = wait_for_alerts(plane, "the alert", |alerts| count(alerts) == before + times)?;
    let alert = found(&after).context("no alert")?;
    Ok(alert["metadata"]["name"].as_str().context("no name")?.to_owned())
}

fn triage(plane: &ControlPlane, alert: &str, state: &str) -> Result<()> {
    let patch = json!({"spec": {"triage": {"state": state}}}).to_string();
    plane.run("admin", &["patch", "securityalert", alert, "--type=merge", "--patch", &patch]).map(drop)
}

#[test]
fn alerts_fire_and_end_at_every_alertmanager() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| fire_and_end(plane))
}

fn fire_and_end(plane: &ControlPlane) -> Result<()> {
    let ports = [free_port()?, free_port()?];
    let folders = ["plain", "secured"].map(|name| plane.folder().join(name));
    let plain = Alertmanager::start(&folders[0], ports[0], false)?;
    let account = install(plane, "outputs.alertmanager.urls={http://127.0.0.1:9093}")?;
    let credentials = plane.folder().join("credentials");
    fs::create_dir(&credentials)?;
    fs::write(credentials.join("username"), USER)?;
    fs::write(credentials.join("password"), "old\n")?;
    let arguments = [
        format!("--alertmanager-url=http://127.0.0.1:{}", ports[0]),
        format!("--alertmanager-url=https://127.0.0.1:{}/", ports[1]),
        format!("--alertmanager-credentials={}", credentials.display()),
        "--cluster=shop".to_owned(),
    ];
    let operator = launch(plane, &account, &arguments)?;
    let one = touch(plane, "one", 2)?;
    let names = |alertmanager: &Alertmanager| -> Option<BTreeSet<String>> {
        let firing = alertmanager.firing().ok()?;
        Some(firing.iter().filter_map(|a| a["labels"]["securityalert"].as_str().map(str::to_owned)).collect())
    };
    let fires = |alertmanager: &Alertmanager, wanted: &[&str]| {
        let wanted: BTreeSet<_> = wanted.iter().map(|&name| name.to_owned()).collect();
        wait_for(&format!("{wanted:?} to fire"), PATIENCE, || (names(alertmanager)? == wanted).then_some(()))
    };
    fires(&plain, &[&one])?;
    let firing = &plain.firing()?[0];
    let labels = json!({
        "alertname": "TriplineSecurityAlert", "securityalert": one, "rule": "touched", "severity": "high", "cluster": "shop",
    });
    assert_eq!(firing["labels"], labels);
    assert_eq!(firing["annotations"]["summary"], "Rule touched");
    let said = firing["annotations"]["description"].as_str().unwrap_or_default();
    assert!(said.starts_with("alice from 127.0.0.1: configmaps default/one, "), "{said}");

    // The other one was away, then has another password than the file: it gets what it missed.
    let failed = |reason: &str| {
        let sample = format!("tripline_output_failures_total{{output=\"alertmanager\",reason=\"{reason}\"}}");
        operator.metric(&sample).filter(|count| *count > 0.0)
    };
    wait_for("failures to be counted", PATIENCE, || failed("unreachable"))?;
    let secured = Alertmanager::start(&folders[1], ports[1], true)?;
    fs::copy(folders[1].join("ca.crt"), credentials.join("ca.crt"))?;
    wait_for("refusals to be counted", PATIENCE, || failed("answered"))?;
    assert!(names(&secured).context("no answer")?.is_empty());
    fs::write(credentials.join("password"), format!("{PASSWORD}\n"))?;
    fires(&secured, &[&one])?;

    // Acknowledged goes on; closed ends at once, long before it would by itself.
    let two = touch(plane, "two", 1)?;
    for alertmanager in [&plain, &secured] {
        fires(alertmanager, &[&one, &two])?;
    }
    triage(plane, &one, "Acknowledged")?;
    triage(plane, &two, "Closed")?;
    for alertmanager in [&plain, &secured] {
        fires(alertmanager, &[&one])?;
    }
    // What happens while nobody leads is caught up with.
    operator.kill();
    triage(plane, &two, "Open")?;
    let operator = launch(plane, &account, &arguments)?;
    for alertmanager in [&plain, &secured] {
        fires(alertmanager, &[&one, &two])?;
    }
    plane.run("admin", &["delete", "securityalert", &one])?;
    for alertmanager in [&plain, &secured] {
        fires(alertmanager, &[&two])?;
    }
    operator.terminate()
}

/// The ids that were taken, of each alert in order; fails where a message comes again that was taken before, or is not
/// as it should be.
fn taken(attempts: &[Attempt]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut by_alert: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for attempt in attempts {
        ensure!(attempt.wrong.is_none(), "{attempt:#?}");
        let name = attempt.message["data"]["alert"]["name"].as_str().context("no name")?;
        let uid = attempt.message["data"]["alert"]["uid"].as_str().context("no uid")?;
        let id = attempt.id.strip_prefix(&format!("{uid}-")).context("an id of another alert")?;
        let ids = by_alert.entry(name.to_owned()).or_default();
        ensure!(!ids.iter().any(|had| had == id), "{name} {id} came again: {attempts:#?}");
        if attempt.fault.is_none() {
            ids.push(id.to_owned());
        }
    }
    Ok(by_alert)
}

#[test]
fn a_webhook_gets_every_change_in_order_through_failures_and_kills() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| through_failures(plane))
}

fn through_failures(plane: &ControlPlane) -> Result<()> {
    let mut receiver = Receiver::start()?;
    let credentials = plane.folder().join("credentials");
    receiver.credentials(&credentials, &[&[1; 32]])?;
    let values = "outputs.webhook.url=https://receiver,outputs.webhook.existingSecret=hook";
    let account = install(plane, values)?;
    let arguments = [
        format!("--output-webhook-url={}", receiver.url()),
        format!("--output-webhook-credentials={}", credentials.display()),
        "--output-count-seconds=1".to_owned(),
    ];
    let operator = launch(plane, &account, &arguments)?;
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let told = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    let arrives = |receiver: &Receiver, expected: &BTreeMap<String, Vec<String>>| {
        let mut last = BTreeMap::new();
        let waited = wait_for("every change to arrive", PATIENCE, || {
            last = taken(&receiver.attempts()).unwrap_or_default();
            let is_there =
                |(name, ids): (&String, &Vec<String>)| last.get(name).is_some_and(|got| got == ids);
            (last.len() == expected.len() && expected.iter().all(is_there)).then_some(())
        });
        waited.with_context(|| format!("{last:#?} instead of {expected:#?}"))?;
        taken(&receiver.attempts()).map(drop)
    };

    // It fails in several ways, and the order stays.
    receiver.inject(&[Fault::Answer(503), Fault::Later(2), Fault::Reset, Fault::Answer(500)]);
    let one = touch(plane, "one", 1)?;
    triage(plane, &one, "Acknowledged")?;
    let two = touch(plane, "two", 1)?;
    expected.insert(one.clone(), told(&["opened", "acknowledged-2"]));
    expected.insert(two.clone(), told(&["opened"]));
    arrives(&receiver, &expected)?;
    let attempts = receiver.attempts();
    let opened = &attempts[0].message;
    assert_eq!(opened["type"], "dev.tripline.alert.opened");
    assert_eq!(opened["data"]["detection"]["event"]["object"]["name"], "one");
    assert!(
        attempts[2].at - attempts[1].at >= Duration::from_secs(2),
        "429 asked for two seconds: {attempts:#?}"
    );

    // More matches are told later, as one; a refused message is kept, and stands in nobody's way.
    touch(plane, "two", 3)?;
    let counted = wait_for("the count", PATIENCE, || {
        let told = taken(&receiver.attempts()).ok()?.remove(&two)?;
        (told.last()? == "counted-4").then_some(told)
    })?;
    expected.insert(two.clone(), counted);
    receiver.inject(&[Fault::Answer(410)]);
    triage(plane, &two, "Acknowledged")?;
    let dropped = "tripline_output_dropped_total{output=\"webhook\",reason=\"refused\"}";
    wait_for("the refusal", PATIENCE, || (operator.metric(dropped) == Some(1.0)).then_some(()))?;
    let folder = plane.folder().join(format!("state-of-{NODE}/output-webhook"));
    let refused: Value = serde_json::from_str(&fs::read_to_string(folder.join("refused.jsonl"))?)?;
    assert_eq!(refused["type"], "dev.tripline.alert.acknowledged");

    // A secret is changed: for a while there are two signatures.
    receiver.credentials(&credentials, &[&[2; 32], &[1; 32]])?;
    triage(plane, &one, "Closed")?;
    expected.entry(one.clone()).or_default().push("closed-3".to_owned());
    arrives(&receiver, &expected)?;
    assert_eq!(receiver.attempts().last().map(|attempt| attempt.signatures), Some(2));

    // Killed while a message is on its way, which comes again, and while the receiver is away.
    receiver.inject(&[Fault::Hang]);
    let three = touch(plane, "three", 1)?;
    wait_for("a message on its way", PATIENCE, || receiver.has_failed_enough().then_some(()))?;
    triage(plane, &three, "Closed")?;
    let pending = "tripline_output_pending{output=\"webhook\"}";
    wait_for("what waits", PATIENCE, || (operator.metric(pending) == Some(2.0)).then_some(()))?;
    operator.kill();
    receiver.vanish();
    // What happens while nobody looks is told as well. (One whose matches are of the last second would come back.)
    plane.run("admin", &["delete", "securityalert", &one])?;
    triage(plane, &two, "Open")?;
    let operator = launch(plane, &account, &arguments)?;
    let four = touch(plane, "four", 1)?;
    wait_for("what waits", PATIENCE, || (operator.metric(pending) == Some(5.0)).then_some(()))?;
    operator.kill();
    let operator = launch(plane, &account, &arguments)?;
    triage(plane, &four, "Acknowledged")?;
    receiver.appear()?;
    expected.entry(one.clone()).or_default().push("deleted".to_owned());
    expected.entry(two.clone()).or_default().push("reopened-3".to_owned());
    expected.insert(three.clone(), told(&["opened", "closed-2"]));
    expected.insert(four.clone(), told(&["opened", "acknowledged-2"]));
    arrives(&receiver, &expected)?;
    assert!(
        receiver
            .attempts()
            .iter()
            .filter(|attempt| attempt.message["data"]["alert"]["name"] == *three)
            .count()
            == 3
    );
    operator.terminate()?;

    // A new pod has no memory: what is not closed is told once more, by ids that the receiver had.
    let had = receiver.attempts();
    fs::remove_dir_all(folder)?;
    let operator = launch(plane, &account, &arguments)?;
    let again = wait_for("the alerts to be told again", PATIENCE, || {
        let attempts = receiver.attempts();
        // Two that were opened, one of which is acknowledged.
        (attempts.len() == had.len() + 3).then_some(attempts)
    })?;
    let ids =
        |attempts: &[Attempt]| attempts.iter().map(|attempt| attempt.id.clone()).collect::<BTreeSet<_>>();
    assert!(ids(&again[had.len()..]).is_subset(&ids(&had)), "{again:#?}");
    operator.terminate()
}

/// How often the operator is killed at a random moment; `TRIPLINE_OUTPUT_KILLS` makes it more.
const KILLS: usize = 4;

#[test]
fn a_webhook_misses_nothing_when_tripline_is_killed_at_any_moment() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| through_kills(plane))
}

/// While alerts are opened and triaged and the receiver fails now and then: of each alert the first change is its opening
/// and the last its end, none comes before one that it follows, and a kill repeats one at most.
fn through_kills(plane: &ControlPlane) -> Result<()> {
    let kills =
        std::env::var("TRIPLINE_OUTPUT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let receiver = Receiver::start()?;
    let credentials = plane.folder().join("credentials");
    receiver.credentials(&credentials, &[&[1; 32]])?;
    let account = install(plane, "outputs.webhook.url=https://receiver,outputs.webhook.existingSecret=hook")?;
    let arguments = [
        format!("--output-webhook-url={}", receiver.url()),
        format!("--output-webhook-credentials={}", credentials.display()),
        "--output-count-seconds=1".to_owned(),
    ];
    let mut operator = launch(plane, &account, &arguments)?;
    let mut names: Vec<String> = Vec::new();
    for round in 0..kills {
        let name = touch(plane, &format!("object-{round}"), 2)?;
        receiver.inject(&[Fault::Reset, Fault::Answer(500)][..=round % 2]);
        // All of it takes as long as some changes take.
        let mut random = [0; 1];
        getrandom::fill(&mut random)?;
        let moment = Duration::from_millis(u64::from(random[0]) * 4);
        let killer = std::thread::spawn(move || {
            let began = std::time::Instant::now();
            let passed =
                wait_for("the moment", moment * 2 + PATIENCE, || (began.elapsed() >= moment).then_some(()));
            operator.kill();
            passed
        });
        triage(plane, &name, "Acknowledged")?;
        for earlier in names.iter().rev().take(2) {
            triage(plane, earlier, "Open")?;
            triage(plane, earlier, "Closed")?;
        }
        triage(plane, &name, "Closed")?;
        killer.join().map_err(|_| anyhow::anyhow!("the killer panicked"))??;
        operator = launch(plane, &account, &arguments)?;
        names.push(name);
    }
    let came = |attempts: &[Attempt]| -> BTreeMap<String, Vec<(String, i64)>> {
        let mut came: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        for attempt in attempts.iter().filter(|attempt| attempt.fault.is_none()) {
            let alert = &attempt.message["data"]["alert"];
            let generation = alert["generation"].as_i64().unwrap_or_default();
            came.entry(alert["name"].as_str().unwrap_or_default().to_owned())
                .or_default()
                .push((attempt.id.clone(), generation));
        }
        came
    };
    // What changed and changed back while nobody looked is no change.
    let is_closed = |(id, _): &(String, i64)| id.contains("-closed-");
    let pending = "tripline_output_pending{output=\"webhook\"}";
    let whole = wait_for("the end of every alert", PATIENCE, || {
        let came = came(&receiver.attempts());
        let have_ended =
            names.iter().all(|name| came.get(name).and_then(|ids| ids.last()).is_some_and(is_closed));
        (have_ended && operator.metric(pending) == Some(0.0)).then_some(came)
    });
    let whole = whole.with_context(|| format!("{:#?}", came(&receiver.attempts())))?;
    assert_eq!(whole.len(), kills, "{whole:#?}");
    let mut repeats = 0;
    for (name, ids) in whole {
        let mut once = Vec::new();
        for id in ids {
            if once.contains(&id) {
                repeats += 1;
            } else {
                once.push(id);
            }
        }
        ensure!(once[0].0.ends_with("-opened"), "{name}: {once:#?}");
        ensure!(once.is_sorted_by_key(|(_, generation)| *generation), "{name} is out of order: {once:#?}");
    }
    ensure!(repeats <= kills, "{repeats} messages came twice");
    ensure!(receiver.attempts().iter().all(|attempt| attempt.wrong.is_none()), "{:#?}", receiver.attempts());
    eprintln!("{} attempts, {repeats} messages came twice, {kills} kills", receiver.attempts().len());
    operator.terminate()
}

/// The messages among what the operators said. A test has log and output in one file, as a container's runtime does.
fn lines(plane: &ControlPlane, kind: &str) -> Result<Vec<Value>> {
    let said = fs::read_to_string(plane.folder().join("tripline.log"))?;
    let lines = said.lines().filter(|line| line.starts_with("{\"specversion\""));
    let messages: Vec<Value> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_one = |message: &Value| message["type"] == format!("dev.tripline.{kind}");
    Ok(messages.into_iter().filter(is_one).collect())
}

#[test]
fn a_readers_detections_and_a_leaders_changes_are_lines_of_standard_output() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        install(plane, "outputs.stdout.enabled=true")?;
        plane.apply("admin", &list(&permissions("mode=split,outputs.stdout.enabled=true")?))?;
        let start = |account: &str, node: &str, role: &str, more: &[&str]| {
            let account = plane.add_service_account(NAMESPACE, account)?;
            let arguments = [&["--role", role, "--output-stdout"], more].concat();
            Operator::launch_on(plane, &account, node, &arguments)
        };
        let reader = start("tripline-reader", NODE, "reader", &[])?;
        let lead = |name: &str| {
            start("tripline-controller", name, "controller", &["--lease", "tripline-system/tripline"])
        };
        let first = lead("a")?;
        plane.run("admin", &["wait", "--for=condition=Reading", "auditsource", "log", "--timeout=30s"])?;

        let one = touch(plane, "one", 3)?;
        let detections = wait_for("three detections", PATIENCE, || {
            lines(plane, "detection").ok().filter(|found| found.len() == 3)
        })?;
        let ids: BTreeSet<_> = detections.iter().map(|message| message["id"].to_string()).collect();
        assert_eq!(ids.len(), 3, "{detections:#?}");
        assert_eq!(detections[0]["data"]["detection"]["target"], "configmaps default/one");
        let opened = wait_for("the opening", PATIENCE, || lines(plane, "alert.opened").ok()?.pop())?;
        assert_eq!((&opened["subject"], &opened["data"]["alert"]["state"]), (&json!(one), &json!("Open")));

        // Of two controllers one speaks; the next one says what is not closed once more.
        let second = lead("b")?;
        second.wait_for_page("/readyz", 200, "ok")?;
        assert_eq!(lines(plane, "alert.opened")?.len(), 1);
        first.terminate()?;
        wait_for("the opening again", PATIENCE, || {
            let again = lines(plane, "alert.opened").ok()?;
            (again.len() == 2 && again[0]["id"] == again[1]["id"]).then_some(())
        })?;
        triage(plane, &one, "Closed")?;
        let closed = wait_for("the end", PATIENCE, || lines(plane, "alert.closed").ok()?.pop())?;
        assert_eq!(
            (&closed["data"]["alert"]["count"], &closed["data"]["detection"]),
            (&json!(3), &Value::Null)
        );
        second.terminate()?;
        reader.terminate()?;
        // Alerts are watched once by the reader, and once by each that led: for its outputs as for all it does with them.
        for (account, watches) in [("tripline-reader", 1), ("tripline-controller", 2)] {
            let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
            let events = plane.audit_events()?;
            let is_one = |event: &&Value| {
                event["verb"] == "watch"
                    && event["stage"] == "ResponseStarted"
                    && event["objectRef"]["resource"] == "securityalerts"
                    && event["user"]["username"] == user
            };
            assert_eq!(events.iter().filter(is_one).count(), watches, "{account}");
        }
        Ok(())
    })
}
