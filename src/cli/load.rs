//! From paths to rules that can be judged: files are read, checked against the schema and compiled, and whatever is
//! wrong is collected with its place.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use super::Output;
use super::document::{Content, Node};
use super::finding::{Finding, Severity};
use super::rule_files::{self, RuleFile};
use super::scalar;
use super::schema::Checker;
use crate::api::{DetectionException, DetectionRule, Evidence, Grouping, RuleException};
use crate::controller::CriticalExceptions;
use crate::controller::binding::{Applicable, Binding, Bound};
use crate::controller::compile::{self, Compiled};
use crate::controller::rule_tests::covering;

/// A rule without errors.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) object: DetectionRule,
    pub(crate) compiled: Compiled,
}

/// An exception without errors.
#[derive(Debug)]
struct LoadedException {
    applicable: Applicable,
    /// The number of its file, and where its query stands there.
    file: usize,
    query: Range<usize>,
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
    /// How many exceptions of their own kind.
    pub(crate) exceptions: usize,
}

/// What an installation sets besides the rules and exceptions themselves.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Installation {
    /// Whether DetectionExceptions apply to rules of severity Critical; a rule's own exceptions always do
    #[arg(
        long,
        value_name = "allow|forbid",
        value_enum,
        default_value_t,
        env = "TRIPLINE_CRITICAL_EXCEPTIONS"
    )]
    pub(crate) critical_exceptions: CriticalExceptions,
}

/// Reads how much of a request an alert may show, as the API spells it.
pub(crate) fn evidence_parser() -> impl TypedValueParser<Value = Evidence> {
    PossibleValuesParser::new(Evidence::ALL.map(Evidence::as_str))
        .map(|text| Evidence::ALL.into_iter().find(|evidence| evidence.as_str() == text).unwrap_or_default())
}

