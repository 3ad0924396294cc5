//! Follows the objects of a kind: a plain watch, whose first whole list is waited for.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::api::Stored;
use crate::telemetry::Metrics;

/// What keeps the objects of the kind `K`.
pub trait Followed<K>: Send + Sync {
    /// The kind in a log line.
    const WHAT: &'static str;

    /// Takes one object in; says whether anything changes by it.
    fn take(&self, object: K) -> bool;

    /// Takes in that the stored object of this name does not fit its kind.
    fn take_malformed(&self, name: String, why: String);

    /// Forgets the objects of the names that are not to be kept.
    fn keep(&self, keep: &dyn Fn(&str) -> bool, metrics: &Metrics);

    /// Puts what was taken in in force.
    fn settle(&self, metrics: &Metrics);
}

/// Says that a watch failed, which goes on by itself.
pub(super) fn watch_failed(what: &str, error: &watcher::Error) {
    match error {
        // An expired watch is part of normal life; the stream lists anew.
        watcher::Error::WatchError(status) if status.code == 410 => debug!("the watch of {what} expired"),
        error => warn!(%error, "the {what} cannot be watched and are tried again"),
    }
}

/// Follows the objects until `stop`. `listed` turns true once the first whole list is in force.
pub async fn follow<K, F>(
    followed: F,
    client: Client,
    metrics: Arc<Metrics>,
    listed: watch::Sender<bool>,
    stop: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    F: Followed<K>,
{
    let api: Api<Stored<K>> = Api::all(client);
    // `watcher` alone retries at once and for ever.
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream.take_until(stop.cancelled_owned()));
    let mut relisted: Option<HashSet<String>> = None;
    let take = |object: Stored<K>| {
        let name = object.name_any();
        match object.0 {
            Ok(object) => followed.take(object),
            Err(error) => {
                warn!(
                    name,
                    error = error.error,
                    "one of the stored {} does not fit its kind and does not apply",
                    F::WHAT
                );
                followed.take_malformed(name, error.error);
                true
            }
        }
    };
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => relisted = Some(HashSet::new()),
            Ok(Event::InitApply(object)) => {
                relisted.get_or_insert_default().insert(object.name_any());
                take(object);
            }
            Ok(Event::InitDone) => {
                // What the list lacks was deleted while nobody watched.
                let present = relisted.take().unwrap_or_default();
                followed.keep(&|name| present.contains(name), &metrics);
                followed.settle(&metrics);
                listed.send_replace(true);
            }
            Ok(Event::Apply(object)) => {
                if take(object) {
                    followed.settle(&metrics);
                }
            }
            Ok(Event::Delete(object)) => {
                let gone = object.name_any();
                followed.keep(&|name| name != gone, &metrics);
                followed.settle(&metrics);
            }
            Err(error) => watch_failed(F::WHAT, &error),
        }
    }
}
