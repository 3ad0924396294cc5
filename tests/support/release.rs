//! A release of the chart on the node of the tests, with the image as `make image` builds it.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::ControlPlane;
use super::helm::{Helm, TRIPLINE};
use super::node::Node;
use super::process::wait_for;

/// The release's namespace.
pub(crate) const NAMESPACE: &str = "watch";
/// How long a pod may take to be replaced.
const PATIENCE: Duration = Duration::from_mins(2);

/// A release `tripline`.
pub(crate) struct Release {
    helm: Helm,
    namespace: String,
    values: Vec<String>,
}

impl Release {
    /// Installs the chart as its documents say, and waits until everything is ready.
    pub(crate) fn install(node: &Node, values: &[&str]) -> Result<Self> {
        node.plane().run("admin", &["create", "namespace", NAMESPACE])?;
        Self::install_in(NAMESPACE, node, values)
    }

    /// The same in another namespace, which exists.
    pub(crate) fn install_in(namespace: &str, node: &Node, values: &[&str]) -> Result<Self> {
        node.import_image(&image()?)?;
        let plane = node.plane();
        let label = "pod-security.kubernetes.io/enforce=privileged";
        plane.run("admin", &["label", "namespace", namespace, label])?;
        let log = plane.audit_log();
        let folder = log.parent().unwrap_or(Path::new("/"));
        let mut all = vec![
            "distribution=custom".to_owned(),
            format!("source.file.path={}", log.display()),
            format!("source.file.mountPath={}", folder.display()),
            format!("reader.statePath={}", plane.folder().join("state").display()),
            "image.pullPolicy=Never".to_owned(),
            // The one node there is is the control plane's.
            "controller.tolerations[0].key=node-role.kubernetes.io/control-plane".to_owned(),
            "controller.tolerations[0].operator=Exists".to_owned(),
        ];
        all.extend(values.iter().map(|&value| value.to_owned()));
        let release = Self { helm: Helm::of(plane, "admin")?, namespace: namespace.to_owned(), values: all };
        release.apply("install", &[])?;
        Ok(release)
    }

    /// Upgrades it, with values that go for this time.
    pub(crate) fn upgrade(&self, values: &[&str]) -> Result<()> {
        self.apply("upgrade", values)
    }

    fn apply(&self, verb: &str, values: &[&str]) -> Result<()> {
        let all: Vec<&str> = self.values.iter().map(String::as_str).chain(values.iter().copied()).collect();
        let values = all.iter().flat_map(|value| ["--set", value]);
        let mut arguments =
            vec![verb, "tripline", TRIPLINE, "--namespace", &self.namespace, "--wait", "--timeout=2m"];
        arguments.extend(values);
        self.helm.run(&arguments).map(drop)
    }

    /// Runs helm on it.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.helm.run(&[arguments, &["--namespace", &self.namespace]].concat())
    }

    /// Its running pods of a component, such as `reader`.
    pub(crate) fn pods(plane: &ControlPlane, component: &str) -> Result<Vec<String>> {
        let selector = format!("--selector=app.kubernetes.io/component={component}");
        let list = plane.get(&["pods", "--namespace", NAMESPACE, &selector])?;
        let running = list["items"].as_array().into_iter().flatten().filter(|pod| {
            let ready = pod["status"]["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
            });
            ready && pod["metadata"]["deletionTimestamp"].is_null()
        });
        Ok(running.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect())
    }

    /// Waits until there are so many ready pods of a component; gives their names.
    pub(crate) fn wait_for_pods(plane: &ControlPlane, component: &str, count: usize) -> Result<Vec<String>> {
        wait_for(&format!("{count} ready pods of the {component}"), PATIENCE, || {
            Self::pods(plane, component).ok().filter(|pods| pods.len() == count)
        })
    }
}

/// The image of these sources. The script builds what has changed since, which is nothing where `make image` has run.
fn image() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("image/archive.sh");
    let mut command = Command::new(&script);
    // What cargo tells its tests would make the script's own cargo build everything anew.
    let told = std::env::vars().map(|(name, _)| name);
    for name in
        told.filter(|name| name.starts_with("CARGO_") && name != "CARGO_HOME" || name == "LD_LIBRARY_PATH")
    {
        command.env_remove(name);
    }
    let status = command
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("failed to run {}", script.display()))?;
    ensure!(status.success(), "{} failed", script.display());
    Ok(root.join("target/image/tripline.tar"))
}
