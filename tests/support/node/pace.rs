//! How the servers of a node are set: bare, as a cluster has them, or so that an hour of theirs passes in a minute.
use std::fs;
use std::path::Path;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::support::operator::list;
use crate::support::{ControlPlane, Options};

/// What the servers do besides what they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nothing that a test need not have: a controller manager and a scheduler that elect nobody, a kubelet with a token.
    Bare,
    /// What they do in a cluster, as often as they do by default: leases of who leads, a kubelet that asks for its
    /// certificate with a bootstrap token.
    Usual,
    /// The same, and what comes once in some minutes, hours or months comes within seconds.
    Hastened,
}

/// How long a kubelet's certificate is good. It is dated five minutes back, and the kubelet asks for the next after seven
/// to nine tenths of the whole: at once, or within a minute.
const CERTIFICATE: &str = "100s";

impl Pace {
    /// Adds to how a control plane is started whose files are in `folder`.
    pub(super) fn set(self, options: &mut Options, folder: &Path) -> Result<()> {
        if self == Self::Bare {
            return Ok(());
        }
        let (certificate, key) = write_authority(folder)?;
        options.api_server_arguments.push(format!("--client-ca-file={certificate}"));
        options.controller_arguments.extend([
            "--leader-elect=true".to_owned(),
            // As kubeadm has it.
            "--controllers=*,bootstrapsigner,tokencleaner".to_owned(),
            format!("--cluster-signing-cert-file={certificate}"),
            format!("--cluster-signing-key-file={key}"),
        ]);
        if self == Self::Hastened {
            options.controller_arguments.extend(LEADER.map(str::to_owned));
            options.controller_arguments.extend([
                format!("--cluster-signing-duration={CERTIFICATE}"),
                "--min-resync-period=5s".to_owned(),
                "--node-monitor-period=1s".to_owned(),
                "--node-monitor-grace-period=6s".to_owned(),
                "--horizontal-pod-autoscaler-sync-period=2s".to_owned(),
                "--resource-quota-sync-period=5s".to_owned(),
                "--namespace-sync-period=5s".to_owned(),
                "--pvclaimbinder-sync-period=2s".to_owned(),
                "--attach-detach-reconcile-sync-period=5s".to_owned(),
                "--terminated-pod-gc-threshold=1".to_owned(),
            ]);
        }
        Ok(())
    }

    /// More arguments of the scheduler.
    pub(super) fn of_scheduler(self) -> Vec<String> {
        match self {
            Self::Bare => vec!["--leader-elect=false".to_owned()],
            Self::Usual => Vec::new(),
            Self::Hastened => LEADER.map(str::to_owned).to_vec(),
        }
    }

    /// More of the kubelet's configuration.
    pub(super) fn of_kubelet(self) -> Value {
        match self {
            Self::Bare => json!({}),
            Self::Usual => json!({"rotateCertificates": true, "syncFrequency": "1m"}),
            Self::Hastened => json!({
                "rotateCertificates": true,
                "nodeStatusUpdateFrequency": "1s",
                "nodeStatusReportFrequency": "2s",
                "nodeLeaseDurationSeconds": 4,
                "fileCheckFrequency": "5s",
                "volumeStatsAggPeriod": "5s",
                "imageMinimumGCAge": "5s",
            }),
        }
    }
}

/// Often renewed, and not lost because a machine is loaded or the API server is away for some seconds.
const LEADER: [&str; 3] = [
    "--leader-elect-lease-duration=90s",
    "--leader-elect-renew-deadline=80s",
    "--leader-elect-retry-period=1s",
];

/// The authority of the kubelets' certificates.
fn write_authority(folder: &Path) -> Result<(String, String)> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "kubernetes");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let pair = KeyPair::generate()?;
    let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
    fs::write(&certificate, parameters.self_signed(&pair)?.pem())?;
    fs::write(&key, pair.serialize_pem())?;
    Ok((certificate.display().to_string(), key.display().to_string()))
}

/// Lets kubelets ask for their certificates, as kubeadm does.
pub(super) fn let_nodes_join(plane: &ControlPlane) -> Result<()> {
    let requests = "system:certificates.k8s.io:certificatesigningrequests";
    let bindings = [
        ("kubeadm:kubelet-bootstrap", "system:node-bootstrapper".to_owned(), BOOTSTRAPPERS),
        ("kubeadm:node-autoapprove-bootstrap", format!("{requests}:nodeclient"), BOOTSTRAPPERS),
        (
            "kubeadm:node-autoapprove-certificate-rotation",
            format!("{requests}:selfnodeclient"),
            "system:nodes",
        ),
    ];
    let objects = bindings.map(|(name, role, group)| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        })
    });
    plane.apply("admin", &list(&objects)).map(drop)
}

/// The group of those with a token to join with.
pub(crate) const BOOTSTRAPPERS: &str = "system:bootstrappers:kubeadm:default-node-token";
