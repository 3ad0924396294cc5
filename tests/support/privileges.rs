//! What a test needs that not everybody has who runs it.
use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Result, ensure};

/// Capabilities by which a test's process changes the machine, with their numbers.
pub(crate) const NET_ADMIN: (&str, u32) = ("CAP_NET_ADMIN", 12);
pub(crate) const SYS_ADMIN: (&str, u32) = ("CAP_SYS_ADMIN", 21);

/// What this process lacks, if it does, of root and these capabilities.
pub(crate) fn lacking(capabilities: &[(&str, u32)]) -> Option<String> {
    if fs::metadata("/proc/self").map_or(true, |process| process.uid() != 0) {
        return Some("it takes root".to_owned());
    }
    // A root of a container may lack them.
    let effective = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    })?;
    let lacking = capabilities.iter().find(|(_, bit)| effective & (1 << bit) == 0);
    lacking.map(|(name, _)| format!("it takes {name}, which this root has not"))
}

/// Whether a test can be run, for one that does nothing otherwise. Says why not, and fails instead where
/// `TRIPLINE_NODE_TESTS=required` is set.
pub(crate) fn is_possible(what: &str, lacking: Option<String>) -> Result<bool> {
    let Some(reason) = lacking else { return Ok(true) };
    let required = std::env::var_os("TRIPLINE_NODE_TESTS").is_some_and(|value| value == "required");
    ensure!(!required, "TRIPLINE_NODE_TESTS=required is set, but this machine cannot {what}: {reason}");
    eprintln!("left out, since this machine cannot {what}: {reason}");
    Ok(false)
}
