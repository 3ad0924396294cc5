//! One binary in several roles: readers that report, controllers of which one concludes.
mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use support::operator::{Operator, PATIENCE, counted, install, rule, source, wait_for_alerts};
use support::sessions::{PODS, Sessions};
use support::{ControlPlane, Options, wait_for};

const LEASE: &str = "tripline-system/tripline";

fn ready(rule: &Value) -> Option<(String, String)> {
    let found = rule["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready")?;
    Some((found["reason"].as_str()?.to_owned(), found["message"].as_str()?.to_owned()))
}

fn leader(candidates: &[Operator]) -> Option<&Operator> {
    let leading: Vec<_> = candidates.iter().filter(|c| c.metric("tripline_leader") == Some(1.0)).collect();
    assert!(leading.len() <= 1, "two lead at once");
    leading.first().copied()
}

fn wait_for_leader(candidates: &[Operator], longest: Duration) -> Result<Duration> {
    let began = Instant::now();
    wait_for("a leader", longest, || leader(candidates).map(|_| began.elapsed()))
}

#[test]
fn readers_report_and_one_controller_concludes() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane
            .apply("admin", &rule("namespaces", "verb:list and objectRef.resource:namespaces").to_string())?;
        plane.apply("admin", &source(plane, "kube-apiserver", "End"))?;

        // A reader alone finds and reports, and says nothing of what follows for the rule as a whole.
        let reader = Operator::launch_on(plane, &account, "control-plane-1", &["--role", "reader"])?;
        reader.wait_for_page("/readyz", 200, "ok")?;
        wait_for("the reader's report", PATIENCE, || {
            let rule = plane.get(&["detectionrule", "namespaces"]).ok()?;
            (rule["status"]["agents"][0]["ready"] == true).then_some(())
        })?;
        plane.run("admin", &["get", "namespaces"])?;
        wait_for_alerts(plane, "the reader's alert", |alerts| counted(alerts, "namespaces") == 1)?;
        assert_eq!(ready(&plane.get(&["detectionrule", "namespaces"])?), None);

        // Of two controllers one leads; the rule becomes what all reports together make of it.
        let controller = |name: &str| {
            Operator::launch_on(plane, &account, name, &["--role", "controller", "--lease", LEASE])
        };
        let mut candidates = vec![controller("a")?, controller("b")?];
        wait_for_leader(&candidates, PATIENCE)?;
        for kind in [["detectionrule", "namespaces"], ["auditsource", "kube-apiserver"]] {
            plane.run("admin", &["wait", "--for=condition=Ready", kind[0], kind[1], "--timeout=30s"])?;
        }
        wait_for("the sum of the reports", PATIENCE, || {
            let rule = plane.get(&["detectionrule", "namespaces"]).ok()?;
            (rule["status"]["matches"] == 1 && rule["status"]["agents"].as_array()?.len() == 1).then_some(())
        })?;
        for candidate in &candidates {
            candidate.wait_for_page("/readyz", 200, "ok")?;
        }

        // A leader that ends hands over at once; one that is killed is waited for until its lease has run out.
        let position = candidates.iter().position(|c| c.metric("tripline_leader") == Some(1.0));
        candidates.remove(position.context("no leader")?).terminate()?;
        let taken = wait_for_leader(&candidates, Duration::from_secs(10))?;
        candidates.push(controller("c")?);
        candidates.remove(0).kill();
        let after_kill = wait_for_leader(&candidates, Duration::from_secs(40))?;
        println!("another led {taken:?} after an orderly end, {after_kill:?} after a kill");
        let lease = plane.get(&["lease", "tripline", "--namespace", "tripline-system"])?;
        assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease:#}");

        // The new leader goes on: without a reader nobody evaluates the rule.
        reader.terminate()?;
        plane.run("admin", &["delete", "auditsource", "kube-apiserver"])?;
        plane.apply("admin", &rule("unread", "verb:list and objectRef.resource:namespaces").to_string())?;
        let why = wait_for("the conclusion that nobody reads", PATIENCE, || {
            ready(&plane.get(&["detectionrule", "unread"]).ok()?)
        })?;
        assert_eq!(why.0, "NotEvaluated");
        assert!(why.1.contains("kubectl get auditsources"), "{}", why.1);
        candidates.into_iter().try_for_each(Operator::terminate)
    })
}

#[test]
fn a_lost_api_server_ends_leadership_in_time() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        let all = Operator::launch_on(plane, &account, "control-plane-1", &["--lease", LEASE])?;
        wait_for("leadership", PATIENCE, || (all.metric("tripline_leader") == Some(1.0)).then_some(()))?;
        plane.stop_api_server();
        let lost = Instant::now();
        // The lease lasts 15 seconds from the last renewal, which was at most two seconds before.
        wait_for("the end of leadership", Duration::from_secs(13), || {
            (all.metric("tripline_leader") == Some(0.0)).then_some(())
        })?;
        println!("leadership ended {:?} after the API server", lost.elapsed());
        plane.restart_api_server()?;
        wait_for("leadership", PATIENCE, || (all.metric("tripline_leader") == Some(1.0)).then_some(()))?;
        all.terminate()
    })
}

/// As two control-plane nodes: what each sees is added up on one alert a group. Here both see the same log, so every
/// session counts twice.
#[test]
fn two_readers_meet_in_one_alert_with_the_sum() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.make_pod("shop", "web-0")?;
        plane.apply(
            "admin",
            &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string(),
        )?;
        plane.apply("admin", &source(plane, "kube-apiserver", "End"))?;
        let launch = |node: &str| Operator::launch_on(plane, &account, node, &["--lease", LEASE]);
        let readers = [launch("control-plane-1")?, launch("control-plane-2")?];
        let reading = |rule: &Value| {
            let agents = rule["status"]["agents"].as_array()?;
            (agents.len() == 2 && agents.iter().all(|agent| agent["ready"] == true)).then_some(())
        };
        wait_for("both readers", PATIENCE, || reading(&plane.get(&["detectionrule", "sessions"]).ok()?))?;

        let sessions = Sessions::start(&plane.kubeconfig("alice"), 4 * PODS, Duration::from_millis(5))?;
        let opened = i64::try_from(sessions.finish()?)?;
        let found = wait_for_alerts(plane, "every session to be counted by both", |alerts| {
            counted(alerts, "sessions") >= 2 * opened
        })?;
        assert_eq!((found.len() as u64, counted(&found, "sessions")), (PODS, 2 * opened));
        for alert in &found {
            let sources = alert["status"]["sources"].as_array().context("no sources")?;
            assert!(sources.len() == 2 && sources.iter().all(|source| source["count"] == 4), "{sources:#?}");
        }
        // And on the rule, by whichever of the two leads.
        wait_for("the sum on the rule", PATIENCE, || {
            let rule = plane.get(&["detectionrule", "sessions"]).ok()?;
            (rule["status"]["matches"] == 2 * opened).then_some(())
        })?;
        readers.into_iter().try_for_each(Operator::terminate)
    })
}
