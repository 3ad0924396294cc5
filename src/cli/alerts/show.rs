//! `tripline alerts show`: an alert as a page.

use std::fmt::Write as _;
use std::io::Write;

use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _};

use super::{ago, checked};
use crate::alert::call;
use crate::api::{
    EventEvidence, SecurityAlert, SecurityAlertStatus, Stored, ThreatReference, TriageState, UserEvidence,
};
use crate::cli::program;
use crate::cli::terminal::{self, clipped};

/// Options of `tripline alerts show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the alert
    #[arg(value_name = "NAME")]
    name: String,
}

/// The most characters of one value on the page.
const VALUE: usize = 300;

pub(super) async fn run(client: &Client, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let api: Api<Stored<SecurityAlert>> = Api::all(client.clone());
    let name = checked(&args.name)?;
    let alert = call("the alert", async { api.get(name).await?.read() }).await?;
    let page = page(&alert, Timestamp::now(), program());
    // Escaped value by value already; this is for what was not thought of.
    writeln!(out, "{}", terminal::lines(page.trim_end()))?;
    Ok(())
}

/// A page of lines with a heading each.
#[derive(Default)]
struct Page(String);

impl Page {
    /// A line of a key and a value, if there is one.
    fn line(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            let value = clipped(&terminal::line(value), VALUE);
            let _written = writeln!(self.0, "{key:<10}  {value}");
        }
    }

    /// A heading with the lines below it, if there are any.
    fn section(&mut self, heading: &str, lines: impl IntoIterator<Item = String>) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_some() {
            let _written = writeln!(self.0, "\n{heading}");
        }
        for line in lines {
            let _written = writeln!(self.0, "  {}", clipped(&terminal::line(&line), VALUE));
        }
    }
}

fn page(alert: &SecurityAlert, now: Timestamp, program: &str) -> String {
    let (detection, triage) = (&alert.spec.detection, &alert.spec.triage);
    let status = alert.status.clone().unwrap_or_default();
    let event = &detection.event;
    let mut page = Page::default();
    page.line("Alert", &alert.name_any());
    page.line("Title", &detection.title);
    page.line("Severity", &format!("{}, risk score {}", detection.severity.as_str(), detection.risk_score));
    page.line("Rule", &rule(alert));
    page.line("State", &state(alert));
    page.line("Assignee", &triage.assignee);
    page.line("Reason", &triage.reason);
    page.line("Comment", &triage.comment);
    page.line("Count", &count(&status, now));
    page.line("Expires", &status.expire_time.as_ref().map(|time| shown(time.0)).unwrap_or_default());

    page.section("First match", first_match(event, &detection.target));
    let group = detection
        .group
        .iter()
        .map(|field| format!("{} = {}", field.field, field.value.as_deref().unwrap_or("(missing)")));
    page.section("What its matches have in common", group);
    page.section("Newest matches", samples(&status));
    page.section("Changes of its state", transitions(&status));
    let threats = detection.threat.iter().flat_map(|threat| {
        let entry = |indent: &str, entry: &ThreatReference| {
            format!("{indent}{} {}  {}", entry.id, entry.name, entry.reference.as_deref().unwrap_or_default())
        };
        let tactic = format!("{}: {}", threat.framework, entry("", &threat.tactic));
        std::iter::once(tactic).chain(threat.techniques.iter().map(move |technique| entry("  ", technique)))
    });
    page.section("Threat", threats.map(|line| line.trim_end().to_owned()));
    page.section("Next", next(alert, program));
    page.0
}

fn shown(time: Timestamp) -> String {
    format!("{time:.0}")
}

fn rule(alert: &SecurityAlert) -> String {
    let detection = &alert.spec.detection;
    let id = detection.rule_id.as_ref().map(|id| format!(", {id}")).unwrap_or_default();
    format!("{} (generation {}{id})", detection.rule_name, detection.rule_generation)
}

