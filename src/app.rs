//! The running operator: what is wired to what, and in which order it starts and stops.
//!
//! A reader does all of this but conclude; a controller concludes and reads nothing.
//!
//! Start: state folder, health endpoint, cluster checked, webhooks opened, existing alerts read, rules compiled, logs
//! opened. What is sent is stored from early on; reading begins last, so that no record is judged by less than all the
//! rules. Stop: receiving, reading, then the writes on their way, then a last checkpoint that holds what was not written.

mod options;
mod vital;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::alert::{Ledger, Rejected, Writer};
use crate::api::{DetectionException, DetectionRule, EventTarget};
use crate::controller::{
    AlertKeeper, Candidate, Evictions, ExceptionStatuses, IgnoredUsers, LoadedRule, Reader, Readers, Reading,
    Receivers, RuleStatuses, Rules, SelfProtection, SourceStatuses, Surroundings, TriageWrites, connect,
    follow, follow_alerts, keep_webhook_secret, wait_until_ready,
};
use crate::output::{Origin, Outputs, Senders, Stdout};
use crate::source::{CheckpointError, StateFolder};
use crate::telemetry::{Health, Metrics, serve};

pub(crate) use self::options::{Deployment, Options};
use self::vital::Vital;

/// How long the last writes may take after a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// How long standard output may take to take the last lines.
const STDOUT_PATIENCE: Duration = Duration::from_secs(1);

/// How long another process may keep the state folder: a little longer than its own last writes may take.
const STATE_PATIENCE: Duration = Duration::from_secs(20);
/// How often it is tried.
const STATE_RETRY: Duration = Duration::from_millis(500);

/// Runs the operator until `stop`.
///
/// # Errors
/// When something that only a person can mend keeps it from starting.
pub(crate) async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let keeps = options.role.reads() || options.outputs.webhook.is_some();
    let state = if keeps { Some(Arc::new(open_state(&options.state_dir, &stop).await?)) } else { None };
    let client = connect(options.kubeconfig.as_deref()).await?;
    let metrics = Arc::new(Metrics::new());
    let health = Health::default();
    health.not_ready("rules", "not yet read");
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("health and metrics cannot be served on {}", options.listen))?;
    let (version, listen) = (env!("CARGO_PKG_VERSION"), listener.local_addr()?);
    info!(version, %listen, role = ?options.role, node = options.node, "starting");

    // The endpoint outlives everything else, so that a slow stop can be watched.
    let served = CancellationToken::new();
    let endpoint =
        tokio::spawn(serve(listener, health.clone(), metrics.registry(), served.clone().cancelled_owned()));
    let origin = Origin::new(options.cluster.as_deref());
    let stdout = options.outputs.stdout.then(|| Stdout::start(origin.clone(), Arc::clone(&metrics)));
    let stdout = stdout.transpose().context("no thread for standard output")?;
    let outputs = if options.role.concludes() && options.outputs.tells_changes() {
        let folder = state.as_ref().map(|state| state.path());
        let opened = Outputs::open(&options.outputs, folder, &origin, stdout.clone(), &metrics);
        Some(opened.context("the webhook's queue cannot be used")?)
    } else {
        None
    };
    let vital = Vital::new(stop.clone());
    let outcome = Operator { options, client, metrics, health, stdout: stdout.clone(), stop, vital }
        .operate(state, outputs)
        .await;
    if let Some(stdout) = stdout {
        stdout.flush(STDOUT_PATIENCE).await;
    }
    served.cancel();
    endpoint.await?.context("the health endpoint failed")?;
    outcome
}

