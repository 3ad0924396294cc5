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
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use serde_json::json;

use super::Options;
use super::node::BOOTSTRAPPERS;
use super::process::{Server, free_port, is_port_clash};

/// The name of the node, where there is one.
pub(super) const NODE: &str = "control-plane-1";

/// The users with a token, and their groups. `admin` may do everything; what the people may is in `users.yaml`, and
/// what the servers may Kubernetes says itself.
const USERS: [(&str, &str, &[&str]); 9] = [
    ("admin", "admin", &["system:masters"]),
    ("alice", "alice", &["developers"]),
    ("bob", "bob", &["auditors"]),
    (
        "tripline",
        "system:serviceaccount:tripline-system:tripline",
        &["system:serviceaccounts", "system:serviceaccounts:tripline-system"],
    ),
    ("controllers", "system:kube-controller-manager", &[]),
    ("scheduler", "system:kube-scheduler", &[]),
    ("proxy", "system:kube-proxy", &[]),
    ("bootstrap", "system:bootstrap:abcdef", &["system:bootstrappers", BOOTSTRAPPERS]),
    ("kubelet", "system:node:control-plane-1", &["system:nodes"]),
];

/// How long a server may take to be ready. It takes some four seconds; a loaded machine takes longer.
const START: Duration = Duration::from_mins(2);

/// The folder of the built programs, which has these.
pub(super) fn programs(wanted: &[&str]) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build.sh");
    let output = Command::new(&script)
        .args(wanted)
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
    let mut policy =
        options.audit_policy.clone().unwrap_or_else(|| include_str!("audit-policy.yaml").to_owned());
    if !options.omit_stages.is_empty() {
        writeln!(policy, "omitStages: {}", json!(options.omit_stages))?;
    }
    fs::write(folder.join("audit-policy.yaml"), policy)?;
    // Stricter than Kubernetes' default, and as many clusters have it: what needs more must say so on its namespace.
    let pod_security = json!({
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {"enforce": "baseline", "enforce-version": "latest"},
    });
    let admission = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "PodSecurity", "configuration": pod_security}],
    });
    fs::write(folder.join("admission.yaml"), serde_json::to_string_pretty(&admission)?)?;
    write_kubelet_client(folder)
}

/// Certificate and key that the API server shows a kubelet.
pub(super) fn kubelet_client(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("kubelet-client.crt"), folder.join("kubelet-client.key"))
}

/// The certificate is signed by itself: the kubelet trusts it and no other.
fn write_kubelet_client(folder: &Path) -> Result<()> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, "system:masters");
    parameters.distinguished_name.push(DnType::CommonName, "kube-apiserver-kubelet-client");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let pair = KeyPair::generate()?;
    let (certificate, key) = kubelet_client(folder);
    fs::write(certificate, parameters.self_signed(&pair)?.pem())?;
    fs::write(key, pair.serialize_pem())?;
    Ok(())
}

pub(super) fn token_of(name: &str) -> String {
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
pub(super) fn on_free_port(start: impl Fn(u16) -> Result<Server>) -> Result<(Server, u16)> {
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
    let (kubelet_certificate, kubelet_key) = kubelet_client(folder);
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
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--admission-control-config-file={}", folder.join("admission.yaml").display()),
        "--allow-privileged=true".to_owned(),
        format!("--kubelet-client-certificate={}", kubelet_certificate.display()),
        format!("--kubelet-client-key={}", kubelet_key.display()),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
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

/// Starts kube-controller-manager, which then takes some seconds until it does anything.
pub(super) fn start_controllers(programs: &Path, folder: &Path, options: &Options) -> Result<Server> {
    let certificates = folder.join("certificates");
    let mut arguments = vec![
        format!("--kubeconfig={}", kubeconfig(folder, "controllers").display()),
        // Nobody else could lead.
        "--leader-elect=false".to_owned(),
        // It serves nothing that a test asks for.
        "--secure-port=0".to_owned(),
        format!("--service-account-private-key-file={}", certificates.join("apiserver.key").display()),
        format!("--root-ca-file={}", certificates.join("apiserver.crt").display()),
        // An account for each controller, as clusters have it. It asks for all their tokens before the first of them
        // starts, and would be held back by its own limits.
        "--use-service-account-credentials=true".to_owned(),
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        // Made where it is missing, and by default outside this folder.
        format!("--flex-volume-plugin-dir={}", folder.join("volume-plugins").display()),
    ];
    arguments.extend(options.controller_arguments.iter().cloned());
    Server::start(&programs.join("kube-controller-manager"), folder, &arguments)
}

/// Waits until the controllers work: the first that they do for anybody is the service account `default`.
pub(super) fn await_controllers(server: &mut Server, programs: &Path, folder: &Path) -> Result<()> {
    server.wait_until(START, || {
        kubectl(programs, folder, "admin")
            .args(["get", "serviceaccount/default", "configmap/kube-root-ca.crt"])
            .output()
            .is_ok_and(|output| output.status.success())
    })
}
