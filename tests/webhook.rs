//! A real API server sends its audit log to the webhook while the operator is killed and started again: what it does not
//! itself give up on is judged once.
mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use support::operator::{alerts, counted, rule};
use support::sessions::Sessions;
use support::webhook::{Webhook, wait_for_condition};
use support::{ControlPlane, Options, wait_for};

/// How long each mode is under load, how often the operator is killed meanwhile, and how many ask at once.
/// `TRIPLINE_WEBHOOK_SECONDS`, `TRIPLINE_WEBHOOK_KILLS` and `TRIPLINE_WEBHOOK_CLIENTS` make it more.
const SECONDS: u64 = 8;
const KILLS: u64 = 2;
const CLIENTS: u64 = 4;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn what_the_api_server_sends_is_judged_once_through_kills() -> Result<()> {
    ControlPlane::with(Options::default(), through_kills)
}

/// Requests that are cheap and audited: for what nobody here may read, which is refused without a look into etcd.
struct Load {
    runtime: tokio::runtime::Runtime,
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
}

impl Load {
    fn start(kubeconfig: &Path, clients: u64) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let tasks = (0..clients).map(|_| {
            let (stop, made, kubeconfig) = (Arc::clone(&stop), Arc::clone(&made), kubeconfig.clone());
            runtime.spawn(async move {
                let options = KubeConfigOptions::default();
                let client = Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await?)?;
                while !stop.load(Ordering::Relaxed) {
                    let request =
                        http::Request::get("/api/v1/namespaces/shop/secrets/none").body(Vec::new())?;
                    match client.request_text(request).await {
                        Err(kube::Error::Api(status)) if status.code == 403 => {}
                        other => bail!("a get was answered with {other:?}"),
                    }
                    made.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        let tasks = tasks.collect();
        Ok(Self { runtime, tasks, stop, made })
    }

    fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            self.runtime.block_on(task)??;
        }
        Ok(self.made.load(Ordering::Relaxed))
    }
}

/// What the API server says it gave up on.
fn given_up(plane: &ControlPlane) -> Result<f64> {
    let metrics = plane.run("admin", &["get", "--raw", "/metrics"])?;
    let lines = metrics.lines().filter(|line| {
        line.starts_with("apiserver_audit_error_total") && line.contains("plugin=\"webhook\"")
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}

fn through_kills(plane: &mut ControlPlane) -> Result<()> {
    let (seconds, kills) =
        (setting("TRIPLINE_WEBHOOK_SECONDS", SECONDS), setting("TRIPLINE_WEBHOOK_KILLS", KILLS));
    let clients = setting("TRIPLINE_WEBHOOK_CLIENTS", CLIENTS);
    let (webhook, mut operator) = Webhook::install(plane, "ClientCertificate")?;
    plane.apply("admin", &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string())?;
    let query = "verb:get and user.name:bob and objectRef.name:none";
    plane.apply("admin", &rule("gets", query).to_string())?;
    for name in ["sessions", "gets"] {
        let object = format!("detectionrule/{name}");
        plane.run("admin", &["wait", "--for=condition=Accepted", &object, "--timeout=10s"])?;
    }

    let (mut opened, mut asked) = (0, 0);
    for mode in ["batch", "blocking"] {
        webhook.configure(plane, mode, &[])?;
        let events = || operator_events(plane);
        let (before, began) = (events()?, Instant::now());
        let sessions = Sessions::start(&plane.kubeconfig("alice"), u64::MAX, Duration::from_millis(20))?;
        let load = Load::start(&plane.kubeconfig("bob"), clients)?;
        let span = Duration::from_secs(seconds) / (u32::try_from(kills)? + 1);
        for kill in 0..=kills {
            let until = span * (u32::try_from(kill)? + 1);
            wait_for("the load to last", until * 10, || (began.elapsed() >= until).then_some(()))?;
            if kill < kills {
                operator.kill();
                operator = webhook.launch(plane)?;
            }
        }
        opened += sessions.stop()?;
        asked += load.finish()?;
        let lasted = began.elapsed().as_secs_f64();
        let wanted = (i64::try_from(opened)?, i64::try_from(asked)?);
        let mut found = (0, 0);
        let patience = Duration::from_mins(2);
        let outcome = wait_for("every request to be counted", patience, || {
            let alerts = alerts(plane).ok()?;
            found = (counted(&alerts, "sessions"), counted(&alerts, "gets"));
            (found.0 >= wanted.0 && found.1 >= wanted.1).then_some(())
        });
        let lost = given_up(plane)?;
        outcome.with_context(|| {
            format!("{mode}: counted {found:?} instead of {wanted:?}, and the API server gave up on {lost}")
        })?;
        ensure!(found == wanted, "{mode}: counted {found:?} instead of {wanted:?}");
        let read = f64::from(i32::try_from(events()? - before)?);
        eprintln!("{mode}: {opened} sessions, {asked} gets, some {:.0} events a second", read / lasted);
    }
    let page = operator.page("/metrics")?.1;
    for line in page.lines().filter(|line| line.starts_with("tripline_webhook_")) {
        eprintln!("{line}");
    }
    // Whatever was still on its way has arrived once the operator ended in order.
    operator.terminate()?;
    let found = alerts(plane)?;
    let last = (counted(&found, "sessions"), counted(&found, "gets"));
    ensure!(last == (i64::try_from(opened)?, i64::try_from(asked)?), "counted {last:?} in the end");
    let agent =
        plane.run("admin", &["get", "auditsource", "sent", "--output=jsonpath={.status.agents[0]}"])?;
    let agent: Value = serde_json::from_str(&agent)?;
    ensure!(agent["gaps"] == 0 && agent["malformedLines"] == 0, "{agent:#}");
    Ok(())
}

/// What is no address of this node is said, and mended without a restart.
fn address_of_another(plane: &ControlPlane) -> Result<()> {
    let patch = |address: &str| {
        let patch = format!(r#"{{"spec":{{"webhook":{{"address":"{address}"}}}}}}"#);
        plane.kubectl("admin", &["patch", "auditsource", "sent", "--type=merge", "--patch", &patch])
    };
    let refused = patch("localhost")?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && said.contains("must be an IP address"), "{said}");
    // Of a range for examples.
    patch("192.0.2.1")?;
    wait_for_condition(plane, "Reading", "False", "NotListening")?;
    patch("127.0.0.1")?;
    wait_for_condition(plane, "Reading", "True", "Tailing")
}

/// Events of the source that were judged.
fn operator_events(plane: &ControlPlane) -> Result<i64> {
    let events = plane.run("admin", &["get", "auditsource", "sent", "--output=jsonpath={.status.events}"])?;
    Ok(events.parse()?)
}

#[test]
fn a_token_does_as_well_and_a_certificate_that_ends_soon_is_said() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let (webhook, operator) = Webhook::install(plane, "BearerToken")?;
        webhook.configure(plane, "batch", &[])?;
        wait_for_condition(plane, "Receiving", "True", "EventsArrive")?;
        let patch = r#"{"spec":{"webhook":{"authentication":"ClientCertificate"}}}"#;
        plane.run("admin", &["patch", "auditsource", "sent", "--type=merge", "--patch", patch])?;
        webhook.configure(plane, "batch", &["--source", "sent", "--days", "20"])?;
        wait_for_condition(plane, "CredentialExpiring", "True", "Renew")?;
        wait_for_condition(plane, "SpoolFull", "False", "Room")?;
        webhook.configure(plane, "batch", &["--days", "60"])?;
        wait_for_condition(plane, "CredentialExpiring", "False", "Valid")?;
        address_of_another(plane)?;
        operator.terminate()
    })
}
