//! Writes parcels to the API server: the alert, its Event, its count.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::announce::Announcement;
use super::build::{alert_object, counted};
use super::call::{call, write_params};
use super::error::WriteError;
use super::known::Destination;
use super::late_events::LateEvents;
use super::ledger::{Delivery, Ledger};
use super::name::short_hash;
use super::pace::Pace;
use super::rejected::Rejected;
use crate::api::{EventTarget, SecurityAlert, Stored, label};
use crate::telemetry::{AlertLabels, CategoryLabels, Chain, Metrics};

/// How many writes are on their way at once.
const CONCURRENCY: usize = 8;
/// How often one parcel is tried against changes by others before it waits.
const ATTEMPTS: u32 = 8;
/// How long nothing is sent after the API server failed as a whole.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes parcels out of the [`Ledger`] and brings them to the API server, most severe first, until told to stop.
pub struct Writer {
    /// Who it writes as.
    client: Client,
    /// Where the parcels are.
    ledger: Arc<Ledger>,
    /// How a new alert is announced.
    announcement: Announcement,
    /// Where what the API refuses for good is kept.
    rejected: Rejected,
    /// How many alerts are written a second while few wait.
    per_second: u32,
    /// What it counts.
    metrics: Arc<Metrics>,
    late_events: Arc<LateEvents>,
}

impl Writer {
    /// A writer that writes so many alerts a second while few wait.
    pub fn new(
        client: Client,
        ledger: Arc<Ledger>,
        announcement: Announcement,
        rejected: Rejected,
        per_second: u32,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { client, ledger, announcement, rejected, per_second, metrics, late_events: Arc::default() }
    }

