//! A log in which everything that a client can choose was chosen by an attacker, on a real API server: each match is
//! counted once, in an alert of bounded size whose text is harmless, also when the operator is killed on the way.
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use support::operator::{Operator, alerts, install, replayed, rule, source_at};
use support::written_log::record;
use support::{ControlPlane, Options, wait_for};

const PATIENCE: Duration = Duration::from_mins(3);
/// As long as a rule's name may be: its alerts' names have to fit into as much, with their hash.
const RULE: &str = "sixty-three-characters-are-the-most-that-the-name-of-a-rule-has";
const MANY: usize = 10_000;
const LONG_AGENTS: usize = 20;
/// A group whose value is missing, which none of the values is.
const MISSING: &str = "(missing)";
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}\r\n\t\u{0}";

/// A line of a request by this user for this object.
fn request(user: &str, namespace: &str, name: &str, more: &Value) -> String {
    let mut changes = json!({
        "user": {"username": user},
        "objectRef": {"resource": "pods", "namespace": namespace, "name": name, "apiVersion": "v1"},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        changes[key] = value.clone();
    }
    format!("{}\n", record(changes))
}

/// The log, and how many matches each group has in it: user, namespace, name.
fn log() -> (String, BTreeMap<[String; 3], i64>) {
    let (mut text, mut counts) = (String::new(), BTreeMap::new());
    let mut add = |user: &str, namespace: &str, name: &str, more: &Value| {
        text.push_str(&request(user, namespace, name, more));
        *counts.entry([user.to_owned(), namespace.to_owned(), name.to_owned()]).or_default() += 1;
    };
    for number in 0..MANY {
        add("mallory", "shop", "one-request", &json!({"auditID": format!("id-{number}")}));
        add("mallory", "shop", "one-id", &json!({"auditID": "the-same"}));
    }
    for number in 0..LONG_AGENTS {
        let agent = format!("{number}{}", "A\u{1b}".repeat(1 << 19));
        add("mallory", "shop", "long-agents", &json!({"userAgent": agent, "requestURI": agent}));
    }
    // Without an id, and of an object without a name, it is a request like others.
    let unnamed = json!({"auditID": null, "objectRef": {"resource": "pods", "namespace": "shop"}});
    for _ in 0..3 {
        add("mallory", "shop", MISSING, &unnamed);
    }
    // What is the same when put together, cut off or escaped is not the same group.
    let same_beginning = |end: &str| format!("{}{end}", "n".repeat(100_000));
    for (user, namespace, name) in [
        ("a", "b", "c"),
        ("a", "b/c", ""),
        ("a/b", "c", ""),
        ("a", "", "b/c"),
        ("a b", "c", "d"),
        ("a", "b c", "d"),
        ("a\u{0}b", "c", "d"),
        ("mallory", "shop", ESCAPES),
        ("mallory", "shop", ""),
        ("mallory", "shop", "\\u{1b}[2J\\u{1b}]0;owned\\u{7}\\u{9b}31m\\u{202e}\\u{2066}\\r\\n\\t\\u{0}"),
        ("mallory", "shop", &same_beginning("1")),
        ("mallory", "shop", &same_beginning("2")),
        (ESCAPES, ESCAPES, "x"),
        ("victim", "shop", "taken"),
    ] {
        for _ in 0..3 {
            add(user, namespace, name, &json!({"userAgent": ESCAPES, "auditID": ESCAPES, "verb": "get"}));
        }
    }
    (text, counts)
}

fn counts(alerts: &[Value]) -> Vec<i64> {
    let mut counts: Vec<_> = alerts.iter().filter_map(|alert| alert["status"]["count"].as_i64()).collect();
    counts.sort_unstable();
    counts
}

#[test]
fn what_an_attacker_chooses_is_counted_exactly_and_does_no_harm() -> Result<()> {
    assert_eq!(RULE.len(), 63);
    let rule = rule(RULE, "verb:get and objectRef.resource:pods");
    let (text, groups) = log();
    ControlPlane::with(Options::default(), |plane| {
        let account = install(plane)?;
        plane.apply("admin", &rule.to_string())?;
        // Somebody else's alert has the name that the victim's would have: another group with the same short hash.
        // Its names are the same as `run`'s.
        let (rules, path) = (plane.folder().join("rule.json"), plane.folder().join("audit/chosen.log"));
        fs::write(&rules, rule.to_string())?;
        fs::write(&path, &text)?;
        let foretold = replayed(&rules, &path, &[])?;
        assert_eq!(foretold.len(), groups.len(), "replay tells the groups apart");
        let victims = |alert: &&Value| alert["spec"]["detection"]["event"]["user"]["username"] == "victim";
        let mut taken = foretold.iter().find(victims).context("no alert of the victim")?.clone();
        let hash = taken["spec"]["detection"]["groupHash"].as_str().context("no hash")?.to_owned();
        taken["spec"]["detection"]["groupHash"] = format!("{}{}", &hash[..hash.len() - 4], "aaaa").into();
        taken.as_object_mut().context("no object")?.remove("status");
        plane.apply("admin", &taken.to_string())?;

        plane.apply("admin", &source_at("chosen", &path, "Start"))?;
        let operator = Operator::start(plane, &account)?;
        wait_for("the first alerts", PATIENCE, || (alerts(plane).ok()?.len() > 2).then_some(()))?;
        operator.kill();
        let operator = Operator::start(plane, &account)?;
        let mut wanted: Vec<_> = groups.values().copied().collect();
        wanted.sort_unstable();
        let name = taken["metadata"]["name"].as_str().context("no name")?;
        let mut found = Vec::new();
        wait_for("every group to be counted", PATIENCE, || {
            found = alerts(plane).ok()?;
            found.retain(|alert| alert["metadata"]["name"] != name);
            (counts(&found) == wanted).then_some(())
        })
        .with_context(|| format!("counted are {:?}, there are {wanted:?}", counts(&found)))?;

        let hashes: std::collections::BTreeSet<_> =
            found.iter().map(|alert| alert["spec"]["detection"]["groupHash"].to_string()).collect();
        assert_eq!(hashes.len(), groups.len());
        let second = found.iter().find(victims).context("no alert of the victim")?;
        assert_eq!(second["metadata"]["name"], format!("{}2", &name[..name.len() - 1]));
        let is_unnamed = |alert: &&Value| {
            let name = &alert["spec"]["detection"]["group"][2];
            name["field"] == "objectRef.name" && name["value"].is_null()
        };
        let unnamed: Vec<_> = found.iter().filter(is_unnamed).collect();
        assert_eq!(unnamed.len(), 1, "{unnamed:#?}");
        assert_eq!(unnamed[0]["status"]["count"], 3);
        for alert in &found {
            let text = alert.to_string();
            assert!(text.len() < 12_000, "{} bytes", text.len());
            let controls =
                |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{2066}';
            assert!(!text.contains(controls) && !text.contains("\\u001b"), "{text}");
            assert!(alert["metadata"]["name"].as_str().is_some_and(|name| name.len() <= 63), "{text}");
        }
        for form in ["wide", "yaml"] {
            let shown = plane.run("admin", &["get", "securityalerts", "--output", form])?;
            assert!(!shown.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{shown}");
        }
        // A page of metrics holds nothing of what clients choose.
        let (_, metrics) = operator.page("/metrics")?;
        assert!(!metrics.contains("mallory") && !metrics.contains("owned"));
        operator.terminate()
    })
}
