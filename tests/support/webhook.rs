//! The operator with a webhook, installed as the chart and the administrator do it.
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64;
use serde_json::json;

use super::operator::{self, NAMESPACE, Operator, PATIENCE, install_kinds, list, permissions, tripline};
use super::process::free_port;
use super::{ControlPlane, wait_for};

/// A test has little patience.
const BACKOFF: &str = "1s";

/// The operator with a webhook.
pub(crate) struct Webhook {
    namespace: &'static str,
    account: PathBuf,
    credentials: PathBuf,
    /// What kube-apiserver is given.
    pub(crate) kubeconfig: PathBuf,
    /// After how long kube-apiserver first sends a batch again.
    pub(crate) initial_backoff: &'static str,
}

impl Webhook {
    /// Installs what the chart would, and mounts the Secret as the kubelet would.
    pub(crate) fn install(plane: &ControlPlane, authentication: &str) -> Result<(Self, Operator)> {
        let objects = permissions("mode=all,source.webhook.enabled=true")?;
        plane.apply("admin", &list(&objects))?;
        install_kinds(plane)?;
        plane.run("admin", &["create", "secret", "generic", "tripline-webhook", "--namespace", NAMESPACE])?;
        let webhook = Self {
            namespace: NAMESPACE,
            account: plane.add_service_account(NAMESPACE, "tripline")?,
            credentials: plane.folder().join("webhook"),
            kubeconfig: plane.folder().join("webhook.kubeconfig"),
            initial_backoff: BACKOFF,
        };
        let spec = json!({"webhook": {"port": free_port()?, "authentication": authentication}});
        let source = json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource",
            "metadata": {"name": "sent"}, "spec": spec,
        });
        plane.apply("admin", &source.to_string())?;
        let operator = webhook.launch(plane)?;
        // Nothing is mounted yet.
        wait_for_condition(plane, "Reading", "False", "NoCredentials")?;
        webhook.mount(plane)?;
        wait_for_condition(plane, "Reading", "True", "Tailing")?;
        Ok((webhook, operator))
    }

    /// What a release of the chart has, whose pods are started by others.
    pub(crate) fn of_release(plane: &ControlPlane, namespace: &'static str) -> Self {
        let folder = plane.folder();
        Self {
            namespace,
            account: PathBuf::new(),
            credentials: PathBuf::new(),
            kubeconfig: folder.join("webhook.kubeconfig"),
            initial_backoff: BACKOFF,
        }
    }

    /// Starts the operator.
    pub(crate) fn launch(&self, plane: &ControlPlane) -> Result<Operator> {
        let secret = format!("{NAMESPACE}/tripline-webhook");
        let credentials = self.credentials.display().to_string();
        let arguments = ["--webhook-secret", &secret, "--webhook-credentials", &credentials];
        Operator::launch_on(plane, &self.account, "control-plane-1", &arguments)
    }

    /// Writes the keys that the chart mounts.
    fn mount(&self, plane: &ControlPlane) -> Result<()> {
        let secret = wait_for("the Secret to be filled", PATIENCE, || {
            let secret = plane.get(&["secret", "tripline-webhook", "--namespace", NAMESPACE]).ok()?;
            secret["data"]["token"].is_string().then_some(secret)
        })?;
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&self.credentials)?;
        for key in ["tls.crt", "tls.key", "ca.crt", "token"] {
            let value = BASE64.decode(secret["data"][key].as_str().context("no text")?.as_bytes())?;
            fs::write(self.credentials.join(key), value)?;
        }
        Ok(())
    }

    /// Gives the API server what `webhook-config` prints, and starts it anew.
    pub(crate) fn configure(&self, plane: &mut ControlPlane, mode: &str, options: &[&str]) -> Result<()> {
        let told = self.print_config(plane, options)?;
        let mut flags = vec![
            format!("--audit-webhook-config-file={}", self.kubeconfig.display()),
            format!("--audit-webhook-mode={mode}"),
        ];
        if mode == "batch" {
            // As it says, but for how long a batch that failed waits: a test has less patience.
            let said = told.lines().filter_map(|line| line.trim().split(' ').next());
            let batch = said.filter(|flag| flag.starts_with("--audit-webhook-batch-"));
            flags.extend(batch.map(str::to_owned));
        }
        flags.push(format!("--audit-webhook-initial-backoff={}", self.initial_backoff));
        plane.set_api_server_arguments(flags);
        plane.restart_api_server()
    }

    /// Keeps what `webhook-config` prints; gives what it says besides.
    pub(crate) fn print_config(&self, plane: &ControlPlane, more: &[&str]) -> Result<String> {
        let secret = format!("{}/tripline-webhook", self.namespace);
        let mut arguments = vec!["webhook-config", "--secret", &secret];
        arguments.extend(more);
        let printed = tripline(plane, &arguments).output()?;
        let told = String::from_utf8(printed.stderr)?;
        ensure!(printed.status.success(), "webhook-config failed: {told}");
        ensure!(told.contains("--audit-webhook-config-file="), "{told}");
        let mut file = fs::OpenOptions::new();
        let mut file = file.create(true).truncate(true).write(true).mode(0o600).open(&self.kubeconfig)?;
        file.write_all(&printed.stdout)?;
        Ok(told)
    }
}

/// Waits for a condition of the source.
pub(crate) fn wait_for_condition(
    plane: &ControlPlane,
    type_: &str,
    status: &str,
    reason: &str,
) -> Result<()> {
    operator::wait_for_condition(plane, ("auditsource", "sent"), (type_, status, reason)).map(drop)
}
