//! A real one-node Kubernetes: beside the control plane also its controllers, a scheduler, a kubelet and containerd.
//!
//! ```no_run
//! if !is_possible()? {
//!     return Ok(());
//! }
//! Node::with(NodeOptions::default(), |node| {
//!     node.plane().run("alice", &["exec", "web-0", "--", "id"])?;
//!     Ok(())
//! })
//! ```
//! It takes Linux, root and the packages of `tests/controlplane/node-packages.sh`. There is one node at a time on a
//! machine; a second one waits. Pods have addresses of their own and reach the API server at the usual one, and other
//! Services where there is a kube-proxy (`NodeOptions::services`). There is no name server, and no way out of the
//! machine. What no image of `images` is, must be imported.
mod containerd;
pub(crate) mod images;
mod kube_proxy;
mod kubelet;
mod machine;
mod pace;
mod relay;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::privileges::{self, NET_ADMIN, SYS_ADMIN};
use super::process::{Server, memory};
use super::servers::{NODE, programs};
use super::{ControlPlane, Options};
use containerd::{Containerd, network_plugins, program};
use kube_proxy::start_kube_proxy;
use kubelet::{CONTROL_PLANE, start_kubelet, start_scheduler};
use machine::{API_SERVER_ADDRESS, Machine, NODE_ADDRESS, servers_group};
pub(crate) use pace::{BOOTSTRAPPERS, Pace};
use relay::Relay;

/// How long the node may take to be ready. It takes some two seconds; a loaded machine takes longer.
const START: Duration = Duration::from_mins(2);

/// How a node is started.
#[derive(Debug, Clone)]
pub(crate) struct NodeOptions {
    /// Those of its control plane.
    pub(crate) plane: Options,
    /// Whether the node has the taint of a control plane's, which a pod must tolerate to run there.
    pub(crate) tainted: bool,
    /// Whether kube-proxy runs, so that Services have their addresses. It takes what `services_are_possible` asks for.
    pub(crate) services: bool,
    /// How the servers are set.
    pub(crate) pace: Pace,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { plane: Options::default(), tainted: true, services: false, pace: Pace::Bare }
    }
}

/// A running one-node cluster.
#[derive(Debug)]
pub(crate) struct Node {
    // Dropped in this order: who would start containers first, then containers and mounts, and last the folder that
    // holds it all.
    kubelet: Server,
    scheduler: Server,
    proxy: Option<Server>,
    containerd: Containerd,
    relay: Relay,
    machine: Machine,
    plane: ControlPlane,
    authority: TempDir,
}

/// Whether this machine can run a node, for a test that does nothing otherwise. It says so, and fails instead where
/// `TRIPLINE_NODE_TESTS=required` is set.
pub(crate) fn is_possible() -> Result<bool> {
    privileges::is_possible("run a node", node_missing())
}

/// The same of a node with `NodeOptions::services`.
pub(crate) fn services_are_possible() -> Result<bool> {
    let missing = node_missing().or_else(kube_proxy::missing);
    privileges::is_possible("run a node with kube-proxy", missing)
}

/// Why this machine cannot run a node, where it cannot.
pub(crate) fn node_missing() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it takes Linux".to_owned());
    }
    if let Some(lacking) = privileges::lacking(&[NET_ADMIN, SYS_ADMIN]) {
        return Some(lacking);
    }
    let wanted = ["containerd", "ctr", "containerd-shim-runc-v2", "runc", "ip", "tar", "bash"];
    let mut missing: Vec<_> = wanted.into_iter().filter(|name| program(name).is_none()).collect();
    missing.extend(network_plugins().is_none().then_some("the network plugin ptp"));
    missing.extend(images::busybox().is_none().then_some("a static busybox"));
    let missing = missing.join(", ");
    (!missing.is_empty()).then(|| format!("{missing} missing: run tests/controlplane/node-packages.sh"))
}

impl Node {
    /// The node's name.
    pub(crate) const NAME: &str = NODE;

    /// Starts everything and returns when pods can run.
    pub(crate) fn start(options: NodeOptions) -> Result<Self> {
        if let Some(reason) = node_missing() {
            bail!(reason);
        }
        let NodeOptions { plane, tainted, services, pace } = options;
        let mut wanted = vec!["kube-controller-manager", "kube-scheduler", "kubelet"];
        wanted.extend(services.then_some("kube-proxy"));
        let programs = programs(&wanted)?;
        let mut machine = Machine::take()?;
        // The controllers take as long to start as the node does, so both do at once.
        let mut plane_options = Options { controllers: false, ..plane };
        plane_options
            .api_server_arguments
            .extend(services.then(kube_proxy::of_api_server).into_iter().flatten());
        // Its folder has to be there first.
        let authority = TempDir::with_prefix("tripline-authority-")?;
        pace.set(&mut plane_options, authority.path())?;
        let mut plane = ControlPlane::start(plane_options)?;
        let started = start_node(&mut machine, &mut plane, &programs, tainted, services, pace);
        match started {
            Ok(Started { kubelet, scheduler, proxy, containerd, relay }) => {
                Ok(Self { kubelet, scheduler, proxy, containerd, relay, machine, plane, authority })
            }
            Err(error) => {
                drop(machine.clean());
                plane.keep_logs();
                Err(error)
            }
        }
    }

