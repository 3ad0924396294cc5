//! One binary in several roles: readers that report, controllers of which one concludes.
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::operator::{
    Operator, PATIENCE, counted, install, rule, source, source_at, wait_for_alerts, wait_for_condition,
};
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

        // The new leader goes on: without a reader nobody evaluates the rule, as soon as that is certain.
        reader.terminate()?;
        let long_ago = format!("{:.6}", Timestamp::now() - SignedDuration::from_mins(6));
        let silent = json!([{"op": "replace", "path": "/status/agents/0/lastReportTime", "value": long_ago}])
            .to_string();
        let status = ["--subresource=status", "--type=json", "--patch", &silent];
        plane.run("admin", &[&["patch", "auditsource", "kube-apiserver"], &status[..]].concat())?;
        let gone = ("Ready", "False", "NotReporting");
        let why = wait_for_condition(plane, ("auditsource", "kube-apiserver"), gone)?;
        assert!(why.contains("control-plane-1 last at "), "{why}");
        wait_for_condition(plane, ("detectionrule", "namespaces"), ("Ready", "False", "NotEvaluated"))?;
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

/// As two control-plane nodes, each with a kube-apiserver and its log: what each sees is added up on one alert a group.
#[test]
fn two_readers_meet_in_one_alert_with_the_sum() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        let _other = plane.start_other_api_server()?;
        plane.make_pod("shop", "web-0")?;
        plane.apply(
            "admin",
            &rule("sessions", "objectRef.subresource:exec and user.name:alice").to_string(),
        )?;
        plane.apply("admin", &source_at("kube-apiserver", Path::new("audit.log"), "End"))?;
        let (here, there) = (plane.folder().join("audit"), plane.folder().join("audit/other"));
        let launch = |node: &str, account: &Path, logs: &Path| {
            Operator::launch_at(plane, account, node, logs, &["--lease", LEASE])
        };
        let readers = [
            launch("control-plane-1", &account, &here)?,
            launch("control-plane-2", &plane.kubeconfig("other-tripline"), &there)?,
        ];
        let reading = |rule: &Value| {
            let agents = rule["status"]["agents"].as_array()?;
            (agents.len() == 2 && agents.iter().all(|agent| agent["ready"] == true)).then_some(())
        };
        wait_for("both readers", PATIENCE, || reading(&plane.get(&["detectionrule", "sessions"]).ok()?))?;

        // The same pods by both at once, and by one of them more often.
        let start = |user: &str, each: u64| {
            Sessions::start(&plane.kubeconfig(user), each * PODS, Duration::from_millis(5))
        };
        let sessions = [start("alice", 4)?, start("other-alice", 3)?];
        for begun in sessions {
            begun.finish()?;
        }
        let opened = i64::try_from(7 * PODS)?;
        let found = wait_for_alerts(plane, "every session to be counted", |alerts| {
            counted(alerts, "sessions") >= opened
        })?;
        assert_eq!((found.len() as u64, counted(&found, "sessions")), (PODS, opened));
        for alert in &found {
            let sources = alert["status"]["sources"].as_array().context("no sources")?;
            let mut counts: Vec<_> =
                sources.iter().map(|source| (source["node"].as_str(), source["count"].as_i64())).collect();
            counts.sort_unstable();
            let wanted = [(Some("control-plane-1"), Some(4)), (Some("control-plane-2"), Some(3))];
            assert_eq!(counts, wanted, "{sources:#?}");
        }
        // And on the rule, by whichever of the two leads.
        wait_for("the sum on the rule", PATIENCE, || {
            let rule = plane.get(&["detectionrule", "sessions"]).ok()?;
            (rule["status"]["matches"] == opened).then_some(())
        })?;
        readers.into_iter().try_for_each(Operator::terminate)
    })
}

/// The machine's name, by which its kube-apiserver announces itself.
fn host() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_lowercase())
}

/// The Lease of another API server, as kube-apiserver writes it.
fn announce(plane: &ControlPlane, host: &str) -> Result<()> {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": format!("apiserver-{host}"),
            "namespace": "kube-system",
            "labels": {"apiserver.kubernetes.io/identity": "kube-apiserver", "kubernetes.io/hostname": host},
        },
        "spec": {"leaseDurationSeconds": 3600, "renewTime": format!("{:.6}", Timestamp::now())},
    });
    plane.apply("admin", &lease.to_string()).map(drop)
}

#[test]
fn a_source_says_of_which_api_servers_no_events_arrive() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.apply("admin", &source(plane, "log", "End"))?;
        let becomes =
            |status, reason| wait_for_condition(plane, ("auditsource", "log"), ("Complete", status, reason));

        // The machine is no node of this name.
        let elsewhere = Operator::start(plane, &account)?;
        let message = becomes("Unknown", "NamesDiffer")?;
        assert!(
            message.contains("events arrive on control-plane-1") && message.contains(&host()?),
            "{message}"
        );
        elsewhere.terminate()?;
        let removed = json!([{"op": "remove", "path": "/status/agents"}]).to_string();
        plane.run(
            "admin",
            &["patch", "auditsource", "log", "--subresource=status", "--type=json", "--patch", &removed],
        )?;

        let reads = Operator::launch_on(plane, &account, &host()?, &[])?;
        assert_eq!(becomes("True", "AllRead")?, "1 of 1 API servers are read");
        announce(plane, "control-plane-2")?;
        let message = becomes("False", "NotAllRead")?;
        assert!(message.starts_with("1 of 2 API servers are read"), "{message}");
        assert!(message.contains("from control-plane-2:"), "{message}");
        reads.wait_for_page("/metrics", 200, "tripline_unread_api_servers 1")?;
        let row = plane.run("admin", &["get", "auditsource", "log", "--output=wide"])?;
        assert!(row.lines().next().is_some_and(|names| names.contains("COMPLETE")), "{row}");

        let gone = ["delete", "lease", "apiserver-control-plane-2", "--namespace=kube-system"];
        plane.run("admin", &gone)?;
        becomes("True", "AllRead")?;
        reads.wait_for_page("/metrics", 200, "tripline_unread_api_servers 0")?;
        reads.terminate()
    })
}
