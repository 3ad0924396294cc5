//! Writes the statuses of `AuditSource`s: whether each log arrives. As with rules, each process that reads reports in
//! an entry of its own, and the one that leads concludes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::progress::{Report, Trouble};
use super::readers::{Readers, SourceEntry};
use super::reading::path_of;
use super::{gap_event, make_room, status_agents, status_failure};
use crate::alert::{call, text, write_params};
use crate::api::{
    AuditSource, AuditSourceSpec, AuditSourceStatus, AuditStage, Condition, ConditionStatus, SourceAgent,
    Stored, condition_type, reason,
};
use crate::source::Intake;
use crate::telemetry::Metrics;

/// How often figures alone may make a status be written.
const FIGURE_INTERVAL: Duration = Duration::from_secs(10);
/// How often figures are written that only Tripline's own requests moved: its status writes are in the log as well.
const OWN_INTERVAL: Duration = Duration::from_mins(1);
/// How often the reports are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long after its newest event a source counts as receiving.
const RECEIVING_SECONDS: i64 = 300;

/// Writes source statuses until told to stop.
pub struct SourceStatuses {
    /// Who it writes as.
    pub client: Client,
    /// The node this process reads for; none where it reads nothing.
    pub node: Option<String>,
    /// Whether this process concludes for all.
    pub leads: watch::Receiver<bool>,
    /// The sources and what their threads report.
    pub readers: Arc<Readers>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
}

/// How many events a log must hold before the lack of a stage in it means something.
const STAGE_EVENTS: i64 = 1_000;
/// How long a gap is said in the condition; in the figures it stays.
const GAP_SECONDS: i64 = 86_400;
/// How long after the last refusal a spool counts as full.
const FULL_SECONDS: i64 = 60;
/// How long before its end a certificate is to be replaced.
const EXPIRING_SECONDS: i64 = 30 * 86_400;

struct Written {
    at: Instant,
    /// Events that were not Tripline's own.
    others: i64,
}

