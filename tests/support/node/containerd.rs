//! The container runtime, with all its files in the node's folder.
//!
//! Tried with containerd 1.6.20, runc 1.1.5 and network plugins 1.1.1, which Debian 12 has, and with containerd 2.1.4,
//! which still reads a configuration of version 2. Control groups of version 1 were tried, those of version 2 not.
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::images::PAUSE;
use super::machine::{POD_RANGE, RANGES};
use crate::support::process::Server;

/// Where distributions and others put the network plugins.
const PLUGINS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// The folder of the network plugins.
pub(super) fn network_plugins() -> Option<&'static Path> {
    PLUGINS.iter().map(Path::new).find(|folder| folder.join("ptp").exists())
}

/// A running containerd.
#[derive(Debug)]
pub(super) struct Containerd {
    server: Server,
    folder: PathBuf,
}

impl Containerd {
    /// Starts it in a control group; its log goes to `logs`, all else to `folder`.
    pub(super) fn start(group: &Path, logs: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("network"))?;
        fs::write(folder.join("network/10-tripline.conflist"), network(folder).to_string())?;
        let config = folder.join("config.toml");
        fs::write(&config, configuration(folder)?)?;
        let program = program("containerd").context("no containerd")?;
        let arguments = ["--config".to_owned(), config.display().to_string()];
        let server = Server::start_in_group(group, &program, logs, &arguments)?;
        let mut containerd = Self { server, folder: folder.to_owned() };
        let mut ask = containerd.ctr();
        ask.arg("version");
        containerd.server.wait_until(Duration::from_mins(1), || {
            ask.output().is_ok_and(|output| output.status.success())
        })?;
        Ok(containerd)
    }

    /// Kills it. The containers stay.
    pub(super) fn stop(&mut self) {
        self.server.stop();
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.server.id()
    }

    /// The socket that it listens at.
    pub(super) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    /// `ctr` for Kubernetes' images and containers; to be given arguments and run.
    pub(super) fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.socket()).args(["--namespace", "k8s.io"]);
        command
    }

    /// Makes the images in an archive known.
    pub(super) fn import(&self, archive: &Path) -> Result<()> {
        let Output { status, stderr, .. } =
            self.ctr().args(["images", "import"]).arg(archive).output().context("failed to run ctr")?;
        ensure!(
            status.success(),
            "{} could not be imported: {}",
            archive.display(),
            String::from_utf8_lossy(&stderr)
        );
        Ok(())
    }

    /// The first process of a container, by the container's id.
    pub(super) fn process(&self, container: &str) -> Result<u32> {
        let folder = self.folder.join("state/io.containerd.runtime.v2.task/k8s.io").join(container);
        let id = fs::read_to_string(folder.join("init.pid"))
            .with_context(|| format!("the container {container} does not run"))?;
        id.trim().parse().with_context(|| format!("{id:?} is no process id"))
    }
}

/// The place of a program.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("containerd.sock")
}

fn configuration(folder: &Path) -> Result<String> {
    let within = |name: &str| format!("{:?}", folder.join(name).display().to_string());
    let plugins = network_plugins().context("no network plugins")?;
    Ok(format!(
        r#"version = 2
root = {root}
state = {state}
oom_score = 0
# Would listen at a fixed place.
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = {socket}

[plugins."io.containerd.internal.v1.opt"]
path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# The kubelet asks for less than this process has, which not every root may set.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "{stream}"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {bin:?}
conf_dir = {network}

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = {runc}
"#,
        root = within("root"),
        state = within("state"),
        socket = within("containerd.sock"),
        opt = within("opt"),
        stream = Ipv4Addr::LOCALHOST,
        bin = plugins.display().to_string(),
        network = within("network"),
        runc = within("runc"),
    ))
}

/// Each pod has a cable of its own to the host. It knows the way to services and pods, and no other: without a default
/// route nothing that it sends can leave the machine.
fn network(folder: &Path) -> serde_json::Value {
    let addresses = json!({
        "type": "host-local",
        "dataDir": folder.join("addresses"),
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": RANGES.map(|range| json!({"dst": range})),
    });
    json!({
        "cniVersion": "1.0.0",
        "name": "tripline-node",
        "plugins": [{"type": "ptp", "ipMasq": false, "ipam": addresses}],
    })
}
