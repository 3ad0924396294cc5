//! A rule, from its source to what is evaluated.
use std::sync::Arc;

use super::Context;
use super::conjunct::Conjunct;
use super::evaluate::MissingBody;
use super::exception::{Exception, ExceptionSource, Origin};
use super::implied::implies;
use super::lint::{self, secrets::Concerned};
use super::plan::Plan;
use crate::event::{Event, Field, Look, Slot, Slots};
use crate::query::{Diagnostic, Expr, Severity, parse};

/// A rule as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleSource {
    /// The object's name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// The object's generation.
    pub generation: i64,
    /// What to match, in KQL.
    pub query: String,
    /// What a body that was never logged counts as, here and in the exceptions.
    pub missing_body: MissingBody,
    /// What not to report.
    pub exceptions: Vec<ExceptionSource>,
    /// The fields whose values tell alerts apart.
    pub group_by: Vec<String>,
}

/// The part of a rule that a remark is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The query.
    Query,
    /// The query of the exception of this name.
    Exception(String),
    /// The field at this index of the grouping.
    GroupBy(usize),
}

/// A remark on a part of a rule; its span is in that part's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which part.
    pub part: Part,
    /// What is to be said.
    pub diagnostic: Diagnostic,
}

/// One field of a match's group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupValue {
    /// The field, as the rule names it.
    pub field: String,
    /// Its values in the order of the event; `None` if it has none.
    pub values: Option<Vec<String>>,
}

/// A compiled rule. Immutable.
#[derive(Debug, Clone)]
pub struct Rule {
    name: String,
    uid: String,
    generation: i64,
    pub(super) query: Plan,
    /// The query, taken apart.
    pub(super) conjuncts: Vec<Conjunct>,
    pub(super) missing_body: MissingBody,
    /// Its own, then those that stand for themselves.
    pub(super) exceptions: Vec<Arc<Exception>>,
    group_by: Vec<Field>,
    names_stage: bool,
}

