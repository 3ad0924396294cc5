//! A real API server sends its audit log to the webhook while the operator is killed and started again: what it does not
//! itself give up on is judged once.
mod support;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use data_encoding::BASE64;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use support::operator::{
    NAMESPACE, Operator, PATIENCE, alerts, counted, install_kinds, list, permissions, rule, tripline,
};
use support::process::free_port;
use support::sessions::Sessions;
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
    ControlPlane::with(Options::default(), |plane| through_kills(plane))
}

/// The operator with a webhook.
struct Webhook {
    account: PathBuf,
    credentials: PathBuf,
    kubeconfig: PathBuf,
}

impl Webhook {
    /// Installs what the chart would, and mounts the Secret as the kubelet would.
    fn install(plane: &ControlPlane, authentication: &str) -> Result<(Self, Operator)> {
        let objects = permissions("mode=all,source.webhook.enabled=true")?;
        plane.apply("admin", &list(&objects))?;
        install_kinds(plane)?;
        plane.run("admin", &["create", "secret", "generic", "tripline-webhook", "--namespace", NAMESPACE])?;
        let webhook = Self {
            account: plane.add_service_account(NAMESPACE, "tripline")?,
            credentials: plane.folder().join("webhook"),
            kubeconfig: plane.folder().join("webhook.kubeconfig"),
        };
        let spec = json!({"webhook": {"port": free_port()?, "authentication": authentication}});
        let source = json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource",
            "metadata": {"name": "sent"}, "spec": spec,
        });
        plane.apply("admin", &source.to_string())?;
        let operator = webhook.launch(plane)?;
        // Nothing is mounted yet.
        wait_for_condition(plane, "Reading", "False", "NoCredentials")?;
        webhook.mount(plane)?;
        wait_for_condition(plane, "Reading", "True", "Tailing")?;
        Ok((webhook, operator))
    }

    fn launch(&self, plane: &ControlPlane) -> Result<Operator> {
        let secret = format!("{NAMESPACE}/tripline-webhook");
        let credentials = self.credentials.display().to_string();
        let arguments = ["--webhook-secret", &secret, "--webhook-credentials", &credentials];
        Operator::launch_on(plane, &self.account, "control-plane-1", &arguments)
    }

    /// Writes the keys that the chart mounts.
    fn mount(&self, plane: &ControlPlane) -> Result<()> {
        let secret = wait_for("the Secret to be filled", PATIENCE, || {
            let get = ["get", "secret", "tripline-webhook", "--namespace", NAMESPACE, "--output=json"];
            let secret: Value = serde_json::from_str(&plane.run("admin", &get).ok()?).ok()?;
            secret["data"]["token"].is_string().then_some(secret)
        })?;
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&self.credentials)?;
        for key in ["tls.crt", "tls.key", "ca.crt", "token"] {
            let value = BASE64.decode(secret["data"][key].as_str().context("no text")?.as_bytes())?;
            fs::write(self.credentials.join(key), value)?;
        }
        Ok(())
    }

    /// Gives the API server what `webhook-config` prints, and starts it anew.
    fn configure(&self, plane: &mut ControlPlane, mode: &str, more: &[&str]) -> Result<()> {
        let secret = format!("{NAMESPACE}/tripline-webhook");
        let mut arguments = vec!["webhook-config", "--secret", &secret];
        arguments.extend(more);
        let printed = tripline(plane, &arguments).output()?;
        let told = String::from_utf8_lossy(&printed.stderr);
        ensure!(printed.status.success(), "webhook-config failed: {told}");
        ensure!(told.contains("--audit-webhook-config-file="), "{told}");
        let mut file = fs::OpenOptions::new();
        let mut file = file.create(true).truncate(true).write(true).mode(0o600).open(&self.kubeconfig)?;
        std::io::Write::write_all(&mut file, &printed.stdout)?;
        let mut flags = vec![
            format!("--audit-webhook-config-file={}", self.kubeconfig.display()),
            format!("--audit-webhook-mode={mode}"),
        ];
        if mode == "batch" {
            // As it says, but for how long a batch that failed waits: a test has less patience.
            let said = told.lines().filter_map(|line| line.trim().split(' ').next());
            let batch = said.filter(|flag| flag.starts_with("--audit-webhook-batch-"));
            flags.extend(batch.map(str::to_owned));
        }
        flags.push("--audit-webhook-initial-backoff=1s".to_owned());
        plane.set_api_server_arguments(flags);
        plane.restart_api_server()
    }
}

/// Requests that are cheap and audited: for a pod that is not there.
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
                    let request = http::Request::get("/api/v1/namespaces/shop/pods/none").body(Vec::new())?;
                    match client.request_text(request).await {
                        Err(kube::Error::Api(status)) if status.code == 404 => {}
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

fn wait_for_condition(plane: &ControlPlane, type_: &str, status: &str, reason: &str) -> Result<()> {
    let path = format!(
        "--output=jsonpath={{.status.conditions[?(@.type==\"{type_}\")].status}} \
         {{.status.conditions[?(@.type==\"{type_}\")].reason}}"
    );
    let mut last = String::new();
    let waited = wait_for(&format!("{type_} to be {status}"), PATIENCE, || {
        last = plane.run("admin", &["get", "auditsource", "sent", &path]).ok()?;
        (last == format!("{status} {reason}")).then_some(())
    });
    waited.with_context(|| format!("{type_} is {last:?}"))
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
        let mut last = (0, 0);
        let patience = Duration::from_mins(2);
        let waited = wait_for("every request to be counted", patience, || {
            let alerts = alerts(plane).ok()?;
            last = (counted(&alerts, "sessions"), counted(&alerts, "gets"));
            (last.0 >= wanted.0 && last.1 >= wanted.1).then_some(())
        });
        let lost = given_up(plane)?;
        waited.with_context(|| {
            format!("{mode}: counted {last:?} instead of {wanted:?}, and the API server gave up on {lost}")
        })?;
        ensure!(last == wanted, "{mode}: counted {last:?} instead of {wanted:?}");
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
        operator.terminate()
    })
}