fn state(alert: &SecurityAlert) -> String {
    let state = alert.spec.triage.state;
    let last = alert.status.as_ref().and_then(|status| status.transitions.last());
    match last.filter(|last| last.state == state) {
        Some(last) => {
            let by = last.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            format!("{}, since {}{by}", state.as_str(), shown(last.time.0))
        }
        None => state.as_str().to_owned(),
    }
}

fn count(status: &SecurityAlertStatus, now: Timestamp) -> String {
    let requests = if status.count == 1 { "request" } else { "requests" };
    let mut text = format!("{} {requests}", status.count);
    if let (Some(first), Some(last)) = (&status.first_seen_time, &status.last_seen_time) {
        let _written = write!(text, ", {} to {} ({} ago)", shown(first.0), shown(last.0), ago(last.0, now));
    }
    text
}

fn user(user: &UserEvidence) -> String {
    let name = user.username.as_deref().unwrap_or("(nobody)");
    match &user.groups[..] {
        [] => name.to_owned(),
        groups => format!("{name} (groups: {})", groups.join(", ")),
    }
}

fn first_match(event: &EventEvidence, target: &str) -> Vec<String> {
    let answer = [event.decision.clone(), event.response_code.map(|code| code.to_string())];
    let answer: Vec<_> = answer.into_iter().flatten().collect();
    let lines = [
        ("when", event.stage_time.as_ref().map(|time| shown(time.0))),
        ("who", event.user.as_ref().map(user)),
        ("acting as", event.impersonated_user.as_ref().map(user)),
        ("what", Some(format!("{} {target}", event.verb.as_deref().unwrap_or("(no verb)")))),
        ("answer", (!answer.is_empty()).then(|| answer.join(", "))),
        ("from", (!event.source_ips.is_empty()).then(|| event.source_ips.join(", "))),
        ("with", event.user_agent.clone()),
        ("URI", event.request_uri.clone()),
        ("audit ID", event.audit_id.clone()),
        ("place", Some(place(event))),
    ];
    lines.into_iter().filter_map(|(key, value)| Some(format!("{key:<10}{}", value?))).collect()
}

fn place(event: &EventEvidence) -> String {
    let place = &event.place;
    format!("node {}, source {}, before byte {}", place.node, place.source, place.offset)
}

fn samples(status: &SecurityAlertStatus) -> Vec<String> {
    let samples = status.samples.iter().rev().map(|sample| {
        let time = sample.time.as_ref().map(|time| shown(time.0));
        let code = sample.response_code.map(|code| code.to_string());
        let parts = [time, sample.user.clone(), sample.verb.clone(), Some(sample.target.clone()), code];
        let from = sample.source_ip.as_ref().map(|ip| format!("from {ip}"));
        parts.into_iter().chain([from]).flatten().collect::<Vec<_>>().join("  ")
    });
    samples.collect()
}

fn transitions(status: &SecurityAlertStatus) -> Vec<String> {
    let lines = status.transitions.iter().map(|transition| {
        let by = transition.by.as_deref().unwrap_or("unknown");
        let (from, state) = (transition.from.as_str(), transition.state.as_str());
        let reason =
            if transition.reason.is_empty() { String::new() } else { format!(": {}", transition.reason) };
        format!("{}  {from} to {state} by {by}{reason}", shown(transition.time.0))
    });
    lines.collect()
}

