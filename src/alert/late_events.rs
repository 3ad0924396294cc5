//! Kubernetes Events that the API server would not take for the moment, as under an EventRateLimit or where their etcd is
//! away: the alert is there and counts, and its Event is tried again meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::announce::Announcement;
use crate::api::SecurityAlert;
use crate::telemetry::{Chain, Metrics};

/// The most that wait.
const MOST: usize = 500;
/// How long it is tried.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long to leave the API server alone after it refused one.
const PAUSE: Duration = Duration::from_secs(5);

/// The alerts whose Events wait.
#[derive(Debug, Default)]
pub(super) struct LateEvents {
    waiting: Mutex<VecDeque<(SecurityAlert, Announcement, Instant)>>,
}

impl LateEvents {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(SecurityAlert, Announcement, Instant)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether some wait, so that another would have to.
    pub(super) fn are_held_up(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Takes one in, if it is not there yet. Says false where too many wait: then it is never written.
    pub(super) fn put(&self, alert: SecurityAlert, announcement: Announcement) -> bool {
        let mut waiting = self.lock();
        if waiting.iter().any(|(other, ..)| other.metadata.uid == alert.metadata.uid) {
            return true;
        }
        let has_room = waiting.len() < MOST;
        if has_room {
            waiting.push_back((alert, announcement, Instant::now()));
        }
        has_room
    }

    /// Writes them as the API server takes them, until `stop`.
    pub(super) async fn run(
        self: Arc<Self>,
        client: Client,
        node: String,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            loop {
                let Some((alert, announcement, since)) = self.lock().pop_front() else { break };
                match announcement.publish(&client, &node, &alert).await {
                    Ok(written) => {
                        metrics.kubernetes_events.inc_by(u64::from(written));
                    }
                    Err(error) if error.may_pass() && since.elapsed() < PATIENCE => {
                        self.lock().push_front((alert, announcement, since));
                        break;
                    }
                    Err(error) => {
                        metrics.dropped_kubernetes_events.inc();
                        warn!(alert = alert.name_any(), error = %Chain(&error), "an alert's Event is given up");
                    }
                }
            }
        }
    }
}
