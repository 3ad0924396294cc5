//! What a node puts on the machine, and that it is taken away again.
//!
//! There can be one node at a time on a machine, since its addresses and names are fixed. A file in the temporary
//! folder is locked by the one that runs, and holds what it changed. `node-clean.sh` reads that: when the node stops,
//! when the test's process is killed, and before the next start in case even that did not happen.
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::kube_proxy;

/// The address of the `kubernetes` Service: the first of `--service-cluster-ip-range`.
pub(super) const API_SERVER_ADDRESS: &str = "10.96.0.1";
/// The node's own address. The kubelet wants one that is not loopback's, though it may be of that interface.
pub(super) const NODE_ADDRESS: &str = "10.244.1.1";
/// The range of the pods' addresses.
pub(super) const POD_RANGE: &str = "10.244.0.0/24";
/// The range of the Services' addresses.
const SERVICE_RANGE: &str = "10.96.0.0/24";
/// The cluster's ranges, of services, and of pods and nodes. What is sent to an address in them that nobody has goes
/// nowhere; it would leave the machine by its default route.
pub(super) const RANGES: [&str; 2] = [SERVICE_RANGE, "10.244.0.0/16"];
/// The name of the control groups.
pub(super) const GROUP: &str = "tripline-node";

const GROUPS: &str = "/sys/fs/cgroup";
/// What the kubelet and the network plugins set.
const SETTINGS: [&str; 7] = [
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];
/// Folders that the servers make whatever they are told.
const FOLDERS: [&str; 6] = [
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
];

/// The machine, ours alone as long as this lives.
#[derive(Debug)]
pub(super) struct Machine {
    lock: File,
    state: PathBuf,
    guard: Option<Child>,
}

