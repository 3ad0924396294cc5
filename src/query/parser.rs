//! From text to tree: loosest first `or`, `and`, `not`, and one condition.
//!
//! Kibana's grammar is a PEG with backtracking. Wherever it would go back, what it then tries ends in an error as well,
//! so that this parser never has to: it accepts the same texts and can say where and why it stopped.
use super::ast::{Expr, Literal, Operator, Values};
use super::diagnostic::{Diagnostic, shown};
use super::lexer::{Keyword, Text};
use super::warn;

/// Levels of parentheses and braces.
pub const MAX_DEPTH: usize = 64;

/// Bytes of a query.
pub const MAX_LENGTH: usize = 64 * 1024;

/// A query that parses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub expr: Expr,
    /// What in its writing is hardly meant.
    pub warnings: Vec<Diagnostic>,
}

/// Parses a query.
///
/// # Errors
/// The first place where the text is no KQL, or the bound that it breaks.
pub fn parse(query: &str) -> Result<Parsed, Diagnostic> {
    if query.len() > MAX_LENGTH {
        let span = query.floor_char_boundary(MAX_LENGTH)..query.len();
        return Err(Diagnostic::error(span, format!("a query has at most {MAX_LENGTH} bytes"))
            .help("split it into several rules"));
    }
    let mut parser = Parser { text: Text(query), at: 0, depth: 0, last: None };
    parser.skip_space();
    if parser.at == query.len() {
        return Ok(Parsed { expr: Expr::Everything, warnings: Vec::new() });
    }
    let expr = parser.or_query("a condition such as `verb:create`")?;
    parser.skip_space();
    if parser.at < query.len() {
        return Err(parser.left_over("the end of the query"));
    }
    let warnings = warn::warnings(query, &expr);
    Ok(Parsed { expr, warnings })
}

