//! What the rules make of the log, told apart by scenario.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use tripline::api::DetectionRule;
use tripline::controller::compile::{compile, describe};
use tripline::detect::{Context, Judgement, Matcher, Reading, RuleSet};

use super::scenario::{Scenario, files, place};
use super::support::operator::{made_policy, replayed};

/// What switches a rule off.
pub(crate) const DISABLED: &str = "\n  mode: Disabled\n";

/// Lists that are a user's to set, set for the scenarios: rule, what stands there, what it becomes.
const LISTS: [(&str, &str, &str); 3] = [
    // What the scenario sends from another address of this machine is sent from outside.
    ("secret-read-outside-networks", "not 127.0.0.0/8", "not 127.0.0.1/32"),
    ("user-outside-allow-list", r#"not "alice" and not "bob""#, r"not *@example.com"),
    (
        "decoy-secret-touched",
        r#"objectRef.namespace: "decoy""#,
        r#"objectRef.namespace: "decoy-secret-touched""#,
    ),
];

/// The rules, ready to judge logs.
pub(crate) struct Judge {
    folder: PathBuf,
    /// All of them, also those that ship disabled, switched on as a user does it.
    rules: PathBuf,
    set: Arc<RuleSet>,
}

/// The events of a scenario.
pub(crate) struct Part<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) events: Vec<Value>,
}

/// A log in parts.
pub(crate) struct Parts<'a> {
    pub(crate) of_scenarios: Vec<Part<'a>>,
    /// What is no scenario's: the work of the cluster's own parts.
    pub(crate) rest: Vec<Value>,
}

impl<'a> Parts<'a> {
    /// Gives each scenario its events.
    pub(crate) fn split(scenarios: &'a [Scenario], events: Vec<Value>) -> Result<Self> {
        let mut of_scenarios: Vec<_> =
            scenarios.iter().map(|scenario| Part { scenario, events: Vec::new() }).collect();
        let mut rest = Vec::new();
        for event in events {
            let user = event["user"]["username"].as_str().unwrap_or_default();
            let namespace = event["objectRef"]["namespace"].as_str().unwrap_or_default();
            let owners: Vec<_> =
                (0..scenarios.len()).filter(|at| scenarios[*at].owns(user, namespace)).collect();
            ensure!(owners.len() < 2, "several scenarios own the request of {user} in {namespace}");
            match owners.first() {
                Some(owner) => of_scenarios[*owner].events.push(event),
                None if user != "admin" => rest.push(event),
                None => {}
            }
        }
        Ok(Self { of_scenarios, rest })
    }
}

/// What a rule made of a scenario.
#[derive(Debug)]
struct Fired {
    /// The first request that it is about.
    #[allow(dead_code, reason = "it is printed when it should not have been there")]
    first: String,
    detections: i64,
}

