//! What every rule of the library brings along, asked of each file: its texts, and the cases that show what it sees and
//! what it leaves alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tripline::api::{DetectionRule, Expectation, Mode, RuleTest, ThreatReference};
use tripline::detect::{Context, Level, Rule, RuleSource, Verdict, explain};
use tripline::event::{Event, Tape};

/// A rule of the library, and its query compiled.
struct Entry {
    name: String,
    /// The folder it is in.
    tactic: String,
    rule: DetectionRule,
    compiled: Rule,
}

impl Entry {
    fn read(path: &Path) -> Result<Self> {
        let rule: DetectionRule = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
        let name = rule.metadata.name.clone().context("no name")?;
        let source =
            RuleSource { name: name.clone(), query: rule.spec.query.clone(), ..RuleSource::default() };
        let (compiled, _) = Rule::compile(source).map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
        let tactic = path.parent().and_then(Path::file_name).context("no folder")?;
        Ok(Self { name, tactic: tactic.to_string_lossy().into_owned(), rule, compiled })
    }

    fn cases(&self, expect: Expectation) -> impl Iterator<Item = &RuleTest> {
        self.rule.spec.tests.iter().filter(move |case| case.expect == expect)
    }

    /// Whether one of the cases with this outcome is such an event.
    fn has(&self, expect: Expectation, is_such: impl Fn(&Value) -> bool) -> bool {
        self.cases(expect).any(|case| is_such(&case.event))
    }

    fn reads_bodies(&self) -> bool {
        !self.compiled.fields_above(Level::Metadata).is_empty()
    }

    /// What it asks of requests that were refused.
    fn is_about_refusals(&self) -> bool {
        self.has(Expectation::Match, is_denied)
    }
}

fn library() -> Result<Vec<Entry>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for tactic in Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").read_dir()? {
        files.extend(tactic?.path().read_dir()?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?);
    }
    files.sort();
    files.iter().map(|file| Entry::read(file).with_context(|| file.display().to_string())).collect()
}

/// Asks every rule, and names all that lack something.
fn ask(what: &str, lacks: impl Fn(&Entry) -> Vec<String>) -> Result<()> {
    let mut problems = Vec::new();
    for entry in library()? {
        problems.extend(lacks(&entry).into_iter().map(|lack| format!("{}: {lack}", entry.name)));
    }
    ensure!(problems.is_empty(), "{what}:\n{}", problems.join("\n"));
    Ok(())
}

fn text<'e>(event: &'e Value, pointer: &str) -> &'e str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn decision(event: &Value) -> &str {
    event["annotations"]["authorization.k8s.io/decision"].as_str().unwrap_or_default()
}

fn code(event: &Value) -> i64 {
    event.pointer("/responseStatus/code").and_then(Value::as_i64).unwrap_or_default()
}

fn is_denied(event: &Value) -> bool {
    decision(event) == "forbid" || matches!(code(event), 401 | 403)
}

/// Whether something in the event has this key.
fn has_key(event: &Value, key: &str) -> bool {
    match event {
        Value::Object(members) => members.iter().any(|(name, value)| name == key || has_key(value, key)),
        Value::Array(list) => list.iter().any(|value| has_key(value, key)),
        _ => false,
    }
}

#[test]
fn a_match_is_an_event_as_an_api_server_writes_it() -> Result<()> {
    const MEMBERS: [&str; 9] = [
        "level",
        "stage",
        "verb",
        "requestURI",
        "user",
        "sourceIPs",
        "userAgent",
        "responseStatus",
        "annotations",
    ];
    ask("no matching case has all that an API server writes", |entry| {
        let is_whole = |event: &Value| MEMBERS.iter().all(|member| event.get(member).is_some());
        if entry.has(Expectation::Match, is_whole) { Vec::new() } else { vec!["no whole event".to_owned()] }
    })
}

/// A query is a list of conditions joined by `and`. A near miss meets all but one of them.
#[test]
fn a_near_miss_differs_in_the_one_thing_that_matters() -> Result<()> {
    ask("no case misses by one condition, or nothing else is left alone", |entry| {
        let is_near = |case: &RuleTest| {
            let (text, mut tape) = (case.event.to_string(), Tape::new());
            let event = Event::from_object(&text, &mut tape).expect("a case that runs");
            let whole = explain(&entry.compiled, &event, &Context::default());
            let failing = whole.parts.iter().filter(|part| part.verdict != Verdict::Match);
            whole.text == "and" && failing.count() == 1
        };
        // That it was refused is a case of its own, as is that it was allowed for a rule about refusals.
        let others = entry
            .cases(Expectation::NoMatch)
            .filter(|case| entry.is_about_refusals() || !is_denied(&case.event))
            .collect::<Vec<_>>();
        let mut lacks = Vec::new();
        if !others.iter().any(|case| is_near(case)) {
            lacks.push("no near miss".to_owned());
        }
        // The near miss, and what looks alike and is honest.
        if others.len() < 2 {
            lacks.push("no look-alike besides".to_owned());
        }
        lacks
    })
}

#[test]
fn who_was_refused_and_who_was_not_are_told_apart() -> Result<()> {
    ask("no case of the other decision", |entry| {
        let has_other = if entry.is_about_refusals() {
            entry.has(Expectation::NoMatch, |event| !is_denied(event))
        } else {
            entry.has(Expectation::NoMatch, is_denied)
        };
        if has_other { Vec::new() } else { vec!["no denied variant".to_owned()] }
    })
}

