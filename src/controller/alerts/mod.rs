//! The life of an alert after it was opened, kept by the process that leads: changes of its state are noted, it says when
//! it will be deleted, and then it is; and where there are too many, some go before their time.
//!
//! Nothing here lasts but what stands in the objects, so that another leader goes on wherever this one is killed. Every
//! write is based on the resourceVersion that was looked at, deletions too.

mod evicted;
mod eviction;
mod following;
mod index;
mod retention;
mod settled;
mod transitions;
mod writes_seen;

pub use evicted::Evictions;
pub use retention::Retention;
pub use writes_seen::{TriageWrites, WritesSeen};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use self::index::{AlertIndex, IndexedAlert};
use self::retention::kept_from;
use self::settled::Settled;
use super::lease::is_succeeded;
use super::readers::Readers;
use super::rules::Rules;
use super::status_failure;
use crate::alert::{WriteError, call, write_params};
use crate::api::{SecurityAlert, SecurityAlertStatus, Stored, TriageState};
use crate::output::Outputs;
use crate::telemetry::{DeletionLabels, Metrics, SeverityLabels};

/// How often it is looked what is to be done.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long after one write or deletion the next one may come.
const PACE: Duration = Duration::from_millis(100);
/// How many of each are done between two looks.
const ROUND: usize = 10;
/// How long an alert is left alone after it was tried to be written or deleted: the watch tells what came of it.
const REST: Duration = Duration::from_secs(2);

/// Keeps the alerts while this process leads.
pub struct AlertKeeper {
    /// Who it writes as.
    pub client: Client,
    /// How long and how many are kept.
    pub retention: Retention,
    /// Whether an Event tells of evictions.
    pub writes_events: bool,
    /// The name of this process, for Events.
    pub instance: String,
    /// Whether this process concludes for all.
    pub leads: watch::Receiver<bool>,
    /// The rules, which evictions are counted on.
    pub rules: Arc<Rules>,
    /// The sources, whose statuses say how far the logs are settled.
    pub readers: Arc<Readers>,
    /// Who else is told how the alerts change: of several processes, only the one that leads tells.
    pub outputs: Option<Outputs>,
    /// What it counts for the rules.
    pub evictions: Arc<Evictions>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
}

/// Why an alert is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its time is over.
    Expired,
    /// Too many closed ones are kept.
    ClosedSurplus,
    /// There are too many.
    Evicted,
}

impl Why {
    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::ClosedSurplus => "closed_surplus",
            Self::Evicted => "evicted",
        }
    }
}

/// What is to be done next.
#[derive(Debug)]
enum Step {
    /// Write the alert's transitions and when it expires.
    Amend(String),
    /// Delete it.
    Delete(String, Why),
}

