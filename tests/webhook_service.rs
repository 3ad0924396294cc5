//! Readers without the host's network, behind a Service with a fixed address: a real API server sends its audit log there,
//! kube-proxy translates the address, and what is sent while the reader's pod is replaced arrives once.
mod support;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use support::clock::Clock;
use support::node::{Node, NodeOptions, services_are_possible};
use support::operator::{alerts, counted, rule, wait_for_alerts};
use support::release::{NAMESPACE, Release};
use support::sessions::Sessions;
use support::webhook::Webhook;
use support::{ControlPlane, wait_for};

const PATIENCE: Duration = Duration::from_mins(2);
/// An address of the Service range that nobody has.
const ADDRESS: &str = "10.96.0.53";

#[test]
fn behind_a_service_everything_sent_is_judged_once_while_the_pod_is_replaced() -> Result<()> {
    if !services_are_possible()? {
        return Ok(());
    }
    Node::with(NodeOptions { services: true, ..NodeOptions::default() }, |node| {
        let mut clock = Clock::start();
        let address = format!("source.webhook.clusterIP={ADDRESS}");
        let values = [
            "source.webhook.enabled=true",
            "source.webhook.hostNetwork=false",
            &address,
            "source.file.path=",
            "source.file.mountPath=",
        ];
        let release = Release::install(node, &values)?;
        let plane = node.plane();
        let query = "objectRef.subresource:exec and objectRef.name:pod-* and user.name:alice";
        plane.apply("admin", &rule("sessions", query).to_string())?;
        plane
            .run("admin", &["wait", "--for=condition=Accepted", "detectionrule/sessions", "--timeout=1m"])?;
        // The controller fills the Secret, and the kubelet brings the keys when it next looks.
        let reading = ["wait", "--for=condition=Reading", "auditsource/kube-apiserver", "--timeout=2m"];
        plane.run("admin", &reading)?;
        clock.took("install, until the reader listens");

        let mut webhook = Webhook::of_release(plane, NAMESPACE);
        // Long enough for another pod to be there, at another address.
        webhook.initial_backoff = "5s";
        webhook.configure(node.plane_mut(), "batch", &["--server", &format!("https://{ADDRESS}:9443")])?;
        let said = release.helm(&["test", "tripline", "--logs"])?;
        ensure!(said.contains("Phase:          Succeeded"), "{said}");
        clock.took("kube-apiserver sends to the Service, helm test");

        let plane = node.plane();
        let sessions = Sessions::start(&plane.kubeconfig("alice"), u64::MAX, Duration::from_millis(20))?;
        let before = reader(plane)?;
        wait_for_alerts(plane, "the first sessions", |found| counted(found, "sessions") > 0)?;
        plane.run("admin", &["delete", "pod", &before.0, "--namespace", NAMESPACE])?;
        let after = reader(plane)?;
        ensure!(before.0 != after.0 && before.1 != after.1, "{before:?} is still there: {after:?}");
        clock.took("another pod");
        let at = sessions.opened();
        sessions.wait_for(at + 50)?;
        node.kill(NAMESPACE, &after.0, "tripline")?;
        sessions.wait_for(at + 150)?;
        let opened = i64::try_from(sessions.stop()?)?;
        wait_for_alerts(plane, "every session to be counted", |found| counted(found, "sessions") >= opened)?;
        clock.took("a crash, and everything is counted");
        let counted = counted(&alerts(plane)?, "sessions");
        ensure!(counted == opened, "{counted} sessions were counted, {opened} opened");
        eprintln!("         {opened} sessions");
        Ok(())
    })
}

/// Name and address of the reader's pod, once it is ready and the Service leads to it alone.
fn reader(plane: &ControlPlane) -> Result<(String, String)> {
    let name = Release::wait_for_pods(plane, "reader", 1)?.pop().context("no reader")?;
    let pod = plane.get(&["pod", &name, "--namespace", NAMESPACE])?;
    ensure!(pod["spec"]["hostNetwork"].is_null(), "the reader uses the host's network");
    let address = pod["status"]["podIP"].as_str().context("the pod has no address")?.to_owned();
    let selector = "--selector=app.kubernetes.io/component=webhook";
    let output = "--output=jsonpath={.items[*].endpoints[*].addresses[*]}";
    let slices = ["get", "endpointslices", "--namespace", NAMESPACE, selector, output];
    wait_for("the Service to lead to the pod", PATIENCE, || {
        (plane.run("admin", &slices).ok()? == address).then_some(())
    })?;
    Ok((name, address))
}
