//! `tripline crds`: the definitions of the kinds, as they are installed.

use std::io::Write;

use anyhow::Context as _;

use super::Outcome;
use crate::api;

/// Options of `tripline crds`: none.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline crds | kubectl apply -f -
  tripline crds | kubectl diff -f -       is the cluster's version the one of this program?")]
pub(super) struct Args {}

/// What stands above every generated manifest.
const HEADER: &str = "# Printed by `tripline crds`; change the types in src/api/ instead.\n";

/// The name and text of each manifest, in the order they are printed.
pub fn manifests() -> anyhow::Result<Vec<(String, String)>> {
    api::crds()
        .into_iter()
        .map(|crd| {
            let name = crd.metadata.name.clone().unwrap_or_default();
            let text = serde_saphyr::to_string(&crd).with_context(|| format!("cannot print {name}"))?;
            Ok((name, format!("{HEADER}{text}")))
        })
        .collect()
}

pub(super) fn run(_: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    for (_, text) in manifests()? {
        write!(out, "---\n{text}")?;
    }
    Ok(Outcome::Fine)
}
