//! What it takes to read the logs of this node: starting a source's thread where its checkpoint left off.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, ResourceExt as _};
use tracing::{error, info};

use super::progress::{Progress, SharedReport, Trouble};
use super::reader_thread::ReaderThread;
use super::receivers::Receivers;
use super::surroundings::{SourceSettings, Surroundings};
use crate::alert::{WriteError, call};
use crate::api::{AuditSource, AuditStage, StartAt};
use crate::event::Stage;
use crate::source::{self, FilePosition, FileSource, Loaded, LogRoot, SPOOL_LOG, WEBHOOK_PATH, Wakeup};
use crate::telemetry::Chain;

/// What it takes to read.
pub struct Reading {
    around: Surroundings,
    log_root: PathBuf,
    cluster: Option<String>,
    pub(super) receivers: Receivers,
    /// Sources (name and path) whose checkpoint was put back into the ledger since the process began.
    restored: Mutex<HashSet<(String, String)>>,
}

impl Reading {
    /// `log_root` is the folder no log is read outside of; `cluster` the name of sources that give none.
    pub fn new(
        around: Surroundings,
        log_root: PathBuf,
        cluster: Option<String>,
        receivers: Receivers,
    ) -> Self {
        Self { around, log_root, cluster, receivers, restored: Mutex::default() }
    }

    /// Whether this node's labels fit the source's selector.
    pub(super) async fn is_selected(
        &self,
        client: &Client,
        object: &AuditSource,
    ) -> Result<bool, WriteError> {
        let selector = &object.spec.node_selector;
        if selector.is_empty() {
            return Ok(true);
        }
        let nodes: Api<Node> = Api::all(client.clone());
        let node = call("this node's labels", nodes.get_metadata_opt(self.around.ledger.node())).await?;
        let labels = node.map(|node| node.labels().clone()).unwrap_or_default();
        Ok(selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
    }

    pub(super) fn settings(&self, object: &AuditSource) -> SourceSettings {
        let spec = &object.spec;
        SourceSettings {
            name: object.name_any(),
            path: path_of(object).to_owned(),
            cluster: spec.cluster.clone().or_else(|| self.cluster.clone()),
            omitted_stages: spec.omit_stages.iter().map(|stage| stage_of(*stage)).collect(),
        }
    }

    /// Starts a source's thread where its checkpoint left off.
    pub(super) fn start(
        &self,
        object: &AuditSource,
        settings: SourceSettings,
        report: &SharedReport,
    ) -> Result<ReaderThread, Trouble> {
        let (name, path) = (settings.name.clone(), settings.path.clone());
        // What was received is a log like any other, read from its start.
        let (root, log, first) = match object.spec.webhook {
            Some(_) => (self.around.state.spool_of(&name), SPOOL_LOG, StartAt::Start),
            None => (self.log_root.clone(), path.as_str(), object.spec.start_at),
        };
        let root = LogRoot::open(root).map_err(|error| Trouble::of(&error))?;
        let folder = root.folder_of(log).map_err(|error| Trouble::of(&error))?;
        let resume = self.resume(object, &name, &path, report)?;
        let start_at = match first {
            StartAt::End => source::StartAt::End,
            StartAt::Start => source::StartAt::Start,
            StartAt::LastSeconds => {
                source::StartAt::LastSeconds(object.spec.last_seconds.unwrap_or_default().unsigned_abs())
            }
        };
        let file = FileSource::new(root, log, start_at, Timestamp::now(), resume);
        let wakeup = Wakeup::new(folder)
            .map_err(|error| Trouble::unreadable(format!("nothing can wake its reader: {error}")))?;
        let thread = ReaderThread::start(settings, self.around.clone(), file, wakeup, report.clone())?;
        info!(source = name, path, "reading");
        Ok(thread)
    }

    /// Takes in what a source's checkpoint holds; gives where reading goes on.
    fn resume(
        &self,
        object: &AuditSource,
        name: &str,
        path: &str,
        report: &SharedReport,
    ) -> Result<Option<FilePosition>, Trouble> {
        let loaded = self.around.state.load::<Progress>(name, path);
        let loaded = loaded.map_err(|error| Trouble::unreadable(Chain(&error).to_string()))?;
        // What was pending when the process began is put back once: after that the ledger itself knows better.
        let key = (name.to_owned(), path.to_owned());
        let first = self.restored.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        match loaded {
            Loaded::None => {
                let node = self.around.ledger.node();
                let agents = object.status.iter().flat_map(|status| &status.agents);
                if let Some(agent) =
                    agents.into_iter().find(|a| a.name == node && a.path == path && !a.stream.is_empty())
                {
                    let what = format!(
                        "the checkpoint is gone; the log was read up to {} bytes of stream {}",
                        agent.offset, agent.stream
                    );
                    error!(source = name, what, "reading begins as for the first time");
                    report.lock().counts.count_gap(what, Timestamp::now());
                }
                Ok(None)
            }
            Loaded::Found(checkpoint) => {
                if first {
                    self.around.ledger.restore(checkpoint.found.pending);
                }
                report.lock().counts = checkpoint.found.counts;
                Ok(checkpoint.position)
            }
            Loaded::Unreadable { why, kept_as } => {
                let kept_as = kept_as.display();
                error!(source = name, why, %kept_as, "the checkpoint cannot be used; reading begins as for the first time");
                let what = format!("the checkpoint cannot be used: {why}");
                report.lock().counts.count_gap(what, Timestamp::now());
                Ok(None)
            }
        }
    }
}

/// The path of a source's log, or what stands for it.
pub(super) fn path_of(object: &AuditSource) -> &str {
    match (&object.spec.file, &object.spec.webhook) {
        (_, Some(_)) => WEBHOOK_PATH,
        (Some(file), None) => &file.path,
        (None, None) => "",
    }
}

fn stage_of(stage: AuditStage) -> Stage {
    match stage {
        AuditStage::RequestReceived => Stage::RequestReceived,
        AuditStage::ResponseStarted => Stage::ResponseStarted,
        AuditStage::ResponseComplete => Stage::ResponseComplete,
        AuditStage::Panic => Stage::Panic,
    }
}
