//! Files and arguments of the servers.
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::Options;
use super::process::{Server, free_port, is_port_clash};

/// The users with a token, and their groups. `admin` may do everything; what the others may is in `users.yaml`.
const USERS: [(&str, &str, &[&str]); 4] = [
    ("admin", "admin", &["system:masters"]),
    ("alice", "alice", &["developers"]),
    ("bob", "bob", &["auditors"]),
    (
        "tripline",
        "system:serviceaccount:tripline-system:tripline",
        &["system:serviceaccounts", "system:serviceaccounts:tripline-system"],
    ),
];

/// How long a server may take to be ready. It takes some four seconds; a loaded machine takes longer.
const START: Duration = Duration::from_mins(2);

/// The folder of the built programs.
pub(super) fn programs() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build.sh");
    let output = Command::new(&script)
        .args(["etcd", "kube-apiserver", "kubectl"])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to run {}", script.display()))?;
    ensure!(output.status.success(), "{} failed", script.display());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

pub(super) fn write_files(folder: &Path, options: &Options) -> Result<()> {
    let mut tokens = String::new();
    for (name, user, groups) in USERS {
        writeln!(tokens, "{},{user},{name},\"{}\"", token_of(name), groups.join(","))?;
    }
    fs::write(folder.join("tokens.csv"), tokens)?;
    let mut policy = include_str!("audit-policy.yaml").to_owned();
    writeln!(policy, "omitStages: {}", json!(options.omit_stages))?;
    fs::write(folder.join("audit-policy.yaml"), policy)?;
    Ok(())
}

fn token_of(name: &str) -> String {
    format!("token-of-{name}")
}

pub(super) fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

pub(super) fn kubeconfig(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{user}.kubeconfig"))
}

pub(super) fn write_kubeconfig(folder: &Path, port: u16, user: &str, token: &str) -> Result<PathBuf> {
    let path = kubeconfig(folder, user);
    let cluster =
        json!({"server": url(port), "certificate-authority": folder.join("certificates/apiserver.crt")});
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "test", "user": user}}],
        "current-context": user,
    });
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
    file.write_all(serde_json::to_string_pretty(&config)?.as_bytes())?;
    Ok(path)
}

pub(super) fn kubectl(programs: &Path, folder: &Path, user: &str) -> Command {
    let mut command = Command::new(programs.join("kubectl"));
    command
        .env("KUBECONFIG", kubeconfig(folder, user))
        // Not the developer's own files.
        .env("HOME", folder)
        .env("KUBECACHEDIR", folder.join("kubectl-cache"))
        .stdin(Stdio::null());
    command
}

pub(super) fn start_servers(
    programs: &Path,
    folder: &Path,
    options: &Options,
) -> Result<(Server, u16, Server, u16)> {
    let (etcd, etcd_port) = on_free_port(|port| start_etcd(programs, folder, port))?;
    let (api_server, port) = on_free_port(|port| {
        for (name, ..) in USERS {
            write_kubeconfig(folder, port, name, &token_of(name))?;
        }
        start_api_server(programs, folder, options, etcd_port, port)
    })?;
    Ok((etcd, etcd_port, api_server, port))
}

/// Between the choice of a free port and its use another test may take it; then another is chosen.
fn on_free_port(start: impl Fn(u16) -> Result<Server>) -> Result<(Server, u16)> {
    for _ in 0..5 {
        let port = free_port()?;
        match start(port) {
            Ok(server) => return Ok((server, port)),
            Err(error) if is_port_clash(&error) => {}
            Err(error) => return Err(error),
        }
    }
    bail!("five free ports in turn were taken by somebody else before they could be used")
}

fn start_etcd(programs: &Path, folder: &Path, port: u16) -> Result<Server> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()?));
    let arguments = [
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(),
    ];
    let mut etcd = Server::start(&programs.join("etcd"), folder, &arguments)?;
    etcd.wait_until(START, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    Ok(etcd)
}

pub(super) fn start_api_server(
    programs: &Path,
    folder: &Path,
    options: &Options,
    etcd_port: u16,
    port: u16,
) -> Result<Server> {
    let certificates = folder.join("certificates");
    // The server makes its certificate before it reads this, so that no other key is needed.
    let key = certificates.join("apiserver.key");
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--cert-dir={}", certificates.display()),
        format!("--token-auth-file={}", folder.join("tokens.csv").display()),
        "--authorization-mode=Node,RBAC".to_owned(),
        format!("--service-account-key-file={}", key.display()),
        format!("--service-account-signing-key-file={}", key.display()),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/24".to_owned(),
        format!("--audit-policy-file={}", folder.join("audit-policy.yaml").display()),
        format!("--audit-log-path={}", folder.join("audit/audit.log").display()),
        format!("--audit-log-maxsize={}", options.audit_log_max_size),
        format!("--audit-log-maxbackup={}", options.audit_log_max_backup),
        format!("--audit-log-compress={}", options.audit_log_compress),
    ];
    arguments.extend(options.api_server_arguments.iter().cloned());
    let mut server = Server::start(&programs.join("kube-apiserver"), folder, &arguments)?;
    server.wait_until(START, || {
        // Cheaper than a kubectl that fails.
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
            && kubectl(programs, folder, "admin")
                .args(["get", "--raw", "/readyz"])
                .output()
                .is_ok_and(|output| output.status.success())
    })?;
    Ok(server)
}
