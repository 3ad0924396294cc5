//! The disk of the state folder is full while sessions are opened: that is said, and once there is room again every
//! session is counted, and once.
mod support;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::operator::{Operator, alerts, counted, install, rule, source, wait_for_condition};
use support::privileges::{SYS_ADMIN, is_possible, lacking};
use support::sessions::{PODS, Sessions, opened_in};
use support::small_disk::SmallDisk;
use support::webhook::Webhook;
use support::{ControlPlane, Options, wait_for};

const PATIENCE: Duration = Duration::from_mins(1);

fn can_mount() -> Result<bool> {
    is_possible("mount a disk", lacking(&[SYS_ADMIN]))
}

#[test]
fn a_full_disk_is_said_and_loses_nothing_of_a_log() -> Result<()> {
    if !can_mount()? {
        return Ok(());
    }
    ControlPlane::with(Options::default(), |plane| following_a_log(plane))
}

#[test]
fn a_full_disk_is_said_and_loses_nothing_that_a_webhook_is_sent() -> Result<()> {
    if !can_mount()? {
        return Ok(());
    }
    ControlPlane::with(Options::default(), receiving)
}

fn state_folder(plane: &ControlPlane) -> PathBuf {
    plane.folder().join("state-of-control-plane-1")
}

fn watch_sessions(plane: &ControlPlane) -> Result<()> {
    plane.apply("admin", &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string())?;
    plane.run("admin", &["wait", "--for=condition=Ready", "detectionrule/sessions", "--timeout=10s"])?;
    Ok(())
}

/// At most so many.
fn open_sessions(plane: &ControlPlane, most: u64) -> Result<Sessions> {
    Sessions::start(&plane.kubeconfig("alice"), most, Duration::from_millis(15))
}

fn wait_until_counted(plane: &ControlPlane, opened: u64) -> Result<()> {
    let expected = i64::try_from(opened)?;
    let mut last = 0;
    let waited = wait_for("every session to be counted", PATIENCE, || {
        last = counted(&alerts(plane).ok()?, "sessions");
        (last >= expected).then_some(())
    });
    waited.with_context(|| format!("{last} of {opened} are counted"))
}

fn following_a_log(plane: &ControlPlane) -> Result<()> {
    let account = install(plane)?;
    let disk = SmallDisk::mount(&state_folder(plane), 1024)?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    let operator = Operator::start(plane, &account)?;
    wait_for_condition(plane, ("auditsource", "log"), ("Reading", "True", "Tailing"))?;
    watch_sessions(plane)?;
    let sessions = open_sessions(plane, u64::MAX)?;
    sessions.wait_for(100)?;

    disk.fill()?;
    wait_for_condition(plane, ("auditsource", "log"), ("Reading", "False", "StateUnwritable"))?;
    sessions.wait_for(sessions.opened() + 100)?;
    // Nor does it help to begin anew.
    operator.kill();
    let operator = Operator::start(plane, &account)?;
    wait_for("a checkpoint to fail", PATIENCE, || {
        operator.metric("tripline_checkpoint_errors_total").filter(|failed| *failed > 0.0)
    })?;
    sessions.wait_for(sessions.opened() + 100)?;
    wait_for_condition(plane, ("auditsource", "log"), ("Reading", "False", "StateUnwritable"))?;

    disk.free()?;
    wait_for_condition(plane, ("auditsource", "log"), ("Reading", "True", "Tailing"))?;
    sessions.wait_for(sessions.opened() + 20)?;
    every_session_is_counted_once(plane, operator, "log", sessions.stop()?)
}

fn receiving(plane: &mut ControlPlane) -> Result<()> {
    // With room for the spool.
    let disk = SmallDisk::mount(&state_folder(plane), 64 << 10)?;
    let (mut webhook, operator) = Webhook::install(plane, "ClientCertificate")?;
    // It gives a batch up after five attempts: that long the disk may be full.
    webhook.initial_backoff = "3s";
    webhook.configure(plane, "batch", &[])?;
    watch_sessions(plane)?;
    // As many in each pod. When all is judged nothing but a batch needs room.
    let before = 2 * PODS;
    open_sessions(plane, before)?.finish()?;
    wait_until_counted(plane, before)?;

    disk.fill()?;
    let sessions = open_sessions(plane, u64::MAX)?;
    wait_for("a batch to be refused", PATIENCE, || {
        let failed = "tripline_webhook_requests_total{source=\"sent\",outcome=\"failed\"}";
        operator.metric(failed).filter(|failed| *failed > 0.0)
    })?;
    wait_for_condition(plane, ("auditsource", "sent"), ("Reading", "False", "StateUnwritable"))?;
    sessions.wait_for(sessions.opened() + 100)?;

    disk.free()?;
    wait_for_condition(plane, ("auditsource", "sent"), ("Reading", "True", "Tailing"))?;
    sessions.wait_for(sessions.opened() + 20)?;
    every_session_is_counted_once(plane, operator, "sent", before + sessions.stop()?)
}

fn every_session_is_counted_once(
    plane: &ControlPlane,
    operator: Operator,
    source: &str,
    opened: u64,
) -> Result<()> {
    wait_until_counted(plane, opened)?;
    // Whatever was still on its way has arrived once the operator ended in order.
    operator.terminate()?;
    let found = alerts(plane)?;
    ensure!(found.len() as u64 == PODS, "{} alerts instead of {PODS}", found.len());
    for alert in found {
        let pod = alert["spec"]["detection"]["event"]["object"]["name"].as_str().unwrap_or_default();
        let wanted = opened_in(pod, opened)?;
        ensure!(alert["status"]["count"] == wanted, "{pod}: {:#} instead of {wanted}", alert["status"]);
    }
    let gaps = "--output=jsonpath={.status.agents[0].gaps}";
    let gaps = plane.run("admin", &["get", "auditsource", source, gaps])?;
    ensure!(gaps == "0", "{gaps} gaps");
    Ok(())
}
