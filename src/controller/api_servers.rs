//! Whether the logs of all API servers are read: the condition `Complete`.
//!
//! Each kube-apiserver renews a Lease in kube-system that bears its host's name: the one place that says how many there
//! are. <https://kubernetes.io/docs/concepts/architecture/leases/#api-server-identity>

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use tracing::warn;

use super::source_conditions::RECEIVING_SECONDS;
use super::status_agents::is_recent;
use crate::alert::{call, text};
use crate::api::{AuditSource, Condition, ConditionStatus, condition_type, reason};
use crate::telemetry::{Chain, Metrics};

/// How often the Leases are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How many hosts a message names.
const NAMED: usize = 5;

/// The API servers of the cluster, as far as they announce themselves.
pub(super) struct ApiServers {
    api: Api<Lease>,
    looked: Option<Instant>,
    /// Their hosts, as of the last answer.
    hosts: Option<BTreeSet<String>>,
    /// Why there was none since, as it was said: it is asked often, and said once.
    failure: String,
}

impl ApiServers {
    pub(super) fn new(client: Client) -> Self {
        Self {
            api: Api::namespaced(client, "kube-system"),
            looked: None,
            hosts: None,
            failure: String::new(),
        }
    }

    /// Whether `sources` bring the events of each of them. Where the Leases cannot be had, what was known stays.
    pub(super) async fn complete(
        &mut self,
        sources: impl Iterator<Item = &AuditSource>,
        metrics: &Metrics,
    ) -> Condition {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL) {
            self.looked = Some(Instant::now());
            let identities = ListParams::default().labels("apiserver.kubernetes.io/identity=kube-apiserver");
            match call("the API servers' leases", self.api.list(&identities)).await {
                Ok(leases) => {
                    self.hosts = Some(hosts(&leases.items, Timestamp::now()));
                    self.failure.clear();
                }
                Err(error) => {
                    let failure = Chain(&error).to_string();
                    if failure != self.failure {
                        warn!(error = failure, "how many API servers there are is not known");
                    }
                    self.failure = failure;
                }
            }
        }
        let (condition, unread) = concluded(self.hosts.as_ref(), &Arriving::of(sources, Timestamp::now()));
        metrics.unread_api_servers.set(i64::try_from(unread).unwrap_or(i64::MAX));
        condition
    }
}

/// The hosts of the API servers whose Leases have not run out.
fn hosts(leases: &[Lease], now: Timestamp) -> BTreeSet<String> {
    let lives = |lease: &&Lease| {
        let spec = lease.spec.as_ref();
        let renewed = spec.and_then(|spec| Some((spec.renew_time.as_ref()?.0, spec.lease_duration_seconds?)));
        renewed.is_some_and(|(at, lasts)| now.duration_since(at) <= SignedDuration::from_secs(lasts.into()))
    };
    let host = |lease: &Lease| {
        let name = lease.labels().get("kubernetes.io/hostname").cloned();
        text::cut(&name.unwrap_or_else(|| lease.name_any()), 63)
    };
    leases.iter().filter(lives).map(host).collect()
}

/// From where events arrived within the last minutes.
#[derive(Debug, Default)]
struct Arriving {
    nodes: BTreeSet<String>,
    /// Whether some are sent to an address that other hosts reach, so that one process receives of several.
    shared: bool,
}

impl Arriving {
    fn of<'a>(sources: impl Iterator<Item = &'a AuditSource>, now: Timestamp) -> Self {
        let mut arriving = Self::default();
        for source in sources {
            let agents = source.status.iter().flat_map(|status| &status.agents);
            let fresh = agents.filter(|agent| {
                agent.reason.is_empty() && is_recent(agent.last_event_time.as_ref(), RECEIVING_SECONDS, now)
            });
            let before = arriving.nodes.len();
            arriving.nodes.extend(fresh.map(|agent| agent.name.clone()));
            let address =
                source.spec.webhook.as_ref().and_then(|webhook| webhook.address.parse::<IpAddr>().ok());
            arriving.shared |=
                arriving.nodes.len() > before && address.is_some_and(|address| !address.is_loopback());
        }
        arriving
    }
}

/// Whether a node and a host are the same: either name may lack the domain.
fn is_same(node: &str, host: &str) -> bool {
    let short = |name: &'_ str| name.split('.').next().unwrap_or_default().to_owned();
    node == host || ((!node.contains('.') || !host.contains('.')) && short(node) == short(host))
}

