//! The operator is killed at any instant while sessions are opened: no alert and no count differs from what an
//! undisturbed run would have.
mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use support::operator::{Operator, alerts, install, rule, source};
use support::{ControlPlane, Options, wait_for};

/// `TRIPLINE_CRASH_EXECS` and `TRIPLINE_CRASH_KILLS` make it longer.
const EXECS: u64 = 600;
const KILLS: u64 = 6;
/// How many pods the sessions are in: each has several, so counts are tried as well as alerts.
const PODS: u64 = 60;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let config =
        Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &KubeConfigOptions::default())
            .await?;
    Ok(Client::try_from(config)?)
}

#[test]
fn kills_under_load_neither_lose_nor_double_a_match() -> Result<()> {
    // Small files, so that the log is rotated while the operator is down.
    let options = Options { audit_log_max_size: 1, ..Options::default() };
    ControlPlane::with(options, |plane| kills_under_load(plane))
}

fn kills_under_load(plane: &ControlPlane) -> Result<()> {
    let (execs, kills) = (setting("TRIPLINE_CRASH_EXECS", EXECS), setting("TRIPLINE_CRASH_KILLS", KILLS));
    let account = install(plane)?;
    plane.make_pod("shop", "web-0")?;
    let query = "objectRef.subresource:exec and verb:create and user.name:alice";
    plane.apply("admin", &rule("sessions", query).to_string())?;
    plane.apply("admin", &rule("sessions-again", query).to_string())?;
    plane.apply("admin", &source(plane, "log", "End"))?;
    let mut operator = Operator::start(plane, &account)?;
    plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;

    let opened = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let sessions = runtime.spawn(open_sessions(plane.kubeconfig("alice"), execs, Arc::clone(&opened)));
    for kill in 1..=kills {
        // Spread over the whole run; what the operator does at that instant is as random as the machine.
        let at = execs * kill / (kills + 1);
        wait_for("sessions to be opened", Duration::from_mins(2), || {
            (opened.load(Ordering::Relaxed) >= at).then_some(())
        })?;
        operator.kill();
        operator = Operator::start(plane, &account)?;
    }
    runtime.block_on(sessions)??;

    let expected = i64::try_from(execs)?;
    let mut last = (0, 0);
    wait_for("every session to be counted", Duration::from_mins(1), || {
        let alerts = alerts(plane).ok()?;
        last = (
            support::operator::counted(&alerts, "sessions"),
            support::operator::counted(&alerts, "sessions-again"),
        );
        (last.0 >= expected && last.1 >= expected).then_some(())
    })?;
    // Whatever was still on its way has arrived once the operator ended in order.
    operator.terminate()?;
    let found = alerts(plane)?;
    for rule in ["sessions", "sessions-again"] {
        let of_rule: Vec<_> = found.iter().filter(|a| a["spec"]["detection"]["ruleName"] == rule).collect();
        ensure!(of_rule.len() as u64 == PODS, "{} alerts of {rule} instead of {PODS}", of_rule.len());
        for alert in of_rule {
            let pod = alert["spec"]["detection"]["event"]["object"]["name"].as_str().unwrap_or_default();
            let n: u64 = pod.trim_start_matches("pod-").parse()?;
            let wanted = execs / PODS + u64::from(n < execs % PODS);
            ensure!(
                alert["status"]["count"] == wanted,
                "{pod} of {rule}: {:#} instead of {wanted}",
                alert["status"]
            );
        }
    }
    Ok(())
}

/// Asks for sessions in pods that do not exist: allowed, audited, and answered with 404.
async fn open_sessions(kubeconfig: std::path::PathBuf, count: u64, opened: Arc<AtomicU64>) -> Result<()> {
    let client = client(&kubeconfig).await?;
    for n in 0..count {
        let uri = format!("/api/v1/namespaces/shop/pods/pod-{}/exec?command=id&stdout=true", n % PODS);
        let request = http::Request::post(uri).body(Vec::new())?;
        match client.request_text(request).await {
            Err(kube::Error::Api(status)) if (400..=500).contains(&status.code) => {}
            other => anyhow::bail!("an exec was answered with {other:?}"),
        }
        opened.fetch_add(1, Ordering::Relaxed);
        // About a hundred a second: the operator is to be killed in the middle of them, not after them.
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    Ok(())
}
