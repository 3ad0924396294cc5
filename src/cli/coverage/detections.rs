//! The list of what there is to detect, which rules name in an annotation.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::Rule;
use crate::cli::rule_files;

/// The annotation in which a rule names what it covers.
const COVERS: &str = "tripline.dev/covers";

/// What there is to detect, and what a page says around it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Detections {
    /// The page's first paragraphs.
    pub(super) about: String,
    /// Why something is left out.
    pub(super) reasons: Vec<Reason>,
    pub(super) rows: Vec<Row>,
    /// What no rule sees.
    pub(super) limits: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    pub(super) reason: String,
    pub(super) means: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) detection: String,
    /// What of it is left out, and why.
    #[serde(default)]
    pub(super) except: String,
}

pub(super) fn read(path: &Path) -> anyhow::Result<Detections> {
    let bytes = rule_files::read_bytes(path)?;
    serde_saphyr::from_slice(&bytes).with_context(|| format!("{} is no list of detections", path.display()))
}

/// The rows that a rule names.
pub(super) fn covered<'a>(rule: &Rule<'a>) -> impl Iterator<Item = &'a str> {
    let annotations = rule.object.metadata.annotations.as_ref();
    let named = annotations.and_then(|annotations| annotations.get(COVERS));
    named.into_iter().flat_map(|rows| rows.split(',')).map(str::trim).filter(|row| !row.is_empty())
}
