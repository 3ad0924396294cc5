//! Whether the audit policy logs what a rule asks about, as far as the logs show it: its requests, at the stage at which
//! they are decided, with the bodies that its query looks into.

use std::collections::HashMap;

use super::requests_seen::kinds;
use crate::alert::text;
use crate::api::{Condition, ConditionStatus, DetectionRuleStatus, LoggedRequests, condition_type, reason};
use crate::detect::{Level, Rule};
use crate::event::{Stage, is_long_running};
use crate::policy::{self, GroupResources, Kind, Lack, Line};

/// The most characters of a message here: a condition may hold 32 KiB, and is read on a terminal.
const MESSAGE_MAX: usize = 2_048;
/// The most lines of a policy that are put forward.
const MOST: usize = 5;
/// How many events a log must hold before the lack of a stage in it means something.
pub(super) const LONG_LOG: i64 = 1_000;

/// How requests are logged in one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Logged {
    /// Those that were seen.
    pub(super) requests: Vec<LoggedRequests>,
    /// The stages that any request was seen at.
    pub(super) stages: Vec<String>,
    /// Whether it holds [`LONG_LOG`] events: then a stage of which there is none is one that is left out.
    pub(super) is_long: bool,
    /// Whether the source says that its policy leaves out ResponseStarted.
    pub(super) omits_started: bool,
}

/// What was said last of each rule. The statuses are looked at every second, and to ask every rule about every kind of
/// request takes milliseconds; how requests are logged hardly ever changes.
#[derive(Debug, Default)]
pub(super) struct Observed {
    logged: Vec<Logged>,
    said: HashMap<String, ((i64, bool, bool), Condition)>,
}

impl Observed {
    /// Takes in how requests are logged now.
    pub(super) fn look(&mut self, logged: Vec<Logged>) {
        if self.logged != logged {
            *self = Self { logged, said: HashMap::new() };
        }
    }

    /// Forgets all rules but these.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.said.retain(|uid, _| is_there(uid));
    }

    /// What `Observable` says of a rule that compiles.
    pub(super) fn condition(&mut self, rule: &Rule, status: &DetectionRuleStatus) -> Condition {
        let asked = (rule.generation(), status.matches > 0, status.undecidable > 0);
        if let Some((_, said)) = self.said.get(rule.uid()).filter(|(before, _)| *before == asked) {
            return said.clone();
        }
        let said = condition(rule, status, &self.logged);
        self.said.insert(rule.uid().to_owned(), (asked, said.clone()));
        said
    }
}

fn condition(rule: &Rule, status: &DetectionRuleStatus, logged: &[Logged]) -> Condition {
    let say = |status: ConditionStatus, reason, message: &str| {
        Condition::new(condition_type::OBSERVABLE, status, reason, text::cut(message, MESSAGE_MAX))
    };
    if status.matches > 0 {
        return say(ConditionStatus::True, reason::DECIDED, "requests were decided by what the log holds");
    }
    let (is_seen, lacks) = lacks(rule, logged);
    if is_seen && !lacks.is_empty() {
        let is_stage = lacks.iter().all(|lack| lack.stage.is_some());
        let reason = if is_stage { reason::STAGE_NOT_LOGGED } else { reason::BODIES_NOT_LOGGED };
        return say(ConditionStatus::False, reason, &said(rule, &lacks));
    }
    match (rule.needs_body(), status.undecidable) {
        (true, 0) => say(ConditionStatus::Unknown, reason::PENDING, "no request has called for a body yet"),
        (true, _) => {
            let fields = rule.fields_above(Level::Metadata).join("`, `");
            let message = format!(
                "requests could not be decided, because the query looks into bodies (`{fields}`) that the audit policy \
                 does not log; raise the level for these resources: `tripline audit-policy` prints the lines"
            );
            say(ConditionStatus::False, reason::BODIES_NOT_LOGGED, &message)
        }
        // A rule about any resource asks about whatever is logged.
        (false, _) if !is_seen && rule.names_resource() => say(
            ConditionStatus::Unknown,
            reason::PENDING,
            "none of the requests that the query asks about has been logged yet: nobody made one, or the audit policy \
             leaves them out",
        ),
        (false, _) => {
            say(ConditionStatus::True, reason::DECIDED, "every audit level holds what the query needs")
        }
    }
}

