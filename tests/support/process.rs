//! Server processes that never outlive the test: stopped when dropped, and by a guard when the test is killed.
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A running server, whose output goes to a file.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    log: PathBuf,
    child: Child,
    guard: Child,
}

impl Server {
    /// Starts a program. Its output is appended to `<folder>/<name>.log`.
    pub(crate) fn start(program: &Path, folder: &Path, arguments: &[String]) -> Result<Self> {
        Self::launch(Command::new(program), program, folder, arguments)
    }

    /// Starts a program in a control group, which its children are then born in.
    pub(crate) fn start_in_group(
        group: &Path,
        program: &Path,
        folder: &Path,
        arguments: &[String],
    ) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(group).arg(program);
        Self::launch(command, program, folder, arguments)
    }

    fn launch(mut command: Command, program: &Path, folder: &Path, arguments: &[String]) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        // A process group of its own: an interrupt at the terminal is for the test, and the guard outlives it.
        let mut child = command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        // The guard's input ends when this process does, however it ends. Until `child` is waited for, which only
        // `stop` does and after the guard is gone, its number cannot belong to another process.
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\" 2>/dev/null", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { name, log, child, guard }),
            Err(error) => {
                drop(child.kill());
                drop(child.wait());
                Err(error).context("failed to start the guard of a server")
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server and waits for its end.
    pub(crate) fn stop(&mut self) {
        // In this order, and whatever fails: it may have ended by itself.
        drop(self.guard.kill());
        drop(self.guard.wait());
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Asks the server to end (SIGTERM) and waits until it did, with success.
    pub(crate) fn terminate(&mut self, longest: Duration) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let status =
            wait_for(&format!("{} to end", self.name), longest, || self.child.try_wait().ok().flatten())?;
        ensure!(status.success(), "{} ended with {status}; {}", self.name, self.log_end());
        Ok(())
    }

    /// Waits until `ready`, which is asked again and again; fails with the end of the log when the server ends or
    /// takes too long.
    pub(crate) fn wait_until(&mut self, longest: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let limit = Instant::now() + longest;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it was ready; {}", self.name, self.log_end());
            }
            if ready() {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!("{} was not ready after {longest:?}; {}", self.name, self.log_end());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The last lines of the log, and where it is.
    fn log_end(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.reverse();
        format!("its log {} ends with\n{}", self.log.display(), lines.join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port of the loopback interface that nobody listens on. Somebody may by the time it is used.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether a server failed because its port was taken.
pub(crate) fn is_port_clash(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

/// Asks until there is an answer; an error says what was waited for.
pub(crate) fn wait_for<T>(what: &str, longest: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let limit = Instant::now() + longest;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() > limit {
            bail!("waited {longest:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process' resident memory, in kilobytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) peak: u64,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "no process is that large")]
        let megabytes = |kilobytes: u64| kilobytes as f64 / 1024.0;
        write!(f, "{:.1} MB resident, {:.1} at its peak", megabytes(self.now), megabytes(self.peak))
    }
}

/// What a process keeps in memory.
pub(crate) fn memory(id: u32) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let kilobytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.with_context(|| format!("the process {id} has no {field}"))
    };
    Ok(Memory { now: kilobytes("VmRSS:")?, peak: kilobytes("VmHWM:")? })
}
