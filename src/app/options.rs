//! What the operator is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::alert::{Announcement, Bounds};
use crate::api::Evidence;
use crate::controller::{CriticalExceptions, NamespacedName, Retention, Role};
use crate::output::OutputSettings;

/// What `tripline run` is told.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What this process does.
    pub role: Role,
    /// The lease of the one that concludes for all; without it, this process does.
    pub lease: Option<NamespacedName>,
    /// The Secret of the webhooks, which this process keeps while it concludes for all; none where somebody else does.
    pub webhook_secret: Option<NamespacedName>,
    /// The accounts of Tripline's other roles.
    pub own_accounts: Vec<String>,
    /// The name of the host or pod.
    pub host: String,
    /// A kubeconfig; none means in-cluster, then the usual file.
    pub kubeconfig: Option<PathBuf>,
    /// Where checkpoints are kept.
    pub state_dir: PathBuf,
    /// The folder no log is read outside of.
    pub log_root: PathBuf,
    /// The folder of what webhooks are served with.
    pub webhook_credentials: PathBuf,
    /// The node this process reads for.
    pub node: String,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Users whose requests are passed over.
    pub ignore_users: Vec<String>,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// Where Tripline is deployed, if it watches over itself.
    pub deployment: Option<Deployment>,
    /// Whether `DetectionException`s apply to Critical rules.
    pub critical_exceptions: CriticalExceptions,
    /// How alerts are announced.
    pub announcement: Announcement,
    /// The most of a request that an alert may show.
    pub evidence: Evidence,
    /// How many alerts may be open.
    pub bounds: Bounds,
    /// How many alerts are written a second while few wait.
    pub alerts_per_second: u32,
    /// How long and how many alerts are kept.
    pub retention: Retention,
    /// Where they go besides the API.
    pub outputs: OutputSettings,
}

/// How Tripline is deployed.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// Where its workloads are.
    pub namespace: String,
    /// What the names of its pods and of its cluster-wide objects begin with.
    pub name: String,
    /// Users who may change its configuration.
    pub deployers: Vec<String>,
}
