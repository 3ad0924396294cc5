//! Texts that parse, but hardly as their author meant.
use super::ast::{Expr, Literal, Values};
use super::diagnostic::{Diagnostic, shown};

/// Remarks on one query; a rule's status has room for few, and the first ones explain the rest.
const MAX_WARNINGS: usize = 50;

pub(super) fn warnings(query: &str, expr: &Expr) -> Vec<Diagnostic> {
    let mut found = Warnings { query, list: Vec::new() };
    found.expr(expr, None);
    found.list.truncate(MAX_WARNINGS);
    found.list
}

/// What other languages write between a field and its value.
const OPERATORS: [&str; 10] =
    ["!=", "==", "=", "in", "is", "contains", "like", "matches", "startswith", "endswith"];

/// What to write where a text has another language's operator: behind a field, or in the middle of it.
pub(super) fn foreign_operator(written: &str) -> Option<String> {
    let is_operator = |word: &str| OPERATORS.iter().find(|known| word.eq_ignore_ascii_case(known)).copied();
    let mut words = written.split_whitespace();
    let (field, operator) = match (words.next()?, words.next().and_then(is_operator)) {
        (field, Some(operator)) => (field, operator),
        // `verb=get`
        (word, _) => {
            let operator = OPERATORS[..3].iter().find(|operator| word.contains(**operator))?;
            (word.split(operator).next().filter(|field| !field.is_empty())?, *operator)
        }
    };
    let condition = match operator {
        "!=" => format!("not {field}:value"),
        "in" => format!("{field}:(one or other)"),
        "contains" | "like" | "matches" => format!("{field}:*text*"),
        "startswith" => format!("{field}:text*"),
        "endswith" => format!("{field}:*text"),
        _ => format!("{field}:value"),
    };
    Some(format!("`{operator}` is no KQL: write `{}`", shown(&condition, 60)))
}

/// Whether it is written as a regular expression: between slashes, with what such an expression has.
fn is_regular_expression(text: &str) -> bool {
    let inner = text.strip_prefix('/').and_then(|text| text.strip_suffix('/')).unwrap_or_default();
    [".*", ".+", "|", "[", "^", "$"].iter().any(|part| inner.contains(part))
}

struct Warnings<'q> {
    query: &'q str,
    list: Vec<Diagnostic>,
}

impl Warnings<'_> {
    /// `before` is the condition in front of this one and the word between: what a bare value was perhaps meant for.
    /// Recursion ends: the parser bounds the depth.
    fn expr(&mut self, expr: &Expr, before: Option<(&Expr, &str)>) {
        match expr {
            Expr::Everything => {}
            Expr::And(parts) => self.chain(parts, "and"),
            Expr::Or(parts) => self.chain(parts, "or"),
            Expr::Not(inner) => self.expr(inner, None),
            Expr::Field { field, values } => {
                self.name(field);
                self.values(values);
            }
            Expr::Range { field, value, .. } => {
                self.name(field);
                self.value(value);
                if value.plain().is_none() {
                    self.add(value, "a range takes a plain value: with a wildcard it matches nothing");
                }
            }
            Expr::Nested { field, query } => {
                self.name(field);
                self.expr(query, None);
            }
            Expr::Bare(value) => self.bare(value, before),
        }
    }

    fn chain(&mut self, parts: &[Expr], word: &str) {
        let mut before = None;
        for part in parts {
            self.expr(part, before.map(|expr| (expr, word)));
            // Of `verb:create or delete or patch` the last belongs to `verb` as well.
            if !matches!(part, Expr::Bare(_)) {
                before = Some(part);
            }
        }
    }

    fn values(&mut self, values: &Values) {
        match values {
            Values::One(value) => self.value(value),
            Values::And(parts) | Values::Or(parts) => parts.iter().for_each(|part| self.values(part)),
            Values::Not(inner) => self.values(inner),
        }
    }

    fn add(&mut self, literal: &Literal, message: impl Into<String>) -> &mut Diagnostic {
        self.list.push(Diagnostic::warning(literal.span.clone(), message));
        // Just pushed.
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    fn written(&self, literal: &Literal) -> String {
        shown(self.query.get(literal.span.clone()).unwrap_or_default(), 60)
    }

    fn name(&mut self, field: &Literal) {
        let name = self.written(field);
        if let Some(rest) = name.strip_prefix(['-', '!']).filter(|_| !field.quoted) {
            let help = format!("to exclude, write `not {rest}:…`");
            self.add(field, format!("`{name}` is a field of its own: `-` and `!` do not negate")).help =
                Some(help);
        }
    }

    fn bare(&mut self, value: &Literal, before: Option<(&Expr, &str)>) {
        if value.is_star() {
            return;
        }
        let written = self.written(value);
        let help = match before {
            Some((Expr::Field { field, values: Values::One(first) }, word)) => {
                let (field, first) = (self.written(field), self.written(first));
                format!("write `{field}:({first} {word} {written})`")
            }
            _ => foreign_operator(&written).unwrap_or_else(|| "name the field: `field:value`".to_owned()),
        };
        self.add(value, format!("`{written}` has no field: any field of the event may have it")).help =
            Some(help);
        self.value(value);
    }

    fn value(&mut self, value: &Literal) {
        if value.quoted {
            return;
        }
        let written = self.written(value);
        let text = value.name();
        let ending = text.rsplit([' ', '\t', '\n', '\r', '\u{a0}']).next().unwrap_or_default();
        if ending.len() < text.len()
            && ["and", "or", "not"].iter().any(|word| ending.eq_ignore_ascii_case(word))
        {
            self.add(value, format!("`{written}` is one value: nothing follows its `{ending}`")).help =
                Some(format!("remove `{ending}`, or put the value in double quotes"));
        }
        let comment = text.char_indices().find(|(at, _)| {
            let is_word = text[..*at].ends_with([' ', '\t', '\n', '\r', '\u{a0}']);
            is_word && (text[*at..].starts_with('#') || text[*at..].starts_with("//"))
        });
        if comment.is_some() {
            self.add(value, format!("`{written}` is one value: KQL has no comments")).help =
                Some("put notes into the rule's description".to_owned());
        }
        if is_regular_expression(&written) {
            self.add(value, format!("`{written}` is one value: KQL has no regular expressions")).help =
                Some("write alternatives as `(this or that)`, and `*` for any text".to_owned());
        }
        if text.len() > 1 && text.starts_with('\'') && text.ends_with('\'') {
            let inner = shown(&text[1..text.len() - 1], 60);
            self.add(value, "single quotes are part of the value").help =
                Some(format!("write `\"{inner}\"`"));
        }
    }
}
