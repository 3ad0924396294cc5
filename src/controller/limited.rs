//! What is said of a rule that found more than may be open as alerts: a condition, and a Kubernetes Event once.

use jiff::{SignedDuration, Timestamp};
use kube::Client;

use super::own_event::OwnEvent;
use crate::alert::{WriteError, overflow_name};
use crate::api::{Condition, ConditionStatus, DetectionRule, DetectionRuleStatus, condition_type, reason};

/// How long after the last match that found no room a rule counts as limited.
const LASTING: SignedDuration = SignedDuration::from_mins(15);

/// Whether matches of the rule `name` find no room, and how many did.
pub(super) fn condition(name: &str, status: &DetectionRuleStatus, now: Timestamp) -> Condition {
    let last =
        status.agents.iter().filter_map(|agent| agent.last_limited_time.as_ref()).map(|time| time.0).max();
    let is_limited = last.is_some_and(|last| now.duration_since(last) < LASTING);
    if !is_limited {
        let message = match status.limited {
            0 => "every match is in an alert of its group".to_owned(),
            count => format!("{count} matches found no room earlier; they are counted in {}", overflow(name)),
        };
        return Condition::new(condition_type::LIMITED, false, reason::WITHIN_BOUNDS, message);
    }
    let message = format!(
        "as many alerts are open as may be: {} matches found no room in alerts of their own and are counted in {}; \
         close alerts, group by fewer fields, or except what is allowed",
        status.limited,
        overflow(name)
    );
    Condition::new(condition_type::LIMITED, true, reason::ALERT_BOUND, message)
}

fn overflow(rule: &str) -> String {
    format!("securityalert {}", overflow_name(rule, 1))
}

/// Whether `wanted` is the first status to say that the rule is limited.
pub(super) fn begins(wanted: &DetectionRuleStatus, present: &DetectionRuleStatus) -> bool {
    said(wanted).is_some() && said(present).is_none()
}

fn said(status: &DetectionRuleStatus) -> Option<&Condition> {
    let mut conditions = status.conditions.iter();
    conditions.find(|c| c.type_ == condition_type::LIMITED && c.status == ConditionStatus::True)
}

/// Writes the Event that says so.
///
/// # Errors
/// When the API server does not take it.
pub(super) async fn publish(client: &Client, node: &str, rule: &DetectionRule) -> Result<(), WriteError> {
    let Some(condition) = rule.status.as_ref().and_then(said) else { return Ok(()) };
    let event = OwnEvent {
        // Tried again, it is the same while the rule stays limited.
        told: condition.last_transition_time.0.to_string(),
        reason: condition_type::LIMITED,
        action: "Detect",
        note: &condition.message,
        time: condition.last_transition_time.0,
        instance: node,
    };
    event.publish(client, rule).await
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;
    use crate::api::RuleAgent;

    #[test]
    fn a_rule_is_limited_while_its_matches_find_no_room() {
        let now = Timestamp::from_second(10_000).unwrap();
        let status = |limited, seconds: Option<i64>| {
            let last_limited_time = seconds.map(|s| MicroTime(Timestamp::from_second(s).unwrap()));
            let agents = vec![RuleAgent::default(), RuleAgent { last_limited_time, ..RuleAgent::default() }];
            DetectionRuleStatus { limited, agents, ..DetectionRuleStatus::default() }
        };
        for (limit, seconds, is_limited, says) in [
            (0, None, ConditionStatus::False, "every match is in an alert of its group"),
            (
                7,
                Some(9_990),
                ConditionStatus::True,
                "7 matches found no room in alerts of their own and are counted in \
              securityalert r-overflow",
            ),
            (7, Some(9_000), ConditionStatus::False, "7 matches found no room earlier"),
        ] {
            let condition = condition("r", &status(limit, seconds), now);
            assert_eq!(condition.status, is_limited);
            assert!(condition.message.contains(says), "{}", condition.message);
        }
    }
}
