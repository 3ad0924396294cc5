//! The outputs together, as a process has them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Uri;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::alertmanager::AlertmanagerSender;
use super::change::{AlertFacts, ChangeKind, Origin};
use super::error::QueueError;
use super::firing::Firing;
use super::queue::{Limits, Queue};
use super::stdout::Stdout;
use super::track::{Step, Tracker};
use super::webhook::{ToWebhook, WebhookSender};
use crate::api::SecurityAlert;
use crate::telemetry::Metrics;

/// The folder of the webhook's queue, in the state folder.
const FOLDER: &str = "output-webhook";
/// How much of a list is gathered for one write.
const GATHERED: usize = 256;
/// The file of what the webhook refused, in the same.
const REFUSED: &str = "output-webhook/refused.jsonl";

/// Where alerts go besides the API.
#[derive(Clone, Debug, Default)]
pub struct OutputSettings {
    /// Whether lines are written to standard output.
    pub stdout: bool,
    /// How long an alert's further matches are gathered before they are told.
    pub count_interval: Duration,
    /// The Alertmanagers.
    pub alertmanagers: Alertmanagers,
    /// The webhook.
    pub webhook: Option<WebhookTarget>,
}

/// Alertmanagers with the same credentials, each of which gets every alert.
#[derive(Clone, Debug, Default)]
pub struct Alertmanagers {
    /// Their addresses, without the path of the API.
    pub urls: Vec<Uri>,
    /// The folder of `ca.crt`, and `token` or `username` and `password`.
    pub credentials: Option<PathBuf>,
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct WebhookTarget {
    /// Its address.
    pub url: Uri,
    /// The folder of `secret` and `ca.crt`.
    pub credentials: PathBuf,
}

impl OutputSettings {
    /// Whether changes of alerts go anywhere.
    pub fn tells_changes(&self) -> bool {
        self.stdout || !self.alertmanagers.urls.is_empty() || self.webhook.is_some()
    }
}

/// Takes in how alerts are, and tells what changed.
pub struct Outputs {
    tracker: Tracker,
    stdout: Option<Stdout>,
    firing: Option<Arc<Firing>>,
    webhook: Option<ToWebhook>,
    /// What the webhook is to be told. While a list is read it is gathered, for each write waits for the disk.
    gathered: Vec<Step>,
    lists: bool,
}

/// What sends, and goes on whether this process leads or not.
pub struct Senders {
    webhook: Option<WebhookSender>,
    alertmanagers: Vec<AlertmanagerSender>,
}

impl Outputs {
    /// The outputs of these settings. The webhook's queue is in `state`.
    ///
    /// # Errors
    /// When the queue cannot be opened.
    pub fn open(
        settings: &OutputSettings,
        state: Option<&Path>,
        origin: &Origin,
        stdout: Option<Stdout>,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Senders), QueueError> {
        let Alertmanagers { urls, credentials } = &settings.alertmanagers;
        let firing: Arc<Firing> = Arc::default();
        let alertmanager = |url: &Uri| {
            let (firing, metrics) = (Arc::clone(&firing), Arc::clone(metrics));
            AlertmanagerSender::new(firing, api(url), credentials.clone(), origin.clone(), metrics)
        };
        let alertmanagers: Vec<_> = urls.iter().map(alertmanager).collect();
        let (mut told, mut sender, mut webhook) = ((Vec::new(), false), None, None);
        if let Some((target, state)) = settings.webhook.as_ref().zip(state) {
            let queue = Arc::new(Queue::open(&state.join(FOLDER), Limits::default())?);
            told = queue.told();
            let to = ToWebhook { queue, metrics: Arc::clone(metrics) };
            let WebhookTarget { url, credentials } = target.clone();
            sender = Some(WebhookSender::new(&to, url, credentials, origin.clone(), state.join(REFUSED)));
            webhook = Some(to);
        }
        let outputs = Self {
            tracker: Tracker::new(told.0, told.1, settings.count_interval),
            stdout,
            firing: (!alertmanagers.is_empty()).then_some(firing),
            webhook,
            gathered: Vec::new(),
            lists: false,
        };
        Ok((outputs, Senders { webhook: sender, alertmanagers }))
    }

    /// A list of all alerts begins.
    pub fn begin_list(&mut self) {
        self.lists = true;
        self.tracker.begin_list();
    }

    /// An alert is there that cannot be read.
    pub fn note_present(&mut self, uid: String) {
        self.tracker.note_present(uid);
    }

    /// The list is whole.
    pub async fn end_list(&mut self) {
        self.lists = false;
        let steps = self.tracker.end_list(Timestamp::now());
        self.tell(steps).await;
    }

    /// An alert is as it is here.
    pub async fn see(&mut self, alert: &SecurityAlert) {
        let (now, time) = (Instant::now(), Timestamp::now());
        if let (Some(firing), Some(facts)) = (&self.firing, AlertFacts::of(alert)) {
            firing.see(facts, now, time);
        }
        let steps = self.tracker.see(alert, now, time);
        self.tell(steps).await;
    }

    /// An alert is gone.
    pub async fn forget(&mut self, uid: &str) {
        let steps = self.tracker.forget(uid, Timestamp::now());
        self.tell(steps.into_iter().collect()).await;
    }

    /// Tells the counts that may be told by now.
    pub async fn tell_due(&mut self) {
        let steps = self.tracker.due(Instant::now(), Timestamp::now());
        self.tell(steps).await;
    }

    /// When the next count may be told, if one waits.
    pub fn next_due(&self) -> Option<Instant> {
        self.tracker.next_due()
    }

    /// Another process tells from now on.
    pub async fn pause(&mut self) {
        self.lists = false;
        self.tell(Vec::new()).await;
        if let Some(firing) = &self.firing {
            firing.forget();
        }
    }

    async fn tell(&mut self, steps: Vec<Step>) {
        // Before anything is waited for: whoever asks may not stay for the end.
        if self.webhook.is_some() {
            self.gathered.extend(steps.iter().cloned());
        }
        let changes = steps.into_iter().filter_map(|step| match step {
            Step::Tell(change) => Some(change),
            Step::Learn(_) | Step::Listed => None,
        });
        for change in changes {
            if change.kind == ChangeKind::Deleted
                && let Some(firing) = &self.firing
            {
                firing.end(&change.alert.uid, Instant::now(), change.time);
            }
            if let Some(stdout) = &self.stdout {
                stdout.change(change).await;
            }
        }
        if let Some(webhook) = &self.webhook
            && !self.gathered.is_empty()
            && (!self.lists || self.gathered.len() >= GATHERED)
        {
            webhook.tell(std::mem::take(&mut self.gathered)).await;
        }
    }
}

impl Senders {
    /// Starts all of them by `spawn`; they end with `stop`.
    pub fn start(self, stop: &CancellationToken, mut spawn: impl FnMut(BoxFuture<'static, ()>)) {
        for sender in self.alertmanagers {
            spawn(sender.run(stop.child_token()).boxed());
        }
        if let Some(sender) = self.webhook {
            spawn(sender.run(stop.child_token()).boxed());
        }
    }
}

/// The address of an Alertmanager's API, which may be beneath a prefix.
fn api(url: &Uri) -> Uri {
    let mut parts = url.clone().into_parts();
    let path = format!("{}/api/v2/alerts", url.path().trim_end_matches('/'));
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_beneath_what_was_given() {
        for (url, wanted) in [
            ("http://am:9093", "http://am:9093/api/v2/alerts"),
            ("https://am/prefix/", "https://am/prefix/api/v2/alerts"),
        ] {
            assert_eq!(api(&Uri::from_static(url)), wanted);
        }
    }
}
