//! What a reading thread is told, and what it works with.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::alerts::TriageWrites;
use super::loaded_rules::LoadedRules;
use super::own_requests::IgnoredUsers;
use crate::alert::Ledger;
use crate::api::Evidence;
use crate::event::Stage;
use crate::output::Stdout;
use crate::source::StateFolder;
use crate::telemetry::Metrics;

/// What a reading thread is told about its source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSettings {
    /// The `AuditSource`.
    pub name: String,
    /// The log's path, as the source names it.
    pub path: String,
    /// The cluster's name, for `orchestrator.cluster.name`.
    pub cluster: Option<String>,
    /// The stages the audit policy leaves out.
    pub omitted_stages: Vec<Stage>,
}

/// Everything else a reading thread works with.
#[derive(Clone)]
pub struct Surroundings {
    /// The rules in force.
    pub rules: Arc<ArcSwap<LoadedRules>>,
    /// Where detections go.
    pub ledger: Arc<Ledger>,
    /// Where each of them is told at once, if anywhere.
    pub stdout: Option<Stdout>,
    /// Whose requests are passed over.
    pub ignored: Arc<IgnoredUsers>,
    /// The most of a request that an alert may show.
    pub evidence: Evidence,
    /// Where writes of alerts are told of.
    pub triage: TriageWrites,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Where checkpoints are.
    pub state: Arc<StateFolder>,
}
