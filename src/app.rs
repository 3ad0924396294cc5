//! The running operator: what is wired to what, and in which order it starts and stops.
//!
//! Start: state folder, health endpoint, cluster checked, existing alerts read, rules compiled, sources opened. Reading
//! begins last, so that no record is judged by less than all the rules. Stop: reading, then the writes on their way,
//! then a last checkpoint that holds what was not written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::alert::{Announcement, Chain, Ledger, Rejected, Writer};
use crate::controller::{
    IgnoredUsers, Reader, Readers, RuleStatuses, Rules, SourceStatuses, Surroundings, wait_until_ready,
};
use crate::source::StateFolder;
use crate::telemetry::{Health, Metrics, serve};

/// How long the last writes may take after a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// What `tripline run` is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// A kubeconfig; none means in-cluster, then the usual file.
    pub kubeconfig: Option<PathBuf>,
    /// Where checkpoints are kept.
    pub state_dir: PathBuf,
    /// The folder no log is read outside of.
    pub log_root: PathBuf,
    /// The node this process reads for.
    pub node: String,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Users whose requests are passed over.
    pub ignore_users: Vec<String>,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// How alerts are announced.
    pub announcement: Announcement,
}

/// Runs the operator until `stop`.
///
/// # Errors
/// When something that only a person can mend keeps it from starting.
pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let state = StateFolder::open(&options.state_dir)
        .with_context(|| format!("the state folder {} cannot be used", options.state_dir.display()))?;
    let client = client(options.kubeconfig.as_deref()).await?;
    let metrics = Arc::new(Metrics::new());
    let health = Health::default();
    health.not_ready("rules", "not yet read");
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("health and metrics cannot be served on {}", options.listen))?;
    info!(version = env!("CARGO_PKG_VERSION"), listen = %listener.local_addr()?, node = options.node, "starting");

    // The endpoint outlives everything else, so that a slow stop can be watched.
    let served = CancellationToken::new();
    let endpoint =
        tokio::spawn(serve(listener, health.clone(), metrics.registry(), served.clone().cancelled_owned()));
    let outcome = operate(options, client, state, &metrics, &health, &stop).await;
    served.cancel();
    endpoint.await?.context("the health endpoint failed")?;
    outcome
}

async fn operate(
    options: Options,
    client: Client,
    state: StateFolder,
    metrics: &Arc<Metrics>,
    health: &Health,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(account) = wait_until_ready(&client, health, stop).await else {
        return Ok(());
    };
    let ledger = Arc::new(Ledger::new(&options.node));
    let writer = Arc::new(Writer {
        client: client.clone(),
        ledger: Arc::clone(&ledger),
        announcement: options.announcement,
        rejected: Rejected::new(options.state_dir.join("rejected-alerts.jsonl")),
        metrics: Arc::clone(metrics),
    });
    if !learn_alerts(&writer, health, stop).await {
        return Ok(());
    }

    let tasks = TaskTracker::new();
    let rules = Arc::new(Rules::default());
    let (listed, mut is_listed) = watch::channel(false);
    tasks.spawn(Arc::clone(&rules).follow(client.clone(), Arc::clone(metrics), listed, stop.child_token()));
    tokio::select! {
        () = stop.cancelled() => {}
        _ = is_listed.wait_for(|listed| *listed) => health.ready("rules"),
    }

    let around = Surroundings {
        rules: rules.loaded(),
        ledger: Arc::clone(&ledger),
        ignored: Arc::new(IgnoredUsers { own_account: Some(account), users: options.ignore_users }),
        metrics: Arc::clone(metrics),
        state: Arc::new(state),
    };
    let readers = Arc::new(Readers::new(around, options.log_root, options.cluster));
    let writing = CancellationToken::new();
    let written = tokio::spawn(Arc::clone(&writer).run(writing.clone()));
    let status_client = client.clone();
    tasks.spawn(
        RuleStatuses {
            client: status_client.clone(),
            rules,
            readers: Arc::clone(&readers),
            ledger,
            metrics: Arc::clone(metrics),
        }
        .run(stop.child_token()),
    );
    let statuses = SourceStatuses {
        client: status_client,
        node: options.node,
        readers: Arc::clone(&readers),
        metrics: Arc::clone(metrics),
    };
    tasks.spawn(statuses.run(stop.child_token()));

    let stopped_readers = readers.follow(client, stop.child_token()).await;
    info!("stopping");
    writing.cancel();
    tasks.close();
    let rest = async {
        tasks.wait().await;
        written.await
    };
    match tokio::time::timeout(STOP_PATIENCE, rest).await {
        Ok(ended) => ended.context("the writer failed")?,
        Err(_) => warn!("some writes did not end in time; they are in the checkpoint"),
    }
    // Last, so that it holds neither more nor less than what is still to be written.
    tokio::task::spawn_blocking(move || stopped_readers.into_iter().for_each(Reader::finish)).await?;
    info!("stopped");
    Ok(())
}

/// Reads which alerts exist, again and again until it works; says false when told to stop before.
async fn learn_alerts(writer: &Writer, health: &Health, stop: &CancellationToken) -> bool {
    loop {
        match writer.learn_existing().await {
            Ok(()) => {
                health.ready("alerts");
                return true;
            }
            Err(error) => {
                let why = Chain(&error).to_string();
                warn!(why, "the existing alerts cannot be read; trying again");
                health.not_ready("alerts", why);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
}

/// A client: by the named kubeconfig, else in-cluster, else by the usual kubeconfig.
async fn client(kubeconfig: Option<&std::path::Path>) -> anyhow::Result<Client> {
    let options = KubeConfigOptions::default();
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("the kubeconfig {} cannot be read", path.display()))?;
            Config::from_custom_kubeconfig(file, &options).await.context("the kubeconfig cannot be used")?
        }
        None => match Config::incluster() {
            Ok(config) => config,
            Err(in_cluster) => Config::from_kubeconfig(&options).await.with_context(|| {
                format!("no cluster to talk to: not in a pod ({in_cluster}), and no usable kubeconfig; give --kubeconfig")
            })?,
        },
    };
    // kube's own retry would hold a write for up to a quarter of an hour; every caller here has its own.
    config.default_retry = false;
    let agent = format!("tripline/{}", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::try_from(agent)?));
    Client::try_from(config).context("the client cannot be made")
}
