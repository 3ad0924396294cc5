//! `tripline alerts ack`, `close` and `reopen`.

use std::io::Write;

use anyhow::{Context as _, bail};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value, json};

use super::checked;
use super::selection::Selection;
use crate::alert::call;
use crate::api::{SecurityAlert, Stored, TriageState};
use crate::cli::terminal::{self, say};

/// What a person says of it.
#[derive(Debug, Default, clap::Args)]
struct Words {
    /// Who takes care of it
    #[arg(long, value_name = "WHO", env = "TRIPLINE_ALERTS_ASSIGNEE")]
    assignee: Option<String>,
    /// Anything else
    #[arg(long, value_name = "TEXT", env = "TRIPLINE_ALERTS_COMMENT")]
    comment: Option<String>,
}

/// Options of `tripline alerts ack`.
#[derive(Debug, clap::Args)]
pub(super) struct AckArgs {
    /// Names of alerts
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Why it is acknowledged
    #[arg(long, value_name = "TEXT", env = "TRIPLINE_ALERTS_REASON")]
    reason: Option<String>,
    #[command(flatten)]
    words: Words,
}

/// Options of `tripline alerts close`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline alerts close NAME --reason \"planned work\"
  tripline alerts close --all --rule list-secrets --user backup --reason \"the backup\" --yes")]
pub(super) struct CloseArgs {
    /// Names of alerts
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "NAME")]
    names: Vec<String>,
    /// Why it is closed
    #[arg(long, required = true, value_name = "TEXT", env = "TRIPLINE_ALERTS_REASON")]
    reason: String,
    #[command(flatten)]
    words: Words,
    /// Close all that the filters select and that are not closed; takes a filter and --yes
    #[arg(long, env = "TRIPLINE_ALERTS_ALL")]
    all: bool,
    /// With --all: close them; without it, they are only listed
    #[arg(long, requires = "all", env = "TRIPLINE_ALERTS_YES")]
    yes: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Options of `tripline alerts reopen`.
#[derive(Debug, clap::Args)]
pub(super) struct ReopenArgs {
    /// Names of alerts
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Why it is opened again
    #[arg(long, value_name = "TEXT", env = "TRIPLINE_ALERTS_REASON")]
    reason: Option<String>,
    #[command(flatten)]
    words: Words,
}

pub(super) async fn ack(client: &Client, args: &AckArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let change = change(TriageState::Acknowledged, args.reason.as_deref(), &args.words);
    set(client, &args.names, &change, "acknowledged", out).await
}

pub(super) async fn reopen(client: &Client, args: &ReopenArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    // What was the reason to close it is none to have it open.
    let reason = args.reason.as_deref().or(Some(""));
    set(client, &args.names, &change(TriageState::Open, reason, &args.words), "reopened", out).await
}

pub(super) async fn close(client: &Client, args: &CloseArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let change = change(TriageState::Closed, Some(&args.reason), &args.words);
    if !args.all {
        if !args.selection.is_empty() {
            bail!("filters are for --all; without it, name the alerts");
        }
        return set(client, &args.names, &change, "closed", out).await;
    }
    if args.selection.is_empty() {
        bail!("--all takes a filter, such as --rule, so that not everything is closed by mistake");
    }
    let found = args.selection.alerts(client).await?;
    let open = found.into_iter().filter(|alert| alert.spec.triage.state != TriageState::Closed);
    let names: Vec<_> = open.map(|alert| alert.name_any()).collect();
    if names.is_empty() {
        say!("no such alerts are open");
        return Ok(());
    }
    if !args.yes {
        for name in &names {
            writeln!(out, "securityalert.tripline.dev/{} would be closed", terminal::line(name))?;
        }
        bail!("nothing is closed yet: add --yes to close these {}", names.len());
    }
    set(client, &names, &change, "closed", out).await
}

/// What is said nothing of stays as it is.
fn change(state: TriageState, reason: Option<&str>, words: &Words) -> Value {
    let texts =
        [("reason", reason), ("assignee", words.assignee.as_deref()), ("comment", words.comment.as_deref())];
    let said = texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text?))));
    let mut triage: Map<_, _> = said.collect();
    triage.insert("state".to_owned(), json!(state));
    json!({"spec": {"triage": triage}})
}

/// Changes each, also when one could not be.
async fn set(
    client: &Client,
    names: &[String],
    change: &Value,
    done: &str,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let api: Api<Stored<SecurityAlert>> = Api::all(client.clone());
    let names = names.iter().map(|name| checked(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut failed, params) = (Vec::new(), PatchParams::apply("tripline-cli"));
    for name in &names {
        let patch = Patch::Merge(change);
        match call("the change of the alert", api.patch(name, &params, &patch)).await {
            Ok(_) => writeln!(out, "securityalert.tripline.dev/{name} {done}")?,
            Err(error) => {
                let error = anyhow::Error::from(error).context(format!("{name} is not {done}"));
                failed.push(error);
            }
        }
    }
    let count = failed.len();
    let Some(first) = failed.into_iter().next() else { return Ok(()) };
    if names.len() == 1 {
        Err(first)
    } else {
        Err(first).context(format!("{count} of {} failed", names.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_is_changed() {
        let words = Words { assignee: Some("carol".to_owned()), comment: None };
        assert_eq!(
            change(TriageState::Acknowledged, None, &words),
            json!({"spec": {"triage": {"state": "Acknowledged", "assignee": "carol"}}})
        );
        assert_eq!(
            change(TriageState::Closed, Some("known"), &Words::default()),
            json!({"spec": {"triage": {"state": "Closed", "reason": "known"}}})
        );
    }
}
