//! The inputs of the table and of `tests/packs.rs`, as the programs beside it make them: an audit log, packs of rules.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tripline::api::{self, DetectionRule};
use tripline::detect::{MissingBody, RuleSource};

const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");

/// Writes an audit log of `options`: a function of its seed and size, whose beginning is the same at every size.
pub(crate) fn log(file: &Path, options: &[&str]) -> Result<()> {
    python("audit_log.py", file, options)
}

/// Writes a pack of `count` rules into a folder, and beside it, `<folder>.jq`, the program that does the same.
pub(crate) fn pack(folder: &Path, count: usize) -> Result<()> {
    python("rule_pack.py", folder, &["--rules", &count.to_string()])
}

/// The program of a folder's pack for jq.
pub(crate) fn jq_program(pack: &Path) -> PathBuf {
    pack.with_extension("jq")
}

fn python(program: &str, out: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new("python3");
    command.arg(Path::new(PROGRAMS).join(program)).args(options).arg("--out").arg(out);
    let output = command.output().context("python3 cannot be run")?;
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The rules of a folder in the order of their names, as they would be applied.
pub(crate) fn definitions(pack: &Path) -> Result<Vec<DetectionRule>> {
    let mut files: Vec<PathBuf> = pack.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let rules = files.iter().map(|file| {
        let text = std::fs::read_to_string(file)?;
        serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
    });
    rules.collect()
}

/// What of the rules of a folder is judged by.
pub(crate) fn rules(pack: &Path) -> Result<Vec<RuleSource>> {
    sources(definitions(pack)?)
}

/// The same of rules that are there.
pub(crate) fn sources(rules: Vec<DetectionRule>) -> Result<Vec<RuleSource>> {
    let rules = rules.into_iter().map(|rule| {
        let missing_body = match rule.spec.missing_body {
            api::MissingBody::Unknown => MissingBody::Unknown,
            api::MissingBody::Absent => MissingBody::Absent,
        };
        let name = rule.metadata.name.context("a rule has no name")?;
        Ok(RuleSource { name, query: rule.spec.query, missing_body, ..RuleSource::default() })
    });
    rules.collect()
}
