//! Whole processes: what one costs.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::measure;

/// The argument that makes this program run the command after it and print its peak.
const PEAK: &str = "peak-of";

/// Runs a command to its end; what it printed.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be run"))?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Whether a program is on the PATH.
pub(crate) fn is_found(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The peak of a command's memory in kilobytes. It is run by another process of this program: the kernel counts to a
/// process' peak what its parent had when it was started, and this one holds the log.
pub(crate) fn peak(command: &Command) -> Result<u32> {
    let mut runner = Command::new(env::current_exe()?);
    runner.arg(PEAK).arg(command.get_program()).args(command.get_args());
    let printed = String::from_utf8(output(&mut runner)?)?;
    printed.trim().parse().context("no peak was printed")
}

/// The command that this process was started to run, if it was.
pub(crate) fn asked_for_peak() -> Option<Vec<OsString>> {
    let mut arguments = env::args_os().skip(1);
    (arguments.next()? == PEAK).then(|| arguments.collect())
}

/// Runs a command and prints its peak.
pub(crate) fn print_peak(command: &[OsString]) -> Result<()> {
    let [program, arguments @ ..] = command else { anyhow::bail!("no command") };
    output(Command::new(program).args(arguments))?;
    println!("{}", measure::peak_of_children()?);
    Ok(())
}
