//! Follows the `SecurityAlert`s of the cluster, so that the ledger knows which matches are counted already, which
//! alerts people have closed, and how many are open.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::follow::watch_failed;
use crate::alert::Ledger;
use crate::api::{SecurityAlert, Stored};
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
    let mut following = Following::new(ledger);
    let api: Api<Stored<SecurityAlert>> = Api::all(client);
    // `watcher` alone retries at once and for ever.
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream.take_until(stop.cancelled_owned()));
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                if following.take(event) {
                    health.ready(ALERTS);
                    known.send_replace(true);
                }
            }
            Err(error) => {
                watch_failed("alerts", &error);
                if following.is_first {
                    health.not_ready(ALERTS, format!("the existing alerts cannot be read: {error}"));
                }
            }
        }
    }
}

/// What the watch has brought.
struct Following {
    ledger: Arc<Ledger>,
    /// The names of the alerts seen since a list began.
    listed: HashSet<String>,
    /// Those of this node's that are counted, until the first list is whole: one that breaks off begins anew.
    existing: HashSet<String>,
    is_first: bool,
}

impl Following {
    fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, listed: HashSet::new(), existing: HashSet::new(), is_first: true }
    }

    /// Says whether all that exist are known now.
    fn take(&mut self, event: Event<Stored<SecurityAlert>>) -> bool {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(alert) => {
                let name = alert.name_any();
                if let Some(alert) = fits(alert) {
                    self.ledger.learn(&alert);
                    let is_own = alert.spec.detection.event.place.node == self.ledger.node();
                    if self.is_first && is_own && self.existing.insert(name.clone()) {
                        self.ledger.count_existing(&alert);
                    }
                }
                self.listed.insert(name);
            }
            Event::InitDone => {
                // What the list lacks was deleted while nobody watched.
                self.ledger.retain(&std::mem::take(&mut self.listed));
                (self.is_first, self.existing) = (false, HashSet::new());
                return true;
            }
            Event::Apply(alert) => {
                if let Some(alert) = fits(alert) {
                    self.ledger.learn(&alert);
                }
            }
            Event::Delete(alert) => {
                if let Some(alert) = fits(alert) {
                    self.ledger.forget_deleted(&alert);
                }
            }
        }
        false
    }
}

/// What does not fit its kind was not written by Tripline.
fn fits(alert: Stored<SecurityAlert>) -> Option<SecurityAlert> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Bounds;

    #[test]
    fn a_first_list_that_breaks_off_counts_no_alert_twice() {
        let ledger = Arc::new(Ledger::new("n", Bounds::default()));
        let mut following = Following::new(Arc::clone(&ledger));
        let alert = |name: &str| {
            let object = serde_json::json!({
                "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert", "metadata": {"name": name},
                "spec": {"detection": {
                    "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": name, "target": "",
                    "event": {"node": "n", "source": "s", "stream": "t", "offset": 10},
                }},
            });
            Event::InitApply(serde_json::from_value(object).unwrap())
        };
        // The second page of the first list is not answered.
        for event in [Event::Init, alert("a"), Event::Init, alert("a"), alert("b")] {
            assert!(!following.take(event));
        }
        assert!(following.take(Event::InitDone));
        for event in [Event::Init, alert("a"), alert("c"), Event::InitDone] {
            following.take(event);
        }
        assert_eq!(ledger.opened("r", "s", 0), 2);
    }
}
