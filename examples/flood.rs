//! What a flood does to alerts: `make flood`.
//!
//! The operator as built with `--release`, on a real API server, with the bounds it has by default.
//!
//! * A burst: 1,000 groups of two rules in one write to the log. How long until the last alert is there?
//! * A flood: 100,000 groups of a rule of severity Low, 5,000 a second. Meanwhile, five times a second, one match of a
//!   rule of severity Critical: how long from its record to its alert, as a watch sees it? The yardstick is the same
//!   object written by this program, before the flood.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{ListParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use support::arrivals::{added, between, distribution};
use support::operator::{Operator, alerts, counted, install, rule, source_at};
use support::written_log::WrittenLog;
use support::{ControlPlane, Options, wait_for};
use tripline::api::SecurityAlert;

const BURST: usize = 1_000;
const GROUPS: usize = 100_000;
const A_SECOND: usize = 5_000;
/// A part of the flood, and then a match of the severe rule.
const PART: usize = A_SECOND / 5;

fn main() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let (account, log) = (install(plane)?, WrittenLog::create(plane)?);
        for (resource, severity) in
            [("pods", "Medium"), ("services", "Medium"), ("endpoints", "Low"), ("secrets", "Critical")]
        {
            let mut rule = rule(resource, &format!("verb:get and objectRef.resource:{resource}"));
            rule["spec"]["severity"] = severity.into();
            plane.apply("admin", &rule.to_string())?;
        }
        plane.apply("admin", &source_at("written", log.path(), "Start"))?;
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "written", "--timeout=10s"])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let config = Kubeconfig::read_from(plane.kubeconfig("admin"))?;
            let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
            let api: Api<SecurityAlert> = Api::all(Client::try_from(config)?);
            burst(&log, &api).await?;
            flood(&log, &api).await
        })?;
        let wanted = i64::try_from(GROUPS)?;
        wait_for("every match of the flood to be counted", Duration::from_mins(1), || {
            (counted(&alerts(plane).ok()?, "endpoints") >= wanted).then_some(())
        })?;
        let found = alerts(plane)?;
        let low = found.iter().filter(|alert| alert["spec"]["detection"]["ruleName"] == "endpoints").count();
        println!("the flood is counted   {} of {wanted}, in {low} alerts", counted(&found, "endpoints"));
        println!("memory of the operator {}", operator.memory()?);
        operator.terminate()
    })
}

async fn burst(log: &WrittenLog, api: &Api<SecurityAlert>) -> Result<()> {
    let began = Instant::now();
    for resource in ["pods", "services"] {
        log.get(resource, (0..BURST / 2).map(|number| format!("{resource}-{number}")))?;
    }
    let mut watch = api.watch(&WatchParams::default().timeout(290), "0").await?.boxed();
    for _ in 0..BURST {
        added(&mut watch).await?;
    }
    println!("a burst of {BURST} groups: the last alert is there after {:.1?}", began.elapsed());
    Ok(())
}

async fn flood(log: &WrittenLog, api: &Api<SecurityAlert>) -> Result<()> {
    // The yardstick.
    let params = ListParams::default();
    let spec = api.list(&params).await?.items.pop().context("there is no alert")?.spec;
    let version = api.list(&params).await?.metadata.resource_version.unwrap_or_default();
    let mut watch = api.watch(&WatchParams::default().timeout(290), &version).await?.boxed();
    let mut writes = Vec::new();
    for number in 0..100 {
        let alert = SecurityAlert::new(&format!("yardstick-{number}"), spec.clone());
        let started = Timestamp::now();
        api.create(&PostParams::default(), &alert).await?;
        writes.push(between(started, added(&mut watch).await?.1));
    }
    println!("an alert written by hand, seen by a watch: {}", distribution(&mut writes));

    let mut latencies = Vec::new();
    let mut turn = tokio::time::interval(Duration::from_millis(200));
    for part in 0..GROUPS / PART {
        turn.tick().await;
        log.get("endpoints", (0..PART).map(|number| format!("endpoints-{}", part * PART + number)))?;
        log.get("secrets", std::iter::once(format!("secrets-{part}")))?;
        let (alert, seen) = loop {
            let (alert, seen) = added(&mut watch).await?;
            if alert.spec.detection.rule_name == "secrets" {
                break (alert, seen);
            }
        };
        let name = alert.spec.detection.event.object.and_then(|object| object.name);
        ensure!(name == Some(format!("secrets-{part}")), "an alert of {name:?} came first");
        latencies.push(between(alert.spec.detection.event.stage_time.context("no time")?.0, seen));
    }
    println!("a Critical one in a flood of Low ones    : {}", distribution(&mut latencies));
    Ok(())
}
