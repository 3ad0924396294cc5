//! From paths to rules that can be judged: files are read, checked against the schema and compiled, and whatever is
//! wrong is collected with its place.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Output;
use super::document::{Content, Node};
use super::finding::{Finding, Severity};
use super::rule_files::{self, RuleFile};
use super::scalar;
use super::schema::Checker;
use crate::api::{DetectionRule, Grouping, RuleException};
use crate::controller::compile::{self, Compiled};

/// A rule without errors.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) object: DetectionRule,
    pub(crate) compiled: Compiled,
}

/// Everything that was read.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) files: Vec<RuleFile>,
    /// The rules without errors, in the order of the files.
    pub(crate) rules: Vec<Loaded>,
    /// What is wrong, with the number of the file it is in.
    pub(crate) findings: Vec<(usize, Finding)>,
    /// How many rules there are, good or bad.
    pub(crate) count: usize,
}

/// Reads and compiles every rule that `paths` name. Fails where a path cannot be read or there is no rule at all.
pub(crate) fn load(paths: &[PathBuf]) -> anyhow::Result<Loading> {
    let files = rule_files::read(paths)?;
    let checker = Checker::new();
    let mut loaded = Loading { files: Vec::new(), rules: Vec::new(), findings: Vec::new(), count: 0 };
    let mut names: HashMap<String, String> = HashMap::new();
    for (number, file) in files.iter().enumerate() {
        loaded.findings.extend(file.findings.iter().map(|finding| (number, finding.clone())));
        for node in &file.rules {
            loaded.count += 1;
            let (rule, mut findings) = check(&checker, node, &file.text);
            if let Some(name) = rule_name(node) {
                let span = node.get("metadata").and_then(|metadata| metadata.get("name"));
                let span = span.unwrap_or(node).span.clone();
                let (line, _) = super::finding::line_column(&file.text, span.start);
                let place = format!("{}:{line}", file.path.display());
                if let Some(first) = names.get(&name) {
                    let message = format!("the rule `{name}` is defined twice, first in {first}");
                    findings.push(
                        Finding::error(message, span)
                            .with_help("the later one would replace it: rename one of them"),
                    );
                } else {
                    names.insert(name.clone(), place);
                }
                for finding in &mut findings {
                    finding.rule = Some(name.clone());
                }
            }
            let good = findings.iter().all(|finding| finding.severity != Severity::Error);
            loaded.findings.extend(findings.into_iter().map(|finding| (number, finding)));
            loaded.rules.extend(rule.filter(|_| good));
        }
    }
    loaded.files = files;
    let listed = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(
        loaded.count > 0 || !loaded.findings.is_empty(),
        "no DetectionRule in {}: rules are read from .yaml, .yml and .json files",
        listed()
    );
    Ok(loaded)
}

/// The name of a rule, if it has one.
pub(crate) fn rule_name(node: &Node) -> Option<String> {
    node.get("metadata")?.get("name")?.as_str().map(str::to_owned)
}

fn check(checker: &Checker, node: &Node, text: &str) -> (Option<Loaded>, Vec<Finding>) {
    let (value, mut findings) = checker.check(node);
    // A rule with a wrong list of tags still has a query worth checking, so this goes on where it can.
    let object = match serde_json::from_value::<DetectionRule>(value.clone()) {
        Ok(object) => object,
        Err(error) => {
            if findings.iter().all(|finding| finding.severity != Severity::Error) {
                findings
                    .push(Finding::error(format!("this is no DetectionRule: {error}"), node.span.clone()));
            }
            match queries_only(&value) {
                Some(object) => object,
                None => return (None, findings),
            }
        }
    };
    let (compiled, found) = match compile::compile(&object) {
        Ok(compiled) => {
            let warnings = compiled.warnings.clone();
            (Some(compiled), warnings)
        }
        Err(found) => (None, found),
    };
    findings.extend(found.iter().map(|finding| placed(finding, node, text)));
    (compiled.map(|compiled| Loaded { object, compiled }), findings)
}