impl Judge {
    /// Copies the rules into a folder.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let rules = folder.join("rules");
        fs::create_dir(&rules)?;
        let mut compiled = Vec::new();
        for path in files("rules", "yaml")? {
            let (_, name) = place(&path)?;
            let mut text = fs::read_to_string(&path)?.replace(DISABLED, "\n");
            for (_, from, to) in LISTS.iter().filter(|(rule, ..)| *rule == name) {
                let (head, tests) = text.split_once("\n  tests:\n").context("a rule without tests")?;
                ensure!(head.contains(from), "{name} has no list {from}");
                text = format!("{}\n  tests:\n{tests}", head.replacen(from, to, 1));
            }
            let rule: DetectionRule = serde_saphyr::from_str(&text)?;
            let rule = compile(&rule).map_err(|findings| anyhow!("{name}: {}", describe(&findings)))?;
            compiled.push(Arc::new(rule.rule));
            fs::write(rules.join(format!("{name}.yaml")), text)?;
        }
        Ok(Self { folder: folder.to_owned(), rules, set: Arc::new(RuleSet::new(compiled)) })
    }

    /// Whether the rules that the scenario says fire, and no other.
    pub(crate) fn compare(&self, part: &Part<'_>) -> Result<()> {
        let Part { scenario, events } = part;
        if scenario.is_everyday {
            return self.keep_quiet(&scenario.name, events);
        }
        let fired = self.fired(&scenario.name, &self.rules, events)?;
        let wanted = scenario.fires();
        let missing: Vec<_> = wanted.iter().filter(|rule| !fired.contains_key(*rule)).collect();
        let unexpected: Vec<_> = fired.iter().filter(|(rule, _)| !wanted.contains(*rule)).collect();
        ensure!(
            missing.is_empty() && unexpected.is_empty(),
            "{}: missing {missing:?}, unexpected {unexpected:#?}, of\n{}",
            scenario.name,
            described(events)
        );
        let matching = self.matching(events)?;
        ensure!(matching.iter().eq(fired.keys()), "{}: {matching:?} match, but {fired:#?}", scenario.name);
        let detections = fired.get(&scenario.name).map_or(0, |fired| fired.detections);
        ensure!(
            scenario.detections.is_none_or(|wanted| wanted == detections),
            "{}: {detections} detections, of\n{}",
            scenario.name,
            described(events)
        );
        Ok(())
    }

    /// The rules that match these events, asked one by one: for many logs, of which each replay takes a second.
    pub(crate) fn matching(&self, events: &[Value]) -> Result<BTreeSet<String>> {
        let mut matcher = Matcher::new(Arc::clone(&self.set), &Context::default());
        let mut found = BTreeSet::new();
        for event in events {
            for outcome in matcher.judge(event.to_string().as_bytes(), Reading::Whole)? {
                if outcome.what == Judgement::Detection {
                    found.insert(self.set.rules()[outcome.rule].name().to_owned());
                }
            }
        }
        Ok(found)
    }

    /// The policy that Tripline makes for all the rules.
    pub(crate) fn policy(&self, arguments: &[&str]) -> Result<String> {
        made_policy(&self.rules, arguments)
    }

    /// Whether the rules that are on by default keep quiet about these events.
    pub(crate) fn keep_quiet(&self, name: &str, events: &[Value]) -> Result<()> {
        let as_shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let fired = self.fired(name, &as_shipped, events)?;
        ensure!(fired.is_empty(), "{name}: unexpected {fired:#?}, of\n{}", described(events));
        Ok(())
    }

    /// The rules that make an alert of these events.
    fn fired(&self, name: &str, rules: &Path, events: &[Value]) -> Result<BTreeMap<String, Fired>> {
        let log = self.folder.join(format!("{name}.log"));
        let lines: Vec<_> = events.iter().map(|event| format!("{event}\n")).collect();
        fs::write(&log, lines.concat())?;
        let mut fired = BTreeMap::new();
        for alert in replayed(rules, &log, &[])? {
            let detection = &alert["spec"]["detection"];
            let rule = detection["ruleName"].as_str().context("an alert without its rule")?;
            let first = || Fired { first: line(&detection["event"]), detections: 0 };
            let fired = fired.entry(rule.to_owned()).or_insert_with(first);
            fired.detections += alert["status"]["count"].as_i64().context("an alert without its count")?;
        }
        Ok(fired)
    }
}

/// A line an event.
fn described(events: &[Value]) -> String {
    events.iter().map(|event| format!("  {}", line(event))).collect::<Vec<_>>().join("\n")
}

/// What was asked for by whom, and how it was answered; of an event of the log or in an alert.
fn line(event: &Value) -> String {
    let part = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let code = event.pointer("/responseStatus/code").or(event.pointer("/responseCode"));
    let user = part("/user/username");
    let code = code.map(ToString::to_string).unwrap_or_default();
    format!("{} {user} {} {} {code}", part("/stage"), part("/verb"), part("/requestURI"))
}
