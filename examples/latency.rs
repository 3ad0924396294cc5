//! How long from an audit record to its alert: `make latency`.
//!
//! A real API server, the operator as built with `--release`, 200 sessions in pods of their own, one after the other.
//! For each the time from the record's own stage timestamp (which the API server takes just before it writes the
//! line) to the alert's arrival at a watch is taken. The yardstick is the same object written by this program: what
//! one such write and one watch cost on this machine.
#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use support::arrivals::{added, between, distribution};
use support::operator::{Operator, install, rule, source};
use support::{ControlPlane, Options};
use tripline::api::SecurityAlert;

const EXECS: usize = 200;

fn main() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.make_pod("shop", "web-0")?;
        plane.apply("admin", include_str!("../rules/execution/exec-into-pod.yaml"))?;
        for n in 0..20 {
            plane.apply(
                "admin",
                &rule(&format!("other-{n}"), "verb:patch and objectRef.name:nothing").to_string(),
            )?;
        }
        plane.apply("admin", &source(plane, "log", "End"))?;
        let operator = Operator::start(plane, &account)?;
        plane.run("admin", &["wait", "--for=condition=Ready", "auditsource", "log", "--timeout=10s"])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(measure(plane))?;
        operator.terminate()
    })
}

async fn measure(plane: &ControlPlane) -> Result<()> {
    let config = |user: &str| Kubeconfig::read_from(plane.kubeconfig(user));
    let admin = Config::from_custom_kubeconfig(config("admin")?, &KubeConfigOptions::default()).await?;
    let admin = Client::try_from(admin)?;
    let alice = Config::from_custom_kubeconfig(config("alice")?, &KubeConfigOptions::default()).await?;
    let alice = Client::try_from(alice)?;

    let pods: Api<Pod> = Api::namespaced(admin.clone(), "shop");
    for n in 0..EXECS {
        let pod = json!({
            "metadata": {"name": format!("pod-{n}")},
            "spec": {"nodeName": "paper", "containers": [{"name": "main", "image": "none"}]},
        });
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    }
    let alerts: Api<SecurityAlert> = Api::all(admin);
    let mut watch = alerts.watch(&WatchParams::default().timeout(290), "0").await?.boxed();
    let mut latencies = Vec::new();
    let mut newest = None;
    for n in 0..EXECS {
        let uri = format!("/api/v1/namespaces/shop/pods/pod-{n}/exec?command=id&stdout=true");
        let request = http::Request::post(uri).body(Vec::new())?;
        let (_answer, seen) = tokio::join!(alice.request_text(request), added(&mut watch));
        let (alert, now) = seen?;
        let stage = alert.spec.detection.event.stage_time.clone().context("the alert has no stage time")?;
        latencies.push(between(stage.0, now));
        newest = Some(alert);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }

    // The yardstick: the same object, written by this program.
    let spec = newest.context("there is no alert")?.spec;
    let mut writes = Vec::new();
    for n in 0..EXECS {
        let alert = SecurityAlert::new(&format!("yardstick-{n}"), spec.clone());
        let (started, params) = (Timestamp::now(), PostParams::default());
        let (created, seen) = tokio::join!(alerts.create(&params, &alert), added(&mut watch));
        created?;
        writes.push(between(started, seen?.1));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    println!("an alert written by hand, seen by a watch  : {}", distribution(&mut writes));
    println!("an audit record written, its alert seen so: {}", distribution(&mut latencies));
    Ok(())
}
