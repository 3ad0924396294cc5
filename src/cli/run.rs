//! `tripline run`: the operator.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use crate::alert::{Announcement, Bounds, EventTarget};
use crate::app;
use crate::controller::{CriticalExceptions, NamespacedName, Role};
use crate::telemetry::{LogFormat, init_logging};

/// Options of `tripline run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline run --node \"$NODE_NAME\" --state-dir /var/lib/tripline
  tripline run --kubeconfig ~/.kube/config --log-root /tmp/audit --state-dir /tmp/state --log-format text

It reads the logs that the cluster's AuditSources name and judges them by its DetectionRules; its own log goes to
standard error. SIGTERM or SIGINT stops it: what was found and could not be written is kept in the state folder.

Exit codes: 0 stopped when told to, 2 it could not start or failed.")]
pub struct Args {
    /// What this process does
    #[arg(long, value_enum, default_value_t, env = "TRIPLINE_ROLE")]
    role: Role,
    /// Lease to hold while concluding for all; without it, this process takes it that it is the only one
    #[arg(long, value_name = "NAMESPACE/NAME", env = "TRIPLINE_LEASE")]
    lease: Option<NamespacedName>,
    /// Secret of the webhooks, to be filled and renewed by the one that concludes for all
    #[arg(long, value_name = "NAMESPACE/NAME", env = "TRIPLINE_WEBHOOK_SECRET")]
    webhook_secret: Option<NamespacedName>,
    /// Account of Tripline's other role, whose own requests no rule is asked about either
    #[arg(long = "own-account", value_name = "USER", env = "TRIPLINE_OWN_ACCOUNT", value_delimiter = ',')]
    own_accounts: Vec<String>,
    /// Kubeconfig to use instead of the pod's account or the usual file
    #[arg(long, value_name = "FILE", env = "TRIPLINE_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Folder for checkpoints; it must outlive the process
    #[arg(long, value_name = "DIR", default_value = "/var/lib/tripline", env = "TRIPLINE_STATE_DIR")]
    state_dir: PathBuf,
    /// Folder that no log is read outside of
    #[arg(long, value_name = "DIR", default_value = "/var/log", env = "TRIPLINE_LOG_ROOT")]
    log_root: PathBuf,
    /// Folder with tls.crt, tls.key and ca.crt or token, which webhooks are served with
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/etc/tripline/webhook",
        env = "TRIPLINE_WEBHOOK_CREDENTIALS"
    )]
    webhook_credentials: PathBuf,
    /// Name of the node this process reads for; the host's name if not given
    #[arg(long, value_name = "NAME", env = "TRIPLINE_NODE")]
    node: Option<String>,
    /// Name of the cluster, which rules see as orchestrator.cluster.name
    #[arg(long, value_name = "NAME", env = "TRIPLINE_CLUSTER")]
    cluster: Option<String>,
    /// User whose requests no rule is asked about; may be given several times
    #[arg(long = "ignore-user", value_name = "USER", env = "TRIPLINE_IGNORE_USER", value_delimiter = ',')]
    ignore_users: Vec<String>,
    /// Address for /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464", env = "TRIPLINE_LISTEN")]
    listen: SocketAddr,
    /// Object on which a new alert's Kubernetes Event stands
    #[arg(long, value_enum, default_value_t, env = "TRIPLINE_EVENTS")]
    events: EventTarget,
    /// Name user, object and address in Events that everybody in a namespace can read
    #[arg(long, env = "TRIPLINE_EVENT_DETAIL")]
    event_detail: bool,
    /// Most alerts that may be open; closed ones do not count
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 5_000,
        value_parser = clap::value_parser!(u32).range(10..=100_000),
        env = "TRIPLINE_MAX_ALERTS"
    )]
    max_alerts: u32,
    /// Most alerts of one rule that may be open; what comes beyond is counted in the rule's overflow alert
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 500,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        env = "TRIPLINE_MAX_ALERTS_PER_RULE"
    )]
    max_alerts_per_rule: u32,
    /// Alerts written a second while few wait; all that waits is written within half a minute
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=1_000),
        env = "TRIPLINE_ALERTS_PER_SECOND"
    )]
    alerts_per_second: u32,
    /// Whether DetectionExceptions apply to rules of severity Critical; a rule's own exceptions always do
    #[arg(long, value_enum, default_value_t, env = "TRIPLINE_CRITICAL_EXCEPTIONS")]
    critical_exceptions: CriticalExceptions,
    /// Form of the program's own log
    #[arg(long, value_enum, default_value_t, env = "TRIPLINE_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as tripline=debug,kube=info
    #[arg(long, value_name = "FILTER", default_value = "info", env = "TRIPLINE_LOG_LEVEL")]
    log_level: String,
}

pub(super) fn run(args: Args) -> anyhow::Result<Outcome> {
    init_logging(args.log_format, &args.log_level)
        .with_context(|| format!("--log-level {:?} is no filter", args.log_level))?;
    let host = host_name()?;
    let options = app::Options {
        role: args.role,
        lease: args.lease,
        webhook_secret: args.webhook_secret,
        own_accounts: args.own_accounts,
        kubeconfig: args.kubeconfig,
        state_dir: args.state_dir,
        log_root: args.log_root,
        webhook_credentials: args.webhook_credentials,
        node: args.node.unwrap_or_else(|| host.clone()),
        host,
        cluster: args.cluster,
        ignore_users: args.ignore_users,
        listen: args.listen,
        critical_exceptions: args.critical_exceptions,
        announcement: Announcement { target: args.events, detail: args.event_detail },
        bounds: Bounds {
            alerts: args.max_alerts as usize,
            alerts_per_rule: args.max_alerts_per_rule as usize,
        },
        alerts_per_second: args.alerts_per_second,
    };
    // Two threads: the reading threads are outside of this, and API calls mostly wait.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
        let told = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            told.cancel();
        });
        app::run(options, stop).await
    })?;
    Ok(Outcome::Fine)
}

/// The host's name; in a pod the pod's.
fn host_name() -> anyhow::Result<String> {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("the host's name cannot be read")?;
    Ok(name.trim().to_owned())
}
