//! What `kql.md` and `event-fields.md` say, done in the plainest way over a `serde_json::Value`: slow, and sharing nothing
//! with the evaluator but the parser.
mod date;
mod derived;
mod document;
mod fields;
mod image;
mod unlogged;
mod value;
mod withheld;

use jiff::Timestamp;
use serde_json::Value;

use self::document::Node;
use self::fields::{Fields, below, kind_of};
use self::image::{image_of, part_of};
use self::unlogged::is_decisive;
use self::value::{Test, fits};
use self::withheld::without_withheld;
use crate::detect::{Context, Judgement, MissingBody, Outcome, RuleSource};
use crate::query::{Expr, Literal, Values, parse};

/// Whether a query holds; `None` where that is not known.
type Truth = Option<bool>;

/// A rule, parsed.
#[derive(Debug)]
pub(super) struct ReferenceRule {
    query: Expr,
    exceptions: Vec<(Expr, Option<Timestamp>)>,
    missing_body: MissingBody,
}

impl ReferenceRule {
    /// Of a source that compiles.
    pub(super) fn new(source: &RuleSource) -> ReferenceRule {
        let parsed = |query: &str| parse(query).unwrap().expr;
        let exceptions = source.exceptions.iter();
        ReferenceRule {
            query: parsed(&source.query),
            exceptions: exceptions.map(|exception| (parsed(&exception.query), exception.expire)).collect(),
            missing_body: source.missing_body,
        }
    }
}

/// What the rules make of an event.
pub(super) fn judge(rules: &[ReferenceRule], event: &Value, context: &Context<'_>) -> Vec<Outcome> {
    let event = &without_withheld(event);
    let fields = Fields::of(event, context.cluster);
    let now = event["stageTimestamp"].as_str().and_then(date::instant);
    let mut outcomes = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let is_open = rule.missing_body == MissingBody::Unknown;
        let look = Look { fields: &fields, now, is_open, element: None };
        let decides = names_stage(&rule.query, None) || is_decisive(event, context.omitted_stages);
        let covering = rule.exceptions.iter().position(|(query, expire)| {
            expire.is_none_or(|end| now.is_some_and(|now| now < end)) && look.truth(query) == Some(true)
        });
        let what = match (look.truth(&rule.query), decides) {
            (Some(false), _) | (None, false) => continue,
            (None, true) => Judgement::Undecidable,
            (Some(true), false) => Judgement::Passing,
            (Some(true), true) => {
                covering.map_or(Judgement::Detection, |exception| Judgement::Suppressed { exception })
            }
        };
        outcomes.push(Outcome { rule: index, what });
    }
    outcomes
}

fn names_stage(query: &Expr, outer: Option<&str>) -> bool {
    let full = |field: &Literal| match outer {
        Some(outer) => format!("{outer}.{}", field.name()),
        None => field.name(),
    };
    let is_stage = |field: &Literal| matches!(full(field).as_str(), "stage" | "kubernetes.audit.stage");
    match query {
        Expr::Everything | Expr::Bare(_) => false,
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(|part| names_stage(part, outer)),
        Expr::Not(inner) => names_stage(inner, outer),
        Expr::Field { field, .. } | Expr::Range { field, .. } => is_stage(field),
        Expr::Nested { field, query } => is_stage(field) || names_stage(query, Some(&full(field))),
    }
}

fn negated(truth: Truth) -> Truth {
    truth.map(|holds| !holds)
}