/// The condition, and of how many API servers no events arrive.
fn concluded(hosts: Option<&BTreeSet<String>>, arriving: &Arriving) -> (Condition, usize) {
    let unknown = |reason, message: &str| {
        (Condition::new(condition_type::COMPLETE, ConditionStatus::Unknown, reason, message), 0)
    };
    let Some(hosts) = hosts else {
        return unknown(
            reason::NOT_ANNOUNCED,
            "the API servers' leases in kube-system could not be listed; see the log of the process that leads",
        );
    };
    if hosts.is_empty() {
        return unknown(
            reason::NOT_ANNOUNCED,
            "no API server announces itself by a lease in kube-system, so their number is not known",
        );
    }
    if arriving.shared {
        return unknown(
            reason::SHARED_ENDPOINT,
            "a webhook has an address that several API servers reach, and events do not tell which one sent them",
        );
    }
    let missing: Vec<_> = (hosts.iter().map(String::as_str))
        .filter(|host| !arriving.nodes.iter().any(|node| is_same(node, host)))
        .collect();
    let (of, unread) = (hosts.len(), missing.len());
    let read = of - unread;
    if missing.is_empty() {
        let message = format!("{read} of {of} API servers are read");
        return (Condition::new(condition_type::COMPLETE, true, reason::ALL_READ, message), 0);
    }
    let names = named(missing.into_iter());
    if read == 0 && !arriving.nodes.is_empty() {
        let nodes = named(arriving.nodes.iter().map(String::as_str));
        let message = format!(
            "events arrive on {nodes}, and the API servers are on hosts of other names: {names}; whose log is read \
             cannot be told"
        );
        return unknown(reason::NAMES_DIFFER, &message);
    }
    let message = format!(
        "{read} of {of} API servers are read; no event of the last five minutes from {names}: see whether a reader runs \
         there, and what its entry in `status.agents` says"
    );
    (Condition::new(condition_type::COMPLETE, false, reason::NOT_ALL_READ, message), unread)
}

/// The first names of a list, and how many there are besides.
fn named<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first: Vec<_> = names.take(NAMED).collect();
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// What is said where API servers are on these hosts, and events arrive on those nodes.
    fn said(hosts: &[&str], nodes: &[&str]) -> (ConditionStatus, String) {
        let arriving = Arriving { nodes: set(nodes), shared: false };
        let (condition, unread) = concluded(Some(&set(hosts)), &arriving);
        assert_eq!(unread > 0, condition.status == ConditionStatus::False);
        (condition.status, condition.message)
    }

    #[test]
    fn each_api_server_is_wanted() {
        let (status, message) = said(&["cp-1", "cp-2", "cp-3"], &["cp-3", "cp-1.example.com", "worker-1"]);
        assert_eq!(status, ConditionStatus::False);
        assert!(
            message.starts_with("2 of 3 API servers are read; no event of the last five minutes from cp-2:")
        );
        let (status, message) = said(&["cp-1", "cp-2"], &["cp-1", "cp-2"]);
        assert_eq!((status, &*message), (ConditionStatus::True, "2 of 2 API servers are read"));
        let (status, message) = said(&["1", "2", "3", "4", "5", "6", "7"], &[]);
        assert_eq!(status, ConditionStatus::False);
        assert!(message.contains("from 1, 2, 3, 4, 5 and 2 more: see"), "{message}");
    }

    #[test]
    fn what_cannot_be_told_is_not_said() {
        assert_eq!(said(&["vm-1", "vm-2"], &["cp-1"]).0, ConditionStatus::Unknown);
        assert_eq!(said(&[], &["cp-1"]).0, ConditionStatus::Unknown);
        assert_eq!(concluded(None, &Arriving::default()).0.status, ConditionStatus::Unknown);
        // The domains differ: not the same host.
        assert_eq!(said(&["cp-1.a", "cp-2.a"], &["cp-1.b", "cp-2.a"]).0, ConditionStatus::False);
    }

    #[test]
    fn a_source_counts_while_it_brings_events() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let source = |spec, agent: &str, time: &str, reason: &str| -> AuditSource {
            let agent = json!({"name": agent, "offset": 0, "events": 1, "malformedLines": 0, "lastEventTime": time, "reason": reason});
            serde_json::from_value(json!({
                "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource", "metadata": {"name": "x"},
                "spec": spec, "status": {"agents": [agent]},
            }))
            .unwrap()
        };
        let file = || json!({"file": {"path": "audit.log"}});
        let (new, old) = ("2026-01-01T00:55:00.000000Z", "2026-01-01T00:54:59.000000Z");
        let sources = [
            source(file(), "reads", new, ""),
            source(file(), "stopped", old, ""),
            source(file(), "fails", new, "NotFound"),
        ];
        let arriving = Arriving::of(sources.iter(), now);
        assert_eq!((arriving.nodes, arriving.shared), (set(&["reads"]), false));
        let sent = |address: &str| {
            let source = source(json!({"webhook": {"address": address}}), "cp-1", new, "");
            Arriving::of([source].iter(), now).shared
        };
        assert_eq!((sent("127.0.0.1"), sent("::1"), sent("0.0.0.0")), (false, false, true));
    }

    #[test]
    fn a_lease_that_ran_out_names_no_api_server() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let lease = |name: &str, labels: &serde_json::Value, renewed: &str| -> Lease {
            serde_json::from_value(json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "labels": labels},
                "spec": {"leaseDurationSeconds": 3600, "renewTime": renewed},
            }))
            .unwrap()
        };
        let (lives, ended) = ("2026-01-01T00:00:00.000000Z", "2025-12-31T23:59:59.000000Z");
        let leases = [
            lease("apiserver-a", &json!({"kubernetes.io/hostname": "cp-1"}), lives),
            lease("apiserver-b", &json!({"kubernetes.io/hostname": "cp-2"}), ended),
            lease("apiserver-c", &json!({}), lives),
        ];
        assert_eq!(hosts(&leases, now), set(&["cp-1", "apiserver-c"]));
    }
}