impl AlertKeeper {
    /// Keeps the alerts until `stop`, whenever this process leads.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut outputs = self.outputs.take();
        let mut leads = self.leads.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                led = leads.wait_for(|leads| *leads) => if led.is_err() { return },
            }
            let index = AlertIndex::default();
            let ends = tokio::select! {
                () = is_succeeded(&mut leads) => {
                    debug!("the alerts are another's to keep");
                    false
                }
                () = following::follow(self.client.clone(), &index, outputs.as_mut()) => false,
                // Stops between two steps, so that what was done is counted.
                () = self.keep(&index, &stop) => true,
            };
            if let Some(outputs) = &mut outputs {
                outputs.pause().await;
            }
            if ends {
                return;
            }
            self.evictions.clear();
        }
    }

    async fn keep(&self, index: &AlertIndex, stop: &CancellationToken) {
        let api: Api<Stored<SecurityAlert>> = Api::all(self.client.clone());
        let mut told = HashMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = index.changed() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            for step in self.steps(index, Timestamp::now()) {
                let outcome = match &step {
                    Step::Amend(name) => self.amend(&api, index, name).await,
                    Step::Delete(name, why) => self.delete(&api, index, name, *why, &mut told).await,
                };
                let (Step::Amend(name) | Step::Delete(name, _)) = &step;
                index.postpone(name, Instant::now() + REST);
                if let Err(error) = outcome {
                    status_failure::note(&self.metrics, "alert", name, &error);
                    // What one may not, none may; and a server that does not answer one answers none.
                    if error.concerns_all() || error.is_forbidden() {
                        break;
                    }
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PACE) => {}
                }
            }
        }
    }

    /// What is to be done now: first what people wait for.
    fn steps(&self, index: &AlertIndex, now: Timestamp) -> Vec<Step> {
        let entries = self.readers.entries();
        let settled = Settled::of(entries.iter().map(|entry| &entry.object));
        let (most, at) = (self.retention.most, Instant::now());
        let is_free = |alert: &IndexedAlert| alert.not_before.is_none_or(|time| time <= at);
        let steps = index.look(|alerts| {
            let mut written = Vec::new();
            let mut deleted: Vec<(&String, Why)> = Vec::new();
            for (name, alert) in alerts.iter().filter(|(_, alert)| !alert.is_leaving && is_free(alert)) {
                let expiry = self.retention.expiry(alert.state, alert.closed, alert.kept_from);
                let is_news = !alert.is_noted || !alert.news.is_empty();
                if alert.has_count && (is_news || expiry != alert.expire) {
                    written.push((!is_news, name));
                } else if let Some(time) = expiry
                    && time <= now
                    && settled.lets_go(alert, time, now)
                {
                    deleted.push((name, Why::Expired));
                }
            }
            written.sort_unstable();
            // Who was tried just now is waited for; nobody else goes instead.
            let may_go = |alert: &IndexedAlert| settled.is_past(alert);
            let evicted =
                eviction::surplus(alerts, most, may_go).into_iter().map(|found| (found, Why::Evicted));
            let closed = eviction::surplus_closed(alerts, most, may_go);
            let closed = closed.into_iter().map(|found| (found, Why::ClosedSurplus));
            let surplus = closed.chain(evicted).filter(|((_, alert), _)| is_free(alert));
            let surplus = surplus.map(|((name, _), why)| (name, why)).take(ROUND);
            let expired = deleted.into_iter().take(ROUND);
            let written = written.into_iter().take(ROUND).map(|(_, name)| Step::Amend(name.clone()));
            let gone = expired.chain(surplus).map(|(name, why)| Step::Delete(name.clone(), why));
            written.chain(gone).collect()
        });
        steps.unwrap_or_default()
    }

    /// Writes what the alert's status lacks.
    async fn amend(
        &self,
        api: &Api<Stored<SecurityAlert>>,
        index: &AlertIndex,
        name: &str,
    ) -> Result<(), WriteError> {
        let Some(indexed) = index.get(name) else { return Ok(()) };
        let found = call("the alert", api.get_opt(name)).await?.and_then(|stored| stored.0.ok());
        let Some(mut alert) = found else { return Ok(()) };
        if alert.uid().as_deref() != Some(&*indexed.uid) {
            return Ok(());
        }
        let Some(status) = amended(&alert, &indexed, &self.retention, Timestamp::now()) else {
            return Ok(());
        };
        alert.status = Some(status);
        let alert = Stored(Ok(alert));
        call("the alert's status", api.replace_status(name, &write_params(), &alert)).await.map(drop)
    }

    async fn delete(
        &self,
        api: &Api<Stored<SecurityAlert>>,
        index: &AlertIndex,
        name: &str,
        why: Why,
        told: &mut HashMap<String, i64>,
    ) -> Result<(), WriteError> {
        let Some(alert) = index.get(name) else { return Ok(()) };
        let preconditions =
            Preconditions { uid: Some(alert.uid.clone()), resource_version: Some(alert.version.clone()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        call("the deletion of the alert", api.delete(name, &params)).await?;
        index.forget(name, &alert.uid);
        let why_word = why.as_str();
        info!(alert = name, rule = alert.rule, why = why_word, "alert deleted");
        self.metrics.alerts_deleted.get_or_create(&DeletionLabels { reason: why_word }).inc();
        if why == Why::Evicted {
            self.tell(&alert, told).await;
        }
        Ok(())
    }

    /// Counts an eviction, on the rule too, and tells of it by an Event if none did lately.
    async fn tell(&self, alert: &IndexedAlert, told: &mut HashMap<String, i64>) {
        let labels = SeverityLabels { severity: alert.severity.as_str() };
        self.metrics.alerts_evicted.get_or_create(&labels).inc();
        // An alert outlives its rule; then there is nobody to tell.
        let Some(entry) =
            self.rules.entries().into_iter().find(|entry| entry.object.name_any() == alert.rule)
        else {
            return;
        };
        let (uid, now) = (entry.object.uid().unwrap_or_default(), Timestamp::now());
        let present = entry.object.status.as_ref().map_or(0, |status| status.evicted);
        let count = self.evictions.count(&uid, present);
        let period = evicted::period(now);
        if !self.writes_events || told.get(&uid) == Some(&period) {
            return;
        }
        let most = self.retention.most;
        match evicted::publish(&self.client, &self.instance, &entry.object, count, most, now).await {
            Ok(()) => {
                told.retain(|_, last| *last == period);
                told.insert(uid, period);
            }
            Err(error) => status_failure::note(&self.metrics, "rule", &alert.rule, &error),
        }
    }
}

/// The alert's status as it should be; none if it is.
fn amended(
    alert: &SecurityAlert,
    indexed: &IndexedAlert,
    retention: &Retention,
    now: Timestamp,
) -> Option<SecurityAlertStatus> {
    let before = alert.status.as_ref().filter(|status| status.count > 0)?;
    let mut status = before.clone();
    let is_current = alert.metadata.resource_version.as_deref() == Some(&*indexed.version);
    transitions::note(&mut status.transitions, alert, &indexed.news, is_current, now);
    let last = status.transitions.last().filter(|last| last.state == TriageState::Closed);
    let created = alert.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let kept_from =
        status.last_seen_time.as_ref().map_or(indexed.kept_from, |time| kept_from(time.0, created));
    let state = alert.spec.triage.state;
    status.expire_time = retention.expiry(state, last.map(|last| last.time.0), kept_from).map(MicroTime);
    (status != *before).then_some(status)
}
