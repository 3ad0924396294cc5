//! A real control plane for tests and the demo: etcd and kube-apiserver on loopback, with a real audit log.
//!
//! ```no_run
//! mod support;
//! ControlPlane::with(Options::default(), |plane| {
//!     plane.run("alice", &["get", "pods"])?;
//!     Ok(())
//! })
//! ```
//! The programs come from `tests/controlplane/build.sh`, which builds them where they are missing (minutes, once).
//! Both servers stop when the value is dropped, and when the test's process is killed. The folder with their logs is
//! deleted unless the test fails, which then says where it is.
#![allow(dead_code, reason = "every test has a copy of this module, and uses a part of it")]

pub(crate) mod alertmanager;
pub(crate) mod arrivals;
pub(crate) mod broken_api;
pub(crate) mod clock;
pub(crate) mod helm;
pub(crate) mod kubectl;
pub(crate) mod log_files;
pub(crate) mod node;
pub(crate) mod operator;
pub(crate) mod ordinary;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod projection;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod release;
mod servers;
pub(crate) mod sessions;
pub(crate) mod small_disk;
pub(crate) mod webhook;
pub(crate) mod written_log;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use process::Server;
pub(crate) use process::wait_for;
use servers::{
    await_controllers, kubeconfig, kubectl, on_free_port, programs, start_api_server, start_controllers,
    start_servers, token_of, url, write_files, write_kubeconfig,
};

/// The audit policy that logs every request at this level, such as `Metadata`.
pub(crate) fn all_at(level: &str) -> String {
    format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{{level: {level}}}]\n")
}

/// How a control plane is started.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where its files go and stay; without it a temporary folder.
    pub(crate) folder: Option<PathBuf>,
    /// Stages that the audit policy leaves out, such as `RequestReceived`.
    pub(crate) omit_stages: Vec<String>,
    /// The size in megabytes at which the audit log is rotated.
    pub(crate) audit_log_max_size: u32,
    /// How many rotated files are kept.
    pub(crate) audit_log_max_backup: u32,
    /// Whether rotated files are compressed.
    pub(crate) audit_log_compress: bool,
    /// The audit policy's text; without it that of `audit-policy.yaml`.
    pub(crate) audit_policy: Option<String>,
    /// More arguments of kube-apiserver, such as `--audit-webhook-config-file=…`.
    pub(crate) api_server_arguments: Vec<String>,
    /// More arguments of kube-controller-manager.
    pub(crate) controller_arguments: Vec<String>,
    /// Whether kube-controller-manager runs too: it makes each namespace's service account and the pods of a
    /// Deployment, and deletes what an owner leaves.
    pub(crate) controllers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: None,
            omit_stages: Vec::new(),
            audit_log_max_size: 100,
            audit_log_max_backup: 100,
            audit_log_compress: false,
            audit_policy: None,
            api_server_arguments: Vec::new(),
            controller_arguments: Vec::new(),
            controllers: false,
        }
    }
}

