//! Follows the alerts of the cluster while this process leads, and hands what it sees to the outputs.

use std::time::Instant;

use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::follow::watch_failed;
use super::lease::is_succeeded;
use crate::api::SecurityAlert;
use crate::output::Outputs;

/// What the outputs are told of.
pub struct AlertChanges {
    /// Who it reads as.
    pub client: Client,
    /// Whether this process concludes for all. Of several, only one tells.
    pub leads: watch::Receiver<bool>,
    /// Where it goes.
    pub outputs: Outputs,
}

impl AlertChanges {
    /// Follows until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut leads = self.leads.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                led = leads.wait_for(|leads| *leads) => if led.is_err() { return },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = is_succeeded(&mut leads) => {}
                () = self.follow() => {}
            }
            self.outputs.pause().await;
        }
    }

    /// Follows for ever. It may be dropped at any moment: what was seen and not yet told is in the outputs.
    async fn follow(&mut self) {
        let api: Api<DeserializeGuard<SecurityAlert>> = Api::all(self.client.clone());
        // `watcher` alone retries at once and for ever.
        let mut stream = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        loop {
            let due = self.outputs.next_due();
            tokio::select! {
                event = stream.next() => match event {
                    Some(event) => self.take(event).await,
                    None => return,
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    self.outputs.tell_due().await;
                }
            }
        }
    }

    async fn take(&mut self, event: watcher::Result<Event<DeserializeGuard<SecurityAlert>>>) {
        match event {
            Ok(Event::Init) => self.outputs.begin_list(),
            Ok(Event::InitApply(alert) | Event::Apply(alert)) => match alert.0 {
                Ok(alert) => self.outputs.see(&alert).await,
                Err(error) => {
                    let alert = error.metadata.name.unwrap_or_default();
                    warn!(alert, error = error.error, "an alert does not fit its kind and is not told");
                    self.outputs.note_present(error.metadata.uid.unwrap_or_default());
                }
            },
            Ok(Event::InitDone) => self.outputs.end_list().await,
            Ok(Event::Delete(alert)) => self.outputs.forget(&alert.uid().unwrap_or_default()).await,
            Err(error) => watch_failed("alerts", &error),
        }
    }
}
