//! Changes sent to a webhook, one after the other, until it took them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Uri};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::change::{Change, Origin};
use super::error::{QueueError, SendError};
use super::http::{Http, backoff};
use super::queue::Queue;
use super::refused::Refused;
use super::signature::Secrets;
use super::track::Step;
use crate::telemetry::{Chain, Metrics, OutputFailureLabels, OutputLabels};

/// The word for it in metrics.
const OUTPUT: &str = "webhook";
/// The file with the secrets that messages are signed with.
const SECRET: &str = "secret";
/// What a CloudEvent in JSON is called.
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Takes changes in for the webhook. They are on disk when it returns.
#[derive(Clone)]
pub(super) struct ToWebhook {
    /// Where they wait.
    pub(super) queue: Arc<Queue>,
    /// What it counts.
    pub(super) metrics: Arc<Metrics>,
}

impl ToWebhook {
    /// Takes in what there is to tell.
    pub(super) async fn tell(&self, steps: Vec<Step>) {
        let (queue, metrics) = (Arc::clone(&self.queue), Arc::clone(&self.metrics));
        let pushed = tokio::task::spawn_blocking(move || queue.push(&steps)).await;
        let Ok((dropped, outcome)) = pushed else { return };
        if dropped > 0 {
            let labels = OutputFailureLabels { output: OUTPUT, reason: "full" };
            metrics.output_dropped.get_or_create(&labels).inc_by(dropped);
            warn!(dropped, "the webhook's queue is full; the least of what waits was dropped");
        }
        note_disk(&metrics, outcome);
        note_pending(&metrics, &self.queue);
    }
}

/// What is not on disk is in memory, and is written with what follows.
fn note_disk(metrics: &Metrics, outcome: Result<(), QueueError>) {
    if let Err(error) = outcome {
        let labels = OutputFailureLabels { output: OUTPUT, reason: "disk" };
        metrics.output_failures.get_or_create(&labels).inc();
        error!(error = %Chain(&error), "the webhook's queue cannot be written; a kill now would lose what is new in it");
    }
}

fn note_pending(metrics: &Metrics, queue: &Queue) {
    let pending = i64::try_from(queue.len()).unwrap_or(i64::MAX);
    metrics.output_pending.get_or_create(&OutputLabels { output: OUTPUT }).set(pending);
}

/// Sends what waits in a queue.
pub(super) struct WebhookSender {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    uri: Uri,
    http: Http,
    origin: Origin,
    refused: Refused,
    /// Alerts whose change the receiver failed at: how often, and until when others go first.
    held: HashMap<String, (u32, Instant)>,
    failures: u32,
}

impl WebhookSender {
    /// A sender to this address, with the credentials of this folder. What is refused is kept in `refused`.
    pub(super) fn new(
        to: &ToWebhook,
        uri: Uri,
        credentials: PathBuf,
        origin: Origin,
        refused: PathBuf,
    ) -> Self {
        let failures = [&SendError::CATEGORIES[..], &["disk"]].concat();
        to.metrics.start_output(OUTPUT, &failures, &["full", "refused"]);
        note_pending(&to.metrics, &to.queue);
        Self {
            queue: Arc::clone(&to.queue),
            metrics: Arc::clone(&to.metrics),
            uri,
            http: Http::new(Some(credentials)),
            origin,
            refused: Refused::new(refused),
            held: HashMap::new(),
            failures: 0,
        }
    }

    /// Sends until `stop`. Whoever leads: what was taken in is sent to the end.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let now = Instant::now();
            let is_held = |uid: &str| self.held.get(uid).is_some_and(|(_, until)| *until > now);
            let Some((number, change)) = self.queue.take(is_held) else {
                let next = self.held.values().map(|(_, until)| until.duration_since(now));
                let next = next.filter(|wait| !wait.is_zero()).min();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.queue.changed() => {}
                    () = tokio::time::sleep(next.unwrap_or_default()), if next.is_some() => {}
                }
                continue;
            };
            let sent = tokio::select! {
                () = stop.cancelled() => return,
                sent = self.send(&change) => sent,
            };
            if let Some(pause) = self.settle(number, &change, sent).await {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    async fn send(&mut self, change: &Change) -> Result<(), SendError> {
        let path = self.http.path(SECRET);
        let wrong = |wrong| SendError::Credential { path: path.clone(), wrong };
        let secrets = self.http.text(SECRET)?.ok_or_else(|| wrong("no secret: the file is not there"))?;
        let secrets = Secrets::read(&secrets).map_err(|why| wrong(why.0))?;
        let (id, body) = (change.id(), self.origin.change(change));
        // The time of the attempt, so that what somebody recorded cannot be sent again later.
        let timestamp = Timestamp::now().as_second();
        let signature = secrets.sign(&id, timestamp, &body);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ] {
            // A uid is the API server's; the rest is digits and base64.
            let value = HeaderValue::from_str(&value).map_err(|_| wrong("what makes no header"))?;
            headers.insert(name, value);
        }
        self.http.post(&self.uri, CONTENT_TYPE, headers, body).await
    }

    /// Notes what became of an attempt; says how long to wait before the next, if it failed.
    async fn settle(
        &mut self,
        number: u64,
        change: &Change,
        sent: Result<(), SendError>,
    ) -> Option<Duration> {
        let uid = &change.alert.uid;
        match sent {
            Ok(()) => {
                if self.failures > 0 {
                    info!(url = %self.host(), "the webhook takes changes again");
                }
                self.metrics.output_sent.get_or_create(&OutputLabels { output: OUTPUT }).inc();
            }
            Err(error) if error.is_refusal() => {
                let labels = OutputFailureLabels { output: OUTPUT, reason: "refused" };
                self.metrics.output_dropped.get_or_create(&labels).inc();
                let why = Chain(&error).to_string();
                self.refused.keep(&change.id(), &why, self.origin.change(change)).await;
            }
            Err(error) => return Some(self.failed(uid, &error)),
        }
        self.held.remove(uid);
        self.failures = 0;
        let queue = Arc::clone(&self.queue);
        if let Ok(outcome) = tokio::task::spawn_blocking(move || queue.done(number)).await {
            note_disk(&self.metrics, outcome);
        }
        note_pending(&self.metrics, &self.queue);
        None
    }

    fn failed(&mut self, uid: &str, error: &SendError) -> Duration {
        self.queue.put_back();
        let labels = OutputFailureLabels { output: OUTPUT, reason: error.category() };
        self.metrics.output_failures.get_or_create(&labels).inc();
        if self.failures == 0 {
            warn!(why = %Chain(error), "the webhook takes no change; it is tried again until it does");
        }
        self.failures = self.failures.saturating_add(1);
        let wait = error.retry_after().unwrap_or_else(|| backoff(self.failures));
        if error.may_be_the_messages() {
            // One that it always fails at must not stand in the way of all others.
            let (failures, until) = self.held.entry(uid.to_owned()).or_insert((0, Instant::now()));
            *failures = failures.saturating_add(1);
            *until = Instant::now() + wait + backoff(*failures);
        }
        wait
    }

    fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }
}
