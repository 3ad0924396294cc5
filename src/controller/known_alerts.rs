//! Follows the `SecurityAlert`s of the cluster, so that the ledger knows which matches are counted already, which
//! alerts people have closed, and how many are open.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::follow::watch_failed;
use crate::alert::Ledger;
use crate::api::SecurityAlert;
use crate::telemetry::Health;

/// What [`Health`] waits for until the first list is read.
const ALERTS: &str = "alerts";

/// Follows the alerts until `stop`. `known` turns true once all that exist are in the ledger.
pub async fn follow_alerts(
    client: Client,
    ledger: Arc<Ledger>,
    health: Health,
    known: watch::Sender<bool>,
    stop: CancellationToken,
) {
    health.not_ready(ALERTS, "not yet read");
    let api: Api<DeserializeGuard<SecurityAlert>> = Api::all(client);
    // `watcher` alone retries at once and for ever.
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream.take_until(stop.cancelled_owned()));
    let mut listed: HashSet<String> = HashSet::new();
    let mut is_first = true;
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(alert)) => {
                listed.insert(alert.name_any());
                if let Some(alert) = fits(alert) {
                    ledger.learn(&alert);
                    if is_first && alert.spec.detection.event.place.node == ledger.node() {
                        ledger.count_existing(&alert);
                    }
                }
            }
            Ok(Event::InitDone) => {
                // What the list lacks was deleted while nobody watched.
                ledger.retain(&std::mem::take(&mut listed));
                is_first = false;
                health.ready(ALERTS);
                known.send_replace(true);
            }
            Ok(Event::Apply(alert)) => {
                if let Some(alert) = fits(alert) {
                    ledger.learn(&alert);
                }
            }
            Ok(Event::Delete(alert)) => {
                if let Some(alert) = fits(alert) {
                    ledger.forget_deleted(&alert);
                }
            }
            Err(error) => {
                watch_failed("alerts", &error);
                if is_first {
                    health.not_ready(ALERTS, format!("the existing alerts cannot be read: {error}"));
                }
            }
        }
    }
}

/// What does not fit its kind was not written by Tripline.
fn fits(alert: DeserializeGuard<SecurityAlert>) -> Option<SecurityAlert> {
    let name = alert.name_any();
    match alert.0 {
        Ok(alert) => Some(alert),
        Err(error) => {
            warn!(
                alert = name,
                error = error.error,
                "a stored alert does not fit its kind and is passed over"
            );
            None
        }
    }
}
