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
use super::source_conditions::conditions;
use super::status_agents::make_room;
use super::{gap_event, status_failure};
use crate::alert::{call, text, write_params};
use crate::api::{AuditSource, AuditSourceStatus, SourceAgent};
use crate::source::Intake;
use crate::telemetry::Metrics;

/// How often figures alone may make a status be written.
const FIGURE_INTERVAL: Duration = Duration::from_secs(10);
/// How often figures are written that only Tripline's own requests moved: its status writes are in the log as well.
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
        let api: Api<AuditSource> = Api::all(self.client.clone());
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
            match call("the source's status", api.replace_status(&name, &write_params(), &object)).await {
                Ok(written) => {
                    self.readers.note_written(object.metadata.resource_version.as_deref(), written);
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
                    Some(old) => *old = agent,
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