/// What to do now.
fn next(alert: &SecurityAlert, program: &str) -> Vec<String> {
    let (name, rule) = (alert.name_any(), &alert.spec.detection.rule_name);
    let mut lines = vec![format!("kubectl describe detectionrule {rule}   what it looks for, and why")];
    if let Some(user) = alert.spec.detection.event.user.as_ref().and_then(|user| user.username.as_deref())
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":.-_@".contains(&byte))
    {
        lines.push(format!("{program} alerts list --user {user}   what else this user did"));
    }
    match alert.spec.triage.state {
        TriageState::Open => lines.push(format!("{program} alerts ack {name}   you take care of it")),
        TriageState::Acknowledged => {}
        TriageState::Closed => lines.push(format!("{program} alerts reopen {name}   it is not done with")),
    }
    if alert.spec.triage.state != TriageState::Closed {
        lines.push(format!("{program} alerts close {name} --reason \"…\"   it is done with"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_tells_the_story_and_nothing_to_the_terminal() {
        let alert: SecurityAlert = serde_json::from_value(json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert", "metadata": {"name": "exec-k3j5mwq2xr7ta-1"},
            "spec": {
                "detection": {
                    "ruleName": "exec", "ruleGeneration": 2, "title": "Shell in a pod", "severity": "Medium", "riskScore": 47,
                    "groupHash": "", "target": "pods/exec shop/web-0",
                    "group": [{"field": "user.username", "value": "alice"}, {"field": "objectRef.name"}],
                    "threat": [{"framework": "MITRE ATT&CK", "tactic": {"id": "TA0002", "name": "Execution"},
                        "techniques": [{"id": "T1609", "name": "Container Administration Command",
                            "reference": "https://attack.mitre.org/techniques/T1609/"}]}],
                    "event": {
                        "user": {"username": "alice", "groups": ["dev"]}, "verb": "create", "sourceIPs": ["10.0.0.5"],
                        "userAgent": "kubectl\u{1b}]0;x\u{7}", "responseCode": 101, "decision": "allow",
                        "node": "n", "source": "s", "stream": "t", "offset": 7, "stageTime": "2026-01-01T00:00:00.000000Z",
                    },
                },
                "triage": {"state": "Acknowledged", "assignee": "bob"},
            },
            "status": {
                "count": 3, "firstSeenTime": "2026-01-01T00:00:00.000000Z", "lastSeenTime": "2026-01-01T00:10:00.000000Z",
                "expireTime": "2026-04-01T00:10:00.000000Z",
                "samples": [{"time": "2026-01-01T00:10:00.000000Z", "user": "alice", "verb": "get", "target": "pods/exec shop/web-0"}],
                "transitions": [{"time": "2026-01-01T00:15:00.000000Z", "from": "Open", "state": "Acknowledged", "by": "bob"}],
            },
        }))
        .unwrap();
        let page = page(&alert, "2026-01-01T01:10:00Z".parse().unwrap(), "kubectl tripline");
        assert!(!page.contains('\u{1b}') && !page.contains('\u{7}'));
        insta::assert_snapshot!(page, @r#"
        Alert       exec-k3j5mwq2xr7ta-1
        Title       Shell in a pod
        Severity    Medium, risk score 47
        Rule        exec (generation 2)
        State       Acknowledged, since 2026-01-01T00:15:00Z by bob
        Assignee    bob
        Count       3 requests, 2026-01-01T00:00:00Z to 2026-01-01T00:10:00Z (60m ago)
        Expires     2026-04-01T00:10:00Z

        First match
          when      2026-01-01T00:00:00Z
          who       alice (groups: dev)
          what      create pods/exec shop/web-0
          answer    allow, 101
          from      10.0.0.5
          with      kubectl\u{1b}]0;x\u{7}
          place     node n, source s, before byte 7

        What its matches have in common
          user.username = alice
          objectRef.name = (missing)

        Newest matches
          2026-01-01T00:10:00Z  alice  get  pods/exec shop/web-0

        Changes of its state
          2026-01-01T00:15:00Z  Open to Acknowledged by bob

        Threat
          MITRE ATT&CK: TA0002 Execution
            T1609 Container Administration Command  https://attack.mitre.org/techniques/T1609/

        Next
          kubectl describe detectionrule exec   what it looks for, and why
          kubectl tripline alerts list --user alice   what else this user did
          kubectl tripline alerts close exec-k3j5mwq2xr7ta-1 --reason "…"   it is done with
        "#);
    }
}