#[test]
fn a_body_that_was_not_logged_is_unknown() -> Result<()> {
    ask("no case at level Metadata that is unknown", |entry| {
        let is_bare = |event: &Value| {
            text(event, "/level") == "Metadata"
                && !event.as_object().is_some_and(|e| e.contains_key("requestObject"))
        };
        let is_needed = entry.reads_bodies();
        if is_needed && !entry.has(Expectation::Unknown, is_bare) {
            vec!["none".to_owned()]
        } else {
            Vec::new()
        }
    })
}

#[test]
fn a_rule_on_pods_sees_them_wherever_they_stand() -> Result<()> {
    ask("no matching case of a workload, a list of containers or a verb", |entry| {
        let query = &entry.rule.spec.query;
        if !query.contains("podSpec.") {
            return Vec::new();
        }
        let has = |is_such: &dyn Fn(&Value) -> bool| entry.has(Expectation::Match, is_such);
        let mut lacks = Vec::new();
        for resource in ["deployments", "cronjobs"] {
            if !has(&|event| text(event, "/objectRef/resource") == resource) {
                lacks.push(format!("no {resource}"));
            }
        }
        for verb in ["create", "update", "patch"] {
            if !has(&|event| text(event, "/verb") == verb) {
                lacks.push(format!("no {verb}"));
            }
        }
        // What stands beside the containers is not in them.
        if query.contains("podSpec.allContainers") {
            for list in ["initContainers", "ephemeralContainers"] {
                if !has(&|event| has_key(event, list)) {
                    lacks.push(format!("no {list}"));
                }
            }
        }
        lacks
    })
}

/// A JSON patch is the form that a rule on bodies misses first.
#[test]
fn a_rule_on_what_a_patch_can_change_knows_json_patches() -> Result<()> {
    // What cannot be changed once it is there, and rights, of which `rbac-json-patch` reports each change by one.
    const OTHERWISE: [&str; 3] =
        ["certificatesigningrequests", "persistentvolumes", "selfsubjectaccessreviews"];
    ask("no case of a JSON patch", |entry| {
        let is_json_patch = |event: &Value| event["requestObject"].is_array();
        let query = &entry.rule.spec.query;
        let is_left_out = OTHERWISE.iter().any(|resource| query.contains(resource))
            || (query.contains("rolebindings\"") || query.contains("clusterroles\""));
        // What comes of one stands in the answer, for all of these alike.
        let is_pod = query.contains("podSpec.");
        let is_needed = entry.reads_bodies() && !is_left_out && !is_pod;
        let has_one = entry.has(Expectation::Match, is_json_patch);
        if is_needed && !has_one { vec!["none".to_owned()] } else { Vec::new() }
    })
}

#[test]
fn every_text_is_there() -> Result<()> {
    ask("a text is missing", |entry| {
        let spec = &entry.rule.spec;
        let mut lacks = Vec::new();
        let mut need = |is_there: bool, what: &str| {
            if !is_there {
                lacks.push(what.to_owned());
            }
        };
        need(!spec.display_name.is_empty(), "displayName");
        need(spec.description.len() > 80, "description");
        need(!spec.false_positives.is_empty(), "falsePositives");
        need(spec.note.as_ref().is_some_and(|note| note.contains("1. ") && note.contains("2. ")), "note");
        need(!spec.references.is_empty(), "references");
        need(!spec.tags.is_empty(), "tags");
        need(!spec.grouping.by.is_empty(), "grouping");
        need(!entry.reads_bodies() || spec.setup.is_some(), "setup");
        let slug = |name: &str| name.to_lowercase().replace(' ', "-");
        let is_of_folder = spec.threat.iter().any(|threat| slug(&threat.tactic.name) == entry.tactic);
        need(is_of_folder, "the tactic of its folder");
        let page = |id: &str| format!("https://attack.mitre.org/techniques/{}/", id.replace('.', "/"));
        let is_linked = |technique: &ThreatReference| technique.reference == Some(page(&technique.id));
        let mut techniques = spec.threat.iter().flat_map(|threat| &threat.techniques).peekable();
        need(techniques.peek().is_some(), "a technique");
        need(techniques.all(is_linked), "the page of each technique");
        let is_off = spec.mode == Mode::Disabled;
        let says_why = spec.description.contains("Ships disabled");
        need(is_off == says_why, "in its description whether it ships disabled, and why");
        lacks
    })
}

/// docs/severity.md: the score gives the severity, and is the sum of three factors.
#[test]
fn severity_and_score_follow_the_written_scale() -> Result<()> {
    let sums: BTreeSet<i64> = [5, 20, 30, 40, 50]
        .into_iter()
        .flat_map(|gained| [0, 10, 20, 30, 40].into_iter().map(move |seldom| gained + seldom))
        .flat_map(|sum| [0, 7, 10].into_iter().map(move |remains| sum + remains))
        .collect();
    ask("another severity than the scale gives", |entry| {
        let score = i64::from(entry.rule.spec.risk_score);
        let severity = match score {
            0..30 => "Low",
            30..60 => "Medium",
            60..85 => "High",
            _ => "Critical",
        };
        let found = format!("{:?}", entry.rule.spec.severity);
        if found == severity && sums.contains(&score) {
            Vec::new()
        } else {
            vec![format!("{found} and {score}")]
        }
    })
}
