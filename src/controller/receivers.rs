//! The webhooks that this process receives for. They are remembered in the state folder, so that a process that starts
//! receives at once: in blocking mode an API server answers nobody, not even Tripline, before somebody takes its batches.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;
use tracing::{info, warn};

use super::progress::Trouble;
use crate::api::{AuditSource, reason};
use crate::source::{SharedIntake, StateFolder, WEBHOOK_PATH, WebhookReceiver, WebhookSettings};
use crate::telemetry::{Chain, Metrics};

/// The webhooks of a process, by their sources.
pub struct Receivers {
    state: Arc<StateFolder>,
    credentials: PathBuf,
    metrics: Arc<Metrics>,
    running: Mutex<BTreeMap<String, WebhookReceiver>>,
}

impl Receivers {
    /// None yet. `credentials` is the folder of what they are served with.
    pub fn new(state: Arc<StateFolder>, credentials: PathBuf, metrics: Arc<Metrics>) -> Self {
        Self { state, credentials, metrics, running: Mutex::default() }
    }

    /// Receives for the webhooks that the last process received for. Whether they are still wanted is found out later.
    pub async fn resume(&self) {
        let remembered = match self.state.webhooks() {
            Ok(remembered) => remembered,
            Err(error) => {
                let why = Chain(&error).to_string();
                warn!(why, "the webhooks of the last process are not known; they are asked for");
                return;
            }
        };
        for settings in remembered {
            let settings = WebhookSettings { credentials: self.credentials.clone(), ..settings };
            let source = settings.source.clone();
            match self.start(settings).await {
                Ok(receiver) => drop(self.lock().insert(source, receiver)),
                Err(Trouble { message, .. }) => warn!(source, message, "nothing can be received yet"),
            }
        }
    }

    /// Receives for a source as it says, if it is a webhook and `wanted` here.
    pub(super) async fn take(&self, object: &AuditSource, wanted: bool) -> Result<(), Trouble> {
        let name = object.name_any();
        let settings = if wanted { self.settings(object) } else { Ok(None) };
        let before = {
            let mut running = self.lock();
            let goes_on = running.get(&name).is_some_and(|receiver| {
                let is_same = matches!(&settings, Ok(Some(settings)) if receiver.is_for(settings));
                is_same && !receiver.has_ended()
            });
            if goes_on {
                return Ok(());
            }
            running.remove(&name)
        };
        let was_running = before.is_some();
        if let Some(before) = before {
            before.stop().await;
        }
        let started = match settings {
            Ok(Some(settings)) => self.start(settings).await.map(Some),
            Ok(None) => Ok(None),
            Err(trouble) => Err(trouble),
        };
        let is_running = matches!(started, Ok(Some(_)));
        let result = started.map(|receiver| {
            if let Some(receiver) = receiver {
                self.lock().insert(name, receiver);
            }
        });
        if was_running || is_running {
            self.remember();
        }
        result
    }

    /// Stops receiving for all sources but these.
    pub(super) async fn retain(&self, names: &HashSet<String>) {
        let gone: Vec<_> = self.lock().extract_if(.., |name, _| !names.contains(name)).collect();
        if gone.is_empty() {
            return;
        }
        for (source, receiver) in gone {
            info!(source, "the source is gone; receiving ends");
            receiver.stop().await;
        }
        self.remember();
    }

    /// Stops receiving for a source that is gone.
    pub(super) async fn end(&self, name: &str) {
        let receiver = self.lock().remove(name);
        if let Some(receiver) = receiver {
            receiver.stop().await;
            self.remember();
        }
    }

    /// Stops receiving. The next process goes on.
    pub(super) async fn stop(&self) {
        let receivers = std::mem::take(&mut *self.lock());
        futures::future::join_all(receivers.into_values().map(WebhookReceiver::stop)).await;
    }

    /// How receiving for a source goes.
    pub(super) fn intake(&self, name: &str) -> Option<SharedIntake> {
        self.lock().get(name).map(WebhookReceiver::intake)
    }

    /// Whether receiving for a source goes on, or nothing is to be received.
    pub(super) fn is_fine(&self, object: &AuditSource) -> bool {
        let running = self.lock();
        let receiver = running.get(&object.name_any());
        receiver.map_or(object.spec.webhook.is_none(), |receiver| !receiver.has_ended())
    }

    fn settings(&self, object: &AuditSource) -> Result<Option<WebhookSettings>, Trouble> {
        let Some(webhook) = &object.spec.webhook else { return Ok(None) };
        let (Ok(address), Ok(port)) = (webhook.address.parse::<IpAddr>(), u16::try_from(webhook.port)) else {
            return Err(Trouble {
                reason: reason::NOT_LISTENING,
                message: "`spec.webhook.address` is no IP address; give one of the node's or pod's, such as 127.0.0.1"
                    .to_owned(),
            });
        };
        Ok(Some(WebhookSettings {
            source: object.name_any(),
            address: SocketAddr::new(address, port),
            authentication: webhook.authentication,
            spool_limit: webhook.spool_mebibytes.unsigned_abs() << 20,
            credentials: self.credentials.clone(),
        }))
    }

    async fn start(&self, settings: WebhookSettings) -> Result<WebhookReceiver, Trouble> {
        let folder = self.state.spool_of(&settings.source);
        let (state, name) = (Arc::clone(&self.state), settings.source.clone());
        let durable = move || state.durable_position(&name, WEBHOOK_PATH)?.rotated_after;
        WebhookReceiver::start(settings, &folder, durable, Arc::clone(&self.metrics))
            .await
            .map_err(|error| Trouble::of_webhook(&error))
    }

    fn remember(&self) {
        let settings: Vec<_> = self.lock().values().map(|receiver| receiver.settings().clone()).collect();
        if let Err(error) = self.state.save_webhooks(&settings) {
            warn!(error = %Chain(&error), "the webhooks cannot be remembered for the next start");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, WebhookReceiver>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
