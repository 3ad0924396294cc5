//! A query turned into what is evaluated.
use std::sync::Arc;

use super::compare::Test;
use super::needs::asks_for_body;
use crate::event::{Field, Glob};
use crate::query::{Diagnostic, Expr, Literal, Operator, Values};

/// What is evaluated.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// `*` and `*:*`
    Everything,
    And(Vec<Plan>),
    Or(Vec<Plan>),
    Not(Box<Plan>),
    Leaf(Leaf),
    Nested(Arc<Field>, Box<Plan>),
}

/// One test on one field.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Shared by the values of a list.
    pub(super) field: Arc<Field>,
    pub(super) test: Test,
    /// As the query writes it.
    pub(super) operator: Option<Operator>,
    pub(super) value: Literal,
    /// No field was named.
    pub(super) is_bare: bool,
}

impl Plan {
    /// # Errors
    /// Every field that cannot be used.
    pub(super) fn compile(expr: &Expr) -> Result<Plan, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let plan = compile(expr, None, &mut errors);
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }

    /// Whether the whole query means every event.
    pub(super) fn is_everything(&self) -> bool {
        matches!(self, Plan::Everything)
    }

    /// Calls `visit` with every field.
    pub(super) fn fields(&self, visit: &mut dyn FnMut(&Field)) {
        match self {
            Plan::Everything => {}
            Plan::And(parts) | Plan::Or(parts) => parts.iter().for_each(|part| part.fields(visit)),
            Plan::Not(inner) => inner.fields(visit),
            Plan::Leaf(leaf) => visit(&leaf.field),
            Plan::Nested(field, inner) => {
                visit(field);
                inner.fields(visit);
            }
        }
    }

    /// Calls `visit` with every test that is not inside a nested group.
    pub(super) fn leaves(&self, visit: &mut dyn FnMut(&Leaf)) {
        match self {
            Plan::Everything | Plan::Nested(..) => {}
            Plan::And(parts) | Plan::Or(parts) => parts.iter().for_each(|part| part.leaves(visit)),
            Plan::Not(inner) => inner.leaves(visit),
            Plan::Leaf(leaf) => visit(leaf),
        }
    }

    /// Whether it names the event's stage: then its author has chosen where it detects.
    pub(super) fn names_stage(&self) -> bool {
        let mut found = false;
        self.fields(&mut |field| found |= matches!(field.name(), "stage" | "kubernetes.audit.stage"));
        found
    }

    /// Whether it names a field of a body.
    pub(super) fn needs_body(&self) -> bool {
        let mut found = false;
        self.fields(&mut |field| found |= asks_for_body(field));
        found
    }
}

fn compile(expr: &Expr, outer: Option<&Field>, errors: &mut Vec<Diagnostic>) -> Plan {
    let mut all = |parts: &[Expr]| parts.iter().map(|part| compile(part, outer, errors)).collect();
    match expr {
        Expr::Everything => Plan::Everything,
        Expr::And(parts) => Plan::And(all(parts)),
        Expr::Or(parts) => Plan::Or(all(parts)),
        Expr::Not(inner) => Plan::Not(Box::new(compile(inner, outer, errors))),
        Expr::Field { field, values: Values::One(value) }
            if outer.is_none() && field.is_star() && !field.quoted && value.is_star() =>
        {
            Plan::Everything
        }
        Expr::Field { field, values } => {
            let field = Arc::new(resolve(field, outer, errors));
            compile_values(&field, values)
        }
        Expr::Range { field, operator, value } => Plan::Leaf(Leaf {
            field: Arc::new(resolve(field, outer, errors)),
            test: Test::of_range(*operator, value),
            operator: Some(*operator),
            value: value.clone(),
            is_bare: false,
        }),
        Expr::Nested { field: name, query } => {
            let field = resolve(name, outer, errors);
            if !field.has_elements() {
                let message = "a nested group needs a field that holds objects";
                let help =
                    "write the event's own path, without wildcards: `requestObject.spec.containers:{ … }`";
                errors.push(Diagnostic::error(name.span.clone(), message).help(help));
            }
            let inner = compile(query, Some(&field), errors);
            Plan::Nested(Arc::new(field), Box::new(inner))
        }
        Expr::Bare(value) if value.is_star() && outer.is_none() => Plan::Everything,
        Expr::Bare(value) => Plan::Leaf(Leaf {
            field: Arc::new(outer.map_or_else(Field::any, |outer| outer.inside("*", Glob::new(&star())))),
            test: Test::of_value(value),
            operator: None,
            value: value.clone(),
            is_bare: true,
        }),
    }
}

/// The pieces of the pattern that any name fits.
fn star() -> [String; 2] {
    Default::default()
}

fn compile_values(field: &Arc<Field>, values: &Values) -> Plan {
    let all = |parts: &[Values]| parts.iter().map(|part| compile_values(field, part)).collect();
    match values {
        Values::One(value) => Plan::Leaf(Leaf {
            field: Arc::clone(field),
            test: Test::of_value(value),
            operator: None,
            value: value.clone(),
            is_bare: false,
        }),
        Values::And(parts) => Plan::And(all(parts)),
        Values::Or(parts) => Plan::Or(all(parts)),
        Values::Not(inner) => Plan::Not(Box::new(compile_values(field, inner))),
    }
}

/// A field that cannot be used becomes an error, and any field in its place, so that all errors are found at once.
fn resolve(name: &Literal, outer: Option<&Field>, errors: &mut Vec<Diagnostic>) -> Field {
    let text = name.name();
    let glob = Glob::new(&name.pieces);
    if let Some(outer) = outer {
        return outer.inside(&text, glob);
    }
    if let Some(glob) = glob {
        return Field::pattern(&text, glob);
    }
    Field::resolve(&text).unwrap_or_else(|error| {
        errors.push(Diagnostic::error(name.span.clone(), error.to_string()).help(error.help()));
        Field::any()
    })
}
