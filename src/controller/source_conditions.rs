//! What is concluded of a source from what the processes that read it report.

use jiff::Timestamp;

use super::observable::LONG_LOG;
use super::status_agents::{is_recent, reports};
use crate::api::{
    AuditSourceSpec, AuditSourceStatus, AuditStage, Condition, ConditionStatus, SourceAgent, condition_type,
    reason,
};

/// How long after its newest event a source counts as receiving.
pub(super) const RECEIVING_SECONDS: i64 = 300;
/// How long a gap is said in the condition; in the figures it stays.
const GAP_SECONDS: i64 = 86_400;
/// How long after the last refusal a spool counts as full.
const FULL_SECONDS: i64 = 60;
/// How long before its end a certificate is to be replaced.
const EXPIRING_SECONDS: i64 = 30 * 86_400;

/// What looks wrong about `omitStages`, going by the stages the log holds.
fn stage_hint(omitted: &[AuditStage], agents: &[SourceAgent]) -> Option<&'static str> {
    let omits = omitted.contains(&AuditStage::ResponseStarted);
    let holds = agents.iter().any(|a| a.stages.iter().any(|stage| stage == "ResponseStarted"));
    let read: i64 = agents.iter().map(|a| a.events).sum();
    match (omits, holds) {
        (true, true) => Some(
            "`spec.omitStages` names ResponseStarted, but the log holds it: without it there, an exec is detected when \
             it begins and not when it ends",
        ),
        // Watches begin all the time on every cluster.
        (false, false) if read >= LONG_LOG => Some(
            "the log never holds the stage ResponseStarted: if the audit policy omits it, `spec.omitStages` must name \
             it, or an exec is not detected",
        ),
        _ => None,
    }
}

/// The conditions of a source, but for [`Complete`](condition_type::COMPLETE), which goes by all sources.
pub(super) fn conditions(
    spec: &AuditSourceSpec,
    status: &AuditSourceStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let agents = &status.agents;
    let at_work: Vec<_> = agents.iter().filter(|agent| reports(agent, now)).collect();
    let troubled = at_work.iter().find(|a| !a.reason.is_empty());
    let started = at_work.iter().any(|a| !a.stream.is_empty());
    let state = |type_| match troubled {
        _ if agents.is_empty() => Condition::new(
            type_,
            false,
            reason::NOT_SELECTED,
            "no process reads this source; `spec.nodeSelector` must fit a node that Tripline runs on",
        ),
        _ if at_work.is_empty() => Condition::new(type_, false, reason::NOT_REPORTING, not_reporting(agents)),
        Some(agent) => {
            Condition::new(type_, false, &agent.reason, format!("{}: {}", agent.name, agent.message))
        }
        None if started => Condition::new(type_, true, reason::TAILING, "the log is read as it is written"),
        None => Condition::new(type_, ConditionStatus::Unknown, reason::PENDING, "the log is being opened"),
    };
    let age = status.last_event_time.as_ref().map(|time| now.as_second() - time.0.as_second());
    let receiving = match age {
        Some(age) if age <= RECEIVING_SECONDS => {
            let message = stage_hint(&spec.omit_stages, agents).unwrap_or("audit events arrive");
            Condition::new(condition_type::RECEIVING, true, reason::EVENTS_ARRIVE, message)
        }
        Some(_) => Condition::new(
            condition_type::RECEIVING,
            false,
            reason::SILENT,
            if spec.webhook.is_some() {
                "no audit event for five minutes; see what the API server logs about its audit webhook, and what its \
                 audit policy logs"
            } else {
                "no audit event for five minutes; see whether kube-apiserver still writes to this path and what its \
                 audit policy logs"
            },
        ),
        None => Condition::new(
            condition_type::RECEIVING,
            ConditionStatus::Unknown,
            reason::PENDING,
            if agents.iter().any(|a| a.plain_text_lines > 0) {
                "no audit event has been read yet, only text; see whether this is the audit log, and in JSON"
            } else {
                "no audit event has been read yet"
            },
        ),
    };
    let gap = match agents.iter().find(|a| is_recent(a.last_gap_time.as_ref(), GAP_SECONDS, now)) {
        Some(agent) => {
            let message = format!("{}: {} gaps, the newest: {}", agent.name, agent.gaps, agent.last_gap);
            Condition::new(condition_type::GAP_DETECTED, true, reason::POSITION_LOST, message)
        }
        None => Condition::new(
            condition_type::GAP_DETECTED,
            false,
            reason::CONTINUOUS,
            if agents.iter().any(|agent| !agent.stream.is_empty()) {
                "every byte of the last day has been read"
            } else {
                "nothing has been read yet"
            },
        ),
    };
    let mut conditions = vec![state(condition_type::READY), state(condition_type::READING), receiving, gap];
    if spec.webhook.is_some() {
        conditions.extend([room(agents, now), credential(&at_work, now)]);
    }
    conditions
}

/// That no process reports any more, and which one did last.
fn not_reporting(agents: &[SourceAgent]) -> String {
    let last =
        agents.iter().filter_map(|agent| Some((agent.last_report_time.as_ref()?.0, &agent.name))).max();
    let last = last.map(|(at, name)| format!(", {name} last at {at:.0}")).unwrap_or_default();
    format!(
        "no process that reads the log has reported for five minutes{last}; see whether the readers' pods run"
    )
}