impl SourceStatuses {
    /// Writes until `stop`, then once more.
    pub async fn run(self, stop: CancellationToken) {
        let mut written = HashMap::new();
        loop {
            self.write_all(&mut written, false).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.readers.changed() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
        self.write_all(&mut written, true).await;
    }

    async fn write_all(&self, written: &mut HashMap<String, Written>, last: bool) {
        let api: Api<Stored<AuditSource>> = Api::all(self.client.clone());
        let entries = self.readers.entries();
        written.retain(|name, _| entries.iter().any(|entry| entry.object.name_any() == *name));
        for entry in entries {
            let name = entry.object.name_any();
            let report = entry.report.lock().clone();
            let present = entry.object.status.clone().unwrap_or_default();
            let wanted = self.wanted(&entry, &report, Timestamp::now());
            if wanted == present {
                continue;
            }
            let others = report.counts.events - report.counts.ignored;
            let due = written.get(&name).is_none_or(|before| {
                let interval = if before.others == others { OWN_INTERVAL } else { FIGURE_INTERVAL };
                before.at.elapsed() >= interval
            });
            if !(is_news(&wanted, &present) || due || last) {
                continue;
            }
            // Before the status, which is how another process would know that it was told.
            if let Some(agent) = self.new_gap(&wanted, &present)
                && let Err(error) = gap_event::publish(&self.client, &entry.object, agent).await
            {
                status_failure::note(&self.metrics, "source", &name, &error);
                if error.concerns_all() {
                    return;
                }
            }
            written.insert(name.clone(), Written { at: Instant::now(), others });
            let mut object = entry.object;
            object.status = Some(wanted);
            let (base, object) = (object.metadata.resource_version.clone(), Stored(Ok(object)));
            match call("the source's status", api.replace_status(&name, &write_params(), &object)).await {
                Ok(Stored(written)) => {
                    if let Ok(written) = written {
                        self.readers.note_written(base.as_deref(), written);
                    }
                }
                Err(error) => {
                    status_failure::note(&self.metrics, "source", &name, &error);
                    if error.concerns_all() {
                        return;
                    }
                }
            }
        }
    }

    /// This process' entry, if it has more gaps than before.
    fn new_gap<'s>(
        &self,
        wanted: &'s AuditSourceStatus,
        present: &AuditSourceStatus,
    ) -> Option<&'s SourceAgent> {
        let own = |status: &'_ AuditSourceStatus| {
            let node = self.node.as_ref()?;
            status.agents.iter().position(|agent| agent.name == *node)
        };
        let before = own(present).map_or(0, |at| present.agents[at].gaps);
        own(wanted).map(|at| &wanted.agents[at]).filter(|agent| agent.gaps > before)
    }

    fn wanted(&self, entry: &SourceEntry, report: &Report, now: Timestamp) -> AuditSourceStatus {
        let mut status = entry.object.status.clone().unwrap_or_default();
        if let Some(node) = &self.node {
            status.agents.retain(|a| entry.selected || a.name != *node);
            if entry.selected {
                let intake = entry.intake.as_ref().map(|intake| intake.lock().clone()).unwrap_or_default();
                let mut agent = agent(node, path_of(&entry.object), report, &intake);
                if let Some(trouble) = &entry.unreceived {
                    trouble.reason.clone_into(&mut agent.reason);
                    agent.message = text::cut(&trouble.message, 2048);
                }
                match status.agents.iter_mut().find(|a| a.name == *node) {
                    Some(old) => *old = following(agent, old),
                    None => {
                        make_room(&mut status.agents, |agent| {
                            agent.last_event_time.clone().map(|time| time.0)
                        });
                        status.agents.push(agent);
                    }
                }
            }
        }
        status.events = status.agents.iter().map(|a| a.events).sum();
        status.lag_seconds = status.agents.iter().map(|a| a.lag_seconds).max().unwrap_or_default();
        status.last_event_time =
            status.agents.iter().filter_map(|a| a.last_event_time.clone()).max_by_key(|t| t.0);
        if *self.leads.borrow() {
            let generation = entry.object.metadata.generation;
            status.observed_generation = generation;
            for condition in conditions(&entry.object.spec, &status, now) {
                condition.set(&mut status.conditions, generation, now);
            }
        }
        status
    }
}

/// Whether more than figures changed.
fn is_news(wanted: &AuditSourceStatus, present: &AuditSourceStatus) -> bool {
    let state = |status: &AuditSourceStatus| -> Vec<_> {
        let agents = status.agents.iter();
        agents
            .map(|a| {
                let text = (a.name.clone(), a.stream.clone(), a.reason.clone(), a.message.clone());
                (text, a.gaps, a.last_event_time.is_some())
            })
            .collect()
    };
    wanted.conditions != present.conditions
        || wanted.observed_generation != present.observed_generation
        || state(wanted) != state(present)
}

fn agent(node: &str, path: &str, report: &Report, intake: &Intake) -> SourceAgent {
    let counts = &report.counts;
    let trouble = report.trouble.clone().or_else(|| intake.trouble.as_deref().map(Trouble::of_webhook));
    SourceAgent {
        name: node.to_owned(),
        path: path.to_owned(),
        stream: report.stream.clone(),
        offset: report.offset,
        settled_offset: report.settled_offset,
        size: report.offset.saturating_add(report.lag_bytes),
        lag_bytes: report.lag_bytes,
        lag_seconds: report.lag_seconds,
        events: counts.events,
        malformed_lines: counts.malformed_lines,
        plain_text_lines: counts.plain_text_lines,
        salvaged_records: counts.salvaged_records,
        oversized_records: counts.oversized_records,
        bytes: counts.bytes,
        rotations: counts.rotations,
        gaps: counts.gaps,
        last_gap: text::cut(&counts.last_gap, 1024),
        last_gap_time: counts.last_gap_time.map(MicroTime),
        last_event_time: counts.last_event_time.map(MicroTime),
        last_write_time: report.last_write_time.map(MicroTime),
        levels: counts.levels.iter().cloned().collect(),
        stages: counts.stages.iter().cloned().collect(),
        requests: counts.requests.as_list(),
        credential_expire_time: intake.credential_end.map(MicroTime),
        spool_full_time: intake.full.map(MicroTime),
        reason: trouble.as_ref().map(|t| t.reason.to_owned()).unwrap_or_default(),
        message: trouble.map(|t| text::cut(&t.message, 2048)).unwrap_or_default(),
    }
}

