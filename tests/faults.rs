//! The API server fails the operator in every way it can, while sessions are opened: no alert and no count differs from
//! what an undisturbed run would have.
mod support;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use support::operator::{Operator, alerts, counted, install, rule, source};
use support::proxy::{Fault, Proxy};
use support::sessions::{PODS, Sessions, opened_in};
use support::{ControlPlane, Options, wait_for};

/// How long each fault lasts, in seconds; `TRIPLINE_FAULT_SECONDS` makes it longer.
const SECONDS: u64 = 6;

#[test]
fn an_api_server_that_fails_neither_loses_nor_doubles_a_match() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| faults(plane))
}

fn faults(plane: &ControlPlane) -> Result<()> {
    let seconds = std::env::var("TRIPLINE_FAULT_SECONDS").ok().and_then(|text| text.parse().ok());
    let lasting = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let account = install(plane)?;
    let mut proxy = Proxy::start(&account)?;
    plane.apply("admin", &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string())?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    let operator = Operator::start(plane, &proxy.kubeconfig(plane.folder())?)?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;

    let sessions = Sessions::start(&plane.kubeconfig("alice"), u64::MAX, Duration::from_millis(15))?;
    let phases = [
        Some(Fault::Slow(Duration::from_secs(2))),
        Some(Fault::Answer(500)),
        // Done, and nobody knows.
        Some(Fault::AnswerAfter(504)),
        Some(Fault::Answer(429)),
        None,
        Some(Fault::AnswerAfter(500)),
        // Somebody else always comes first.
        Some(Fault::AnswerTo("/status", 409)),
        // Written, and nobody knows: what is tried again is there.
        Some(Fault::AnswerAfterTo("/securityalerts", 500)),
        // As where a role is taken away, a definition is installed anew, or a watch is too old.
        Some(Fault::AnswerTo("/securityalerts", 403)),
        Some(Fault::AnswerTo("/securityalerts", 404)),
        Some(Fault::AnswerTo("/securityalerts", 410)),
        // Half of each answer arrives.
        Some(Fault::BreakOff),
    ];
    for fault in phases {
        let opened = sessions.opened();
        match fault {
            Some(fault) => proxy.inject(fault),
            None => proxy.vanish(),
        }
        let began = Instant::now();
        wait_for("the fault to last", lasting * 10, || (began.elapsed() >= lasting).then_some(()))?;
        ensure!(sessions.opened() > opened + 10, "no sessions were opened meanwhile");
        match fault {
            Some(_) => proxy.inject(Fault::None),
            None => proxy.appear()?,
        }
        sessions.wait_for(sessions.opened() + 20)?;
    }
    let opened = sessions.stop()?;

    let expected = i64::try_from(opened)?;
    wait_for("every session to be counted", Duration::from_mins(2), || {
        (counted(&alerts(plane).ok()?, "sessions") >= expected).then_some(())
    })?;
    // Whatever was still on its way has arrived once the operator ended in order.
    operator.terminate()?;
    let found = alerts(plane)?;
    ensure!(found.len() as u64 == PODS, "{} alerts instead of {PODS}", found.len());
    for alert in found {
        let pod = alert["spec"]["detection"]["event"]["object"]["name"].as_str().unwrap_or_default();
        let wanted = opened_in(pod, opened)?;
        ensure!(alert["status"]["count"] == wanted, "{pod}: {:#} instead of {wanted}", alert["status"]);
    }
    Ok(())
}