impl Rule {
    /// Compiles a rule; with it come the warnings.
    ///
    /// # Errors
    /// Everything that is wrong with it, in all its parts, warnings included; at least one finding is an error.
    pub fn compile(source: RuleSource) -> Result<(Rule, Vec<Finding>), Vec<Finding>> {
        let mut findings = Vec::new();
        let mut report = |part: Part, remarks: Vec<Diagnostic>| {
            findings.extend(remarks.into_iter().map(|diagnostic| Finding { part: part.clone(), diagnostic }));
        };
        let mut remarks = Vec::new();
        let query = compile_query(&source.query, None, false, &mut remarks);
        report(Part::Query, remarks);
        let expr = query.as_ref().map(|(_, expr)| expr);
        let conjuncts = query.as_ref().map(|(plan, _)| Conjunct::all_of(plan)).unwrap_or_default();
        let mut exceptions = Vec::new();
        for exception in &source.exceptions {
            let mut remarks = Vec::new();
            let query = compile_query(&exception.query, expr, true, &mut remarks);
            if let Some((query, _)) = query {
                let ExceptionSource { name, expire, .. } = exception.clone();
                let missing_body = source.missing_body;
                let compiled = Exception { name, origin: Origin::Rule, query, expire, missing_body };
                if compiled.is_implied_by(&conjuncts) {
                    remarks.push(covers_all(
                        &exception.query,
                        "every match of the rule meets this exception: the rule would never alert",
                    ));
                }
                exceptions.push(Arc::new(compiled));
            }
            report(Part::Exception(exception.name.clone()), remarks);
        }
        let concerned = expr.map(|expr| Concerned::by(&[expr])).unwrap_or_default();
        let mut group_by = Vec::new();
        for (index, name) in source.group_by.iter().enumerate() {
            let mut remarks = Vec::new();
            group_by.extend(compile_group_field(name, &concerned, &mut remarks));
            report(Part::GroupBy(index), remarks);
        }
        let is_broken = findings.iter().any(|finding| finding.diagnostic.severity == Severity::Error);
        match query {
            Some((query, _)) if !is_broken => {
                let names_stage = query.names_stage();
                let costly = costly(&source.query, &conjuncts, &findings);
                findings.extend(costly);
                let RuleSource { name, uid, generation, missing_body, .. } = source;
                let rule = Rule {
                    name,
                    uid,
                    generation,
                    query,
                    conjuncts,
                    missing_body,
                    exceptions,
                    group_by,
                    names_stage,
                };
                Ok((rule, findings))
            }
            _ => Err(findings),
        }
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object's uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The object's generation.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// Its exceptions: its own in the order of the source, then those that it was bound to.
    pub fn exceptions(&self) -> &[Arc<Exception>] {
        &self.exceptions
    }

    /// The same rule with these exceptions besides its own.
    #[must_use]
    pub fn excepting(&self, shared: impl IntoIterator<Item = Arc<Exception>>) -> Rule {
        let own = self.exceptions.iter().filter(|exception| exception.origin() == Origin::Rule).cloned();
        Rule { exceptions: own.chain(shared).collect(), ..self.clone() }
    }

    /// Whether the exception surely holds for every match of the rule: nothing would be left of it.
    pub fn is_silenced_by(&self, exception: &Exception) -> bool {
        exception.is_implied_by(&self.conjuncts)
    }

    /// Whether its query names a field of a body: an audit policy that logs none leaves it undecidable.
    pub fn needs_body(&self) -> bool {
        self.query.needs_body()
    }

    /// Whether it asks about some resources only, of its own accord.
    pub fn names_resource(&self) -> bool {
        self.conjuncts.iter().any(|conjunct| conjunct.slots.single() == Some(Slot::Resource))
    }

    /// Whether its query names the stage: then it detects wherever it matches.
    pub fn names_stage(&self) -> bool {
        self.names_stage
    }

    /// The group that a match on this event belongs to, a value a field of the rule's grouping.
    pub fn group(&self, event: &Event<'_>, context: &Context<'_>) -> Vec<GroupValue> {
        let look = Look { event: *event, cluster: context.cluster, element: None };
        let value = |field: &Field| {
            let values: Vec<String> =
                field.values(&look).into_iter().map(|value| value.into_text().into_owned()).collect();
            GroupValue { field: field.name().to_owned(), values: (!values.is_empty()).then_some(values) }
        };
        self.group_by.iter().map(value).collect()
    }
}

/// A remark on a query that nothing decides but the whole event. Where another remark may be its reason it is left out,
/// unless any place may hold what is asked for.
fn costly(text: &str, conjuncts: &[Conjunct], findings: &[Finding]) -> Option<Finding> {
    let is_costly = !conjuncts.is_empty() && !conjuncts.iter().any(Conjunct::is_told_early);
    let is_alone = !findings.iter().any(|finding| finding.part == Part::Query);
    let reads_all = || conjuncts.iter().any(|conjunct| conjunct.slots == Slots::ALL);
    (is_costly && (is_alone || reads_all())).then(|| {
        let message = "every event is read whole for this rule: no one field decides against it";
        let help = "join a condition on one field, such as `verb` or `objectRef.resource`, with `and`";
        Finding { part: Part::Query, diagnostic: Diagnostic::warning(0..text.len(), message).help(help) }
    })
}

/// Compiles a query, with remarks on it. Of an exception `rule` is what it is an exception of, where that is known.
pub(super) fn compile_query(
    text: &str,
    rule: Option<&Expr>,
    is_exception: bool,
    remarks: &mut Vec<Diagnostic>,
) -> Option<(Plan, Expr)> {
    let parsed = match parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            remarks.push(error);
            return None;
        }
    };
    remarks.extend(parsed.warnings);
    lint::check(&parsed.expr, remarks);
    let asked: Vec<&Expr> = rule.into_iter().chain([&parsed.expr]).collect();
    lint::secrets::check(&parsed.expr, &Concerned::by(&asked), remarks);
    match Plan::compile(&parsed.expr) {
        Ok(plan) if !is_exception && plan.is_everything() => {
            remarks.push(
                Diagnostic::error(
                    0..text.len(),
                    "expected a condition: a rule that matches every event is refused",
                )
                .help("name a field and a value, such as `verb:create`"),
            );
            None
        }
        Ok(plan) if is_exception && implies([], &plan) => {
            remarks.push(covers_all(text, "expected a condition: an exception for every event is refused"));
            None
        }
        Ok(plan) => Some((plan, parsed.expr)),
        Err(errors) => {
            remarks.extend(errors);
            None
        }
    }
}

fn covers_all(text: &str, message: &str) -> Diagnostic {
    Diagnostic::error(0..text.len(), message).help(
        "name whom or what is excepted, such as `user.username:\"system:serviceaccount:ci:deployer\"`; to silence a rule, \
         set its `mode` to DryRun",
    )
}

fn compile_group_field(name: &str, concerned: &Concerned, remarks: &mut Vec<Diagnostic>) -> Option<Field> {
    let span = 0..name.len();
    if name.trim().is_empty() || name.contains('*') {
        remarks.push(
            Diagnostic::error(span, "expected the name of one field")
                .help("a grouping takes plain names, such as `user.username`"),
        );
        return None;
    }
    match Field::resolve(name) {
        Ok(field) => {
            remarks.extend(lint::unknown_name(name, span.clone()));
            remarks.extend(lint::secrets::remark(name, span, concerned));
            Some(field)
        }
        Err(error) => {
            remarks.push(Diagnostic::error(span, error.to_string()).help(error.help()));
            None
        }
    }
}
