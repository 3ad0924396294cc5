//! Which of several controllers leads: the one that holds a Lease.
//!
//! client-go's algorithm: a holder renews; another takes the lease only after it has seen no renewal for the lease's
//! whole duration *by its own clock*, so that clocks need not agree; every write is a `replace` with the
//! resourceVersion that was read, so that of two that try one gets a conflict. (A patch would let both win.)

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::namespaced_name::NamespacedName;
use crate::alert::{WriteError, call, write_params};
use crate::telemetry::{Chain, Metrics};

/// How long a lease lasts that nobody renews.
const DURATION: Duration = Duration::from_secs(15);
/// How long a holder goes on without a renewal. Shorter than `DURATION`, so that it has stopped when another begins.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often a holder renews, and another looks.
const RETRY: Duration = Duration::from_secs(2);

/// What a candidate does next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// There is no lease: make it.
    Create,
    /// It is held by this process: renew it.
    Renew,
    /// Nobody holds it any more: take it.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// What is there, and for how long nothing about it has changed by this process's clock.
fn step(lease: Option<&LeaseSpec>, me: &str, unchanged: Duration) -> Step {
    let Some(spec) = lease else {
        return Step::Create;
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
    match holder {
        _ if holder == me => Step::Renew,
        "" => Step::Take,
        _ if unchanged >= Duration::from_secs(lasts) => Step::Take,
        _ => Step::Wait,
    }
}

/// A candidate for a Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    /// Who this is: unique to the process, so that a successor of the same name is somebody else.
    me: String,
    metrics: Arc<Metrics>,
    /// The lease as last read or written, and since when it looks so.
    seen: Option<(Lease, Instant)>,
    renewed: Option<Instant>,
}

impl Candidate {
    /// A candidate that has tried nothing yet. `host` begins the name it holds the lease by.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(
        client: Client,
        lease: NamespacedName,
        host: &str,
        metrics: Arc<Metrics>,
    ) -> Result<Self, getrandom::Error> {
        let mut random = [0; 4];
        getrandom::fill(&mut random)?;
        let me = format!("{host}_{}", HEXLOWER.encode(&random));
        let api = Api::namespaced(client, &lease.namespace);
        Ok(Self { api, name: lease.name, me, metrics, seen: None, renewed: None })
    }

    /// Tries until `stop` to lead, and says through `leads` whether it does. At the end it gives the lease up, so that
    /// another need not wait for it to run out.
    pub async fn run(mut self, leads: watch::Sender<bool>, stop: CancellationToken) {
        loop {
            // A renewal counts from when it was begun: nobody else can have seen it earlier.
            let began = Instant::now();
            // A call that hangs must not keep a lost lease: the deadline runs beside it.
            let left = self.renewed.map_or(RENEW_DEADLINE, |at| RENEW_DEADLINE.saturating_sub(at.elapsed()));
            let outcome = tokio::select! {
                () = stop.cancelled() => break,
                outcome = tokio::time::timeout(left.max(RETRY), self.attempt()) => outcome,
            };
            match outcome {
                Ok(Ok(held)) => self.renewed = held.then_some(began),
                Ok(Err(error)) => {
                    // What is there now has to be read.
                    self.seen = None;
                    if error.is_conflict() {
                        debug!(lease = self.name, "another was quicker to write the lease");
                    } else {
                        warn!(lease = self.name, error = %Chain(&error), "the lease cannot be had");
                    }
                }
                Err(_) => {
                    self.seen = None;
                    warn!(lease = self.name, "no answer in time when the lease was asked for");
                }
            }
            let held = self.renewed.is_some_and(|at| at.elapsed() < RENEW_DEADLINE);
            self.tell(&leads, held);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        self.tell(&leads, false);
        if self.renewed.is_some() {
            self.release().await;
        }
    }

    fn tell(&self, leads: &watch::Sender<bool>, held: bool) {
        self.metrics.leader.set(i64::from(held));
        leads.send_if_modified(|before| {
            let changed = *before != held;
            if changed {
                info!(lease = self.name, holder = self.me, leads = held, "leadership changed");
            }
            *before = held;
            changed
        });
    }

    /// Reads the lease and does what is next; says whether it is held now.
    async fn attempt(&mut self) -> Result<bool, WriteError> {
        let found = match (&self.seen, self.renewed) {
            // Nobody else writes a lease that is held; if somebody did, the write conflicts.
            (Some((lease, _)), Some(_)) => Some(lease.clone()),
            _ => call("the lease", self.api.get_opt(&self.name)).await?,
        };
        let unchanged = match (&found, &self.seen) {
            (Some(now), Some((before, at))) if now.spec == before.spec => at.elapsed(),
            _ => Duration::ZERO,
        };
        let next = step(
            found.as_ref().map(|lease| lease.spec.clone().unwrap_or_default()).as_ref(),
            &self.me,
            unchanged,
        );
        let written = match (next, found) {
            (Step::Wait, Some(lease)) => {
                if unchanged.is_zero() {
                    self.seen = Some((lease, Instant::now()));
                }
                return Ok(false);
            }
            (Step::Create, _) | (_, None) => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(self.held(&LeaseSpec::default(), true)) };
                call("the lease", self.api.create(&write_params(), &lease)).await?
            }
            (next, Some(mut lease)) => {
                let before = lease.spec.take().unwrap_or_default();
                lease.spec = Some(self.held(&before, next == Step::Take));
                call("the lease", self.api.replace(&self.name, &write_params(), &lease)).await?
            }
        };
        self.seen = Some((written, Instant::now()));
        Ok(true)
    }

    /// The lease as this process holds it.
    fn held(&self, before: &LeaseSpec, taken: bool) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mut spec = before.clone();
        spec.holder_identity = Some(self.me.clone());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now.clone());
        if taken {
            spec.acquire_time = Some(now);
            let first = before.holder_identity.is_none() && before.lease_transitions.is_none();
            spec.lease_transitions =
                Some(before.lease_transitions.unwrap_or_default().saturating_add(i32::from(!first)));
        }
        spec
    }

    async fn release(&self) {
        let Some((mut lease, _)) = self.seen.clone() else {
            return;
        };
        let spec = lease.spec.get_or_insert_default();
        // An empty holder, and the shortest duration there is: client-go's way to give a lease up.
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match call("the lease", self.api.replace(&self.name, &write_params(), &lease)).await {
            Ok(_) => info!(lease = self.name, "the lease is given up"),
            Err(error) => warn!(lease = self.name, error = %Chain(&error), "the lease runs out by itself"),
        }
    }
}

/// Resolves when this process leads no more. Who leads without a lease does for good: nobody says so, ever.
pub(super) async fn is_succeeded(leads: &mut watch::Receiver<bool>) {
    if leads.wait_for(|leads| !*leads).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(holder: &str, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_only_when_nobody_has_it() {
        let waited = Duration::from_secs;
        assert_eq!(step(None, "me", waited(0)), Step::Create);
        assert_eq!(step(Some(&LeaseSpec::default()), "me", waited(0)), Step::Take);
        assert_eq!(step(Some(&spec("", 1)), "me", waited(0)), Step::Take);
        assert_eq!(step(Some(&spec("me", 15)), "me", waited(0)), Step::Renew);
        assert_eq!(step(Some(&spec("other", 15)), "me", waited(14)), Step::Wait);
        assert_eq!(step(Some(&spec("other", 15)), "me", waited(15)), Step::Take);
        // Its own name from an earlier life is somebody else's.
        assert_eq!(step(Some(&spec("host_00000000", 15)), "host_11111111", waited(3)), Step::Wait);
    }
}
