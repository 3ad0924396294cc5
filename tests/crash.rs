//! The operator is killed at any instant while sessions are opened, or the API server is: no alert and no count differs
//! from what an undisturbed run would have.
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::log_files::{Damage, break_off, last_record, visit_records};
use support::operator::{Operator, alerts, counted, install, rule, source};
use support::sessions::{PODS, Sessions, opened_in};
use support::{ControlPlane, Options, wait_for};

/// `TRIPLINE_CRASH_EXECS`, `TRIPLINE_CRASH_KILLS` and `TRIPLINE_CRASH_API_SERVER_KILLS` make it longer.
const EXECS: u64 = 600;
const KILLS: u64 = 6;
const API_SERVER_KILLS: u64 = 2;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// None is deleted, however long it takes.
fn small_compressed_files() -> Options {
    Options {
        audit_log_max_size: 1,
        audit_log_max_backup: 10_000,
        audit_log_compress: true,
        ..Options::default()
    }
}

#[test]
fn kills_under_load_neither_lose_nor_double_a_match() -> Result<()> {
    // Small files, so that the log is rotated while the operator is down.
    let options = Options { audit_log_max_size: 1, ..Options::default() };
    ControlPlane::with(options, |plane| kills_under_load(plane, |_| Ok(())))
}

#[test]
fn nor_do_they_where_the_log_is_compressed_while_the_operator_is_down() -> Result<()> {
    ControlPlane::with(small_compressed_files(), |plane| kills_under_load(plane, rotate_and_compress))
}

/// Fills the log until the file that is live now is compressed, and a later one too.
fn rotate_and_compress(plane: &ControlPlane) -> Result<()> {
    let before = compressed(plane)?;
    let patch_file = plane.folder().join("patch.json");
    let mut filler = 0;
    while compressed(plane)? < before + 2 {
        // Logged with request and response, some 300 KB.
        filler += 1;
        ensure!(filler < 100, "nothing is compressed");
        let patch = json!({"metadata": {"annotations": {"filler": filler.to_string().repeat(100_000)}}});
        std::fs::write(&patch_file, patch.to_string())?;
        let file = format!("--patch-file={}", patch_file.display());
        plane.run("admin", &["patch", "pod", "web-0", "--namespace=shop", "--type=merge", &file])?;
    }
    Ok(())
}

/// How many files of the log are there only compressed.
fn compressed(plane: &ControlPlane) -> Result<usize> {
    let mut count = 0;
    for file in std::fs::read_dir(plane.folder().join("audit"))? {
        let path = file?.path();
        let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
        count += usize::from(is_compressed && !path.with_extension("").exists());
    }
    Ok(count)
}

/// `meanwhile` happens each time while the operator is down.
fn kills_under_load(plane: &ControlPlane, meanwhile: impl Fn(&ControlPlane) -> Result<()>) -> Result<()> {
    let (execs, kills) = (setting("TRIPLINE_CRASH_EXECS", EXECS), setting("TRIPLINE_CRASH_KILLS", KILLS));
    let account = install(plane)?;
    plane.make_pod("shop", "web-0")?;
    let query = "objectRef.subresource:exec and verb:create and user.name:alice";
    plane.apply("admin", &rule("sessions", query).to_string())?;
    plane.apply("admin", &rule("sessions-again", query).to_string())?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    let mut operator = Operator::start(plane, &account)?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;

    // About a hundred a second: the operator is to be killed in the middle of them, not after them.
    let sessions = Sessions::start(&plane.kubeconfig("alice"), execs, Duration::from_millis(8))?;
    for kill in 1..=kills {
        // Spread over the whole run; what the operator does at that instant is as random as the machine.
        sessions.wait_for(execs * kill / (kills + 1))?;
        operator.kill();
        meanwhile(plane)?;
        operator = Operator::start(plane, &account)?;
    }
    sessions.finish()?;

    let expected = i64::try_from(execs)?;
    let mut last = (0, 0);
    wait_for("every session to be counted", Duration::from_mins(1), || {
        let alerts = alerts(plane).ok()?;
        last = (counted(&alerts, "sessions"), counted(&alerts, "sessions-again"));
        (last.0 >= expected && last.1 >= expected).then_some(())
    })?;
    let source =
        plane.run("admin", &["get", "auditsource", "log", "--output=jsonpath={.status.agents[0].gaps}"])?;
    ensure!(source == "0", "{source} gaps");
    // Whatever was still on its way has arrived once the operator ended in order.
    operator.terminate()?;
    let found = alerts(plane)?;
    for rule in ["sessions", "sessions-again"] {
        let of_rule: Vec<_> = found.iter().filter(|a| a["spec"]["detection"]["ruleName"] == rule).collect();
        ensure!(of_rule.len() as u64 == PODS, "{} alerts of {rule} instead of {PODS}", of_rule.len());
        for alert in of_rule {
            let pod = alert["spec"]["detection"]["event"]["object"]["name"].as_str().unwrap_or_default();
            let wanted = opened_in(pod, execs)?;
            ensure!(
                alert["status"]["count"] == wanted,
                "{pod} of {rule}: {:#} instead of {wanted}",
                alert["status"]
            );
        }
    }
    Ok(())
}

