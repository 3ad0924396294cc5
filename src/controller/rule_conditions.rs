//! What is concluded of a rule: whether its present spec compiles, is evaluated, passes its tests, and finds what it needs
//! in the log.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::observable::Observed;
use super::rule_tests::{NotJudged, TestOutcome};
use super::rules::RuleEntry;
use super::{capped_evidence, limited};
use crate::alert::text;
use crate::api::{Condition, ConditionStatus, DetectionRuleStatus, Evidence, Mode, condition_type, reason};

/// The most characters of a condition's message.
const MESSAGE_MAX: usize = 8_000;

/// The processes that report, each with the sources that it reads.
pub(super) type AtWork = HashMap<String, HashSet<String>>;

/// The conditions of a rule.
pub(super) fn conditions(
    entry: &RuleEntry,
    status: &DetectionRuleStatus,
    (observed, at_work): (&mut Observed, &AtWork),
    evidence: Evidence,
    now: Timestamp,
) -> [Condition; 5] {
    let (ready, accepted) = match &entry.compiled {
        Err(refusal) => {
            let message = format!("{}\nthe rule is not running", refusal.message);
            let said = |type_| Condition::new(type_, false, refusal.reason, message.clone());
            (said(condition_type::READY), said(condition_type::ACCEPTED))
        }
        Ok(compiled) => {
            let capped = capped_evidence::warning(entry.object.spec.evidence, evidence);
            let reason = if capped.is_some() { reason::EVIDENCE_CAPPED } else { reason::COMPILED };
            let mut message = "the rule compiles".to_owned();
            let warnings = Some(&compiled.warnings).filter(|warnings| !warnings.is_empty());
            if capped.is_some() || warnings.is_some() {
                message.push_str(", with warnings");
            }
            for warning in capped.iter().chain(warnings) {
                message.extend(["\n", warning]);
            }
            (
                evaluated(entry, status, at_work),
                Condition::new(condition_type::ACCEPTED, true, reason, message),
            )
        }
    };
    let observable = match &entry.compiled {
        Ok(compiled) => observed.condition(compiled.rule(), status),
        Err(_) => Condition::new(
            condition_type::OBSERVABLE,
            ConditionStatus::Unknown,
            reason::INVALID_QUERY,
            "the rule does not compile",
        ),
    };
    [ready, accepted, tested(entry), observable, limited::condition(&entry.object.name_any(), status, now)]
}

/// Whether a rule that compiles does its work: the processes say so that read the logs, as long as they are at work.
fn evaluated(entry: &RuleEntry, status: &DetectionRuleStatus, at_work: &AtWork) -> Condition {
    let what = match entry.object.spec.mode {
        Mode::Disabled => {
            let message = "the rule is disabled by its spec";
            return Condition::new(condition_type::READY, true, reason::DISABLED, message);
        }
        Mode::DryRun => "the rule is evaluated and counted; it writes no alert",
        Mode::Alert => "the rule is evaluated",
    };
    let generation = entry.object.metadata.generation.unwrap_or_default();
    let agents = status
        .agents
        .iter()
        .filter(|agent| at_work.get(&agent.name).is_some_and(|sources| sources.contains(&agent.source)));
    let (mut by, mut of) = (0, 0);
    for agent in agents {
        of += 1;
        by += usize::from(agent.ready && agent.observed_generation == generation);
    }
    let (ready, reason, message) = match by {
        0 => {
            let message = "the rule compiles, but no log is read that it could be evaluated on; see `kubectl get \
                           auditsources`";
            (false, reason::NOT_EVALUATED, message.to_owned())
        }
        _ if by < of => (true, reason::COMPILED, format!("{what}, on {by} of {of} logs")),
        _ => (true, reason::COMPILED, what.to_owned()),
    };
    Condition::new(condition_type::READY, ready, reason, message)
}

fn tested(entry: &RuleEntry) -> Condition {
    let say = |status: ConditionStatus, reason, message: String| {
        Condition::new(condition_type::TESTED, status, reason, text::cut(&message, MESSAGE_MAX))
    };
    match &entry.tests {
        _ if entry.compiled.is_err() => {
            say(ConditionStatus::Unknown, reason::INVALID_QUERY, "the rule does not compile".to_owned())
        }
        None => say(ConditionStatus::Unknown, reason::PENDING, "the tests are running".to_owned()),
        Some(outcomes) if outcomes.is_empty() => {
            say(ConditionStatus::Unknown, reason::NO_TESTS, "the rule has no tests".to_owned())
        }
        Some(outcomes) => {
            let failed: Vec<_> = outcomes.iter().filter(|o| !o.ok()).map(failure).collect();
            if failed.is_empty() {
                say(ConditionStatus::True, reason::PASSED, format!("{} of {0} tests pass", outcomes.len()))
            } else {
                let head = format!("{} of {} tests fail: ", failed.len(), outcomes.len());
                let ran_out = outcomes.iter().any(|o| o.got == Err(NotJudged::OutOfTime));
                let reason = if ran_out { reason::TIMED_OUT } else { reason::FAILED };
                say(ConditionStatus::False, reason, head + &failed.join("; "))
            }
        }
    }
}

/// A failed test, in words.
fn failure(outcome: &TestOutcome) -> String {
    let name = text::short(&outcome.name, text::SHORT);
    match &outcome.got {
        Ok(got) => format!("{name}: expected {:?}, got {got:?}", outcome.expected),
        Err(why) => format!("{name}: {why}"),
    }
}