/// Whether what is sent is refused for want of room.
fn room(agents: &[SourceAgent], now: Timestamp) -> Condition {
    match agents.iter().find(|a| is_recent(a.spool_full_time.as_ref(), FULL_SECONDS, now)) {
        Some(agent) => {
            let message = format!(
                "{}: batches are refused until more of the spool is judged; see what keeps it from being judged (Lag, the \
                 reader's log), or raise `spec.webhook.spoolMebibytes`. The API server sends them again for some \
                 minutes, then it drops them and counts that in apiserver_audit_error_total",
                agent.name
            );
            Condition::new(condition_type::SPOOL_FULL, true, reason::FULL, message)
        }
        None => {
            Condition::new(condition_type::SPOOL_FULL, false, reason::ROOM, "there is room for what is sent")
        }
    }
}

/// Whether the API server's certificate ends soon.
fn credential(agents: &[&SourceAgent], now: Timestamp) -> Condition {
    let end = |a: &&SourceAgent| a.credential_expire_time.as_ref().map(|time| time.0);
    let first = agents.iter().filter_map(|a| Some((end(a)?, &a.name))).min();
    match first {
        Some((end, node)) if end.as_second() - now.as_second() <= EXPIRING_SECONDS => {
            let message = format!(
                "{node}: the certificate by which the API server proves itself ends at {end}, and then nothing is \
                 received; make another by `tripline webhook-config`, put it in place of the present file and restart \
                 kube-apiserver"
            );
            Condition::new(condition_type::CREDENTIAL_EXPIRING, true, reason::RENEW, message)
        }
        Some((end, _)) => {
            let message = format!("the certificate by which the API server proves itself lasts until {end}");
            Condition::new(condition_type::CREDENTIAL_EXPIRING, false, reason::VALID, message)
        }
        None => Condition::new(
            condition_type::CREDENTIAL_EXPIRING,
            false,
            reason::VALID,
            "no certificate that ends has been shown",
        ),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use serde_json::json;

    use super::*;

    fn agent(stages: &[&str], events: i64) -> SourceAgent {
        SourceAgent {
            stages: stages.iter().map(|&s| s.to_owned()).collect(),
            events,
            ..SourceAgent::default()
        }
    }

    #[test]
    fn stages_that_do_not_fit_the_setting_are_said() {
        let all = [agent(&["ResponseComplete", "ResponseStarted"], 5_000)];
        let none = [agent(&["ResponseComplete"], 5_000)];
        let few = [agent(&["ResponseComplete"], 10)];
        let omitted = [AuditStage::RequestReceived, AuditStage::ResponseStarted];
        assert_eq!(
            (stage_hint(&[], &all), stage_hint(&[], &few), stage_hint(&omitted, &none)),
            (None, None, None)
        );
        assert!(stage_hint(&[], &none).unwrap().contains("must name it"));
        assert!(stage_hint(&omitted, &all).unwrap().contains("holds it"));
    }

    #[test]
    fn who_does_not_report_any_more_says_nothing_of_the_log() {
        let spec: AuditSourceSpec = serde_json::from_value(json!({"file": {"path": "audit.log"}})).unwrap();
        let now = Timestamp::from_second(1_000_000).unwrap();
        let agent = |name: &str, ago: i64, reason: &str| SourceAgent {
            name: name.to_owned(),
            stream: "s".to_owned(),
            reason: reason.to_owned(),
            last_report_time: Some(MicroTime(Timestamp::from_second(1_000_000 - ago).unwrap())),
            ..SourceAgent::default()
        };
        let ready = |agents: &[SourceAgent]| {
            let status = AuditSourceStatus { agents: agents.to_vec(), ..AuditSourceStatus::default() };
            let conditions = conditions(&spec, &status, now);
            let ready = conditions.into_iter().find(|c| c.type_ == condition_type::READY).unwrap();
            (ready.reason, ready.message)
        };
        assert_eq!(ready(&[agent("a", 300, "")]).0, "Tailing");
        assert_eq!(ready(&[agent("a", 0, ""), agent("b", 10, "NotFound")]).0, "NotFound");
        // A node that was taken away.
        assert_eq!(ready(&[agent("a", 0, ""), agent("b", 301, "NotFound")]).0, "Tailing");
        let (reason, message) = ready(&[agent("a", 301, ""), agent("b", 500, "NotFound")]);
        assert_eq!(reason, "NotReporting");
        assert!(message.contains(", a last at 1970-01-12T13:41:39Z;"), "{message}");
    }

    #[test]
    fn a_gap_is_said_for_a_day() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let spec: AuditSourceSpec = serde_json::from_value(json!({"file": {"path": "audit.log"}})).unwrap();
        let gap = |seconds: i64| {
            let time = Timestamp::from_second(1_000_000 - seconds).unwrap();
            let agent =
                SourceAgent { gaps: 1, last_gap_time: Some(MicroTime(time)), ..SourceAgent::default() };
            let status = AuditSourceStatus { agents: vec![agent], ..AuditSourceStatus::default() };
            conditions(&spec, &status, now)
                .into_iter()
                .find(|c| c.type_ == condition_type::GAP_DETECTED)
                .unwrap()
                .status
        };
        assert_eq!((gap(GAP_SECONDS), gap(GAP_SECONDS + 1)), (ConditionStatus::True, ConditionStatus::False));
    }
}
