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

use super::api_servers::ApiServers;
use super::progress::{Report, Trouble};
use super::readers::{Readers, SourceEntry};
use super::reading::path_of;
use super::source_conditions::conditions;
use super::status_agents::{is_behind, make_room, reports};
use super::{gap_event, status_failure};
use crate::alert::{call, text, write_params};
use crate::api::{AuditSource, AuditSourceStatus, Condition, SourceAgent, Stored};
use crate::source::Intake;
use crate::telemetry::Metrics;

/// How often figures alone may make a status be written.
const FIGURE_INTERVAL: Duration = Duration::from_secs(10);
/// How often figures are written that only Tripline's own requests moved: its status writes are in the log as well. As
/// often each process says that it is at work, whatever there is to say.
const OWN_INTERVAL: Duration = Duration::from_mins(1);
/// How often the reports are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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

struct Written {
    at: Instant,
    /// Events that were not Tripline's own.
    others: i64,
}

impl SourceStatuses {
    /// Writes until `stop`, then once more.
    pub async fn run(self, stop: CancellationToken) {
        let mut written = HashMap::new();
        let mut api_servers = ApiServers::new(self.client.clone());
        loop {
            self.write_all(&mut written, &mut api_servers, false).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.readers.changed() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
        self.write_all(&mut written, &mut api_servers, true).await;
    }

    async fn write_all(
        &self,
        written: &mut HashMap<String, Written>,
        api_servers: &mut ApiServers,
        last: bool,
    ) {
        let api: Api<Stored<AuditSource>> = Api::all(self.client.clone());
        let entries = self.readers.entries();
        let leads = *self.leads.borrow();
        let complete = if leads && !entries.is_empty() {
            let sources = entries.iter().map(|entry| &entry.object);
            Some(api_servers.complete(sources, &self.metrics).await)
        } else {
            self.metrics.unread_api_servers.set(0);
            None
        };
        written.retain(|name, _| entries.iter().any(|entry| entry.object.name_any() == *name));
        for entry in entries {
            let name = entry.object.name_any();
            let report = entry.report.lock().clone();
            let present = entry.object.status.clone().unwrap_or_default();
            let mut wanted = self.wanted(&entry, &report, complete.clone(), Timestamp::now());
            let own = self.own_entry(&wanted);
            let before = written.get(&name);
            let is_over = |interval| before.is_none_or(|before| before.at.elapsed() >= interval);
            if wanted == present && !(own.is_some() && is_over(OWN_INTERVAL)) {
                continue;
            }
            let others = report.counts.events - report.counts.ignored;
            let is_own = before.is_some_and(|before| before.others == others);
            let interval = if is_own { OWN_INTERVAL } else { FIGURE_INTERVAL };
            if !(is_news(&wanted, &present) || is_over(interval) || last) {
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
            if let Some(own) = own {
                wanted.agents[own].last_report_time = Some(MicroTime(Timestamp::now()));
            }
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
        let before = self.own_entry(present).map_or(0, |at| present.agents[at].gaps);
        self.own_entry(wanted).map(|at| &wanted.agents[at]).filter(|agent| agent.gaps > before)
    }

    /// Where this process' entry is, if it has one.
    fn own_entry(&self, status: &AuditSourceStatus) -> Option<usize> {
        let node = self.node.as_ref()?;
        status.agents.iter().position(|agent| agent.name == *node)
    }

    /// The status as it should be. `complete` is there where this process leads, and concludes for all.
    fn wanted(
        &self,
        entry: &SourceEntry,
        report: &Report,
        complete: Option<Condition>,
        now: Timestamp,
    ) -> AuditSourceStatus {
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
        let at_work = status.agents.iter().filter(|agent| reports(agent, now));
        status.lag_seconds = at_work.map(|a| a.lag_seconds).max().unwrap_or_default();
        status.last_event_time =
            status.agents.iter().filter_map(|a| a.last_event_time.clone()).max_by_key(|t| t.0);
        if let Some(complete) = complete {
            let generation = entry.object.metadata.generation;
            status.observed_generation = generation;
            for condition in conditions(&entry.object.spec, &status, now).into_iter().chain([complete]) {
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
        last_report_time: None,
        last_write_time: report.last_write_time.map(MicroTime),
        levels: counts.levels.iter().cloned().collect(),
        stages: counts.stages.iter().cloned().collect(),
        requests: counts.kinds.as_list(),
        credential_expire_time: intake.credential_end.map(MicroTime),
        spool_full_time: intake.full.map(MicroTime),
        reason: trouble.as_ref().map(|t| t.reason.to_owned()).unwrap_or_default(),
        message: trouble.map(|t| text::cut(&t.message, 2048)).unwrap_or_default(),
    }
}

/// A process' entry after what it said before.
fn following(agent: SourceAgent, old: &SourceAgent) -> SourceAgent {
    if is_behind((&agent.stream, agent.offset), (&old.stream, old.offset)) {
        let SourceAgent { settled_offset, reason, message, .. } = agent;
        return SourceAgent { settled_offset, reason, message, ..old.clone() };
    }
    SourceAgent { last_report_time: old.last_report_time.clone(), ..agent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_never_go_back_where_a_killed_process_counts_again() {
        let agent = |offset, events, reason: &str| SourceAgent {
            stream: "t".to_owned(),
            offset,
            events,
            settled_offset: offset,
            reason: reason.to_owned(),
            ..SourceAgent::default()
        };
        let said = following(agent(60, 4, "NotFound"), &agent(100, 7, ""));
        assert_eq!(
            (said.offset, said.settled_offset, said.events, said.reason.as_str()),
            (100, 60, 7, "NotFound")
        );
        assert_eq!(following(agent(120, 8, ""), &agent(100, 7, "")).events, 8);
    }
}