impl Machine {
    /// Waits until no other node runs here, and takes away what a killed one left.
    pub(super) fn take() -> Result<Self> {
        let state = std::env::temp_dir().join("tripline-node.state");
        let lock = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&state)
            .with_context(|| format!("failed to open {}", state.display()))?;
        if lock.try_lock().is_err() {
            eprintln!("another node runs on this machine; waiting for its end");
            lock.lock().with_context(|| format!("failed to lock {}", state.display()))?;
        }
        let mut machine = Self { lock, state, guard: None };
        machine.clean()?;
        Ok(machine)
    }

    /// Makes control groups and addresses, for a node whose files are below `folder`, with kube-proxy where it has
    /// `services`.
    pub(super) fn set_up(&mut self, folder: &Path, services: bool) -> Result<()> {
        for range in RANGES {
            let routes = ip(&["-o", "route", "show", "table", "all", "root", range])?;
            ensure!(
                routes.is_empty(),
                "{range} is in use on this machine, so a node cannot use it for itself: {routes}"
            );
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let below = format!(" {}/", folder.display());
        let mounted = mounts.lines().find(|line| line.contains(&below));
        ensure!(mounted.is_none(), "unmount what is mounted below {} first: {mounted:?}", folder.display());
        ensure!(!(services && kube_proxy::has_tables()?), "there are tables of a kube-proxy on this machine");
        let groups = groups()?;
        (&self.lock).write_all(state(folder, &groups, services)?.as_bytes())?;
        self.guard = Some(self.start_guard()?);
        for group in &groups {
            make_group(group)?;
        }
        fs::create_dir(servers_group_of(&groups)?)?;
        for address in [API_SERVER_ADDRESS, NODE_ADDRESS] {
            ip(&["address", "add", &format!("{address}/32"), "dev", "lo"])?;
        }
        for range in RANGES {
            // The kernel looks for a way before kube-proxy's rules name another address, and asks again afterwards.
            if services && range == SERVICE_RANGE {
                ip(&["route", "add", range, "dev", "lo", "src", NODE_ADDRESS])?;
            } else {
                ip(&["route", "add", "unreachable", range])?;
            }
        }
        Ok(())
    }

    /// The guard's input ends when this process does, however it ends. With its output it keeps the lock until it is
    /// done.
    fn start_guard(&self) -> Result<Child> {
        Command::new("sh")
            .args(["-c", "read -r _; exec \"$0\" \"$1\" 2>/dev/null"])
            .arg(script())
            .arg(&self.state)
            .stdin(Stdio::piped())
            .stdout(self.lock.try_clone()?)
            .stderr(Stdio::null())
            // An interrupt at the terminal is not for it.
            .process_group(0)
            .spawn()
            .context("failed to start the guard of the node")
    }

    /// Takes away what the node put on the machine. Only after this, and only if it succeeds, may its folder be
    /// deleted: until then other folders may be mounted into it.
    pub(super) fn clean(&mut self) -> Result<()> {
        let output =
            Command::new(script()).arg(&self.state).output().context("failed to run node-clean.sh")?;
        if !output.status.success() {
            bail!(
                "a node of the tests was not taken away wholly ({} says what there was): {}",
                self.state.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        if let Some(mut guard) = self.guard.take() {
            drop(guard.kill());
            drop(guard.wait());
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.clean() {
            eprintln!("{error:#}");
        }
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/node-clean.sh")
}

/// All that is to be taken away or set back, as `node-clean.sh` reads it.
fn state(folder: &Path, groups: &[PathBuf], services: bool) -> Result<String> {
    let mut state = String::new();
    writeln!(state, "folder {}", folder.display())?;
    for group in groups {
        writeln!(state, "group {}", group.display())?;
    }
    for range in RANGES {
        writeln!(state, "range {range}")?;
    }
    for address in [API_SERVER_ADDRESS, NODE_ADDRESS] {
        writeln!(state, "address {address}")?;
    }
    for family in kube_proxy::FAMILIES.iter().filter(|_| services) {
        writeln!(state, "table {family} {}", kube_proxy::TABLE)?;
    }
    for name in SETTINGS {
        if let Ok(value) = fs::read_to_string(Path::new("/proc/sys").join(name)) {
            writeln!(state, "setting {name} {}", value.trim())?;
        }
    }
    for folder in FOLDERS.iter().filter(|folder| !Path::new(folder).exists()) {
        writeln!(state, "absent {folder}")?;
    }
    Ok(state)
}

/// Lets pods mount a folder so that they see what is mounted in it later (`mountPropagation: HostToContainer`). On most
/// machines every folder can be, but not where no init made the root's mounts shared. `node-clean.sh` takes it away.
pub(super) fn share(folder: &Path) -> Result<()> {
    run(Command::new("mount").arg("--bind").arg(folder).arg(folder))?;
    run(Command::new("mount").arg("--make-shared").arg(folder)).map(drop)
}

/// What `ip` prints.
fn ip(arguments: &[&str]) -> Result<String> {
    run(Command::new("ip").args(arguments))
}

/// What a command prints.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn is_unified() -> bool {
    Path::new(GROUPS).join("cgroup.controllers").exists()
}

/// The node's control groups: one, or with version 1 one a controller.
fn groups() -> Result<Vec<PathBuf>> {
    if is_unified() {
        return Ok(vec![Path::new(GROUPS).join(GROUP)]);
    }
    let mut groups = Vec::new();
    for entry in fs::read_dir(GROUPS)? {
        let entry = entry?;
        // Some are links to others.
        if entry.file_type()?.is_dir() && entry.path().join("cgroup.procs").exists() {
            groups.push(entry.path().join(GROUP));
        }
    }
    ensure!(!groups.is_empty(), "there are no control groups in {GROUPS}");
    Ok(groups)
}

/// The control group for servers whose children are to be found at the end.
pub(super) fn servers_group() -> Result<PathBuf> {
    servers_group_of(&groups()?)
}

/// With version 1 any controller would do; `pids` is everywhere, and limits nothing by itself.
fn servers_group_of(groups: &[PathBuf]) -> Result<PathBuf> {
    let pids = groups.iter().find(|group| group.starts_with(Path::new(GROUPS).join("pids")));
    Ok(pids.or(groups.first()).context("no control group")?.join("servers"))
}

fn make_group(group: &Path) -> Result<()> {
    fs::create_dir(group).with_context(|| format!("failed to make the control group {}", group.display()))?;
    let parent = group.parent().context("a control group has a parent")?;
    if is_unified() {
        // A controller works in a group if its parent passes it on.
        let controllers = fs::read_to_string(parent.join("cgroup.controllers"))?;
        for controller in ["cpu", "cpuset", "memory", "pids", "hugetlb"] {
            if controllers.split_whitespace().any(|name| name == controller) {
                for passing in [parent, group] {
                    fs::write(passing.join("cgroup.subtree_control"), format!("+{controller}"))
                        .with_context(|| {
                            format!("the controller {controller} cannot be used below {}", passing.display())
                        })?;
                }
            }
        }
    }
    // With version 1 nothing runs in a group of this controller before these are set.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !is_unified() && group.join(file).exists() {
            fs::write(group.join(file), fs::read(parent.join(file))?)?;
        }
    }
    Ok(())
}
