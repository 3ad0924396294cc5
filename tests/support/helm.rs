//! Helm and the charts of this repository, with or without a control plane.
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ControlPlane;

/// The chart folders, as arguments.
pub(crate) const TRIPLINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tripline");
pub(crate) const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tripline-crds");

/// The built helm, with files of its own instead of the developer's.
#[derive(Debug)]
pub(crate) struct Helm {
    program: PathBuf,
    home: TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// For what needs no cluster.
    pub(crate) fn new() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build.sh");
        let output = Command::new(&script)
            .arg("helm")
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("failed to run {}", script.display()))?;
        ensure!(output.status.success(), "{} failed", script.display());
        let program = PathBuf::from(String::from_utf8(output.stdout)?.trim()).join("helm");
        Ok(Self { program, home: TempDir::with_prefix("tripline-helm-")?, kubeconfig: None })
    }

    /// For a control plane, as one of its users.
    pub(crate) fn of(plane: &ControlPlane, user: &str) -> Result<Self> {
        Ok(Self { kubeconfig: Some(plane.kubeconfig(user)), ..Self::new()? })
    }

    /// Runs helm. Its standard output, or an error that is its standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let home = self.home.path();
        let output = Command::new(&self.program)
            .args(arguments)
            .env("HELM_CACHE_HOME", home.join("cache"))
            .env("HELM_CONFIG_HOME", home.join("config"))
            .env("HELM_DATA_HOME", home.join("data"))
            .env("HOME", home)
            .env("KUBECONFIG", self.kubeconfig.as_deref().unwrap_or(Path::new("/dev/null")))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to run {}", self.program.display()))?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What the chart renders for a release `tripline` in `tripline-system`, without the kinds.
    pub(crate) fn template(&self, arguments: &[&str]) -> Result<String> {
        let common = ["template", "tripline", TRIPLINE, "--namespace", "tripline-system"];
        self.run(&[&common[..], arguments].concat())
    }

    /// The objects of [`Self::template`].
    pub(crate) fn objects(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        objects(&self.template(arguments)?)
    }
}

/// The objects in a stream of YAML documents.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>> {
    let documents = text.split("\n---\n").map(str::trim).filter(|document| !document.is_empty());
    documents
        .map(|document| serde_saphyr::from_str(document).with_context(|| format!("no YAML:\n{document}")))
        .map(|parsed| parsed.map(whole_numbers))
        .filter(|value| !matches!(value, Ok(Value::Null)))
        .collect()
}

/// 1.0 is 1: Helm writes a number in its own way.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, whole_numbers(value))).collect(),
        Value::Number(number) => match number.as_f64() {
            #[allow(clippy::cast_possible_truncation, reason = "no number in a manifest is that large")]
            Some(float) if number.is_f64() && float.fract() == 0.0 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        other => other,
    }
}

/// Those of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// An object's name.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// A `SecurityAlert` as Tripline would make it, of the rule before the name's hash.
pub(crate) fn alert(name: &str) -> Value {
    let mut parts = name.rsplitn(3, '-').skip(1);
    let (group, rule) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert",
        "metadata": {"name": name, "labels": {"tripline.dev/rule": rule, "tripline.dev/group": group}},
        "spec": {"detection": {
            "ruleName": rule, "title": "A rule", "severity": "Low", "riskScore": 1, "groupHash": group,
            "target": "pods/exec shop/web-0", "event": {},
        }},
    })
}

impl ControlPlane {
    /// Writes a manifest to a file and gives it to a kubectl command as one of the users, whether it succeeds or not.
    pub(crate) fn kubectl_file(&self, user: &str, arguments: &[&str], manifest: &Value) -> Result<Output> {
        let file = self.folder().join(format!("{user}-manifest.json"));
        std::fs::write(&file, manifest.to_string())?;
        self.kubectl_command(user)
            .args(arguments)
            .arg("--filename")
            .arg(&file)
            .output()
            .context("failed to run kubectl")
    }

    /// Creates an object as one of the users.
    pub(crate) fn create(&self, user: &str, manifest: &Value) -> Result<()> {
        let output = self.kubectl_file(user, &["create"], manifest)?;
        ensure!(output.status.success(), "{user}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}
