//! How long kube-apiserver waits for an answer of the webhook, and that nothing is missing: `make webhook LOG=audit.log`.
//!
//! The operator as built with `--release`, on a real API server. This program sends the log as an API server does, 400
//! records a batch and 5,000 a second for a minute, and again what was not answered, while the operator is killed five
//! times. A rule that matches every record counts them; `tripline replay` says how many that must be.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use support::operator::{Operator, alerts, counted, replayed, rule};
use support::webhook::Webhook;
use support::{ControlPlane, Options, wait_for};
use tokio::task::JoinSet;

/// What kube-apiserver's default is.
const BATCH: usize = 400;
const A_SECOND: usize = 5_000;
const SECONDS: usize = 60;
const KILLS: u32 = 5;
/// How a line of a log file begins, and a record of a batch does not.
const TYPE: &str = "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",";

fn main() -> Result<()> {
    let log = std::env::args_os().nth(1).context("usage: webhook LOG")?;
    let text = std::fs::read_to_string(&log).with_context(|| format!("{} cannot be read", log.display()))?;
    let lines: Vec<&str> = text.lines().take(A_SECOND * SECONDS).collect();
    let seconds = lines.len() / A_SECOND;
    ensure!(seconds > 0, "the log has only {} records", lines.len());
    let lines = &lines[..seconds * A_SECOND];
    ControlPlane::with(Options::default(), |plane| {
        let (webhook, operator) = Webhook::install(plane, "ClientCertificate")?;
        let mut every = rule("every", "verb:*");
        every["spec"]["grouping"]["by"] = serde_json::json!(["verb"]);
        plane.apply("admin", &every.to_string())?;
        plane.run("admin", &["wait", "--for=condition=Accepted", "detectionrule/every", "--timeout=10s"])?;
        let wanted = expected(plane, &every, lines)?;
        webhook.print_config(plane, &[])?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let operator = runtime.block_on(send(plane, &webhook, operator, lines))?;
        wait_for("every record to be counted", Duration::from_mins(2), || {
            (counted(&alerts(plane).ok()?, "every") >= wanted).then_some(())
        })?;
        let memory = operator.memory()?;
        operator.terminate()?;
        let found = counted(&alerts(plane)?, "every");
        println!("counted            {found} of {wanted}");
        println!("memory             {memory}");
        ensure!(found == wanted, "it is not what was sent");
        Ok(())
    })
}

/// How many of the records the rule matches.
fn expected(plane: &ControlPlane, rule: &Value, lines: &[&str]) -> Result<i64> {
    let (rule_file, log) = (plane.folder().join("every.json"), plane.folder().join("sent.log"));
    std::fs::write(&rule_file, rule.to_string())?;
    std::fs::write(&log, lines.join("\n") + "\n")?;
    Ok(counted(&replayed(&rule_file, &log, &[])?, "every"))
}

async fn send(
    plane: &ControlPlane,
    webhook: &Webhook,
    mut operator: Operator,
    lines: &[&str],
) -> Result<Operator> {
    let kubeconfig = Kubeconfig::read_from(&webhook.kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // The path is the whole one: a client of this kind would put a slash after it.
    let path = config.cluster_url.path().to_owned();
    config.cluster_url = config.cluster_url.to_string().trim_end_matches(&path).parse()?;
    let client = Client::try_from(config)?;
    let (again, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut sent = JoinSet::new();
    let mut kills = 0;
    let span = Duration::from_secs((lines.len() / A_SECOND) as u64) / (KILLS + 1);
    for (number, records) in lines.chunks(BATCH).enumerate() {
        let due = Duration::from_micros((number * BATCH * 1_000_000 / A_SECOND) as u64);
        tokio::time::sleep_until((began + due).into()).await;
        if kills < KILLS && began.elapsed() >= span * (kills + 1) {
            kills += 1;
            operator.kill();
            operator = webhook.launch(plane)?;
        }
        sent.spawn(deliver(client.clone(), path.clone(), batch(records)?, Arc::clone(&again)));
    }
    let mut answers = Vec::new();
    while let Some(answer) = sent.join_next().await {
        answers.push(answer??);
    }
    answers.sort();
    let quantile = |percent: usize| answers[(answers.len() * percent / 100).min(answers.len() - 1)];
    println!("sent               {} records in {:.1?}, {kills} kills", lines.len(), began.elapsed());
    println!(
        "answers            p50 {:.1?}, p99 {:.1?}, all {:.1?}",
        quantile(50),
        quantile(99),
        quantile(100)
    );
    println!("sent again         {} batches of {}", again.load(Ordering::Relaxed), answers.len());
    Ok(operator)
}

/// An `EventList` as kube-apiserver writes it: the type is said once.
fn batch(records: &[&str]) -> Result<String> {
    let mut body = String::from(
        "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":[",
    );
    for (number, record) in records.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        write!(body, "{comma}{{{}", record.strip_prefix(TYPE).context("a line is no event")?)?;
    }
    body.push_str("]}");
    Ok(body)
}

/// Sends a batch until it is answered; gives how long the answer took.
async fn deliver(client: Client, path: String, body: String, again: Arc<AtomicU64>) -> Result<Duration> {
    loop {
        let request = http::Request::post(&path).header("Content-Type", "application/json");
        let asked = Instant::now();
        match client.send(request.body(body.clone().into_bytes().into())?).await {
            Ok(answer) if answer.status().is_success() => return Ok(asked.elapsed()),
            Ok(answer) if answer.status().is_client_error() => {
                bail!("a batch was answered {}", answer.status())
            }
            _ => {
                again.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
