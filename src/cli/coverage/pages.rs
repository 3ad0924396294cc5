//! A page a rule: what it finds and why that matters, its query and tests, and what to do about an alert.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::markdown::{HEADER, cell, is_link, linked, mark, title, write};
use super::{Coverage, FRAMEWORK, Rule};
use crate::api::is_object_name;
use crate::cli::terminal;

/// Writes the pages and their index. Pages of rules that are no more stay: the folder may hold other files.
pub(super) fn save_all(folder: &Path, coverage: &Coverage<'_>, rules: &[Rule<'_>]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let save = |name: &str, text: &str| -> anyhow::Result<()> {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for rule in rules {
        // The name becomes a file's: it must not lead out of the folder.
        ensure!(is_object_name(rule.name()), "a rule's name cannot name a file");
        save(&format!("{}.md", rule.name()), &page(rule))?;
    }
    save("README.md", &index(coverage))
}

fn index(coverage: &Coverage<'_>) -> String {
    let mut page = format!("{HEADER}# Rules\n\nA page a rule, by tactic. ¹ is off until you turn it on.\n");
    for tactic in coverage.0.values() {
        let title = title(tactic.reference);
        write(&mut page, format_args!("\n## {title}\n\n| rule | finds | severity |\n|---|---|---|\n"));
        for rule in tactic.rules() {
            let (name, off) = (rule.name(), mark(rule));
            let (title, severity) = (cell(&rule.object.spec.display_name), rule.severity().as_str());
            write(&mut page, format_args!("| [{name}]({name}.md){off} | {title} | {severity} |\n"));
        }
    }
    page
}

fn page(rule: &Rule<'_>) -> String {
    let spec = &rule.object.spec;
    let mut page = format!("{HEADER}# {}\n\n", cell(&spec.display_name));
    write(
        &mut page,
        format_args!(
            "`{}`: {} ({}), mode {}, needs the audit level {}.\n",
            rule.name(),
            rule.severity().as_str(),
            spec.risk_score,
            rule.mode(),
            rule.level()
        ),
    );
    let mut paragraph = |title: &str, text: Option<&str>| {
        if let Some(text) = text {
            write(&mut page, format_args!("\n## {title}\n\n{}\n", prose(text)));
        }
    };
    paragraph("What it finds", some(&spec.description));
    let threats = spec.threat.iter().filter(|threat| threat.framework == FRAMEWORK);
    let threats: Vec<_> = threats
        .map(|threat| {
            let techniques: Vec<_> =
                threat.techniques.iter().map(|technique| linked(Some(technique))).collect();
            format!("- {}: {}", linked(Some(&threat.tactic)), techniques.join(", "))
        })
        .collect();
    paragraph("Why", (!threats.is_empty()).then(|| threats.join("\n")).as_deref());
    let fence = fence(&spec.query);
    let query = format!("{fence}\n{}\n{fence}", spec.query.trim_end());
    paragraph("Query", Some(&query));
    let grouping = format!(
        "Matches are one alert while they have the same {}, until there is none for {} seconds.",
        list(&spec.grouping.by, |field| format!("`{}`", cell(field))),
        spec.grouping.window_seconds
    );
    paragraph("Grouping", Some(&grouping));
    paragraph("What it needs", spec.setup.as_deref());
    let points = |items: &[String]| {
        let items: Vec<_> = items.iter().map(|item| format!("- {}", prose(item))).collect();
        (!items.is_empty()).then(|| items.join("\n"))
    };
    let exceptions: Vec<_> = spec
        .exceptions
        .iter()
        .map(|exception| {
            let reason = exception.reason.as_deref().map(|reason| format!(": {}", cell(reason)));
            format!("`{}`{}", cell(&exception.name), reason.unwrap_or_default())
        })
        .collect();
    paragraph("Exceptions", points(&exceptions).as_deref());
    paragraph("What else matches", points(&spec.false_positives).as_deref());
    paragraph("Triage", spec.note.as_deref());
    let tests: Vec<_> =
        spec.tests.iter().map(|test| format!("| {} | {:?} |", cell(&test.name), test.expect)).collect();
    let tests = format!("| event | expected |\n|---|---|\n{}", tests.join("\n"));
    paragraph("Tests", (!spec.tests.is_empty()).then_some(tests.as_str()));
    let links = spec.references.iter().filter(|page| is_link(page)).map(|page| format!("<{page}>"));
    paragraph("References", points(&links.collect::<Vec<_>>()).as_deref());
    page
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn list(items: &[String], show: impl Fn(&String) -> String) -> String {
    if items.is_empty() { "rule".to_owned() } else { items.iter().map(show).collect::<Vec<_>>().join(", ") }
}

/// Text of a rule's author as it is, but for what a terminal would act on and for tags.
fn prose(text: &str) -> String {
    terminal::lines(text.trim()).to_string()
}

/// A fence that does not stand in the text.
fn fence(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    fence
}