/// Reads and compiles every rule that `paths` name, as this installation would. Fails where a path cannot be read or
/// there is no rule at all.
pub(crate) fn load(paths: &[PathBuf], installation: Installation) -> anyhow::Result<Loading> {
    let files = rule_files::read(paths)?;
    let checker = Checker::new();
    let mut loaded =
        Loading { files: Vec::new(), rules: Vec::new(), findings: Vec::new(), count: 0, exceptions: 0 };
    let mut exceptions = Vec::new();
    let mut names: HashMap<(&str, String), String> = HashMap::new();
    for (number, file) in files.iter().enumerate() {
        loaded.findings.extend(file.findings.iter().map(|finding| (number, finding.clone())));
        let rules = file.rules.iter().map(|node| (node, "rule"));
        for (node, kind) in rules.chain(file.exceptions.iter().map(|node| (node, "exception"))) {
            let (mut rule, mut exception) = (None, None);
            let mut findings;
            if kind == "rule" {
                loaded.count += 1;
                (rule, findings) = check(&checker, node, &file.text);
            } else {
                loaded.exceptions += 1;
                (exception, findings) = check_exception(&checker, node, &file.text);
            }
            if let Some(name) = rule_name(node) {
                let span = node.get("metadata").and_then(|metadata| metadata.get("name"));
                let span = span.unwrap_or(node).span.clone();
                let (line, _) = super::finding::line_column(&file.text, span.start);
                let place = format!("{}:{line}", file.path.display());
                if let Some(first) = names.get(&(kind, name.clone())) {
                    let message = format!("the {kind} `{name}` is defined twice, first in {first}");
                    findings.push(
                        Finding::error(message, span)
                            .with_help("the later one would replace it: rename one of them"),
                    );
                } else {
                    names.insert((kind, name.clone()), place);
                }
                for finding in &mut findings {
                    finding.rule = Some(name.clone());
                }
            }
            let good = findings.iter().all(|finding| finding.severity != Severity::Error);
            loaded.findings.extend(findings.into_iter().map(|finding| (number, finding)));
            if good {
                loaded.rules.extend(rule);
                let query = node.get("spec").and_then(|spec| spec.get("query")).unwrap_or(node).span.clone();
                exceptions.extend(exception.map(|applicable| LoadedException {
                    applicable,
                    file: number,
                    query,
                }));
            }
        }
    }
    loaded.bind(&exceptions, installation.critical_exceptions);
    loaded.files = files;
    let listed = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(
        loaded.count + loaded.exceptions > 0 || !loaded.findings.is_empty(),
        "no DetectionRule in {}: one has `apiVersion: {}/v1alpha1` and `kind: DetectionRule`, and of a folder the .yaml, \
         .yml and .json files are read",
        listed(),
        crate::api::GROUP
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

fn check_exception(checker: &Checker, node: &Node, text: &str) -> (Option<Applicable>, Vec<Finding>) {
    let (value, mut findings) = checker.check_exception(node);
    let object = match serde_json::from_value::<DetectionException>(value) {
        Ok(object) => object,
        Err(error) => {
            if findings.iter().all(|finding| finding.severity != Severity::Error) {
                let message = format!("this is no DetectionException: {error}");
                findings.push(Finding::error(message, node.span.clone()));
            }
            return (None, findings);
        }
    };
    let rules = &object.spec.rules;
    let is_meant = rules.selector.as_ref().map_or(!rules.names.is_empty(), |s| !s.is_empty());
    if !is_meant {
        let place = node.get("spec").and_then(|spec| spec.get("rules")).unwrap_or(node).span.clone();
        findings.push(
            Finding::error("`spec.rules` says of no rule that it is meant", place)
                .with_help("name rules in `names`, or select them by their labels in `selector`"),
        );
    }
    match compile::compile_exception(&object) {
        Ok(compiled) => {
            findings.extend(compiled.warnings.iter().map(|finding| placed(finding, node, text)));
            (Some(Applicable::new(&object, Arc::new(compiled.exception))), findings)
        }
        Err(found) => {
            findings.extend(found.iter().map(|finding| placed(finding, node, text)));
            (None, findings)
        }
    }
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
    /// Binds the rules to the exceptions, and says of an exception what is odd about where it applies.
    fn bind(&mut self, exceptions: &[LoadedException], critical: CriticalExceptions) {
        let mut binding = Binding::default();
        let mut covered: HashMap<String, Vec<String>> = HashMap::new();
        for Loaded { object, compiled } in &mut self.rules {
            let applicable = exceptions.iter().map(|exception| &exception.applicable);
            let shared = binding.bind(object, &compiled.rule, applicable, critical);
            for name in covering(&shared, &object.spec.tests) {
                covered.entry(name).or_default().push(object.metadata.name.clone().unwrap_or_default());
            }
            if !shared.is_empty() {
                compiled.rule = compiled.rule.excepting(shared);
            }
        }
        for LoadedException { applicable, file, query } in exceptions {
            let name = applicable.compiled().name().to_owned();
            let bound = binding.exceptions.remove(&name).unwrap_or_default();
            let mut say = |message: String, help: &str| {
                let finding = Finding::warning(message, query.clone()).with_help(help);
                self.findings.push((*file, Finding { rule: Some(name.clone()), ..finding }));
            };
            let narrower = "name whom or what is excepted; to silence a rule, set its `mode` to DryRun";
            if !bound.silenced.is_empty() {
                let rules = bound.silenced.join(", ");
                say(format!("it would let every match of {rules} pass, and does not apply there"), narrower);
            }
            if !bound.critical.is_empty() {
                let rules = bound.critical.join(", ");
                say(
                    format!("{rules} cannot be excepted so: Critical, and --critical-exceptions=forbid"),
                    "write the exception into the rule, in `spec.exceptions`",
                );
            }
            if let Some(rules) = covered.get(&name) {
                let rules = rules.join(", ");
                say(format!("the exception covers every test of {rules} that must match"), narrower);
            }
            if !bound.full.is_empty() {
                let rules = bound.full.join(", ");
                say(format!("64 exceptions apply to {rules} already"), "join exceptions with `or`");
            }
            if self.count > 0 && bound == Bound::default() {
                say(
                    "it applies to none of the rules that were read".to_owned(),
                    "check the names and labels in `spec.rules`, or give the files with its rules as well",
                );
            }
        }
    }

    /// Fails where there is no rule, for a command that is about rules.
    pub(crate) fn need_rules(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.count > 0 || self.has_errors(),
            "no DetectionRule among {}: an exception alone does nothing",
            counted(self.exceptions, "exception")
        );
        Ok(())
    }

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
        let exceptions = match self.exceptions {
            0 => String::new(),
            count => format!(", {}", counted(count, "exception")),
        };
        format!("{}{exceptions} in {}", counted(self.count, "rule"), counted(self.files.len(), "file"))
    }
}

/// "1 rule", "2 rules".
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
