//! Remarks on what a query means: fields that no event has, values that a field never takes.
mod pairs;
pub(super) mod secrets;
mod values;

use std::ops::Range;

pub(super) use values::is_never;

use crate::event::{is_known, nearest};
use crate::query::{Diagnostic, Expr, Literal, shown};

/// Remarks on one query.
const MAX_WARNINGS: usize = 50;

/// Adds what is to be said on the query.
pub(super) fn check(expr: &Expr, warnings: &mut Vec<Diagnostic>) {
    visit(expr, "", warnings);
    pairs::check(expr, warnings);
    warnings.truncate(MAX_WARNINGS);
}

/// `outer` is the name of the nested group around, with its dot. Recursion ends: the parser bounds the depth.
fn visit(expr: &Expr, outer: &str, warnings: &mut Vec<Diagnostic>) {
    if warnings.len() >= MAX_WARNINGS {
        return;
    }
    match expr {
        Expr::Everything | Expr::Bare(_) => {}
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| visit(part, outer, warnings)),
        Expr::Not(inner) => visit(inner, outer, warnings),
        Expr::Field { field, values } => {
            let name = full_name(field, outer, warnings);
            values::check(name.as_deref(), values, warnings);
        }
        Expr::Range { field, value, .. } => {
            let name = full_name(field, outer, warnings);
            values::check_range(name.as_deref(), value, warnings);
        }
        Expr::Nested { field, query } => {
            let name = full_name(field, outer, warnings).unwrap_or_default();
            visit(query, &format!("{name}."), warnings);
        }
    }
}

/// The field's whole name, unless it has wildcards; says so if no event has it.
fn full_name(field: &Literal, outer: &str, warnings: &mut Vec<Diagnostic>) -> Option<String> {
    let name = format!("{outer}{}", field.plain()?);
    // Of a name that begins with a sign the parser has said what is wrong.
    if field.quoted || !name.starts_with(['-', '!']) {
        warnings.extend(unknown_name(&name, field.span.clone()));
    }
    Some(name)
}

/// Whether it begins with an index, as of a list in other languages.
fn is_index(text: &str) -> bool {
    let inner = text.trim_start_matches('[').split(']').next().unwrap_or_default();
    text.contains(']') && inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*')
}

/// A warning if no event has a field of this name.
pub(super) fn unknown_name(name: &str, span: Range<usize>) -> Option<Diagnostic> {
    let written = shown(name, 80);
    if let Some(list) = name.find('[').filter(|at| is_index(&name[*at..])) {
        let (before, after) = (&name[..list], name[list..].split_once(']').map_or("", |(_, after)| after));
        return Some(
            Diagnostic::warning(span, format!("`{written}` is never there: lists are not numbered")).help(
                format!("write `{}`, which any entry may meet", shown(&format!("{before}{after}"), 80)),
            ),
        );
    }
    if name.starts_with(['#', '/']) {
        let what = format!("`{written}` is the name of a field: KQL has no comments");
        return Some(Diagnostic::warning(span, what).help("put notes into the rule's description"));
    }
    if !is_known(name) {
        let warning = Diagnostic::warning(span, format!("no audit event has a field `{written}`"));
        return Some(match nearest(name) {
            Some(near) => warning.help(format!("did you mean `{near}`?")),
            None if name.starts_with("and ") || name.starts_with("or ") => {
                warning.help("nothing stands before the `and` or `or`: remove it")
            }
            None => warning.help("bodies are below `requestObject` and `responseObject`"),
        });
    }
    if let Some(key) = name.strip_prefix("kubernetes.audit.annotations.").filter(|key| key.contains('.')) {
        let help = shown(&key.replace('.', "_"), 80);
        return Some(
            Diagnostic::warning(
                span,
                "under `kubernetes.audit.annotations` every dot of a key is an underscore",
            )
            .help(format!(
                "write `kubernetes.audit.annotations.{help}`, or the event's own `annotations.{}`",
                shown(key, 80)
            )),
        );
    }
    if let Some(key) = name.strip_prefix("annotations.").filter(|key| key.contains("_k8s_io/")) {
        let help = shown(&key.replace('_', "."), 80);
        return Some(
            Diagnostic::warning(
                span,
                "the event's own annotations have dots where Elastic's have underscores",
            )
            .help(format!(
                "write `annotations.{help}`, or `kubernetes.audit.annotations.{}`",
                shown(key, 80)
            )),
        );
    }
    for body in ["requestObject", "responseObject"] {
        let hidden = name.strip_prefix("kubernetes.audit.").and_then(|own| own.strip_prefix(body));
        if hidden.is_some_and(|rest| rest == ".metadata" || rest.starts_with(".metadata.")) {
            let own = shown(name.trim_start_matches("kubernetes.audit."), 80);
            return Some(
                Diagnostic::warning(
                    span,
                    format!("under `kubernetes.audit` a body has no `metadata`: `{written}`"),
                )
                .help(format!("write the event's own `{own}`")),
            );
        }
    }
    None
}
