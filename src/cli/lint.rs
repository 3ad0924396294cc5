//! `tripline lint`: everything that can be said of a rule without a cluster or a log.

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use super::coverage::FRAMEWORK;
use super::document::{Content, Node};
use super::finding::{Finding, Severity};
use super::load::{self, Loading};
use super::schema::nearest;
use super::terminal::say;
use super::{Outcome, Output};
use crate::api::Evidence;
use crate::controller::capped_evidence;

/// Options of `tripline lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline lint rules/
  tripline lint --output json my-rule.yaml | jq -r .message
  kubectl get detectionrules -o yaml | tripline lint -

Exit codes: 0 no error (there may be warnings), 1 an error was found, 2 a path cannot be read or holds no rule.")]
pub(super) struct Args {
    /// Files and folders with rules; `-` reads standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    installation: load::Installation,
    /// Most of a request that an alert may show where the rules will run; rules that ask for more are warned of
    #[arg(long, value_name = "LEVEL", value_parser = load::evidence_parser(), env = "TRIPLINE_EVIDENCE")]
    evidence: Option<Evidence>,
    /// How findings are printed
    #[arg(short, long, value_enum, default_value_t = Output::Text, env = "TRIPLINE_OUTPUT")]
    output: Output,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut rules = load::load(&args.paths, args.installation)?;
    let advice = advise(&rules, args.evidence, Timestamp::now());
    rules.findings.extend(advice);
    rules.report(false, args.output, out)?;
    out.flush()?;
    let count = |severity, what| {
        load::counted(rules.findings.iter().filter(|(_, finding)| finding.severity == severity).count(), what)
    };
    say!("{}: {}, {}", rules.summary(), count(Severity::Error, "error"), count(Severity::Warning, "warning"));
    Ok(Outcome::from(!rules.has_errors()))
}

/// What does no harm in a cluster but is most likely not meant.
fn advise(rules: &Loading, most: Option<Evidence>, now: Timestamp) -> Vec<(usize, Finding)> {
    let mut advice = Vec::new();
    for (number, file) in rules.files.iter().enumerate() {
        for node in &file.rules {
            let Some(spec) = node.get("spec") else { continue };
            let mut found = Vec::new();
            tests(spec, &mut found);
            threat(spec, &mut found);
            exceptions(spec, now, &mut found);
            found.extend(most.and_then(|most| evidence(spec, most)));
            let name = load::rule_name(node);
            advice
                .extend(found.into_iter().map(|finding| (number, Finding { rule: name.clone(), ..finding })));
        }
        for node in &file.exceptions {
            let end = node.get("spec").and_then(|spec| spec.get("expireTime"));
            let found = end.and_then(|end| ended(end, now));
            advice.extend(found.map(|finding| (number, Finding { rule: load::rule_name(node), ..finding })));
        }
    }
    advice
}

fn evidence(spec: &Node, most: Evidence) -> Option<Finding> {
    let place = spec.get("evidence")?;
    // One that is none has its error already.
    let asked: Evidence = serde_json::from_value(place.as_str()?.into()).ok()?;
    Some(Finding::warning(capped_evidence(asked, most)?, place.span.clone()))
}

fn tests(spec: &Node, found: &mut Vec<Finding>) {
    let tests = spec.get("tests").map(Node::items).unwrap_or_default();
    let expects =
        |verdict| tests.iter().any(|test| test.get("expect").and_then(Node::as_str) == Some(verdict));
    let place = spec.entry("tests").or_else(|| spec.entry("query"));
    let place = place.map_or(spec.span.clone(), |entry| entry.key_span.clone());
    if tests.is_empty() {
        found.push(
            Finding::warning("the rule has no tests", place)
                .with_help("add `tests:` with an event that must match and one that must not"),
        );
    } else if !expects("Match") {
        found.push(Finding::warning("no test expects `Match`", place).with_help(
            "add an event that the rule must find: a rule that never matches passes all the others",
        ));
    }
    for event in tests.iter().filter_map(|test| test.get("event")) {
        fields(event, "event", &EVENT, found);
        let below = |key, known: &[&str], found: &mut Vec<Finding>| match event.get(key) {
            Some(node) if matches!(node.content, Content::Mapping(_)) => fields(node, key, known, found),
            Some(node) if !matches!(node.content, Content::Null) => {
                let message = format!("`{key}` of an audit event is an object, this is {}", node.kind());
                let help = format!("write `{key}: {{{}: …}}`", known.first().copied().unwrap_or_default());
                found.push(Finding::warning(message, node.span.clone()).with_help(help));
            }
            _ => {}
        };
        for user in ["user", "impersonatedUser"] {
            below(user, &USER, found);
        }
        below("objectRef", &OBJECT_REF, found);
    }
}