/// A process' entry after what it said before.
fn following(agent: SourceAgent, old: &SourceAgent) -> SourceAgent {
    if status_agents::is_behind((&agent.stream, agent.offset), (&old.stream, old.offset)) {
        let SourceAgent { settled_offset, reason, message, .. } = agent;
        return SourceAgent { settled_offset, reason, message, ..old.clone() };
    }
    agent
}

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
        (false, false) if read >= STAGE_EVENTS => Some(
            "the log never holds the stage ResponseStarted: if the audit policy omits it, `spec.omitStages` must name \
             it, or an exec is not detected",
        ),
        _ => None,
    }
}

fn conditions(spec: &AuditSourceSpec, status: &AuditSourceStatus, now: Timestamp) -> Vec<Condition> {
    let agents = &status.agents;
    let troubled = agents.iter().find(|a| !a.reason.is_empty());
    let started = agents.iter().any(|a| !a.stream.is_empty());
    let state = |type_| match troubled {
        _ if agents.is_empty() => Condition::new(
            type_,
            false,
            reason::NOT_SELECTED,
            "no process reads this source; `spec.nodeSelector` must fit a node that Tripline runs on",
        ),
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
    let is_recent = |a: &&SourceAgent| {
        a.last_gap_time.as_ref().is_some_and(|time| now.as_second() - time.0.as_second() <= GAP_SECONDS)
    };
    let gap = match agents.iter().find(is_recent) {
        Some(agent) => {
            let message = format!("{}: {} gaps, the newest: {}", agent.name, agent.gaps, agent.last_gap);
            Condition::new(condition_type::GAP_DETECTED, true, reason::POSITION_LOST, message)
        }
        None => Condition::new(
            condition_type::GAP_DETECTED,
            false,
            reason::CONTINUOUS,
            "every byte of the last day has been read",
        ),
    };
    let mut conditions = vec![state(condition_type::READY), state(condition_type::READING), receiving, gap];
    if spec.webhook.is_some() {
        conditions.extend([room(agents, now), credential(agents, now)]);
    }
    conditions
}

/// Whether what is sent is refused for want of room.
fn room(agents: &[SourceAgent], now: Timestamp) -> Condition {
    let is_recent = |a: &&SourceAgent| {
        a.spool_full_time.as_ref().is_some_and(|time| now.as_second() - time.0.as_second() <= FULL_SECONDS)
    };
    match agents.iter().find(is_recent) {
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
fn credential(agents: &[SourceAgent], now: Timestamp) -> Condition {
    let end = |a: &SourceAgent| a.credential_expire_time.as_ref().map(|time| time.0);
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
    fn figures_never_go_back_where_a_killed_process_counts_again() {
        let agent = |offset, events, reason: &str| SourceAgent {
            stream: "t".to_owned(),
            offset,
            settled_offset: offset,
            reason: reason.to_owned(),
            ..self::agent(&[], events)
        };
        let said = following(agent(60, 4, "NotFound"), &agent(100, 7, ""));
        assert_eq!(
            (said.offset, said.settled_offset, said.events, said.reason.as_str()),
            (100, 60, 7, "NotFound")
        );
        assert_eq!(following(agent(120, 8, ""), &agent(100, 7, "")).events, 8);
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