/// A running control plane.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    // Stopped in this order.
    controllers: Option<Server>,
    api_server: Server,
    etcd: Server,
    programs: PathBuf,
    options: Options,
    more_arguments: Vec<String>,
    etcd_port: u16,
    port: u16,
    folder: PathBuf,
    temporary: Option<TempDir>,
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver and returns when the API is ready.
    pub(crate) fn start(options: Options) -> Result<Self> {
        let mut wanted = vec!["etcd", "kube-apiserver", "kubectl"];
        wanted.extend(options.controllers.then_some("kube-controller-manager"));
        let programs = programs(&wanted)?;
        let mut temporary = None;
        let folder = if let Some(folder) = &options.folder {
            folder.clone()
        } else {
            temporary.insert(TempDir::with_prefix("tripline-control-plane-")?).path().to_owned()
        };
        fs::create_dir_all(folder.join("audit"))?;
        let folder = folder.canonicalize()?;
        write_files(&folder, &options)?;
        let started = start_servers(&programs, &folder, &options);
        if started.is_err()
            && let Some(temporary) = &mut temporary
        {
            temporary.disable_cleanup(true);
        }
        let (etcd, etcd_port, api_server, port) = started?;
        let mut plane = Self {
            controllers: None,
            api_server,
            etcd,
            programs,
            options,
            more_arguments: Vec::new(),
            etcd_port,
            port,
            folder,
            temporary,
        };
        let completed = plane.complete();
        if completed.is_err() {
            plane.keep_logs();
        }
        completed.map(|()| plane)
    }

    fn complete(&mut self) -> Result<()> {
        self.apply("admin", include_str!("users.yaml"))?;
        if self.options.controllers {
            self.start_controllers()?;
            self.await_controllers()?;
        }
        Ok(())
    }

    fn start_controllers(&mut self) -> Result<()> {
        self.controllers = Some(start_controllers(&self.programs, &self.folder, &self.options)?);
        Ok(())
    }

    fn await_controllers(&mut self) -> Result<()> {
        let server = self.controllers.as_mut().context("the controllers were not started")?;
        await_controllers(server, &self.programs, &self.folder)
    }

    /// Starts a control plane for a test, which keeps the logs and says where they are when the test fails.
    pub(crate) fn with<T>(options: Options, test: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut plane = Self::start(options)?;
        let result = test(&mut plane);
        if result.is_err() {
            plane.keep_logs();
        }
        result
    }

    fn keep_logs(&mut self) {
        if let Some(temporary) = &mut self.temporary {
            temporary.disable_cleanup(true);
            eprintln!("the logs of the control plane are kept in {}", self.folder.display());
        }
    }

    /// The folder of all files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The live audit log. It is in a folder of its own.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit/audit.log")
    }

    /// The process of each server.
    fn server_ids(&self) -> Vec<(&'static str, u32)> {
        let mut servers = vec![("etcd", self.etcd.id()), ("kube-apiserver", self.api_server.id())];
        servers.extend(self.controllers.as_ref().map(|server| ("kube-controller-manager", server.id())));
        servers
    }

    /// The server's address.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// A kubeconfig for one of the users.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig(&self.folder, user)
    }

    /// A kubeconfig with a real token of a service account, which must exist. It is for `name` afterwards a user of
    /// this control plane.
    pub(crate) fn add_service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.run("admin", &["create", "token", name, "--namespace", namespace])?;
        self.add_user(name, token.trim())
    }

    /// Writes a kubeconfig for a user with this token, who has this name for kubectl here.
    pub(crate) fn add_user(&self, name: &str, token: &str) -> Result<PathBuf> {
        write_kubeconfig(&self.folder, self.port, name, token)
    }

    /// The built kubectl as one of the users; to be given arguments and run.
    pub(crate) fn kubectl_command(&self, user: &str) -> Command {
        kubectl(&self.programs, &self.folder, user)
    }

    /// Runs kubectl as one of the users, whether it succeeds or not.
    pub(crate) fn kubectl(&self, user: &str, arguments: &[&str]) -> Result<Output> {
        self.kubectl_command(user).args(arguments).output().context("failed to run kubectl")
    }

    /// Runs kubectl as one of the users. Its output, or an error when it fails.
    pub(crate) fn run(&self, user: &str, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl(user, arguments)?;
        ensure!(
            output.status.success(),
            "kubectl {} as {user} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What `kubectl get` with these arguments gives the administrator: an object, or a list of them.
    pub(crate) fn get(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [&["get", "--output=json"], arguments].concat();
        Ok(serde_json::from_str(&self.run("admin", &arguments)?)?)
    }

    /// Applies manifests as one of the users; gives what the API server warned of.
    pub(crate) fn apply(&self, user: &str, manifests: &str) -> Result<String> {
        let mut child = self
            .kubectl_command(user)
            .args(["apply", "--filename", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("kubectl has no standard input")?;
        stdin.write_all(manifests.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "kubectl apply failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stderr)?)
    }

    /// Waits until every definition of a kind is served.
    pub(crate) fn await_definitions(&self) -> Result<()> {
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=5s"];
        // It gives up at once on a definition that has no conditions yet.
        wait_for("the definitions to be served", Duration::from_mins(1), || self.run("admin", &wait).ok())
            .map(drop)
    }

    /// Makes a pod by hand, on a node that is only an object, with what that takes: namespace, service account, node.
    /// An exec into it fails for want of a kubelet, with 500, but is allowed and audited as any other.
    pub(crate) fn make_pod(&self, namespace: &str, name: &str) -> Result<()> {
        let container = json!({"name": "main", "image": "none"});
        let items = json!([
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}},
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "paper"}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
             "spec": {"nodeName": "paper", "containers": [container]}},
        ]);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.apply("admin", &list.to_string()).map(drop)
    }

    /// Makes a namespace, and waits for its service account, without which it takes no pod. Needs `controllers`.
    pub(crate) fn make_namespace(&self, name: &str) -> Result<()> {
        self.run("admin", &["create", "namespace", name])?;
        wait_for("the namespace's service account", Duration::from_mins(2), || {
            self.run("admin", &["get", "serviceaccount/default", "--namespace", name]).ok().map(drop)
        })
    }

    /// The events in the audit log, rotated files first, as far as they are whole and not compressed.
    pub(crate) fn audit_events(&self) -> Result<Vec<Value>> {
        let log = self.audit_log();
        let mut rotated: Vec<_> = fs::read_dir(self.folder.join("audit"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        rotated.retain(|path| *path != log && path.extension().is_some_and(|extension| extension == "log"));
        rotated.sort();
        let mut events = Vec::new();
        for file in rotated.iter().chain([&log]) {
            let content = match fs::read_to_string(file) {
                Ok(content) => content,
                // Not yet created, or between renaming and creation.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            for line in content.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let event = serde_json::from_str(line);
                events.push(event.with_context(|| format!("a line of {} is no event", file.display()))?);
            }
        }
        Ok(events)
    }

    /// Waits for an event in the audit log.
    pub(crate) fn wait_for_event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        wait_for(what, Duration::from_secs(30), || self.audit_events().ok()?.into_iter().find(&wanted))
    }

    /// Kills kube-apiserver, as a crash would.
    pub(crate) fn stop_api_server(&mut self) {
        self.api_server.stop();
    }

    /// Starts another kube-apiserver for the same etcd, as clusters have it that are highly available. Its log is
    /// `audit/other/audit.log`, and `other-alice` and `other-tripline` are users whose kubectl talks to it.
    pub(crate) fn start_other_api_server(&self) -> Result<Server> {
        let log = self.folder.join("audit/other/audit.log");
        fs::create_dir_all(self.folder.join("audit/other"))?;
        let mut options = self.options.clone();
        options.api_server_arguments.push(format!("--audit-log-path={}", log.display()));
        let (mut server, port) = on_free_port(|port| {
            start_api_server(&self.programs, &self.folder, &options, self.etcd_port, port)
        })?;
        for user in ["alice", "tripline"] {
            write_kubeconfig(&self.folder, port, &format!("other-{user}"), &token_of(user))?;
        }
        let is_ready = || self.run("other-alice", &["get", "--raw", "/readyz"]).is_ok();
        server.wait_until(Duration::from_mins(1), is_ready)?;
        Ok(server)
    }

    /// What kube-apiserver is given from its next start on, besides what it was started with first.
    pub(crate) fn set_api_server_arguments(&mut self, arguments: Vec<String>) {
        self.more_arguments = arguments;
    }

    /// The audit policy of kube-apiserver from its next start on.
    pub(crate) fn set_audit_policy(&self, policy: &str) -> Result<()> {
        Ok(fs::write(self.folder.join("audit-policy.yaml"), policy)?)
    }

    /// Starts kube-apiserver again, on the same port with the same data.
    pub(crate) fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.stop();
        let mut options = self.options.clone();
        options.api_server_arguments.extend(self.more_arguments.iter().cloned());
        self.api_server =
            start_api_server(&self.programs, &self.folder, &options, self.etcd_port, self.port)?;
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.controllers.take());
        self.api_server.stop();
        self.etcd.stop();
        if std::thread::panicking() {
            self.keep_logs();
        }
    }
}