/// The fields of `audit.k8s.io/v1` and `v1beta1` events.
pub(super) const EVENT: [&str; 22] = [
    "apiVersion",
    "kind",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "authenticationMetadata",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations",
    // v1beta1 as written by old servers
    "metadata",
    "timestamp",
    "namespace",
];
const USER: [&str; 4] = ["username", "uid", "groups", "extra"];
const OBJECT_REF: [&str; 8] =
    ["resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource"];

fn fields(node: &Node, path: &str, known: &[&str], found: &mut Vec<Finding>) {
    let Content::Mapping(entries) = &node.content else {
        return;
    };
    for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        let message = format!("no audit event has the field `{}` in `{path}`", entry.key);
        let finding = Finding::warning(message, entry.key_span.clone());
        found.push(match nearest(&entry.key, known.iter().copied()) {
            Some(near) => finding.with_help(format!("did you mean `{near}`?")),
            None => finding,
        });
    }
}

fn threat(spec: &Node, found: &mut Vec<Finding>) {
    for threat in spec.get("threat").map(Node::items).unwrap_or_default() {
        if threat.get("framework").and_then(Node::as_str) != Some(FRAMEWORK) {
            continue;
        }
        let tactic = threat.get("tactic").and_then(|tactic| {
            wrong_id(tactic, is_tactic, "no id of an ATT&CK tactic", "write an id such as `TA0002`")
        });
        found.extend(tactic);
        let techniques = threat.get("techniques").map(Node::items).unwrap_or_default();
        found.extend(techniques.iter().filter_map(|technique| {
            let help = "write an id such as `T1609` or `T1552.001`";
            wrong_id(technique, is_technique, "no id of an ATT&CK technique", help)
        }));
    }
}

fn wrong_id(entry: &Node, is_right: fn(&str) -> bool, what: &str, help: &str) -> Option<Finding> {
    let id = entry.get("id")?;
    let text = id.as_str().filter(|text| !is_right(text))?;
    Some(Finding::warning(format!("`{text}` is {what}"), id.span.clone()).with_help(help))
}

fn exceptions(spec: &Node, now: Timestamp, found: &mut Vec<Finding>) {
    let exceptions = spec.get("exceptions").map(Node::items).unwrap_or_default();
    found.extend(exceptions.iter().filter_map(|e| e.get("expireTime")).filter_map(|end| ended(end, now)));
}

fn ended(end: &Node, now: Timestamp) -> Option<Finding> {
    let has_ended = end.as_str().and_then(|text| text.parse::<Timestamp>().ok()).is_some_and(|end| end < now);
    has_ended.then(|| {
        Finding::warning("this exception has ended", end.span.clone()).with_help("remove it, or renew it")
    })
}

fn is_tactic(id: &str) -> bool {
    id.strip_prefix("TA").is_some_and(|digits| is_digits(digits, 4))
}

fn is_technique(id: &str) -> bool {
    let Some(rest) = id.strip_prefix('T') else {
        return false;
    };
    match rest.split_once('.') {
        Some((technique, part)) => is_digits(technique, 4) && is_digits(part, 3),
        None => is_digits(rest, 4),
    }
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests_of_ids {
    use super::*;

    #[test]
    fn ids_of_att_and_ck() {
        assert!(is_tactic("TA0002") && !is_tactic("T0002") && !is_tactic("TA02"));
        assert!(is_technique("T1609") && is_technique("T1552.001"));
        assert!(!is_technique("TA0002") && !is_technique("T1552.1") && !is_technique("t1609"));
    }
}