/// A rule of nothing but the queries, where they can be read.
fn queries_only(value: &Value) -> Option<DetectionRule> {
    let spec = value.get("spec")?;
    let readable = |exception: &&Value| serde_json::from_value::<RuleException>((*exception).clone()).is_ok();
    let exceptions = spec.get("exceptions").and_then(Value::as_array).into_iter().flatten();
    let grouping =
        spec.get("grouping").and_then(|value| serde_json::from_value::<Grouping>(value.clone()).ok());
    let spec = json!({
        "displayName": "-",
        "severity": "Low",
        "riskScore": 0,
        "query": spec.get("query")?.as_str()?,
        "exceptions": exceptions.filter(readable).collect::<Vec<_>>(),
        "grouping": grouping.unwrap_or_default(),
    });
    serde_json::from_value(json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "-"}, "spec": spec
    }))
    .ok()
}

/// A finding of the compiler with its place in the file.
fn placed(found: &compile::Finding, node: &Node, text: &str) -> Finding {
    let spec = node.get("spec");
    let part = |path: &[&str]| path.iter().try_fold(spec?, |node, key| node.get(key));
    let target = match found.part() {
        compile::Part::Spec => None,
        compile::Part::Query => part(&["query"]),
        compile::Part::Exception(name) => {
            let named = |item: &&Node| item.get("name").and_then(Node::as_str) == Some(name);
            part(&["exceptions"]).and_then(|list| list.items().iter().find(named)?.get("query"))
        }
        compile::Part::GroupBy(index) => part(&["grouping", "by"]).and_then(|by| by.items().get(*index)),
    };
    let place = target.or_else(|| node.get("metadata")?.get("name")).or(spec).unwrap_or(node);
    let span = match (target, found.span()) {
        (Some(target), Some(span)) => spread(text, target, &span),
        _ => place.span.clone(),
    };
    let finding = if found.is_error() {
        Finding::error(found.message(), span)
    } else {
        Finding::warning(found.message(), span)
    };
    Finding { help: found.help().map(str::to_owned), in_query: found.line_column(), ..finding }
}

fn spread(text: &str, target: &Node, span: &Range<usize>) -> Range<usize> {
    if !matches!(target.content, Content::Text(..)) {
        return target.span.clone();
    }
    let start = scalar::offset_in_text(text, target, span.start);
    start..scalar::offset_in_text(text, target, span.end).max(start)
}

impl Loading {
    /// Whether any finding is an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|(_, finding)| finding.severity == Severity::Error)
    }

    /// Writes the findings of at least this weight, ordered by place.
    pub(crate) fn report(
        &self,
        errors_only: bool,
        output: Output,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut findings: Vec<_> = self
            .findings
            .iter()
            .filter(|(_, finding)| !errors_only || finding.severity == Severity::Error)
            .collect();
        findings.sort_by_key(|(file, finding)| (*file, finding.span.start));
        for (file, finding) in findings {
            let Some(file) = self.files.get(*file) else {
                continue;
            };
            match output {
                Output::Text => write!(out, "{}", finding.to_text(&file.path, &file.text))?,
                Output::Json => writeln!(out, "{}", finding.to_json(&file.path, &file.text)?)?,
            }
        }
        Ok(())
    }

    /// Shows the errors on standard error, for commands whose business is not the findings.
    pub(crate) fn report_errors(&self) -> anyhow::Result<()> {
        let mut shown = Vec::new();
        self.report(true, Output::Text, &mut shown)?;
        io::stderr().lock().write_all(&shown)?;
        Ok(())
    }

    /// "3 rules in 2 files", for a summary.
    pub(crate) fn summary(&self) -> String {
        format!("{} in {}", counted(self.count, "rule"), counted(self.files.len(), "file"))
    }
}

/// "1 rule", "2 rules".
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
