//! What is said of a rule that found more than may be open as alerts: a condition, and a Kubernetes Event once.

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use kube::{Client, Resource as _, ResourceExt as _};
use sha2::{Digest as _, Sha256};

use crate::alert::{CLUSTER_NAMESPACE, NOTE_MAX, WriteError, overflow_name, text, write_once};
use crate::api::{
    CONTROLLER, Condition, ConditionStatus, DetectionRule, DetectionRuleStatus, condition_type, reason,
};

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
    // Tried again, it is the same while the rule stays limited.
    let told = format!("{}/{}", rule.uid().unwrap_or_default(), condition.last_transition_time.0);
    let hash = HEXLOWER.encode(&Sha256::digest(told)[..8]);
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{hash}", rule.name_any())),
            namespace: Some(CLUSTER_NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(condition.last_transition_time.0)),
        type_: Some("Warning".to_owned()),
        reason: Some(condition_type::LIMITED.to_owned()),
        action: Some("Detect".to_owned()),
        note: Some(text::short(&condition.message, NOTE_MAX)),
        regarding: Some(rule.object_ref(&())),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(text::short(node, 128)),
        ..Event::default()
    };
    write_once(client, CLUSTER_NAMESPACE, &event).await.map(drop)
}

#[cfg(test)]
mod tests {
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
