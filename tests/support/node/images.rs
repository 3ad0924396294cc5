//! Container images without a registry: archives as `docker save` writes them.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A shell with all that Debian's static busybox has.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:test";
/// What holds a pod's namespaces.
pub(super) const PAUSE: &str = "docker.io/library/pause:test";

/// As the first process of its namespace a shell ends by a signal only if it handles it.
const PAUSE_SCRIPT: &str = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait; done";

/// The place of the static busybox.
pub(super) fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.exists())
}

/// Writes both images into one archive in `folder`.
pub(super) fn write_base(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("busybox");
    fs::create_dir_all(root.join("bin"))?;
    fs::create_dir_all(root.join("etc"))?;
    let busybox = busybox().context("no busybox")?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    let applets = Command::new(&busybox).arg("--list").output()?;
    for applet in String::from_utf8(applets.stdout)?.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    fs::create_dir(root.join("tmp"))?;
    write(
        folder,
        "base",
        &root,
        &[
            (BUSYBOX, json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]})),
            (PAUSE, json!({"Entrypoint": ["/bin/sh", "-c", PAUSE_SCRIPT], "Env": ["PATH=/bin"]})),
        ],
    )
}

/// Writes images of the same files, which are those below `root`, into the archive `name`.tar in `folder`. Each has a
/// name with a tag and the `config` of the image format, such as `{"Entrypoint": ["/bin/x"]}`.
pub(crate) fn write(folder: &Path, name: &str, root: &Path, images: &[(&str, Value)]) -> Result<PathBuf> {
    let parts = folder.join(format!("{name}.parts"));
    fs::create_dir_all(&parts)?;
    let layer = parts.join("layer.tar");
    tar(&layer, root, &["."])?;
    let digest = HEXLOWER.encode(&Sha256::digest(fs::read(&layer)?));
    let mut manifest = Vec::new();
    let mut members = vec!["manifest.json".to_owned(), "layer.tar".to_owned()];
    for (index, (image, config)) in images.iter().enumerate() {
        let file = format!("config-{index}.json");
        let content = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        fs::write(parts.join(&file), content.to_string())?;
        manifest.push(json!({"Config": file, "RepoTags": [image], "Layers": ["layer.tar"]}));
        members.push(file);
    }
    fs::write(parts.join("manifest.json"), Value::from(manifest).to_string())?;
    let archive = folder.join(format!("{name}.tar"));
    tar(&archive, &parts, &members.iter().map(String::as_str).collect::<Vec<_>>())?;
    fs::remove_dir_all(&parts)?;
    Ok(archive)
}

/// As Go calls this machine's.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn tar(archive: &Path, folder: &Path, members: &[&str]) -> Result<()> {
    let output = Command::new("tar")
        .args(["--create", "--owner=0", "--group=0", "--numeric-owner", "--mode=a+rX"])
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(folder)
        .args(members)
        .output()
        .context("failed to run tar")?;
    ensure!(output.status.success(), "tar failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
