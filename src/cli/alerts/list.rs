//! `tripline alerts list`.

use std::cmp::Reverse;
use std::io::{self, Write};

use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use tabwriter::TabWriter;

use super::selection::Selection;
use super::{ago, last_seen};
use crate::api::{SecurityAlert, TriageState};
use crate::cli::terminal::{self, clipped, say};

/// Options of `tripline alerts list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tripline alerts list --state Open
  tripline alerts list --user alice --namespace shop -o wide
  tripline alerts list --severity Low -o name | xargs tripline alerts close --reason \"known\"")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// How they are printed
    #[arg(long, short, value_enum, default_value_t, env = "TRIPLINE_ALERTS_OUTPUT")]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line an alert
    #[default]
    Table,
    /// The same with more of each
    Wide,
    /// A List of SecurityAlerts
    Json,
    /// Their names
    Name,
}

/// The most characters of a cell that a request fills.
const CELL: usize = 40;

pub(super) async fn run(client: &Client, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut alerts = args.selection.alerts(client).await?;
    sort(&mut alerts);
    if alerts.is_empty() && args.output != Output::Json {
        say!("no such alerts");
        return Ok(());
    }
    Ok(print(&alerts, args.output, Timestamp::now(), out)?)
}

/// What is to be done first comes first.
fn sort(alerts: &mut [SecurityAlert]) {
    alerts.sort_by_cached_key(|alert| {
        let state = match alert.spec.triage.state {
            TriageState::Open => 0,
            TriageState::Acknowledged => 1,
            TriageState::Closed => 2,
        };
        (state, Reverse(alert.spec.detection.severity), Reverse(last_seen(alert)), alert.name_any())
    });
}

fn print(alerts: &[SecurityAlert], output: Output, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Name => {
            for alert in alerts {
                writeln!(out, "securityalert.tripline.dev/{}", terminal::line(&alert.name_any()))?;
            }
            Ok(())
        }
        Output::Json => {
            let list =
                serde_json::json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": alerts});
            writeln!(out, "{}", terminal::escape_json(&serde_json::to_string_pretty(&list)?))
        }
        Output::Table | Output::Wide => {
            let is_wide = output == Output::Wide;
            let mut table = TabWriter::new(out).minwidth(0).padding(3);
            let mut head = vec!["NAME", "SEVERITY", "STATE", "COUNT", "LAST", "USER", "TARGET"];
            if is_wide {
                head.extend(["RULE", "ASSIGNEE", "FIRST", "SOURCE IP", "TITLE"]);
            }
            writeln!(table, "{}", head.join("\t"))?;
            for alert in alerts {
                let cells = cells(alert, is_wide, now);
                let shown: Vec<_> = cells.iter().map(|cell| terminal::line(cell)).collect();
                writeln!(table, "{}", shown.join("\t"))?;
            }
            table.flush()
        }
    }
}

fn cells(alert: &SecurityAlert, is_wide: bool, now: Timestamp) -> Vec<String> {
    let (detection, triage) = (&alert.spec.detection, &alert.spec.triage);
    let status = alert.status.clone().unwrap_or_default();
    let or_none =
        |text: Option<&str>| clipped(text.filter(|text| !text.is_empty()).unwrap_or("<none>"), CELL);
    let age = |time: Option<Timestamp>| time.map_or_else(|| "<none>".to_owned(), |time| ago(time, now));
    let event = &detection.event;
    let mut cells = vec![
        alert.name_any(),
        detection.severity.as_str().to_owned(),
        triage.state.as_str().to_owned(),
        status.count.to_string(),
        age(last_seen(alert)),
        or_none(event.user.as_ref().and_then(|user| user.username.as_deref())),
        or_none(Some(&detection.target)),
    ];
    if is_wide {
        cells.extend([
            detection.rule_name.clone(),
            or_none(Some(&triage.assignee)),
            age(status.first_seen_time.map(|time| time.0)),
            or_none(event.source_ips.last().map(String::as_str)),
            clipped(&detection.title, 2 * CELL),
        ]);
    }
    cells
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alert(name: &str, severity: &str, state: &str, second: i64) -> SecurityAlert {
        let time = format!("{:.6}", Timestamp::from_second(second).unwrap());
        serde_json::from_value(json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert", "metadata": {"name": name},
            "spec": {
                "detection": {
                    "ruleName": "r", "title": "R\u{1b}[2J", "severity": severity, "riskScore": 1, "groupHash": "",
                    "target": "pods shop/web-0", "event": {"user": {"username": "x".repeat(256)}},
                },
                "triage": {"state": state},
            },
            "status": {"count": 3, "firstSeenTime": time, "lastSeenTime": time},
        }))
        .unwrap()
    }

    fn printed(alerts: &[SecurityAlert], output: Output) -> String {
        let mut out = Vec::new();
        print(alerts, output, Timestamp::from_second(200).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_to_be_done_comes_first_and_nothing_reaches_the_terminal() {
        let mut alerts = [
            alert("closed", "Critical", "Closed", 190),
            alert("old", "High", "Open", 100),
            alert("low", "Low", "Open", 195),
            alert("new", "High", "Open", 150),
            alert("known", "Critical", "Acknowledged", 190),
        ];
        sort(&mut alerts);
        assert_eq!(
            alerts.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(),
            ["new", "old", "low", "known", "closed"]
        );
        let table = printed(&alerts, Output::Table);
        let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["NAME", "SEVERITY", "STATE", "COUNT", "LAST", "USER", "TARGET"]);
        assert_eq!(rows[1][..5], ["new", "High", "Open", "3", "50s"]);
        assert!(rows[1][5].chars().count() == CELL && rows[1][5].ends_with('…'));
        for output in [Output::Table, Output::Wide, Output::Json, Output::Name] {
            assert!(!printed(&alerts, output).contains('\u{1b}'));
        }
        assert_eq!(printed(&alerts[..1], Output::Name), "securityalert.tripline.dev/new\n");
        let list: serde_json::Value = serde_json::from_str(&printed(&alerts, Output::Json)).unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), 5);
    }
}
