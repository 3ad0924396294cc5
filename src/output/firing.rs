//! The alerts that every Alertmanager should know of: those that last, and those that have just ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::change::AlertFacts;
use crate::api::TriageState;

/// How long the end of an alert is posted.
pub(super) const REMEMBER: Duration = Duration::from_mins(15);

/// An alert to be posted.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) facts: Arc<AlertFacts>,
    /// When it ended.
    pub(super) ended: Option<(Timestamp, Instant)>,
    /// Grows with each start and end, which are posted at once.
    pub(super) turn: u64,
}

/// The alerts that every Alertmanager should know of.
#[derive(Debug, Default)]
pub(super) struct Firing {
    alerts: Mutex<HashMap<String, Posted>>,
    pub(super) changed: watch::Sender<()>,
}

impl Firing {
    /// They, locked.
    pub(super) fn alerts(&self) -> MutexGuard<'_, HashMap<String, Posted>> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An alert is as it is here.
    pub(super) fn see(&self, facts: AlertFacts, now: Instant, time: Timestamp) {
        if facts.state == TriageState::Closed {
            return self.end(&facts.uid, now, time);
        }
        let facts = Arc::new(facts);
        let mut alerts = self.alerts();
        let fresh = || Posted { facts: Arc::clone(&facts), ended: None, turn: 0 };
        let posted = alerts.entry(facts.uid.clone()).or_insert_with(fresh);
        posted.facts = Arc::clone(&facts);
        let starts = posted.turn == 0 || posted.ended.take().is_some();
        posted.turn += u64::from(starts);
        drop(alerts);
        if starts {
            self.changed.send_replace(());
        }
    }

    /// An alert is closed or gone.
    pub(super) fn end(&self, uid: &str, now: Instant, time: Timestamp) {
        let mut alerts = self.alerts();
        alerts.retain(|_, posted| posted.ended.is_none_or(|(_, at)| now.duration_since(at) < REMEMBER));
        let Some(posted) = alerts.get_mut(uid).filter(|posted| posted.ended.is_none()) else { return };
        posted.ended = Some((time, now));
        posted.turn += 1;
        drop(alerts);
        self.changed.send_replace(());
    }

    /// Speaks of no alert any more: another process does.
    pub(super) fn forget(&self) {
        self.alerts().clear();
    }
}