struct Parser<'q> {
    text: Text<'q>,
    at: usize,
    depth: usize,
    /// The literal read last: most mistakes are in it, and show only behind it.
    last: Option<Literal>,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        self.at = self.text.skip_space(self.at);
    }

    fn peek(&self) -> Option<char> {
        self.text.char_at(self.at)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Steps over the keyword, if it is there; answers its place.
    fn eat_keyword(&mut self, wanted: Keyword) -> bool {
        match self.text.keyword(self.at) {
            Some((keyword, after)) if keyword == wanted => {
                self.at = after;
                true
            }
            _ => false,
        }
    }

    fn literal(&mut self) -> Result<Option<Literal>, Diagnostic> {
        let Some((literal, after)) = self.text.literal(self.at)? else {
            return Ok(None);
        };
        self.at = after;
        self.last = Some(literal.clone());
        Ok(Some(literal))
    }

    fn or_query(&mut self, expected: &str) -> Result<Expr, Diagnostic> {
        let mut parts = vec![self.and_query(expected)?];
        while self.eat_keyword(Keyword::Or) {
            parts.push(self.and_query("a condition after `or`")?);
        }
        Ok(single_or(parts, Expr::Or))
    }

    fn and_query(&mut self, expected: &str) -> Result<Expr, Diagnostic> {
        let mut parts = vec![self.not_query(expected)?];
        while self.eat_keyword(Keyword::And) {
            parts.push(self.not_query("a condition after `and`")?);
        }
        Ok(single_or(parts, Expr::And))
    }

    fn not_query(&mut self, expected: &str) -> Result<Expr, Diagnostic> {
        if !self.eat_keyword(Keyword::Not) {
            return self.primary(expected);
        }
        self.refuse_second_not()?;
        Ok(Expr::Not(Box::new(self.primary("a condition after `not`")?)))
    }

    fn refuse_second_not(&self) -> Result<(), Diagnostic> {
        match self.text.keyword(self.at) {
            Some((Keyword::Not, after)) => {
                Err(Diagnostic::error(self.at..after, "expected a condition after `not`")
                    .help("`not not x` is no KQL: write `x`, or `not (not x)`"))
            }
            _ => Ok(()),
        }
    }

    fn primary(&mut self, expected: &str) -> Result<Expr, Diagnostic> {
        if self.peek() == Some('(') {
            let open = self.at;
            let inner = self.group('(', |parser| parser.or_query("a condition after `(`"))?;
            self.close(open, ')')?;
            return Ok(inner);
        }
        let Some(name) = self.literal()? else {
            return Err(self.missing(expected));
        };
        self.skip_space_before(&[':', '<', '>']);
        match self.peek() {
            Some(':') => {
                self.at += 1;
                self.skip_space();
                if self.peek() == Some('{') {
                    let open = self.at;
                    let inner = self.group('{', |parser| parser.or_query("a condition after `{`"))?;
                    self.close(open, '}')?;
                    return Ok(Expr::Nested { field: name, query: Box::new(inner) });
                }
                let values = self.list_of_values(&name, "a value after \":\"")?;
                Ok(Expr::Field { field: name, values })
            }
            Some('<' | '>') => self.range(name),
            _ if name.is_null() => Err(null_value(&name, None)),
            _ => Ok(Expr::Bare(name)),
        }
    }

    /// White space in front of one of these belongs to it; before anything else it may belong to a keyword.
    fn skip_space_before(&mut self, wanted: &[char]) {
        let after = self.text.skip_space(self.at);
        if self.text.char_at(after).is_some_and(|c| wanted.contains(&c)) {
            self.at = after;
        }
    }

    fn range(&mut self, field: Literal) -> Result<Expr, Diagnostic> {
        let start = self.at;
        let is_less = self.eat('<') || !self.eat('>');
        let operator = match (is_less, self.eat('=')) {
            (true, false) => Operator::Less,
            (true, true) => Operator::LessOrEqual,
            (false, false) => Operator::Greater,
            (false, true) => Operator::GreaterOrEqual,
        };
        self.skip_space();
        let sign = operator.as_str();
        let Some(value) = self.literal()? else {
            let error = self.missing(&format!("a value after `{sign}`"));
            return Err(match self.peek() {
                Some('>') if operator == Operator::Less => {
                    Diagnostic::error(start..self.at + 1, error.message)
                        .help("`<>` is no KQL: write `not field:value`")
                }
                Some('(') => error.help(format!("a range takes one value: write `field {sign} value or …`")),
                _ => error,
            });
        };
        if value.is_null() {
            return Err(null_value(&value, Some(&field)));
        }
        Ok(Expr::Range { field, operator, value })
    }

    fn list_of_values(&mut self, field: &Literal, expected: &str) -> Result<Values, Diagnostic> {
        if self.peek() == Some('(') {
            let open = self.at;
            let values = self.group('(', |parser| parser.or_values(field, "a value after `(`"))?;
            self.close(open, ')')?;
            return Ok(values);
        }
        match self.literal()? {
            Some(value) if value.is_null() => Err(null_value(&value, Some(field))),
            Some(value) => Ok(Values::One(value)),
            None => Err(self.missing_value(field, expected)),
        }
    }

    fn or_values(&mut self, field: &Literal, expected: &str) -> Result<Values, Diagnostic> {
        let mut parts = vec![self.and_values(field, expected)?];
        while self.eat_keyword(Keyword::Or) {
            parts.push(self.and_values(field, "a value after `or`")?);
        }
        Ok(single_or(parts, Values::Or))
    }

    fn and_values(&mut self, field: &Literal, expected: &str) -> Result<Values, Diagnostic> {
        let mut parts = vec![self.not_values(field, expected)?];
        while self.eat_keyword(Keyword::And) {
            parts.push(self.not_values(field, "a value after `and`")?);
        }
        Ok(single_or(parts, Values::And))
    }

    fn not_values(&mut self, field: &Literal, expected: &str) -> Result<Values, Diagnostic> {
        if !self.eat_keyword(Keyword::Not) {
            return self.list_of_values(field, expected);
        }
        self.refuse_second_not()?;
        Ok(Values::Not(Box::new(self.list_of_values(field, "a value after `not`")?)))
    }

    /// What stands between brackets, of which the first is here; the last is for [`Parser::close`].
    fn group<T>(
        &mut self,
        open: char,
        inner: impl FnOnce(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        if self.depth == MAX_DEPTH {
            let message = format!("a query has at most {MAX_DEPTH} levels of parentheses and braces");
            return Err(Diagnostic::error(self.at..self.at + 1, message));
        }
        self.at += open.len_utf8();
        self.skip_space();
        self.depth += 1;
        let parsed = inner(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn close(&mut self, open: usize, closing: char) -> Result<(), Diagnostic> {
        self.skip_space_before(&[closing]);
        if self.eat(closing) {
            return Ok(());
        }
        self.skip_space();
        Err(if self.peek().is_none() {
            let opening = if closing == ')' { '(' } else { '{' };
            Diagnostic::error(open..open + 1, format!("expected a closing `{closing}` for this `{opening}`"))
        } else {
            self.left_over(&format!("`{closing}`"))
        })
    }

    fn here(&self) -> std::ops::Range<usize> {
        self.at..self.at + self.peek().map_or(0, char::len_utf8)
    }

    /// A condition should stand here and does not.
    fn missing(&self, expected: &str) -> Diagnostic {
        let error = Diagnostic::error(self.here(), format!("expected {expected}"));
        match self.peek() {
            Some(':' | '<' | '>') => error.help("a field's name comes first: `verb:create`"),
            Some('{') => error.help("braces belong to a field: `field:{ … }`"),
            _ => error,
        }
    }

    /// A value of this field should stand here and does not.
    fn missing_value(&self, field: &Literal, expected: &str) -> Diagnostic {
        let error = Diagnostic::error(self.here(), format!("expected {expected}"));
        let name = shown(&field.name(), 60);
        let rest = &self.text.0[self.at..];
        if let Some((Keyword::Not, _)) = self.text.keyword(self.at) {
            return error.help(format!("`not` in front of a value needs parentheses: `{name}:(not …)`"));
        }
        match self.peek() {
            Some('<' | '>') => {
                let operator: String = rest.chars().take_while(|c| matches!(c, '<' | '>' | '=')).collect();
                error.help(format!("a range has no colon: `{name} {operator} value`"))
            }
            Some(':') => {
                error.help("one colon is enough; a colon in a value is written `\\:` or in double quotes")
            }
            Some('{') => error.help("braces follow the field's colon at once: `field:{ … }`"),
            _ => error,
        }
    }

    /// A condition has ended, and neither a keyword nor the end follows.
    fn left_over(&self, end: &str) -> Diagnostic {
        let error = Diagnostic::error(self.here(), format!("expected `and`, `or` or {end}"));
        let rest = &self.text.0[self.at..];
        let last = self.last.as_ref().filter(|literal| !literal.quoted);
        let written = last.and_then(|literal| self.text.0.get(literal.span.clone())).unwrap_or_default();
        for (sign, word) in [("&&", "and"), ("||", "or")] {
            if written.contains(sign) || rest.starts_with(sign) {
                return error.help(format!("`{sign}` is no KQL: write `{word}`"));
            }
        }
        let before = last.and_then(|literal| self.text.0.get(..literal.span.start)).unwrap_or_default();
        let is_value = before.trim_end().ends_with([':', '<', '>', '=']);
        if let Some(help) = Some(written).filter(|_| !is_value).and_then(warn::foreign_operator) {
            return error.help(help);
        }
        match self.peek() {
            Some(')' | '}') => error.help("nothing is open that this would close"),
            Some('(') if written.to_lowercase().ends_with("not") => {
                error.help("write `not (`, with white space between")
            }
            Some(':') if !written.is_empty() => error.help(format!(
                "a colon in a value is written `\\:`, as in `{}\\:…`, or in double quotes; two conditions are joined by `and`",
                shown(written, 60)
            )),
            Some('n' | 'N') if !written.is_empty() => error.help(
                "`not` and white space end a value even inside a word: put the value in double quotes",
            ),
            Some('"') if !written.is_empty() => {
                error.help("a quote in a value is written `\\\"`; quotes stand around the whole value")
            }
            Some('a' | 'A' | 'o' | 'O') => error.help("`and` and `or` need white space on both sides"),
            _ if self.text.keyword(self.at).is_some() => error.help("the keyword needs a condition on both sides"),
            _ => error,
        }
    }
}

fn null_value(value: &Literal, field: Option<&Literal>) -> Diagnostic {
    let error = Diagnostic::error(value.span.clone(), "`null` is not a value that an event can have");
    match field {
        Some(field) => error.help(format!("for a missing field write `not {}:*`", shown(&field.name(), 60))),
        None => error.help("for the word write `\"null\"`"),
    }
}

fn single_or<T>(mut parts: Vec<T>, join: impl FnOnce(Vec<T>) -> T) -> T {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}
