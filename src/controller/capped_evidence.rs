//! What is said of a rule that asks for more evidence than alerts may show here: a warning beside `Accepted`, and a
//! Kubernetes Event once.

use jiff::Timestamp;
use kube::Client;

use super::own_event::OwnEvent;
use crate::alert::WriteError;
use crate::api::{DetectionRule, DetectionRuleStatus, Evidence, condition_type, reason};

/// The warning; none where alerts show as much as the rule asks for.
pub fn warning(asked: Evidence, most: Evidence) -> Option<String> {
    (asked > most).then(|| {
        let (asked, most) = (asked.as_str(), most.as_str());
        format!(
            "evidence: {asked} is asked for, and alerts here show at most {most}; allow more by --evidence (`evidence` in \
             the chart's values), or ask for {most}"
        )
    })
}

/// Whether `wanted` is the first status to say so.
pub(super) fn begins(wanted: &DetectionRuleStatus, present: &DetectionRuleStatus) -> bool {
    says_so(wanted) && !says_so(present)
}

fn says_so(status: &DetectionRuleStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|c| c.type_ == condition_type::ACCEPTED && c.reason == reason::EVIDENCE_CAPPED)
}

/// Writes the Event that says so. Tried again, it is the same one for the same spec.
///
/// # Errors
/// When the API server does not take it.
pub(super) async fn publish(
    client: &Client,
    instance: &str,
    rule: &DetectionRule,
    most: Evidence,
    now: Timestamp,
) -> Result<(), WriteError> {
    let Some(note) = warning(rule.spec.evidence, most) else { return Ok(()) };
    let generation = rule.metadata.generation.unwrap_or_default();
    let event = OwnEvent {
        told: format!("{}/{generation}", reason::EVIDENCE_CAPPED),
        reason: reason::EVIDENCE_CAPPED,
        action: "Compile",
        note: &note,
        time: now,
        instance,
    };
    event.publish(client, rule).await
}
