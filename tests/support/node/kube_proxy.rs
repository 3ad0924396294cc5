//! kube-proxy, by which Services have their addresses. With its rules in nftables: they are two tables of its own, and
//! so is all of it gone with them.
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::containerd::program;
use super::machine::{NODE_ADDRESS, POD_RANGE, run};
use crate::support::process::{Server, free_port};
use crate::support::servers::{NODE, kubeconfig};

/// The families of kube-proxy's tables.
pub(super) const FAMILIES: [&str; 2] = ["ip", "ip6"];
/// The name of its tables.
pub(super) const TABLE: &str = "kube-proxy";

/// What the kernel must take: a translation of what this machine sends, as for an API server that sends to a Service.
const TRANSLATION: &str = "add table ip tripline-check
add chain ip tripline-check out { type nat hook output priority -100; }
add rule ip tripline-check out ip daddr 192.0.2.1 tcp dport 443 dnat to 192.0.2.2:9443
";

/// Why this machine cannot give Services their addresses, where it cannot.
pub(super) fn missing() -> Option<String> {
    if program("nft").is_none() {
        return Some("nft missing: run tests/controlplane/node-packages.sh".to_owned());
    }
    let refused = check().err()?;
    Some(format!("the kernel translates no addresses for nftables: {refused:#}"))
}

/// Has the kernel look at rules, and forget them.
fn check() -> Result<()> {
    let mut nft = Command::new("nft")
        .args(["--check", "--file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to run nft")?;
    nft.stdin.take().context("nft has no input")?.write_all(TRANSLATION.as_bytes())?;
    let output = nft.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim().to_owned());
    Ok(())
}

/// Whose tables would be taken away at the end, if they were there before.
pub(super) fn has_tables() -> Result<bool> {
    let tables = run(Command::new("nft").args(["list", "tables"]))?;
    Ok(tables.lines().any(|line| line.split(' ').next_back() == Some(TABLE)))
}

/// What lets the API server say by which address kube-proxy finds it: that of the node, where the relay listens at the
/// same port. That of the loopback interface would not be taken.
pub(super) fn of_api_server() -> [String; 2] {
    [format!("--advertise-address={NODE_ADDRESS}"), "--endpoint-reconciler-type=lease".to_owned()]
}

/// Starts it.
pub(super) fn start_kube_proxy(group: &Path, programs: &Path, logs: &Path, folder: &Path) -> Result<Server> {
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": kubeconfig(logs, "proxy")},
        "hostnameOverride": NODE,
        "clusterCIDR": POD_RANGE,
        // The machine's other addresses are none of its business.
        "nodePortAddresses": [format!("{NODE_ADDRESS}/32")],
        "healthzBindAddress": format!("127.0.0.1:{}", free_port()?),
        "metricsBindAddress": format!("127.0.0.1:{}", free_port()?),
        // Nor is how many connections it may know.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    let file = folder.join("kube-proxy.yaml");
    fs::write(&file, serde_json::to_string_pretty(&configuration)?)?;
    let arguments = [format!("--config={}", file.display())];
    let mut server = Server::start_in_group(group, &programs.join("kube-proxy"), logs, &arguments)?;
    server.wait_until(super::START, || has_tables().unwrap_or_default())?;
    Ok(server)
}
