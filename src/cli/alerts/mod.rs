//! `tripline alerts`: look at alerts and triage them. As the plugin `kubectl tripline` it is `kubectl tripline alerts`.

mod list;
mod selection;
mod show;
mod triage;

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};

use super::Outcome;
use crate::api::{SecurityAlert, is_object_name};
use crate::controller::connect_as_kubectl;

/// Options of `tripline alerts`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:
  tripline alerts list --state Open --severity High
  tripline alerts show user-exec-into-pod-k3j5mwq2xr7ta-1
  tripline alerts ack user-exec-into-pod-k3j5mwq2xr7ta-1 --assignee carol
  tripline alerts close user-exec-into-pod-k3j5mwq2xr7ta-1 --reason \"planned work\"
  tripline alerts close --all --rule list-secrets --reason \"a backup\" --yes

Exit codes: 0 all is well, 2 something could not be done, and the message says what.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Kubeconfig to use, as kubectl does
    #[arg(long, global = true, display_order = 100, value_name = "FILE", env = "TRIPLINE_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, display_order = 101, value_name = "NAME", env = "TRIPLINE_CONTEXT")]
    context: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List alerts: what is to be done first, the most severe and the newest first
    List(list::Args),
    /// Show all there is to know of an alert
    Show(show::Args),
    /// Take alerts on: they count on, and are yours
    Ack(triage::AckArgs),
    /// Close alerts: what happens again opens new ones
    Close(triage::CloseArgs),
    /// Open closed or acknowledged alerts again
    Reopen(triage::ReopenArgs),
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = connect_as_kubectl(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
        match &args.command {
            Command::List(list) => list::run(&client, list, out).await?,
            Command::Show(show) => show::run(&client, show, out).await?,
            Command::Ack(ack) => triage::ack(&client, ack, out).await?,
            Command::Close(close) => triage::close(&client, close, out).await?,
            Command::Reopen(reopen) => triage::reopen(&client, reopen, out).await?,
        }
        Ok(Outcome::Fine)
    })
}

/// A name as it may stand in a URL.
fn checked(name: &str) -> anyhow::Result<&str> {
    let name = name.rsplit_once('/').filter(|(kind, _)| is_kind(kind)).map_or(name, |(_, name)| name);
    if name.len() > 63 || !is_object_name(name) {
        bail!("{name:?} is no name of an alert");
    }
    Ok(name)
}

/// Whether `kubectl get -o name` would say so before an alert's name.
fn is_kind(text: &str) -> bool {
    matches!(text, "securityalert" | "securityalerts" | "secalert" | "securityalert.tripline.dev")
}

/// The newest match's own time, or when the first was made.
fn last_seen(alert: &SecurityAlert) -> Option<Timestamp> {
    let seen = alert.status.as_ref().and_then(|status| status.last_seen_time.as_ref()).map(|time| time.0);
    seen.or_else(|| alert.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// How long ago, in two units at most.
fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(time).max(SignedDuration::ZERO).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => format!("{hours}h{}m", minutes % 60),
        28_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_is_put_into_a_url() {
        assert_eq!(checked("exec-k3j5mwq2xr7ta-1").unwrap(), "exec-k3j5mwq2xr7ta-1");
        assert_eq!(checked("securityalert.tripline.dev/a-1").unwrap(), "a-1");
        for name in ["", "../a", "a/b", "A", "a b", &"a".repeat(64)] {
            assert!(checked(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_age_is_short() {
        let now = Timestamp::from_second(10_000_000).unwrap();
        for (seconds, said) in [
            (-5, "0s"),
            (119, "119s"),
            (121, "2m1s"),
            (3_700, "61m"),
            (11_000, "3h3m"),
            (90_000, "25h"),
            (900_000, "10d"),
        ] {
            assert_eq!(ago(now - SignedDuration::from_secs(seconds), now), said);
        }
    }
}