    /// Writes until `stop`, then waits for what is on its way.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (client, metrics) = (self.client.clone(), Arc::clone(&self.metrics));
        let (late, node) = (Arc::clone(&self.late_events), self.ledger.node().to_owned());
        let late = tokio::spawn(late.run(client, node, metrics, stop.clone()));
        let mut deliveries = JoinSet::new();
        // Which group a delivery is of, should it end by a panic.
        let mut groups: HashMap<task::Id, Arc<str>> = HashMap::new();
        let mut paused_until = Instant::now();
        let mut pace = Pace::new(self.per_second, paused_until);
        loop {
            let now = Instant::now();
            let places = CONCURRENCY - deliveries.len();
            let due = self.ledger.due(now);
            if now >= paused_until {
                for delivery in self.ledger.take_due(now, pace.allowed(now, due).min(places)) {
                    let writer = Arc::clone(&self);
                    let group = Arc::clone(&delivery.group);
                    let delivering = deliveries.spawn(async move { writer.deliver(delivery).await });
                    groups.insert(delivering.id(), group);
                    pace.spend(1);
                }
            }
            self.metrics.pending_alerts.set(i64::try_from(self.ledger.pending()).unwrap_or(i64::MAX));
            // With all places taken only a delivery's end brings anything new.
            let is_due = self.ledger.due(now) > 0;
            let next = if is_due { Some(pace.next()) } else { self.ledger.next_due() };
            let next = next.filter(|_| deliveries.len() < CONCURRENCY).map(|due| due.max(paused_until));
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.ledger.arrived(), if deliveries.len() < CONCURRENCY => {}
                () = tokio::time::sleep_until(next.unwrap_or(now).into()), if next.is_some() => {}
                Some(ended) = deliveries.join_next_with_id() => {
                    if self.ended(ended, &mut groups) {
                        paused_until = Instant::now() + PAUSE;
                    }
                }
            }
        }
        while let Some(ended) = deliveries.join_next_with_id().await {
            self.ended(ended, &mut groups);
        }
        late.abort();
    }

    /// Notes how a delivery ended. Says true when the API server as a whole is at fault.
    fn ended(
        &self,
        ended: Result<(task::Id, Result<(), WriteError>), JoinError>,
        groups: &mut HashMap<task::Id, Arc<str>>,
    ) -> bool {
        let now = Instant::now();
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                warn!(%error, "a delivery ended abnormally and is tried again");
                if let Some(group) = groups.remove(&error.id()) {
                    self.ledger.retry(&group, now);
                }
                return false;
            }
        };
        let Some(group) = groups.remove(&id) else { return false };
        let Err(error) = outcome else {
            self.ledger.settle(&group, now);
            return false;
        };
        let category = error.category();
        self.metrics.write_errors.get_or_create(&CategoryLabels { category }).inc();
        if matches!(error, WriteError::Rejected { .. }) {
            self.ledger.settle(&group, now);
        } else {
            warn!(category, error = %Chain(&error), "an alert could not be written and is tried again");
            self.ledger.retry(&group, now);
        }
        error.concerns_all()
    }

    /// Brings one parcel to its alert.
    async fn deliver(&self, mut delivery: Delivery) -> Result<(), WriteError> {
        let outcome = self.try_deliver(&mut delivery).await;
        if let Err(error @ WriteError::Rejected { .. }) = &outcome {
            self.metrics.rejected_alerts.inc();
            let why = Chain(error).to_string();
            delivery.parcels.iter().for_each(|parcel| self.rejected.keep(parcel, &why));
        }
        outcome
    }

    async fn try_deliver(&self, delivery: &mut Delivery) -> Result<(), WriteError> {
        let api: Api<Stored<SecurityAlert>> = Api::all(self.client.clone());
        let mut fresh: Option<SecurityAlert> = None;
        let mut attempts = 0;
        while attempts < ATTEMPTS {
            match self.ledger.destination(delivery) {
                Destination::Counted => return Ok(()),
                Destination::Open(ordinal) => {
                    let Some(parcel) = delivery.parcels.front() else { return Ok(()) };
                    let alert = alert_object(parcel, ordinal);
                    let (name, alert) = (alert.name_any(), Stored(Ok(alert)));
                    match call("the alert", create(&api, &alert)).await {
                        Ok(created) => {
                            self.opened(&created);
                            fresh = Some(created);
                        }
                        Err(error) if error.is_already_exists() => {
                            attempts += 1;
                            self.learn_group(&api, &delivery.group).await?;
                            self.learn_taken(&api, &delivery.group, &name, ordinal).await?;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Destination::Join(name) => {
                    let Some(alert) = fresh.take().filter(|alert| alert.name_any() == name) else {
                        let found = call("the alert's present state", api.get_opt(&name)).await?;
                        fresh = found.and_then(|stored| stored.0.ok());
                        match &fresh {
                            Some(alert) => self.ledger.learn_present(alert),
                            None => {
                                attempts += 1;
                                self.ledger.forget(&delivery.group, &name);
                            }
                        }
                        continue;
                    };
                    if !self.count(&api, delivery, alert).await? {
                        attempts += 1;
                    }
                }
            }
        }
        Err(WriteError::Contended { attempts: ATTEMPTS })
    }

    /// Counts in an alert, as it is now, what goes there. Says false where somebody else changed it meanwhile.
    async fn count(
        &self,
        api: &Api<Stored<SecurityAlert>>,
        delivery: &mut Delivery,
        mut alert: SecurityAlert,
    ) -> Result<bool, WriteError> {
        let name = alert.name_any();
        if alert.status.as_ref().is_none_or(|status| status.count == 0) {
            let target = delivery.parcels.front().and_then(|parcel| parcel.events);
            self.announce(&alert, target).await;
        }
        let joining = self.ledger.joining(delivery, &name);
        for parcel in &joining {
            alert.status = Some(counted(alert.status.take(), parcel, self.ledger.node()));
        }
        let alert = Stored(Ok(alert));
        match call("the alert's count", api.replace_status(&name, &write_params(), &alert)).await {
            Ok(written) => {
                if let Ok(written) = &written.0 {
                    // Somebody may have changed it since, and the watch been quicker.
                    self.ledger.learn(written);
                }
                Ok(true)
            }
            Err(error) => {
                for parcel in joining.into_iter().rev() {
                    delivery.parcels.push_front(parcel);
                }
                if error.is_conflict() || error.is_not_found() { Ok(false) } else { Err(error) }
            }
        }
    }

    fn opened(&self, alert: &SecurityAlert) {
        let detection = &alert.spec.detection;
        let severity = detection.severity.as_str();
        info!(alert = alert.name_any(), rule = detection.rule_name, severity, "alert opened");
        let labels = AlertLabels { rule: detection.rule_name.clone(), severity };
        self.metrics.alerts.get_or_create(&labels).inc();
        self.ledger.learn_present(alert);
        self.ledger.count_opened(alert);
    }

    /// An Event is worth trying again, but never worth an alert's count.
    async fn announce(&self, alert: &SecurityAlert, target: Option<EventTarget>) {
        let announcement =
            Announcement { target: target.unwrap_or(self.announcement.target), ..self.announcement };
        // Each would cost the time in which no answer comes.
        if self.late_events.are_held_up() && announcement.target != EventTarget::None {
            return self.put_off(alert, announcement);
        }
        match announcement.publish(&self.client, self.ledger.node(), alert).await {
            Ok(written) => {
                self.metrics.kubernetes_events.inc_by(u64::from(written));
            }
            // It may be Events alone that are limited or cannot be stored: they are often kept elsewhere. Whether it is the
            // API server as a whole the count will show.
            Err(error) if error.may_pass() => {
                warn!(alert = alert.name_any(), error = %Chain(&error), "an alert's Event is put off");
                self.put_off(alert, announcement);
            }
            Err(error) => {
                self.metrics.dropped_kubernetes_events.inc();
                self.metrics.write_errors.get_or_create(&CategoryLabels { category: error.category() }).inc();
                warn!(alert = alert.name_any(), error = %Chain(&error), "an alert's Event could not be written");
            }
        }
    }

    fn put_off(&self, alert: &SecurityAlert, announcement: Announcement) {
        if !self.late_events.put(alert.clone(), announcement) {
            self.metrics.dropped_kubernetes_events.inc();
        }
    }

    /// Learns all alerts of a group, after a name was found taken: another process may have opened some.
    async fn learn_group(&self, api: &Api<Stored<SecurityAlert>>, group: &str) -> Result<(), WriteError> {
        let params = ListParams::default().labels(&format!("{}={}", label::GROUP, short_hash(group)));
        let alerts = call("the list of the group's alerts", api.list(&params)).await?.items;
        let readable = alerts.iter().filter_map(|alert| alert.0.as_ref().ok());
        for alert in readable.filter(|alert| alert.spec.detection.group_hash == group) {
            self.ledger.learn_present(alert);
        }
        Ok(())
    }

    /// Learns whose a taken name is. Labels are for selection only, and a short hash can be met on purpose: what is of
    /// another group, or of nobody's, or cannot be read, must not stand in the way.
    async fn learn_taken(
        &self,
        api: &Api<Stored<SecurityAlert>>,
        group: &str,
        name: &str,
        ordinal: u32,
    ) -> Result<(), WriteError> {
        match call("the alert that has the name", api.get_opt(name)).await?.map(|stored| stored.0) {
            Some(Ok(alert)) if alert.spec.detection.group_hash == group => self.ledger.learn_present(&alert),
            Some(_) => self.ledger.ordinal_is_taken(group, ordinal),
            None => {}
        }
        Ok(())
    }
}

/// An answer that cannot be read is as good as none: what was written is looked at again.
async fn create(
    api: &Api<Stored<SecurityAlert>>,
    alert: &Stored<SecurityAlert>,
) -> kube::Result<SecurityAlert> {
    api.create(&write_params(), alert).await?.read()
}
