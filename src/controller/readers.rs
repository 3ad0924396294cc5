//! Follows the `AuditSource`s of the cluster: a reading thread for each that this node reads.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::follow::watch_failed;
use super::progress::{SharedReport, Trouble};
use super::reader::Reader;
use super::reader_thread::ReaderThread;
use super::reading::Reading;
use crate::api::{AuditSource, Stored};
use crate::source::SharedIntake;
use crate::telemetry::Chain;

/// How often the threads are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A source as its status needs it.
pub struct SourceEntry {
    /// The object as last seen.
    pub object: AuditSource,
    /// Whether this process reads it.
    pub selected: bool,
    /// What its thread reports.
    pub report: SharedReport,
    /// How receiving goes, where this process receives.
    pub intake: Option<SharedIntake>,
    /// Why it does not receive although it should.
    pub unreceived: Option<Trouble>,
}

struct Source {
    object: AuditSource,
    selected: bool,
    report: SharedReport,
    thread: Option<ReaderThread>,
    unreceived: Option<Trouble>,
}

/// The sources of the cluster and their reading threads.
pub struct Readers {
    /// None where this process reads nothing, and only follows the sources for their statuses.
    reading: Option<Reading>,
    sources: Mutex<BTreeMap<String, Source>>,
    changed: Notify,
}

impl Readers {
    /// No threads yet.
    pub fn new(reading: Option<Reading>) -> Self {
        Self { reading, sources: Mutex::default(), changed: Notify::new() }
    }

    /// Resolves when a source has changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The sources, for their statuses.
    pub fn entries(&self) -> Vec<SourceEntry> {
        let entry = |s: &Source| SourceEntry {
            object: s.object.clone(),
            selected: s.selected,
            report: s.report.clone(),
            intake: self.reading.as_ref().and_then(|reading| reading.receivers.intake(&s.object.name_any())),
            unreceived: s.unreceived.clone(),
        };
        self.lock().values().map(entry).collect()
    }

    /// What each thread reports, by source.
    pub fn reports(&self) -> Vec<(String, SharedReport)> {
        let sources = self.lock();
        let selected = sources.iter().filter(|(_, source)| source.selected);
        selected.map(|(name, source)| (name.clone(), source.report.clone())).collect()
    }

