//! The page on what a set of rules detects.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::detections::covered;
use super::{Coverage, Detections, Rule};
use crate::api::ThreatReference;
use crate::cli::load::counted;
use crate::cli::terminal;

/// What stands above a page that is not to be edited.
pub(super) const HEADER: &str = "<!-- Printed by `tripline coverage`; change the rules instead. -->\n\n";

pub(super) fn page(coverage: &Coverage<'_>, rules: &[Rule<'_>], detections: Option<&Detections>) -> String {
    let mut page = format!("{HEADER}# Coverage\n\n");
    let off = rules.iter().filter(|rule| !rule.is_on()).count();
    if let Some(detections) = detections {
        write(&mut page, format_args!("{}\n", detections.about));
    }
    let summary = format!("{}, of which {off} are off (marked ¹)", counted(rules.len(), "rule"));
    write(&mut page, format_args!("{summary}, for {}.\n", techniques(coverage)));
    page.push_str(
        "\nThe level is the least one of an [audit policy](https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/) at \
         which the rule can decide a request. Where requests of one verb need more, that follows: what a JSON patch came \
         to stands in the answer. `tripline audit-policy` prints such a policy.\n\n",
    );
    page.push_str("| tactic | rules | of these off |\n|---|---|---|\n");
    for tactic in coverage.0.values() {
        let rules = tactic.rules();
        let off = rules.iter().filter(|rule| !rule.is_on()).count();
        write(&mut page, format_args!("| {} | {} | {off} |\n", title(tactic.reference), rules.len()));
    }
    for tactic in coverage.0.values() {
        write(&mut page, format_args!("\n## {}\n\n", title(tactic.reference)));
        page.push_str("| technique | rule | severity | level |\n|---|---|---|---|\n");
        for technique in tactic.techniques.values() {
            let mut title = linked(technique.reference);
            for rule in &technique.rules {
                let (severity, level) = (rule.severity().as_str(), rule.level());
                write(&mut page, format_args!("| {title} | {} | {severity} | {level} |\n", marked(rule)));
                title.clear();
            }
        }
    }
    if let Some(detections) = detections {
        rows(&mut page, rules, detections);
    }
    page
}

/// The table of detections, and what stands around it.
fn rows(page: &mut String, rules: &[Rule<'_>], detections: &Detections) {
    let mut by_row: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for rule in rules {
        for row in covered(rule) {
            by_row.entry(row).or_default().push(marked(rule));
        }
    }
    let all = detections.rows.len();
    let found = detections.rows.iter().filter(|row| by_row.contains_key(row.id.as_str())).count();
    write(
        page,
        format_args!("\n## Detections\n\n{found} of {all} rows are covered. What is left out, and why:\n\n"),
    );
    page.push_str("| reason | means |\n|---|---|\n");
    for reason in &detections.reasons {
        write(page, format_args!("| {} | {} |\n", reason.reason, reason.means));
    }
    page.push_str("\n| row | detection | rules | not, or not all |\n|---|---|---|---|\n");
    for row in &detections.rows {
        let names = by_row.remove(row.id.as_str()).unwrap_or_default().join(", ");
        write(page, format_args!("| {} | {} | {names} | {} |\n", row.id, row.detection, row.except));
    }
    // A number that no row has is a mistake of the rule's, which shall be seen.
    for (row, names) in by_row {
        write(page, format_args!("| {} | not in the list | {} | |\n", cell(row), names.join(", ")));
    }
    write(page, format_args!("\n{}", detections.limits));
}

fn techniques(coverage: &Coverage<'_>) -> String {
    let ids: std::collections::BTreeSet<_> =
        coverage.techniques().filter_map(|(_, technique)| Some(&technique.reference?.id)).collect();
    counted(ids.len(), "technique")
}

/// What stands behind the name of a rule that is off.
pub(super) fn mark(rule: &Rule<'_>) -> &'static str {
    if rule.is_on() { "" } else { "¹" }
}

/// A rule's name, and whether it is off.
fn marked(rule: &Rule<'_>) -> String {
    format!("`{}`{}", cell(rule.name()), mark(rule))
}

pub(super) fn title(reference: Option<&ThreatReference>) -> String {
    reference.map_or_else(|| "No tactic".to_owned(), |reference| cell(&reference.name))
}

/// The id and name of a technique, leading to its page.
pub(super) fn linked(reference: Option<&ThreatReference>) -> String {
    let Some(reference) = reference else { return "-".to_owned() };
    let name = format!("{} {}", cell(&reference.id), cell(&reference.name));
    match reference.reference.as_deref().filter(|page| is_link(page)) {
        Some(page) => format!("[{name}]({page})"),
        None => name,
    }
}

/// Whether an address can stand in Markdown's brackets as it is.
pub(super) fn is_link(page: &str) -> bool {
    page.starts_with("https://") && page.chars().all(|c| c.is_ascii_graphic() && !"()<>[]|`\\\"".contains(c))
}

/// Text for a cell of a table: one line, nothing that ends the cell.
pub(super) fn cell(text: &str) -> String {
    terminal::line(text.trim()).replace('|', "\\|").replace('<', "&lt;")
}

/// Writing to text does not fail.
pub(super) fn write(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _written = page.write_fmt(text);
}