/// Whether requests that the rule asks about are logged; if none of them as it needs, what each lacks.
fn lacks(rule: &Rule, logged: &[Logged]) -> (bool, Vec<Lack>) {
    let mut lacks = Vec::new();
    let mut is_seen = false;
    // A rule about any resource asks about whatever is logged.
    let all = logged.iter().filter(|_| rule.names_resource());
    let all = all.flat_map(|source| source.requests.iter().map(move |alike| (source, alike)));
    let all = all.flat_map(|(source, alike)| {
        alike.kinds.iter().flat_map(|line| kinds(line)).map(move |(kind, verb)| (source, alike, kind, verb))
    });
    for (source, requests, kind, verb) in all {
        let Some(need) = rule.need(&kind.asked(verb)) else { continue };
        is_seen = true;
        let levels = requests.levels.iter().filter_map(|level| Level::from_name(level));
        let has = levels.max().unwrap_or_default();
        let stage =
            if rule.names_stage() { None } else { missing_stage(source, &requests.stages, &kind, verb) };
        if has >= need.level && stage.is_none() {
            return (true, Vec::new());
        }
        lacks.push(Lack {
            verb: verb.to_owned(),
            kind,
            needs: need.level,
            has,
            stage: stage.filter(|_| has >= need.level),
            by: None,
            is_wide: false,
            who: String::new(),
        });
    }
    (is_seen, lacks)
}

/// What is lacking, with the remedy.
fn said(rule: &Rule, lacks: &[Lack]) -> String {
    let mut said = policy::words(rule, lacks, None);
    let misses = |stage: Stage| lacks.iter().any(|lack| lack.stage == Some(stage));
    if misses(Stage::ResponseStarted) {
        said.push(
            "take it out of the policy's `omitStages`, or name it in `spec.omitStages` of the AuditSource: then these \
             requests are decided when they end"
                .to_owned(),
        );
    } else if misses(Stage::ResponseComplete) {
        said.push("take it out of the policy's `omitStages`".to_owned());
    }
    let lines = policy_lines(lacks.iter().filter(|lack| lack.stage.is_none()));
    if !lines.is_empty() {
        said.push(format!("in the audit policy, before the rule that says so, put\n{lines}"));
    }
    said.join("; ")
}

/// The stage that such a request would be decided at, if the log lacks it. A request that is still on its way has not
/// been at all of its stages: of one that has ended it is certain, and of a log that holds many events and no end.
fn missing_stage(source: &Logged, stages: &[String], kind: &Kind, verb: &str) -> Option<Stage> {
    let has = |stage: Stage| stages.iter().any(|name| name == stage.as_str());
    let subresource = if let Kind::Resource(.., subresource) = kind { Some(&**subresource) } else { None };
    let starts = is_long_running(Some(verb), subresource) && !source.omits_started;
    let has_ended = has(Stage::ResponseComplete) || has(Stage::Panic);
    if starts {
        return (has_ended && !has(Stage::ResponseStarted)).then_some(Stage::ResponseStarted);
    }
    let never_ends =
        source.is_long && !source.stages.iter().any(|name| name == Stage::ResponseComplete.as_str());
    (!has_ended && never_ends).then_some(Stage::ResponseComplete)
}

