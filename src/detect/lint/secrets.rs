//! Fields that are withheld: what no query may ask of a Secret or a token.
use std::ops::Range;

use super::pairs::{RESOURCE, SUBRESOURCE, alternatives, flatten};
use crate::event::withheld_at;
use crate::query::{Diagnostic, Expr, Literal, shown};

/// The resources that queries ask about, as far as that is certain.
#[derive(Debug, Clone, Default)]
pub(in crate::detect) struct Concerned {
    resources: Option<Vec<String>>,
    subresources: Option<Vec<String>>,
}

impl Concerned {
    /// What all of these hold for together.
    pub(in crate::detect) fn by(exprs: &[&Expr]) -> Concerned {
        let mut conjuncts = Vec::new();
        for expr in exprs {
            flatten(expr, &mut conjuncts);
        }
        let named = |names: &[&str]| {
            let found = conjuncts.iter().find_map(|part| alternatives(part, names))?;
            found.into_iter().map(|value| value.plain().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Concerned { resources: named(&RESOURCE), subresources: named(&SUBRESOURCE) }
    }

    /// Whether events of the resource are concerned; `None` where others may be as well.
    fn is_of(&self, resource: &str, subresource: Option<&str>) -> Option<bool> {
        let one = |known: Option<&Vec<String>>, wanted: &str| match known.map(Vec::as_slice) {
            Some(known) if !known.iter().any(|name| name == wanted) => Some(false),
            Some([_]) => Some(true),
            None | Some(_) => None,
        };
        let resource = one(self.resources.as_ref(), resource);
        let subresource = subresource.map_or(Some(true), |name| one(self.subresources.as_ref(), name));
        match (resource, subresource) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }
}

/// Adds what is to be said on the fields of the query. Recursion ends: the parser bounds the depth.
pub(in crate::detect) fn check(expr: &Expr, concerned: &Concerned, remarks: &mut Vec<Diagnostic>) {
    visit(expr, "", concerned, remarks);
}

fn visit(expr: &Expr, outer: &str, concerned: &Concerned, remarks: &mut Vec<Diagnostic>) {
    let mut name = |field: &Literal| {
        // Of a pattern, the names up to its first wildcard.
        let pieces = field.pieces.first().map_or("", String::as_str);
        remarks.extend(remark(&format!("{outer}{pieces}"), field.span.clone(), concerned));
    };
    match expr {
        Expr::Everything | Expr::Bare(_) => {}
        Expr::And(parts) | Expr::Or(parts) => {
            for part in parts {
                visit(part, outer, concerned, remarks);
            }
        }
        Expr::Not(inner) => visit(inner, outer, concerned, remarks),
        Expr::Field { field, .. } | Expr::Range { field, .. } => name(field),
        Expr::Nested { field, query } => {
            name(field);
            let known = remarks.len();
            let full = format!("{outer}{}.", field.name());
            visit(query, &full, concerned, remarks);
            // What the group's own name says need not be said of each name inside.
            if known > 0 && remarks.get(known - 1).is_some_and(|last| last.span == field.span) {
                remarks.truncate(known);
            }
        }
    }
}

/// An error where the name is of something that is withheld from all events that are concerned, a warning where it may
/// be.
pub(in crate::detect) fn remark(name: &str, span: Range<usize>, concerned: &Concerned) -> Option<Diagnostic> {
    let found: Vec<_> = withheld_at(name)
        .map(|(resource, subresource)| (resource, subresource, concerned.is_of(resource, subresource)))
        .filter(|(.., is_concerned)| *is_concerned != Some(false))
        .collect();
    let (resource, subresource, _) = found.first()?;
    let of = subresource.map_or_else(|| (*resource).to_owned(), |sub| format!("{resource}/{sub}"));
    let written = shown(name.trim_end_matches('.'), 80);
    if found.iter().any(|(.., is_concerned)| *is_concerned == Some(true)) {
        let message =
            format!("`{written}` is never read in events of {of}: a query must not tell what is in it");
        return Some(
            Diagnostic::error(span, message)
                .help("ask who did what to which object, or for the body's other fields"),
        );
    }
    let message = format!("`{written}` is taken for missing in events of {of}");
    Some(Diagnostic::warning(span, message).help(
        "a query must not tell what is in a Secret or a token; for other resources name them, as in \
         `objectRef.resource:configmaps and …`",
    ))
}
