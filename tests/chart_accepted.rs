//! A real API server accepts every golden, strictly and without a warning.
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::helm::{CRDS, Helm};
use support::{ControlPlane, Options};

/// Where the kinds of the Prometheus Operator are, as a Go module has them.
const PROMETHEUS: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";
const PROMETHEUS_SUM: &str = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=";

/// The folder of those definitions, downloaded once into Go's own cache.
fn prometheus_definitions() -> Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", PROMETHEUS])
        // Outside of any module, so that it changes none.
        .current_dir(std::env::temp_dir())
        .stderr(Stdio::inherit())
        .output()
        .context("failed to run go")?;
    let module: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(output.status.success(), "{PROMETHEUS}: {}", module["Error"]);
    ensure!(module["Sum"] == PROMETHEUS_SUM, "{PROMETHEUS} is not what it was: {}", module["Sum"]);
    Ok(Path::new(module["Dir"].as_str().context("a folder")?).join("example/prometheus-operator-crd"))
}

/// As a server-side apply, which sends nothing but the manifest, and refuses a field that the kind does not have.
fn apply(plane: &ControlPlane, more: &[&str], file: &Path) -> Result<()> {
    let mut command = plane.kubectl_command("admin");
    command.args(["apply", "--server-side", "--force-conflicts", "--validate=strict"]).args(more);
    let output = command.arg("--filename").arg(file).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !said.contains("Warning"), "{}: {said}", file.display());
    Ok(())
}

#[test]
fn every_golden_is_accepted_by_a_real_api_server() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart");
        let helm = Helm::of(plane, "admin")?;
        helm.run(&["install", "tripline-crds", CRDS, "--namespace", "tripline-system"])?;
        let label = "pod-security.kubernetes.io/enforce=privileged";
        plane.run("admin", &["label", "namespace", "tripline-system", label])?;
        // The users of the tests have an account by that name, made in another way. A pod's account must be there.
        let accounts = ["--namespace=tripline-system", "serviceaccount"];
        plane.run("admin", &[&["delete"], &accounts[..], &["tripline"]].concat())?;
        plane.run("admin", &[&["create"], &accounts[..], &["tripline-canary"]].concat())?;
        let definitions = prometheus_definitions()?;
        for kind in ["podmonitors", "prometheusrules", "servicemonitors"] {
            apply(plane, &[], &definitions.join(format!("monitoring.coreos.com_{kind}.yaml")))?;
        }
        apply(plane, &[], &tests.join("securitycontextconstraints.yaml"))?;
        plane.await_definitions()?;

        let pod_monitor = helm.template(&[
            "--set-json=metrics.podMonitor={\"enabled\":true,\"relabelings\":[{\"action\":\"labeldrop\",\"regex\":\"x\"}]}",
            "--show-only=templates/metrics/podmonitor.yaml",
        ])?;
        let extra = plane.folder().join("podmonitor.yaml");
        std::fs::write(&extra, pod_monitor)?;
        let library = plane.folder().join("library.yaml");
        std::fs::write(&library, helm.template(&["--show-only=templates/rules.yaml"])?)?;

        let goldens = std::fs::read_dir(tests.join("golden"))?.map(|entry| entry.map(|entry| entry.path()));
        let mut files = goldens.collect::<Result<Vec<_>, _>>()?;
        ensure!(files.len() > 10, "the goldens are not where they were");
        files.extend([extra, library]);
        for file in files {
            apply(plane, &["--dry-run=server"], &file)?;
        }
        Ok(())
    })
}
