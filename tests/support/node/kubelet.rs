//! The kubelet and the scheduler.
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::machine::{GROUP, NODE_ADDRESS};
use super::pace::Pace;
use crate::support::process::{Server, free_port};
use crate::support::servers::{NODE, kubeconfig, kubelet_client};

/// The taint of a control plane's node, as kubeadm sets it; also the label's name.
pub(super) const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// Starts kube-scheduler.
pub(super) fn start_scheduler(group: &Path, programs: &Path, logs: &Path, pace: Pace) -> Result<Server> {
    let mut arguments = vec![
        format!("--kubeconfig={}", kubeconfig(logs, "scheduler").display()),
        "--secure-port=0".to_owned(),
    ];
    arguments.extend(pace.of_scheduler());
    Server::start_in_group(group, &programs.join("kube-scheduler"), logs, &arguments)
}

/// Starts the kubelet, with its files in `folder`.
pub(super) fn start_kubelet(
    group: &Path,
    programs: &Path,
    logs: &Path,
    folder: &Path,
    runtime: &Path,
    tainted: bool,
    pace: Pace,
) -> Result<Server> {
    fs::create_dir_all(folder)?;
    // Pods get no name server: none on the machine knows their cluster, and none elsewhere is to be asked. (Where this
    // says nothing at all, containerd takes the machine's.)
    let resolver = folder.join("resolv.conf");
    fs::write(&resolver, "search cluster.local\n")?;
    let taint = json!({"key": CONTROL_PLANE, "effect": "NoSchedule"});
    let mut configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": free_port()?,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": kubelet_client(logs).0},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{}", runtime.display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{GROUP}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        // A full disk is none of the test's business, and no image can be pulled again.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": false,
        // How soon a pod sees a Secret that was filled after its start.
        "syncFrequency": "5s",
        // What is less than the parent's takes a capability that not every root has.
        "oomScoreAdj": 0,
        "podLogsDir": folder.join("logs"),
        "volumePluginDir": folder.join("volume-plugins"),
        "resolvConf": resolver,
        "registerWithTaints": if tainted { json!([taint]) } else { json!([]) },
    });
    for (setting, value) in pace.of_kubelet().as_object().into_iter().flatten() {
        configuration[setting] = value.clone();
    }
    let file = folder.join("configuration.yaml");
    fs::write(&file, serde_json::to_string_pretty(&configuration)?)?;
    let identity = if pace == Pace::Bare {
        vec![format!("--kubeconfig={}", kubeconfig(logs, "kubelet").display())]
    } else {
        vec![
            format!("--bootstrap-kubeconfig={}", kubeconfig(logs, "bootstrap").display()),
            // It writes this one.
            format!("--kubeconfig={}", folder.join("kubeconfig").display()),
        ]
    };
    let mut arguments = vec![
        format!("--config={}", file.display()),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={NODE_ADDRESS}"),
        format!("--root-dir={}", folder.join("root").display()),
        format!("--cert-dir={}", folder.join("certificates").display()),
    ];
    arguments.extend(identity);
    Server::start_in_group(group, &programs.join("kubelet"), logs, &arguments)
}
