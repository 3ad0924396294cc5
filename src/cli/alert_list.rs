//! The alerts that `replay` prints: numbered as `run` would number them, written one after the other.

use std::collections::HashMap;
use std::io::{self, Write};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tabwriter::TabWriter;

use super::terminal;
use crate::alert::{Ledger, Parcel, alert_object, counted};
use crate::api::SecurityAlert;

/// How alerts are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// A line an alert.
    #[default]
    Table,
    /// A List of SecurityAlerts.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Alerts, oldest first. An object is some kilobytes, so each is made when it is printed.
pub(super) struct AlertList<'a> {
    node: &'a str,
    alerts: Vec<Found>,
}

/// What makes up one alert.
struct Found {
    ordinal: u32,
    /// Opens it; its times reach over `more` as well.
    first: Parcel,
    /// Joined it, in order.
    more: Vec<Parcel>,
}

impl Found {
    fn takes(&self, parcel: &Parcel) -> bool {
        self.first.holds(parcel.first) || self.first.holds(parcel.last) || parcel.holds(self.first.first)
    }

    fn join(&mut self, parcel: Parcel) {
        self.first.first = self.first.first.min(parcel.first);
        self.first.last = self.first.last.max(parcel.last);
        self.more.push(parcel);
    }

    fn alert(&self, node: &str) -> SecurityAlert {
        let mut alert = alert_object(&self.first, self.ordinal);
        let parcels = std::iter::once(&self.first).chain(&self.more);
        alert.status = parcels.fold(None, |status, parcel| Some(counted(status, parcel, node)));
        alert
    }
}

impl<'a> AlertList<'a> {
    /// What the ledger holds as the alerts that `run` would have written.
    pub(super) fn take(ledger: &'a Ledger) -> Self {
        let mut groups: HashMap<String, Vec<Found>> = HashMap::new();
        for parcel in ledger.take_all() {
            let group = groups.entry(parcel.opening.group_hash.clone()).or_default();
            match group.iter_mut().rev().find(|found| found.takes(&parcel)) {
                Some(found) => found.join(parcel),
                None => {
                    let ordinal = group.last().map_or(1, |found| found.ordinal + 1);
                    group.push(Found { ordinal, first: parcel, more: Vec::new() });
                }
            }
        }
        let mut alerts: Vec<_> = groups.into_values().flatten().collect();
        alerts.sort_by(|a, b| {
            let (of_a, of_b) = (&a.first.opening, &b.first.opening);
            let key = (a.first.first, &of_a.rule_name, &of_a.group_hash, a.ordinal);
            key.cmp(&(b.first.first, &of_b.rule_name, &of_b.group_hash, b.ordinal))
        });
        Self { node: ledger.node(), alerts }
    }

    /// Prints the alerts.
    pub(super) fn print(&self, form: Form, out: &mut dyn Write) -> io::Result<()> {
        match form {
            Form::Table => self.print_table(out),
            Form::Json => self.print_json(out),
            Form::Yaml => self.print_yaml(out),
        }
    }

    fn alerts(&self) -> impl Iterator<Item = SecurityAlert> {
        self.alerts.iter().map(|found| found.alert(self.node))
    }

    fn print_json(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(
            out,
            "{{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"metadata\": {{}},\n  \"items\": ["
        )?;
        for (number, alert) in self.alerts().enumerate() {
            // A string in JSON has no line break of its own, so every line can be moved to the right.
            let text = terminal::escape_json(&serde_json::to_string_pretty(&alert)?).replace('\n', "\n    ");
            write!(out, "{}\n    {text}", if number == 0 { "" } else { "," })?;
        }
        writeln!(out, "{}]\n}}", if self.alerts.is_empty() { "" } else { "\n  " })
    }

    fn print_yaml(&self, out: &mut dyn Write) -> io::Result<()> {
        let start = "apiVersion: v1\nkind: List\nmetadata: {}\nitems:";
        writeln!(out, "{start}{}", if self.alerts.is_empty() { " []" } else { "" })?;
        for alert in self.alerts() {
            let mut text = serde_saphyr::to_string(&alert).map_err(io::Error::other)?;
            if terminal::is_unsafe(&text) {
                // Only a quoted string can hold an escape. JSON, all of whose strings are quoted, is YAML as well.
                text = terminal::escape_yaml(&serde_json::to_string(&alert)?).into_owned();
            }
            writeln!(out, "- {}", text.trim_end().replace('\n', "\n  "))?;
        }
        Ok(())
    }

    fn print_table(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.alerts.is_empty() {
            return Ok(());
        }
        let mut table = TabWriter::new(out).minwidth(0).padding(3);
        writeln!(table, "NAME\tSEVERITY\tRULE\tUSER\tTARGET\tCOUNT\tFIRST SEEN\tLAST SEEN")?;
        for alert in self.alerts() {
            let detection = alert.spec.detection;
            let status = alert.status.unwrap_or_default();
            let none = || "<none>".to_owned();
            let time = |time: Option<MicroTime>| time.map_or_else(none, |time| seconds(time.0));
            let cells = [
                alert.metadata.name.unwrap_or_default(),
                detection.severity.as_str().to_owned(),
                detection.rule_name,
                detection.event.user.and_then(|user| user.username).unwrap_or_else(none),
                detection.target,
                status.count.to_string(),
                time(status.first_seen_time),
                time(status.last_seen_time),
            ];
            writeln!(table, "{}", cells.map(|cell| terminal::line(&cell).into_owned()).join("\t"))?;
        }
        table.flush()
    }
}

fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}