    /// Notes the object as the API server had it once its status was written, based on what had the version `base`.
    /// Where the watch has brought something else since, that is as new or newer, and nothing would bring it again.
    pub fn note_written(&self, base: Option<&str>, object: AuditSource) {
        if let Some(source) = self.lock().get_mut(&object.name_any())
            && source.object.metadata.resource_version.as_deref() == base
        {
            source.object = object;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the sources until `stop`, then stops the threads and returns their readers. What is sent is received at
    /// once; logs are read only when `judges` says that all rules are there.
    pub async fn follow(
        self: Arc<Self>,
        client: Client,
        mut judges: watch::Receiver<bool>,
        stop: CancellationToken,
    ) -> Vec<Reader> {
        let api: Api<Stored<AuditSource>> = Api::all(client.clone());
        let mut stream = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut relisted: HashSet<String> = HashSet::new();
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let judging = *judges.borrow();
            let event = tokio::select! {
                () = stop.cancelled() => break,
                _ = look.tick() => {
                    self.look_after(&client, judging).await;
                    continue;
                }
                Ok(()) = judges.changed() => {
                    look.reset_immediately();
                    continue;
                }
                event = stream.next() => event,
            };
            match event {
                None => break,
                Some(Ok(Event::Init)) => relisted.clear(),
                Some(Ok(Event::InitApply(source))) => {
                    relisted.insert(source.name_any());
                    self.take(&client, source, judging).await;
                }
                Some(Ok(Event::InitDone)) => {
                    let gone: Vec<_> =
                        self.lock().keys().filter(|name| !relisted.contains(*name)).cloned().collect();
                    for name in gone {
                        self.remove(&name).await;
                    }
                    if let Some(reading) = &self.reading {
                        reading.receivers.retain(&relisted).await;
                    }
                }
                Some(Ok(Event::Apply(source))) => self.take(&client, source, judging).await,
                Some(Ok(Event::Delete(source))) => self.remove(&source.name_any()).await,
                Some(Err(error)) => watch_failed("sources", &error),
            }
        }
        if let Some(reading) = &self.reading {
            reading.receivers.stop().await;
        }
        let threads: Vec<_> = self.lock().values_mut().filter_map(|source| source.thread.take()).collect();
        let mut readers = Vec::new();
        for thread in threads {
            readers.extend(thread.stop().await);
        }
        readers
    }

    async fn take(&self, client: &Client, object: Stored<AuditSource>, judges: bool) {
        let name = object.name_any();
        let mut object = match object.0 {
            Ok(object) => object,
            Err(error) => {
                warn!(
                    source = name,
                    error = error.error,
                    "the stored source does not fit its kind and is not read"
                );
                return;
            }
        };
        object.metadata.managed_fields = None;
        let Some(reading) = &self.reading else {
            let (report, thread, unreceived) = (SharedReport::default(), None, None);
            self.lock().insert(name, Source { object, selected: false, report, thread, unreceived });
            self.changed.notify_one();
            return;
        };
        let selection = reading.is_selected(client, &object).await;
        let settings = reading.settings(&object);
        // What runs goes on while it is not known whether it should.
        let unreceived = match &selection {
            Ok(wanted) => reading.receivers.take(&object, *wanted).await.err(),
            Err(_) => None,
        };
        let running = self.lock().get_mut(&name).and_then(|source| {
            let wanted = !matches!(selection, Ok(false));
            let keep = source.thread.as_ref().is_some_and(|t| wanted && t.is_for(&settings));
            if keep {
                source.object = object.clone();
                source.unreceived.clone_from(&unreceived);
                None
            } else {
                Some(source.thread.take())
            }
        });
        match running {
            None if self.lock().get(&name).is_some_and(|source| source.thread.is_some()) => {
                return;
            }
            Some(Some(thread)) => thread.retire().await,
            _ => {}
        }
        let report = SharedReport::default();
        let selected = !matches!(selection, Ok(false));
        let started = match selection {
            Ok(true) if judges => reading.start(&object, settings, &report).map(Some),
            Ok(_) => Ok(None),
            Err(error) => Err(Trouble::unreadable(format!(
                "the labels of this node could not be read: {}",
                Chain(&error)
            ))),
        };
        let before = self.lock().get(&name).and_then(|source| source.report.lock().trouble.clone());
        let thread = started.unwrap_or_else(|trouble| {
            // It is tried again every second; once is enough to say it.
            if before.as_ref() != Some(&trouble) {
                let Trouble { reason, message } = &trouble;
                warn!(source = name, reason, why = message, "the source cannot be read");
            }
            report.lock().trouble = Some(trouble);
            None
        });
        self.lock().insert(name, Source { object, selected, report, thread, unreceived });
        self.changed.notify_one();
    }

    /// Starts again what ended by itself or could not start.
    async fn look_after(&self, client: &Client, judges: bool) {
        let ended: Vec<_> = {
            let mut sources = self.lock();
            let selected = sources.values_mut().filter(|source| source.selected);
            let ended = selected.filter(|source| {
                let is_fine =
                    self.reading.as_ref().is_none_or(|reading| reading.receivers.is_fine(&source.object));
                !is_fine || source.thread.as_ref().map_or(judges, ReaderThread::has_ended)
            });
            ended
                .map(|source| {
                    let thread = source.thread.take_if(|thread| thread.has_ended());
                    (source.object.clone(), thread)
                })
                .collect()
        };
        for (object, thread) in ended {
            if let Some(thread) = thread {
                error!(
                    source = object.name_any(),
                    "the reading thread ended; it starts again at its checkpoint"
                );
                thread.retire().await;
            }
            self.take(client, Stored(Ok(object)), judges).await;
        }
    }

    async fn remove(&self, name: &str) {
        let Some(removed) = self.lock().remove(name) else { return };
        if let Some(reading) = &self.reading {
            reading.receivers.end(name).await;
        }
        if let Some(thread) = removed.thread {
            info!(source = name, "the source is gone; reading ends");
            thread.retire().await;
        }
    }
}
