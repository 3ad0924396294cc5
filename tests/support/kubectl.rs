//! A kubectl that keeps a connection open.
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::ControlPlane;

/// A kubectl that goes on until it is killed.
pub(crate) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    /// Starts it as alice.
    pub(crate) fn start(plane: &ControlPlane, arguments: &[&str]) -> Result<Self> {
        let mut command: Command = plane.kubectl_command("alice");
        let log = File::create(plane.folder().join(format!("kubectl-{}.log", arguments[0])))?;
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(log).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("kubectl has no output")?).lines();
        Ok(Self { child, lines })
    }

    /// The next line that contains this.
    pub(crate) fn line_with(&mut self, text: &str) -> Result<String> {
        for line in self.lines.by_ref() {
            let line = line?;
            if line.contains(text) {
                return Ok(line);
            }
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "kubectl ended with {status} before it said {text:?}");
        bail!("kubectl ended before it said {text:?}")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
