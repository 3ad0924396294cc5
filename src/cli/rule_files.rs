//! Finds rules in files and folders.
//!
//! A folder is searched with all folders below it for `.yaml`, `.yml` and `.json`; names that begin with a dot are
//! left out, which is also what makes a mounted ConfigMap's files appear once. A file may hold several documents and
//! other kinds.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context as _;

use super::document::{self, Node};
use super::finding::Finding;
use super::schema::nearest;
use crate::api;

/// The largest file that is read. A rule is at most 200 KiB, and a folder of rules may be one file.
const MOST_BYTES: u64 = 64 << 20;

/// A file and the rules found in it.
#[derive(Debug)]
pub(crate) struct RuleFile {
    /// As it was given or found.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) rules: Vec<Node>,
    /// `DetectionException`s.
    pub(crate) exceptions: Vec<Node>,
    /// What keeps the file, or the rest of it, from being read.
    pub(crate) findings: Vec<Finding>,
}

/// Reads every file that `paths` name, in the order given, a folder's files sorted by name.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<RuleFile>> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for path in paths {
        let found = if path.is_dir() { search(path)? } else { vec![path.clone()] };
        for path in found {
            let same = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if seen.insert(same) {
                files.push(RuleFile::read(path)?);
            }
        }
    }
    Ok(files)
}

fn search(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // A link to a folder is not followed: it could lead back to where it stands.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if has_rule_extension(&path) && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn has_rule_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The bytes of a file, or of standard input for `-`, up to a bound.
pub(crate) fn read_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let read = |from: &mut dyn io::Read, bytes: &mut Vec<u8>| from.take(MOST_BYTES + 1).read_to_end(bytes);
    if path.as_os_str() == "-" {
        read(&mut io::stdin().lock(), &mut bytes).context("cannot read standard input")?;
    } else {
        fs::File::open(path)
            .and_then(|mut file| read(&mut file, &mut bytes))
            .with_context(|| format!("cannot read {}", path.display()))?;
    }
    anyhow::ensure!(bytes.len() as u64 <= MOST_BYTES, "{} is larger than 64 MiB", path.display());
    Ok(bytes)
}

impl RuleFile {
    fn read(path: PathBuf) -> anyhow::Result<Self> {
        let bytes = read_bytes(&path)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Self::parse(path, text),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let finding = Finding::error("this is not UTF-8", good..good)
                    .with_help("save the file as UTF-8 without other encodings in it");
                Self { path, text, rules: Vec::new(), exceptions: Vec::new(), findings: vec![finding] }
            }
        })
    }

    fn parse(path: PathBuf, text: String) -> Self {
        let (documents, unreadable) = document::read(&text);
        let mut file = Self { path, text, rules: Vec::new(), exceptions: Vec::new(), findings: Vec::new() };
        for document in documents {
            file.collect(document);
        }
        if let Some(error) = unreadable {
            file.findings.push(
                Finding::error(format!("not valid YAML: {}", error.message), error.span)
                    .with_help("the rest of the file was not read"),
            );
        }
        file
    }

    /// Keeps a document that is a rule or an exception, or those of a `List`, as `kubectl get -o yaml` prints them.
    fn collect(&mut self, document: Node) {
        let text = |key| document.get(key).and_then(Node::as_str);
        match (text("apiVersion"), text("kind")) {
            (_, Some("List" | "DetectionRuleList" | "DetectionExceptionList")) => {
                for item in document.get("items").map(Node::items).unwrap_or_default() {
                    self.collect(item.clone());
                }
            }
            (Some(version), Some(kind @ ("DetectionRule" | "DetectionException")))
                if version.split('/').next() != Some(api::GROUP) =>
            {
                // Another program's kind may have this name; a misspelt group would be left out without a word.
                let group = version.split('/').next().unwrap_or_default();
                if nearest(group, [api::GROUP].into_iter()).is_some() {
                    let span =
                        document.get("apiVersion").map_or(document.span.clone(), |node| node.span.clone());
                    self.findings.push(
                        Finding::error(format!("unknown apiVersion of a {kind}"), span)
                            .with_help(format!("write `{}/v1alpha1`", api::GROUP)),
                    );
                }
            }
            (_, Some("DetectionRule")) => self.rules.push(document),
            (_, Some("DetectionException")) => self.exceptions.push(document),
            // A misspelt kind of this group would otherwise be left out without a word.
            (Some(version), kind) if version.split('/').next() == Some(api::GROUP) => {
                let known = ["AuditSource", "SecurityAlert"];
                if kind.is_none_or(|kind| !known.contains(&kind)) {
                    let span = document.get("kind").map_or(document.span.clone(), |node| node.span.clone());
                    let message = match kind {
                        Some(kind) => format!("{} has no kind `{kind}`", api::GROUP),
                        None => "`kind` is missing".to_owned(),
                    };
                    self.findings.push(
                        Finding::error(message, span).with_help("write `kind: DetectionRule` for a rule"),
                    );
                }
            }
            _ => {}
        }
    }
}
