//! `tripline run`: the operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::load::{Installation, evidence_parser};
use super::output_args::OutputArgs;
use crate::alert::{Announcement, Bounds};
use crate::api::{EventTarget, Evidence};
use crate::app;
use crate::controller::{NamespacedName, Retention, Role};
use crate::telemetry::{LogFormat, init_logging};

/// Ten years: whoever wants alerts for longer has an archive.
const MOST_SECONDS: u64 = 315_360_000;

/// Options of `tripline run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline run --node \"$NODE_NAME\" --state-dir /var/lib/tripline
  tripline run --kubeconfig ~/.kube/config --log-root /tmp/audit --state-dir /tmp/state

It reads the logs that the cluster's AuditSources name and judges them by its DetectionRules; its own log goes to \
standard error. SIGTERM or SIGINT stops it: what was found and could not be written is kept in the state folder.

Exit codes: 0 stopped when told to, 2 it could not start or failed.")]
pub(super) struct Args {
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
    /// Namespace that Tripline is deployed in; with --own-name it watches over itself: who else uses its accounts or
    /// changes its configuration raises an alert
    #[arg(long, value_name = "NAMESPACE", requires = "own_name", env = "TRIPLINE_OWN_NAMESPACE")]
    own_namespace: Option<String>,
    /// What the names of Tripline's pods and cluster-wide objects begin with
    #[arg(long, value_name = "NAME", requires = "own_namespace", env = "TRIPLINE_OWN_NAME")]
    own_name: Option<String>,
    /// User who may change Tripline's configuration without an alert; may be given several times
    #[arg(long = "deployer", value_name = "USER", env = "TRIPLINE_DEPLOYER", value_delimiter = ',')]
    deployers: Vec<String>,
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
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "object",
        value_parser = PossibleValuesParser::new(["object", "alert", "none"]).map(|text| event_target(&text)),
        env = "TRIPLINE_EVENTS"
    )]
    events: EventTarget,
    /// Name user, object and address in Events that everybody in a namespace can read
    #[arg(long, env = "TRIPLINE_EVENT_DETAIL")]
    event_detail: bool,
    /// Most of a request that an alert may show, whatever a rule asks for
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "Metadata",
        value_parser = evidence_parser(),
        env = "TRIPLINE_EVIDENCE"
    )]
    evidence: Evidence,
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
    /// Seconds that a closed alert is kept, from when it was closed
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800, env = "TRIPLINE_RETAIN_CLOSED",
          value_parser = clap::value_parser!(u64).range(1..=MOST_SECONDS))]
    retain_closed: u64,
    /// Seconds that an alert which is not closed is kept, from its last match
    #[arg(long, value_name = "SECONDS", default_value_t = 7_776_000, env = "TRIPLINE_RETAIN_OPEN",
          value_parser = clap::value_parser!(u64).range(1..=MOST_SECONDS))]
    retain_open: u64,
    #[command(flatten)]
    outputs: OutputArgs,
    #[command(flatten)]
    installation: Installation,
    /// Form of the program's own log
    #[arg(long, value_enum, default_value_t, env = "TRIPLINE_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as tripline=debug,kube=info
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = filter, env = "TRIPLINE_LOG_LEVEL")]
    log_level: String,
}

/// A bare word is a target to the library, which with all its levels would be the only one that is logged.
fn filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |part: &str| LEVELS.iter().any(|level| part.trim().eq_ignore_ascii_case(level));
    match text.split(',').find(|part| !part.contains('=') && !is_level(part)) {
        Some(part) => Err(format!("no level {part:?}: write one of {}, or TARGET=LEVEL", LEVELS.join(", "))),
        None => Ok(text.to_owned()),
    }
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
        deployment: args.own_namespace.zip(args.own_name).map(|(namespace, name)| app::Deployment {
            namespace,
            name,
            deployers: args.deployers,
        }),
        ignore_users: args.ignore_users,
        listen: args.listen,
        outputs: args.outputs.settings(),
        critical_exceptions: args.installation.critical_exceptions,
        announcement: Announcement { target: args.events, detail: args.event_detail },
        evidence: args.evidence,
        bounds: Bounds {
            alerts: args.max_alerts as usize,
            alerts_per_rule: args.max_alerts_per_rule as usize,
        },
        alerts_per_second: args.alerts_per_second,
        retention: Retention {
            closed: Duration::from_secs(args.retain_closed),
            open: Duration::from_secs(args.retain_open),
            most: usize::try_from(args.max_alerts).unwrap_or(usize::MAX),
        },
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

fn event_target(text: &str) -> EventTarget {
    match text {
        "alert" => EventTarget::Alert,
        "none" => EventTarget::None,
        _ => EventTarget::Object,
    }
}

/// The host's name; in a pod the pod's.
fn host_name() -> anyhow::Result<String> {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("the host's name cannot be read")?;
    Ok(name.trim().to_owned())
}