/// The rules of an audit policy that log these requests as they are needed.
fn policy_lines<'a>(lacks: impl Iterator<Item = &'a Lack>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for lack in lacks.take(MOST) {
        let Kind::Resource(group, ..) = &lack.kind else { continue };
        let resources = GroupResources {
            group: group.clone(),
            resources: vec![lack.kind.name()],
            ..GroupResources::default()
        };
        let (level, verbs, resources) = (lack.needs, vec![lack.verb.clone()], vec![resources]);
        let line = Line { level, verbs, resources, ..Line::default() }.to_yaml();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::DetectionRule;
    use crate::controller::compile::compile;

    fn rule(query: &str) -> Rule {
        let rule: DetectionRule = serde_json::from_value(json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "a", "uid": "1"},
            "spec": {"displayName": "A", "riskScore": 21, "severity": "Low", "query": query},
        }))
        .unwrap();
        compile(&rule).unwrap().rule
    }

    /// Requests with the levels and stages they were seen at.
    fn log(seen: &[(&str, &str, &[&str], &[&str])]) -> Logged {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let requests = seen.iter().map(|(verb, resource, levels, stages)| LoggedRequests {
            kinds: vec![format!("{resource}.apps: {verb}")],
            levels: texts(levels),
            stages: texts(stages),
        });
        let stages = texts(&["RequestReceived", "ResponseComplete"]);
        Logged { requests: requests.collect(), stages, is_long: false, omits_started: false }
    }

    fn said(query: &str, logged: &Logged) -> (ConditionStatus, String, String) {
        let found = condition(&rule(query), &DetectionRuleStatus::default(), std::slice::from_ref(logged));
        (found.status, found.reason, found.message)
    }

    const COMPLETE: &[&str] = &["RequestReceived", "ResponseComplete"];

    #[test]
    fn a_rule_whose_requests_are_logged_without_bodies_is_told_before_the_first_of_them() {
        let query = "verb:(create or update) and objectRef.resource:deployments and podSpec.hostPID:true";
        let other = log(&[
            ("get", "deployments", &["Metadata"], COMPLETE),
            ("create", "pods", &["Metadata"], COMPLETE),
        ]);
        assert_eq!(said(query, &other).0, ConditionStatus::Unknown);
        let (status, reason, message) =
            said(query, &log(&[("create", "deployments", &["Metadata"], COMPLETE)]));
        assert_eq!((status, reason.as_str()), (ConditionStatus::False, "BodiesNotLogged"));
        let lines = "  - level: Request\n    verbs: [create]\n    resources:\n      - {group: apps, resources: [deployments]}";
        for part in
            ["create deployments: `podSpec.hostPID` needs level Request, and the log has Metadata", lines]
        {
            assert!(message.contains(part), "{message}");
        }
        let fine = log(&[("create", "deployments", &["Metadata", "Request"], COMPLETE)]);
        assert_eq!(said(query, &fine).0, ConditionStatus::Unknown);
    }

    #[test]
    fn an_answers_body_needs_the_level_that_logs_answers() {
        let query = "verb:create and objectRef.resource:secrets and responseObject.type:x";
        let (status, _, message) = said(query, &log(&[("create", "secrets", &["Request"], COMPLETE)]));
        assert_eq!(status, ConditionStatus::False);
        assert!(message.contains("level: RequestResponse"), "{message}");
        assert_eq!(
            said(query, &log(&[("create", "secrets", &["RequestResponse"], COMPLETE)])).0,
            ConditionStatus::Unknown
        );
    }

    #[test]
    fn a_rule_whose_requests_lack_the_stage_that_decides_them_is_told() {
        let query = "objectRef.resource:pods and objectRef.subresource:exec";
        let seen = |stages| log(&[("get", "pods/exec", &["Metadata"], stages)]);
        let (status, reason, message) = said(query, &seen(COMPLETE));
        assert_eq!((status, reason.as_str()), (ConditionStatus::False, "StageNotLogged"));
        assert!(
            message.contains("get pods/exec: decided at stage ResponseStarted, which is not logged"),
            "{message}"
        );
        assert!(message.contains("spec.omitStages"), "{message}");
        // The session lasts, or the source says how it is.
        assert_eq!(said(query, &seen(&["RequestReceived"])).0, ConditionStatus::True);
        assert_eq!(said(query, &Logged { omits_started: true, ..seen(COMPLETE) }).0, ConditionStatus::True);
        assert_eq!(said(query, &seen(&["ResponseStarted"])).0, ConditionStatus::True);

        let query = "objectRef.resource:pods and verb:create";
        let seen = log(&[("create", "pods", &["Metadata"], &["RequestReceived"])]);
        assert_eq!(said(query, &seen).0, ConditionStatus::True, "it may be on its way");
        let never = Logged { stages: vec!["RequestReceived".to_owned()], is_long: true, ..seen };
        assert!(said(query, &never).2.contains("at stage ResponseComplete"));
    }

    #[test]
    fn of_requests_that_were_never_seen_nothing_is_known() {
        let nothing = Logged::default();
        let (status, reason, _) = said("objectRef.resource:secrets and verb:get", &nothing);
        assert_eq!((status, reason.as_str()), (ConditionStatus::Unknown, "Pending"));
        assert_eq!(said("user.username:mallory", &nothing).0, ConditionStatus::True, "it asks about all");
        let decided = DetectionRuleStatus { matches: 1, ..DetectionRuleStatus::default() };
        let found = condition(&rule("objectRef.resource:secrets"), &decided, &[]);
        assert_eq!(found.status, ConditionStatus::True);
    }

    #[test]
    fn what_was_said_holds_until_the_log_or_the_counts_say_otherwise() {
        let (rule, mut observed) = (rule("objectRef.resource:secrets and verb:get"), Observed::default());
        let mut status = DetectionRuleStatus::default();
        for _ in 0..2 {
            observed.look(Vec::new());
            assert_eq!(observed.condition(&rule, &status).status, ConditionStatus::Unknown);
        }
        observed.look(vec![log(&[("get", "secrets", &["Metadata"], COMPLETE)])]);
        assert_eq!(observed.condition(&rule, &status).status, ConditionStatus::True);
        observed.look(Vec::new());
        assert_eq!(observed.condition(&rule, &status).status, ConditionStatus::Unknown);
        status.matches = 1;
        assert_eq!(observed.condition(&rule, &status).status, ConditionStatus::True);
    }
}