/// Opens the state folder. A pod that is replaced may still be at its last writes: its folder is waited for.
async fn open_state(path: &Path, stop: &CancellationToken) -> anyhow::Result<StateFolder> {
    let began = Instant::now();
    loop {
        match StateFolder::open(path) {
            Err(CheckpointError::InUse { .. })
                if began.elapsed() < STATE_PATIENCE && !stop.is_cancelled() =>
            {
                info!(path = %path.display(), "another process still has the state folder; waiting for it");
            }
            opened => {
                return opened.with_context(|| format!("the state folder {} cannot be used", path.display()));
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(STATE_RETRY) => {}
        }
    }
}

/// What every part is made of.
struct Operator {
    options: Options,
    client: Client,
    metrics: Arc<Metrics>,
    health: Health,
    stdout: Option<Stdout>,
    stop: CancellationToken,
    vital: Vital,
}

/// What the tasks share that keep the alerts and write the statuses.
struct Shared {
    /// Whether this process concludes for all.
    leads: watch::Receiver<bool>,
    rules: Arc<Rules>,
    readers: Arc<Readers>,
    evictions: Arc<Evictions>,
}

impl Operator {
    async fn operate(
        self,
        state: Option<Arc<StateFolder>>,
        outputs: Option<(Outputs, Senders)>,
    ) -> anyhow::Result<()> {
        let state = state.filter(|_| self.options.role.reads());
        let receivers = state.as_ref().map(|state| {
            let (credentials, metrics) =
                (self.options.webhook_credentials.clone(), Arc::clone(&self.metrics));
            Receivers::new(Arc::clone(state), credentials, metrics)
        });
        // Before the API server is asked for anything: it may wait for its batches to be taken.
        if let Some(receivers) = &receivers {
            receivers.resume().await;
        }
        let Some(account) = wait_until_ready(&self.client, &self.health, &self.stop).await else {
            return Ok(());
        };
        let ledger = Arc::new(Ledger::new(&self.options.node, self.options.bounds));
        let writer = state.is_some().then(|| Arc::new(self.writer(&ledger)));
        let rules = Arc::new(Rules::with(self.built_in(&account)?, self.options.critical_exceptions));
        let (triage, writes_seen) = TriageWrites::new(&self.metrics);
        let reading = state.zip(receivers).map(|(state, receivers)| {
            self.reading(
                Surroundings {
                    rules: rules.loaded(),
                    ledger: Arc::clone(&ledger),
                    stdout: self.stdout.clone(),
                    ignored: Arc::new(self.ignored_users(&account)),
                    evidence: self.options.evidence,
                    triage,
                    metrics: Arc::clone(&self.metrics),
                    state,
                },
                receivers,
            )
        });
        let readers = Arc::new(Readers::new(reading));
        let (judges, may_judge) = watch::channel(false);
        let following = Arc::clone(&readers).follow(self.client.clone(), may_judge, self.stop.child_token());
        let followed = tokio::spawn(following);
        let tasks = TaskTracker::new();
        if writer.is_some() {
            self.follow_alerts(&ledger, &tasks).await;
        }
        self.follow_rules(&rules, &tasks).await;
        let leading = CancellationToken::new();
        let (leads, led) = self.lead(leading.clone())?;
        let writing = CancellationToken::new();
        let written = tokio::spawn(self.vital.part("the writer of alerts", {
            let writing = writing.clone();
            async move {
                if let Some(writer) = writer {
                    writer.run(writing).await;
                }
            }
        }));
        if self.options.role.reads() {
            let (client, node) = (self.client.clone(), self.options.node.clone());
            let run = writes_seen.run(client, node, Arc::clone(&readers), self.stop.child_token());
            tasks.spawn(self.vital.part("who tells people's writes", run));
        }
        let outputs = outputs.map(|(outputs, senders)| {
            senders.start(&self.stop, |sender| drop(tasks.spawn(self.vital.part("an output", sender))));
            outputs
        });
        let shared = Shared { leads, rules, readers, evictions: Arc::default() };
        let kept = self.keep_alerts(&tasks, &shared, outputs);
        self.write_statuses(&tasks, &shared, ledger, kept);

        judges.send_replace(true);
        let stopped_readers = followed.await.context("following the sources failed")?;
        info!("stopping");
        writing.cancel();
        tasks.close();
        let rest = async {
            tasks.wait().await;
            // Only now may another conclude.
            leading.cancel();
            led.await?;
            written.await
        };
        match tokio::time::timeout(STOP_PATIENCE, rest).await {
            Ok(ended) => ended.context("the writer or the lease failed")?,
            Err(_) => warn!("some writes did not end in time; they are in the checkpoint"),
        }
        // Last, so that it holds neither more nor less than what is still to be written.
        tokio::task::spawn_blocking(move || stopped_readers.into_iter().for_each(Reader::finish)).await?;
        info!("stopped");
        self.vital.outcome()
    }

    fn writer(&self, ledger: &Arc<Ledger>) -> Writer {
        Writer::new(
            self.client.clone(),
            Arc::clone(ledger),
            self.options.announcement,
            Rejected::new(self.options.state_dir.join("rejected-alerts.jsonl")),
            self.options.alerts_per_second,
            Arc::clone(&self.metrics),
        )
    }

    /// Follows the alerts, and returns once all that exist are known: what they count is not to be counted again.
    async fn follow_alerts(&self, ledger: &Arc<Ledger>, tasks: &TaskTracker) {
        let (listed, mut is_listed) = watch::channel(false);
        let (client, ledger, health) = (self.client.clone(), Arc::clone(ledger), self.health.clone());
        let following = follow_alerts(client, ledger, health, listed, self.stop.child_token());
        tasks.spawn(self.vital.part("the watch of alerts", following));
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = is_listed.wait_for(|listed| *listed) => {}
        }
    }

    /// Follows the rules and exceptions, and returns once all of them are compiled: by less than all exceptions alerts
    /// would open that are not wanted.
    async fn follow_rules(&self, rules: &Arc<Rules>, tasks: &TaskTracker) {
        let (exceptions_listed, mut are_exceptions_listed) = watch::channel(false);
        let (rules_listed, mut are_rules_listed) = watch::channel(false);
        let (client, metrics) = (&self.client, &self.metrics);
        let of_exceptions = follow::<DetectionException, _>(
            Arc::clone(rules),
            client.clone(),
            Arc::clone(metrics),
            exceptions_listed,
            self.stop.child_token(),
        );
        let of_rules = follow::<DetectionRule, _>(
            Arc::clone(rules),
            client.clone(),
            Arc::clone(metrics),
            rules_listed,
            self.stop.child_token(),
        );
        tasks.spawn(self.vital.part("the watch of exceptions", of_exceptions));
        tasks.spawn(self.vital.part("the watch of rules", of_rules));
        let both = async {
            // A follower ends only when told to stop.
            are_exceptions_listed.wait_for(|listed| *listed).await.is_ok()
                && are_rules_listed.wait_for(|listed| *listed).await.is_ok()
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = both => self.health.ready("rules"),
        }
    }

    /// Whether this process concludes for all, and the task that keeps its lease until `stop`.
    fn lead(&self, stop: CancellationToken) -> anyhow::Result<(watch::Receiver<bool>, JoinHandle<()>)> {
        let lease = self.options.lease.clone().filter(|_| self.options.role.concludes());
        let (says, leads) = watch::channel(lease.is_none() && self.options.role.concludes());
        let task = match lease {
            Some(lease) => {
                let (client, metrics) = (self.client.clone(), Arc::clone(&self.metrics));
                let candidate = Candidate::new(client, lease, &self.options.host, metrics)
                    .context("no random numbers for the name that a lease is held by")?;
                tokio::spawn(self.vital.part("the lease", candidate.run(says, stop)))
            }
            None => {
                self.metrics.leader.set(i64::from(*leads.borrow()));
                tokio::spawn(async {})
            }
        };
        Ok((leads, task))
    }

    fn reading(&self, around: Surroundings, receivers: Receivers) -> Reading {
        Reading::new(around, self.options.log_root.clone(), self.options.cluster.clone(), receivers)
    }

    fn own_accounts(&self, account: &str) -> Vec<String> {
        self.options.own_accounts.iter().cloned().chain([account.to_owned()]).collect()
    }

    fn ignored_users(&self, account: &str) -> IgnoredUsers {
        IgnoredUsers {
            own_accounts: self.own_accounts(account),
            own_pods: self.options.deployment.iter().map(|deployed| format!("{}-", deployed.name)).collect(),
            users: self.options.ignore_users.clone(),
        }
    }

    /// The rules that watch over Tripline itself.
    fn built_in(&self, account: &str) -> anyhow::Result<Vec<LoadedRule>> {
        let Some(Deployment { namespace, name, deployers }) = &self.options.deployment else {
            return Ok(Vec::new());
        };
        let protection = SelfProtection {
            namespace: namespace.clone(),
            name: name.clone(),
            accounts: self.own_accounts(account),
            deployers: deployers.clone(),
        };
        protection
            .rules()
            .map_err(anyhow::Error::msg)
            .context("the rules that watch over Tripline do not compile")
    }

    /// Writes the statuses: those of rules until `kept`, the others until told to stop.
    fn write_statuses(
        &self,
        tasks: &TaskTracker,
        shared: &Shared,
        ledger: Arc<Ledger>,
        kept: CancellationToken,
    ) {
        let Shared { leads, rules, readers, evictions } = shared;
        let of_exceptions = ExceptionStatuses {
            client: self.client.clone(),
            rules: Arc::clone(rules),
            leads: leads.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        let run = of_exceptions.run(self.stop.child_token());
        tasks.spawn(self.vital.part("the statuses of exceptions", run));
        let of_rules = RuleStatuses {
            client: self.client.clone(),
            rules: Arc::clone(rules),
            readers: Arc::clone(readers),
            ledger,
            evictions: Arc::clone(evictions),
            evidence: self.options.evidence,
            leads: leads.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        tasks.spawn(self.vital.part("the statuses of rules", of_rules.run(kept)));
        let of_sources = SourceStatuses {
            client: self.client.clone(),
            node: self.options.role.reads().then(|| self.options.node.clone()),
            leads: leads.clone(),
            readers: Arc::clone(readers),
            metrics: Arc::clone(&self.metrics),
        };
        tasks.spawn(self.vital.part("the statuses of sources", of_sources.run(self.stop.child_token())));
        if let Some(secret) = self.options.webhook_secret.clone() {
            let leads = leads.clone();
            let keep = keep_webhook_secret(self.client.clone(), secret, leads, self.stop.child_token());
            tasks.spawn(self.vital.part("the webhook's Secret", keep));
        }
    }

    /// Keeps the alerts, where this process may lead. What this gives ends with it: what it counted last is written then.
    fn keep_alerts(
        &self,
        tasks: &TaskTracker,
        shared: &Shared,
        outputs: Option<Outputs>,
    ) -> CancellationToken {
        if !self.options.role.concludes() {
            return self.stop.child_token();
        }
        let keeper = AlertKeeper {
            client: self.client.clone(),
            retention: self.options.retention,
            writes_events: self.options.announcement.target != EventTarget::None,
            instance: self.options.host.clone(),
            leads: shared.leads.clone(),
            rules: Arc::clone(&shared.rules),
            readers: Arc::clone(&shared.readers),
            outputs,
            evictions: Arc::clone(&shared.evictions),
            metrics: Arc::clone(&self.metrics),
        };
        let (kept, stop) = (CancellationToken::new(), self.stop.child_token());
        let ended = kept.clone().drop_guard();
        tasks.spawn(self.vital.part("the keeper of alerts", async move {
            Box::pin(keeper.run(stop)).await;
            drop(ended);
        }));
        kept
    }
}