#[test]
fn an_api_server_killed_in_the_middle_of_a_record_hides_no_other() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.apply(
            "admin",
            &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string(),
        )?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;
        Sessions::start(&plane.kubeconfig("alice"), 50, Duration::ZERO)?.finish()?;

        // The beginning of a record without its end, as a killed server leaves it. The next one appends to it.
        plane.stop_api_server();
        let record = last_record(&plane.audit_log(), |_| true)?.context("nothing is logged")?;
        let beginning = &record[..record.len() / 2];
        break_off(&plane.audit_log(), beginning)?;
        plane.restart_api_server()?;
        Sessions::start(&plane.kubeconfig("alice"), 50, Duration::ZERO)?.finish()?;

        wait_for("every session to be counted", Duration::from_mins(1), || {
            let alerts = alerts(plane).ok()?;
            (counted(&alerts, "sessions") == 100).then_some(())
        })?;
        let log = std::fs::read_to_string(plane.audit_log())?;
        let glued = log.lines().find(|line| line.matches("{\"kind\":\"Event\"").count() == 2);
        ensure!(
            glued.is_some_and(|line| line.starts_with(beginning)),
            "no record was appended to the beginning"
        );
        operator.wait_for_page("/metrics", 200, "tripline_salvaged_records_total{source=\"log\"} 1")?;
        operator.wait_for_page(
            "/metrics",
            200,
            "tripline_malformed_lines_total{source=\"log\",reason=\"not_json\"} 1",
        )?;
        operator.terminate()
    })
}

#[test]
fn nor_do_kills_of_the_api_server_itself() -> Result<()> {
    ControlPlane::with(small_compressed_files(), kills_of_the_api_server)
}

fn kills_of_the_api_server(plane: &mut ControlPlane) -> Result<()> {
    let kills = setting("TRIPLINE_CRASH_API_SERVER_KILLS", API_SERVER_KILLS);
    let account = install(plane)?;
    plane.make_pod("shop", "web-0")?;
    let query = "objectRef.subresource:exec and verb:create and user.name:alice";
    plane.apply("admin", &rule("sessions", query).to_string())?;
    plane.apply("admin", &rule("sessions-again", query).to_string())?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    let operator = Operator::start(plane, &account)?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;

    let pause = Duration::from_millis(8);
    let sessions = Sessions::start_through_outages(&plane.kubeconfig("alice"), pause)?;
    for kill in 1..=kills {
        // Between a fraction of a file of the log and several of them.
        sessions.wait_for(sessions.opened() + 10 + getrandom::u64()? % 90)?;
        plane.stop_api_server();
        // A kill seldom falls into the write of a record. Then that is done for it: one record is cut, the next lacks
        // its newline only.
        if let Some(record) = last_record(&plane.audit_log(), is_session)? {
            let end = if kill % 2 == 0 { record.len() } else { record.len() / 2 };
            break_off(&plane.audit_log(), &record[..end])?;
        }
        plane.restart_api_server()?;
    }
    sessions.wait_for(sessions.opened() + 20)?;
    let unanswered = sessions.unanswered();
    let answered = sessions.stop()?;

    // The log is the truth, and stands still as long as nobody writes to it.
    plane.stop_api_server();
    let (logged, damage) = logged_sessions(&plane.audit_log())?;
    plane.restart_api_server()?;
    let in_all: i64 = logged.values().sum();
    let figures = format!(
        "{kills} kills of the API server: {answered} sessions answered, {unanswered} not; {in_all} logged in {} files, \
         {damage:?}",
        std::fs::read_dir(plane.folder().join("audit"))?.count(),
    );
    eprintln!("{figures}");
    ensure!(in_all >= i64::try_from(answered)?, "answered and not logged; {figures}");

    let mut last = (0, 0);
    let waited = wait_for("every session to be counted", Duration::from_mins(1), || {
        let alerts = alerts(plane).ok()?;
        last = (counted(&alerts, "sessions"), counted(&alerts, "sessions-again"));
        (last.0 >= in_all && last.1 >= in_all).then_some(())
    });
    waited.with_context(|| format!("counted {last:?}; {figures}"))?;
    let gaps =
        plane.run("admin", &["get", "auditsource", "log", "--output=jsonpath={.status.agents[0].gaps}"])?;
    ensure!(gaps == "0", "{gaps} gaps; {figures}");
    let metric = |name: &str| operator.metric(name).with_context(|| format!("no {name}"));
    let found = (
        metric("tripline_salvaged_records_total{source=\"log\"}")?,
        metric("tripline_malformed_lines_total{source=\"log\",reason=\"not_json\"}")?,
    );
    ensure!(found == (f64::from(damage.glued), f64::from(damage.broken)), "found {found:?}; {figures}");
    // Whatever was still on its way has arrived once the operator ended in order.
    operator.terminate()?;
    let found = alerts(plane)?;
    for rule in ["sessions", "sessions-again"] {
        let of_rule = found.iter().filter(|alert| alert["spec"]["detection"]["ruleName"] == rule);
        let mut counts = BTreeMap::new();
        for alert in of_rule {
            let pod = alert["spec"]["detection"]["event"]["object"]["name"].as_str().unwrap_or_default();
            let before = counts.insert(pod.to_owned(), alert["status"]["count"].as_i64().unwrap_or_default());
            ensure!(before.is_none(), "{pod} has two alerts of {rule}");
        }
        ensure!(counts == logged, "{rule} counted {counts:?} instead of {logged:?}; {figures}");
    }
    Ok(())
}

/// Whether an event is of a session of the load, at the stage that decides.
fn is_session(event: &Value) -> bool {
    event["stage"] == "ResponseStarted"
        && event["objectRef"]["subresource"] == "exec"
        && event["verb"] == "create"
        && event["user"]["username"] == "alice"
}

/// How many sessions the log has, by the pod they are in.
fn logged_sessions(log: &Path) -> Result<(BTreeMap<String, i64>, Damage)> {
    let mut sessions = BTreeMap::new();
    let damage = visit_records(log, |event| {
        if is_session(event) {
            let pod = event["objectRef"]["name"].as_str().unwrap_or_default();
            *sessions.entry(pod.to_owned()).or_default() += 1;
        }
    })?;
    Ok((sessions, damage))
}
