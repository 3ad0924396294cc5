//! Why a rule does or does not match an event.
use std::fmt::{self, Display, Formatter};
use std::ops::ControlFlow;

use super::evaluate::{Evaluator, MissingBody};
use super::plan::{Leaf, Plan};
use super::rule::Rule;
use super::{Context, Verdict};
use crate::event::{Event, Look};
use crate::query::shown;

/// Values shown of one field, and characters of each.
const VALUES: usize = 5;
const VALUE_LENGTH: usize = 120;
/// Elements shown of one nested group.
const ELEMENTS: usize = 5;
/// Parts shown of one `and` or `or`.
const PARTS: usize = 200;

/// What a query, or a part of it, came to on an event. Displays as an indented tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// `and`, `or`, `not`, a nested group, an element of one, or the text of a leaf.
    pub text: String,
    /// What it came to.
    pub verdict: Verdict,
    /// On a leaf: the first values that the event holds there, cut and escaped.
    pub values: Vec<String>,
    /// That there are more values, elements or parts than are given.
    pub has_more: bool,
    /// What it came to by.
    pub parts: Vec<Explanation>,
}

/// Explains the rule's query on an event; every part is evaluated, also those that decide nothing.
pub fn explain(rule: &Rule, event: &Event<'_>, context: &Context<'_>) -> Explanation {
    let evaluator = Evaluator::new(event, context);
    let look = evaluator.look();
    Explainer { evaluator, missing: rule.missing_body }.plan(&rule.query, &look)
}

struct Explainer<'e> {
    evaluator: Evaluator<'e>,
    missing: MissingBody,
}

impl<'e> Explainer<'e> {
    fn plan(&self, plan: &Plan, look: &Look<'e>) -> Explanation {
        let verdict = self.evaluator.verdict(plan, look, self.missing);
        let node = |text: &str, parts: Vec<Explanation>| Explanation {
            text: text.to_owned(),
            verdict,
            values: Vec::new(),
            has_more: false,
            parts,
        };
        let all = |parts: &[Plan]| parts.iter().take(PARTS).map(|part| self.plan(part, look)).collect();
        match plan {
            Plan::Everything => node("*", Vec::new()),
            Plan::And(parts) => Explanation { has_more: parts.len() > PARTS, ..node("and", all(parts)) },
            Plan::Or(parts) => Explanation { has_more: parts.len() > PARTS, ..node("or", all(parts)) },
            Plan::Not(inner) => node("not", vec![self.plan(inner, look)]),
            Plan::Leaf(leaf) => explain_leaf(leaf, look, verdict),
            Plan::Nested(field, inner) => {
                let mut elements = Vec::new();
                let cut = field.elements(look, &mut |value, scope| {
                    if elements.len() == ELEMENTS {
                        return ControlFlow::Break(());
                    }
                    let element = Look { element: Some((value, scope)), ..*look };
                    let mut explained = self.plan(inner, &element);
                    explained.text = format!("element {}: {}", elements.len(), explained.text);
                    elements.push(explained);
                    ControlFlow::Continue(())
                });
                let text = format!("{}:{{ … }}", shown(field.name(), VALUE_LENGTH));
                Explanation { has_more: cut.is_break(), ..node(&text, elements) }
            }
        }
    }
}

fn explain_leaf(leaf: &Leaf, look: &Look<'_>, verdict: Verdict) -> Explanation {
    let mut values = Vec::new();
    // A bare value is compared with the whole event, which would explain nothing.
    let has_more = !leaf.is_bare
        && leaf
            .field
            .visit(look, &mut |value, _| {
                if values.len() == VALUES {
                    return ControlFlow::Break(());
                }
                values.push(shown(&value.into_text(), VALUE_LENGTH));
                ControlFlow::Continue(())
            })
            .is_break();
    let value = shown(&leaf.value.to_string(), VALUE_LENGTH);
    let field = shown(leaf.field.name(), VALUE_LENGTH);
    let text = match leaf.operator {
        _ if leaf.is_bare => value,
        Some(operator) => format!("{field} {} {value}", operator.as_str()),
        None => format!("{field}:{value}"),
    };
    Explanation { text, verdict, values, has_more, parts: Vec::new() }
}

impl Explanation {
    fn write(&self, f: &mut Formatter<'_>, depth: usize) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Match => "match   ",
            Verdict::NoMatch => "no match",
            Verdict::Unknown => "unknown ",
        };
        write!(f, "{verdict}  {:indent$}{}", "", self.text, indent = depth * 2)?;
        if !self.values.is_empty() {
            let more = if self.has_more { ", …" } else { "" };
            write!(f, "   [{}{more}]", self.values.join(", "))?;
        }
        writeln!(f)?;
        self.parts.iter().try_for_each(|part| part.write(f, depth + 1))?;
        if self.has_more && self.values.is_empty() {
            writeln!(f, "          {:indent$}…", "", indent = depth * 2 + 2)?;
        }
        Ok(())
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
