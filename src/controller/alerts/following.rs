//! The one watch of all alerts that the leader has: the index and the outputs are told of what it brings, in this order,
//! since outputs may take their time.

use std::collections::HashSet;
use std::time::Instant;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tracing::warn;

use super::super::follow::watch_failed;
use super::index::AlertIndex;
use crate::api::{SecurityAlert, Stored};
use crate::output::Outputs;

/// Follows the alerts for ever. It may be dropped at any moment: what was seen and not yet told is in the outputs.
pub(super) async fn follow(client: Client, index: &AlertIndex, outputs: Option<&mut Outputs>) {
    let api: Api<Stored<SecurityAlert>> = Api::all(client);
    // `watcher` alone retries at once and for ever.
    let mut stream = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut told = Told { index, outputs, listed: HashSet::new() };
    loop {
        let due = told.outputs.as_ref().and_then(|outputs| outputs.next_due());
        tokio::select! {
            event = stream.next() => match event {
                Some(event) => told.take(event).await,
                None => return,
            },
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                if let Some(outputs) = &mut told.outputs {
                    outputs.tell_due().await;
                }
            }
        }
    }
}

/// Who is told of what the watch brings.
struct Told<'a> {
    index: &'a AlertIndex,
    outputs: Option<&'a mut Outputs>,
    /// The names of the alerts seen since a list began.
    listed: HashSet<String>,
}

impl Told<'_> {
    async fn take(&mut self, event: watcher::Result<Event<Stored<SecurityAlert>>>) {
        match event {
            Ok(Event::Init) => {
                self.listed.clear();
                if let Some(outputs) = &mut self.outputs {
                    outputs.begin_list();
                }
            }
            Ok(Event::InitApply(alert)) => {
                self.listed.insert(alert.name_any());
                self.see(alert, false).await;
            }
            Ok(Event::InitDone) => {
                self.index.end_list(&std::mem::take(&mut self.listed));
                if let Some(outputs) = &mut self.outputs {
                    outputs.end_list().await;
                }
            }
            Ok(Event::Apply(alert)) => self.see(alert, true).await,
            Ok(Event::Delete(alert)) => {
                self.index.drop_name(&alert.name_any());
                if let Some(outputs) = &mut self.outputs {
                    outputs.forget(&alert.uid().unwrap_or_default()).await;
                }
            }
            Err(error) => watch_failed("alerts", &error),
        }
    }

    /// `is_live` where every version of the alert is seen, and this is the next.
    async fn see(&mut self, alert: Stored<SecurityAlert>, is_live: bool) {
        let (name, uid) = (alert.name_any(), alert.uid().unwrap_or_default());
        match alert.0 {
            Ok(alert) => {
                self.index.take(&alert, is_live, Timestamp::now());
                if let Some(outputs) = &mut self.outputs {
                    outputs.see(&alert).await;
                }
            }
            Err(error) => {
                let error = error.error;
                warn!(
                    alert = name,
                    error, "a stored alert does not fit its kind; it is left alone and not told"
                );
                self.index.drop_name(&name);
                if let Some(outputs) = &mut self.outputs {
                    outputs.note_present(uid);
                }
            }
        }
    }
}