    /// Starts a node for a test, which keeps the logs and says where they are when the test fails.
    pub(crate) fn with<T>(options: NodeOptions, test: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut node = Self::start(options)?;
        let result = test(&mut node);
        if result.is_err() {
            node.plane.keep_logs();
        }
        result
    }

    /// Its control plane.
    pub(crate) fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Its control plane, to be stopped or restarted.
    pub(crate) fn plane_mut(&mut self) -> &mut ControlPlane {
        &mut self.plane
    }

    /// Makes the images in an archive known to the node. Pods that use them say `imagePullPolicy: Never`.
    pub(crate) fn import_image(&self, archive: &Path) -> Result<()> {
        self.containerd.import(archive)
    }

    /// The socket of its containerd, for `ctr --address`.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.containerd.socket()
    }

    /// The id on this machine of the first process of a pod's container, which must run.
    pub(crate) fn process(&self, namespace: &str, pod: &str, container: &str) -> Result<u32> {
        let object = self.plane.get(&["pod", pod, "--namespace", namespace])?;
        let statuses = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
        let id = statuses
            .iter()
            .filter_map(|list| object["status"][list].as_array())
            .flatten()
            .find(|status| status["name"] == container)
            .and_then(|status| status["containerID"].as_str()?.strip_prefix("containerd://"))
            .with_context(|| format!("the pod {namespace}/{pod} has no running container {container}"))?;
        self.containerd.process(id)
    }

    /// Kills (SIGKILL) the first process of a pod's container, as a crash would.
    pub(crate) fn kill(&self, namespace: &str, pod: &str, container: &str) -> Result<()> {
        let id = self.process(namespace, pod, container)?;
        let status = Command::new("kill").args(["-KILL", &id.to_string()]).status()?;
        ensure!(status.success(), "the process {id} of the container {container} could not be killed");
        Ok(())
    }

    /// The process of each server.
    pub(crate) fn servers(&self) -> Vec<(&'static str, u32)> {
        let mut servers = self.plane.server_ids();
        servers.push(("kube-scheduler", self.scheduler.id()));
        servers.push(("containerd", self.containerd.id()));
        servers.push(("kubelet", self.kubelet.id()));
        servers.extend(self.proxy.as_ref().map(|proxy| ("kube-proxy", proxy.id())));
        servers
    }

    /// The resident memory of each server in megabytes.
    pub(crate) fn memory(&self) -> Result<Vec<(&'static str, u64)>> {
        self.servers().into_iter().map(|(name, id)| Ok((name, memory(id)?.now / 1024))).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kubelet.stop();
        self.scheduler.stop();
        drop(self.proxy.take());
        self.containerd.stop();
        if let Err(error) = self.machine.clean() {
            eprintln!("{error:#}");
            // What is still mounted there must not be deleted.
            self.plane.keep_logs();
        }
    }
}

/// The servers of a node, besides its control plane's.
struct Started {
    kubelet: Server,
    scheduler: Server,
    proxy: Option<Server>,
    containerd: Containerd,
    relay: Relay,
}

fn start_node(
    machine: &mut Machine,
    plane: &mut ControlPlane,
    programs: &Path,
    tainted: bool,
    services: bool,
    pace: Pace,
) -> Result<Started> {
    if pace != Pace::Bare {
        pace::let_nodes_join(plane)?;
    }
    plane.start_controllers()?;
    let (logs, folder) = (&plane.folder.clone(), plane.folder().join("node"));
    machine.set_up(logs, services)?;
    // Of an earlier start in the same folder; `set_up` saw that nothing is mounted there.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    machine::share(&logs.join("audit"))?;
    let group = servers_group()?;
    // Where kube-proxy stands for the Service's address, the relay is what stands behind it.
    let (address, port) = if services { (NODE_ADDRESS, plane.port) } else { (API_SERVER_ADDRESS, 443) };
    let relay = Relay::start(SocketAddr::new(address.parse()?, port), plane.port)?;
    let scheduler = start_scheduler(&group, programs, logs, pace)?;
    let containerd = Containerd::start(&group, logs, &folder.join("containerd"))?;
    containerd.import(&images::write_base(&folder)?)?;
    let files = folder.join("kubelet");
    let mut kubelet = start_kubelet(&group, programs, logs, &files, &containerd.socket(), tainted, pace)?;
    kubelet.wait_until(START, || plane.run("admin", &["get", "node", NODE]).is_ok())?;
    // A kubelet may not give itself this label.
    plane.run("admin", &["label", "node", NODE, &format!("{CONTROL_PLANE}=")])?;
    plane.await_controllers()?;
    kubelet.wait_until(START, || is_ready(plane).unwrap_or_default())?;
    // Not before the node has its address, for it ends when that changes.
    let proxy = services.then(|| start_kube_proxy(&group, programs, logs, &folder)).transpose()?;
    Ok(Started { kubelet, scheduler, proxy, containerd, relay })
}

/// Whether the node says so and the scheduler may use it, which it may not before the controllers have seen that.
fn is_ready(plane: &ControlPlane) -> Result<bool> {
    let node = plane.get(&["node", NODE])?;
    let list = |pointer: &str| node.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let ready = list("/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let unready =
        |taint: &Value| taint["key"].as_str().is_some_and(|key| key.starts_with("node.kubernetes.io/"));
    Ok(ready && !list("/spec/taints").iter().any(unready))
}