fn all(truths: &[Truth]) -> Truth {
    if truths.contains(&Some(false)) {
        Some(false)
    } else if truths.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn any(truths: &[Truth]) -> Truth {
    negated(all(&truths.iter().map(|truth| negated(*truth)).collect::<Vec<_>>()))
}

/// What a query is evaluated on: an event, or one element of it inside a nested group.
struct Look<'f> {
    fields: &'f Fields,
    now: Option<Timestamp>,
    /// Whether what was not logged is unknown.
    is_open: bool,
    /// The element, and the full name of the field that it is one of.
    element: Option<(&'f Node, String)>,
}

impl Look<'_> {
    fn truth(&self, query: &Expr) -> Truth {
        let each = |parts: &[Expr]| parts.iter().map(|part| self.truth(part)).collect::<Vec<_>>();
        match query {
            Expr::Everything => Some(true),
            Expr::And(parts) => all(&each(parts)),
            Expr::Or(parts) => any(&each(parts)),
            Expr::Not(inner) => negated(self.truth(inner)),
            Expr::Field { field, values } => self.values(field, values),
            Expr::Range { field, operator, value } => self.leaf(field, Test::Range(*operator, value)),
            Expr::Nested { field, query } => self.nested(&field.name(), query),
            Expr::Bare(value) => self.bare(value),
        }
    }

    fn values(&self, field: &Literal, values: &Values) -> Truth {
        let each = |parts: &[Values]| parts.iter().map(|part| self.values(field, part)).collect::<Vec<_>>();
        match values {
            Values::One(value) => self.leaf(field, Test::Value(value)),
            Values::And(parts) => all(&each(parts)),
            Values::Or(parts) => any(&each(parts)),
            Values::Not(inner) => negated(self.values(field, inner)),
        }
    }

    /// What holds nowhere may yet hold in a part that was not logged.
    fn or_open(&self, holds: bool, could_be_there: bool) -> Truth {
        if !holds && could_be_there && self.is_open { None } else { Some(holds) }
    }

    fn leaf(&self, field: &Literal, test: Test<'_>) -> Truth {
        let pieces = &field.pieces;
        if let Some((element, outer)) = &self.element {
            return self.leaf_inside(element, outer, pieces, test);
        }
        let passes = |(kind, value): (_, &Value)| test.passes(kind, value, self.now);
        match field.plain() {
            Some(name) if test.is_exists() => {
                self.or_open(self.fields.exists(name), self.fields.is_open_below(name))
            }
            Some(name) => self.or_open(self.fields.named(name).any(passes), self.fields.is_open(name)),
            // `*:*` is every event.
            None if field.is_star() && test.is_exists() => Some(true),
            None => self.or_open(self.fields.fitting(pieces).any(passes), self.fields.could_be_open(pieces)),
        }
    }

    fn leaf_inside(&self, element: &Node, outer: &str, pieces: &[String], test: Test<'_>) -> Truth {
        let leaves = element.leaves();
        let passes =
            |name: &str, value: &Value| test.passes(kind_of(&format!("{outer}.{name}")), value, self.now);
        let full: Vec<String> = [&[format!("{outer}.{}", pieces[0])], &pieces[1..]].concat();
        if let [name] = pieces {
            if let Some((_, part)) = image_of(&full[0]) {
                let image = name.strip_suffix(part).and_then(|image| image.strip_suffix('.'));
                let parts = leaves.iter().filter(|(leaf, _)| Some(leaf.as_str()) == image);
                let mut parts = parts.filter_map(|(_, value)| part_of(value.as_str()?, part));
                let holds = parts.any(|part| test.is_exists() || passes(name, &Value::from(part)));
                return self.or_open(holds, self.fields.is_open(&full[0]));
            }
            let holds = leaves.iter().any(|(leaf, value)| {
                if test.is_exists() {
                    below(leaf, name).is_some()
                } else {
                    leaf == name && passes(leaf, value)
                }
            });
            return self.or_open(holds, self.fields.is_open(&full[0]));
        }
        let holds = leaves.iter().any(|(leaf, value)| fits(pieces, leaf) && passes(leaf, value));
        self.or_open(holds, self.fields.could_be_open(&full))
    }

    fn nested(&self, name: &str, query: &Expr) -> Truth {
        let (elements, full) = match &self.element {
            Some((element, outer)) => (element.elements(Some(name)), format!("{outer}.{name}")),
            None => (self.fields.elements(name), name.to_owned()),
        };
        let truths: Vec<Truth> = elements
            .into_iter()
            .map(|element| Look { element: Some((element, full.clone())), ..*self }.truth(query))
            .collect();
        match any(&truths) {
            Some(false) => self.or_open(false, self.fields.is_open(&full)),
            truth => truth,
        }
    }

    /// A value without a field: any leaf of the event, or of the element.
    fn bare(&self, value: &Literal) -> Truth {
        match &self.element {
            Some((element, outer)) => {
                self.leaf_inside(element, outer, &[String::new(), String::new()], Test::Value(value))
            }
            None if value.is_star() => Some(true),
            None => {
                let holds =
                    self.fields.any().any(|(kind, leaf)| Test::Value(value).passes(kind, leaf, self.now));
                self.or_open(holds, self.fields.is_anything_open())
            }
        }
    }
}
