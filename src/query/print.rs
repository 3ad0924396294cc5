//! A tree as text that parses to it again.
use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{Expr, Literal, Values};
use super::lexer::is_space;

/// How tightly a node holds together: what is looser than its place needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    One,
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Everything => Ok(()),
            Expr::And(parts) => {
                join(f, parts, " and ", |f, part| grouped(f, part, binding(part) > Binding::And))
            }
            Expr::Or(parts) => {
                join(f, parts, " or ", |f, part| grouped(f, part, binding(part) > Binding::Or))
            }
            Expr::Not(inner) => {
                f.write_str("not ")?;
                grouped(f, &**inner, binding(inner) > Binding::Not)
            }
            Expr::Field { field, values } => {
                write!(f, "{field}:")?;
                grouped(f, values, matches!(values, Values::One(_)))
            }
            Expr::Range { field, operator, value } => write!(f, "{field} {} {value}", operator.as_str()),
            Expr::Nested { field, query } => write!(f, "{field}:{{ {query} }}"),
            Expr::Bare(value) => write!(f, "{value}"),
        }
    }
}

fn binding(expr: &Expr) -> Binding {
    match expr {
        Expr::Or(_) => Binding::Or,
        Expr::And(_) => Binding::And,
        Expr::Not(_) => Binding::Not,
        _ => Binding::One,
    }
}

impl Display for Values {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_tight = |values: &Values| matches!(values, Values::One(_) | Values::Not(_));
        match self {
            Values::One(value) => write!(f, "{value}"),
            Values::And(parts) => join(f, parts, " and ", |f, part| grouped(f, part, is_tight(part))),
            Values::Or(parts) => {
                let fits = |part: &Values| is_tight(part) || matches!(part, Values::And(_));
                join(f, parts, " or ", |f, part| grouped(f, part, fits(part)))
            }
            Values::Not(inner) => {
                f.write_str("not ")?;
                grouped(f, &**inner, matches!(**inner, Values::One(_)))
            }
        }
    }
}

fn join<T>(
    f: &mut Formatter<'_>,
    parts: &[T],
    between: &str,
    mut each: impl FnMut(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        f.write_str(if at > 0 { between } else { "" })?;
        each(f, part)?;
    }
    Ok(())
}

fn grouped(f: &mut Formatter<'_>, inner: &impl Display, fits: bool) -> fmt::Result {
    if fits { write!(f, "{inner}") } else { write!(f, "({inner})") }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.plain() {
            Some(text) if self.as_bool().is_some() || (!self.quoted && is_simple(text)) => f.write_str(text),
            Some(text) => write_quoted(f, text),
            None => {
                for (at, piece) in self.pieces.iter().enumerate() {
                    f.write_str(if at > 0 { "*" } else { "" })?;
                    write_piece(f, piece)?;
                }
                Ok(())
            }
        }
    }
}

/// Whether the text can stand without quotes and means itself.
fn is_simple(text: &str) -> bool {
    let is_word = |word: &str| text.eq_ignore_ascii_case(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '@');
    // A name that ends in `not` would swallow the white space after it.
    !text.is_empty()
        && text.chars().all(plain)
        && !text.to_ascii_lowercase().ends_with("not")
        && !["and", "or", "true", "false", "null"].iter().any(|word| is_word(word))
}

fn write_quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

fn write_piece(f: &mut Formatter<'_>, piece: &str) -> fmt::Result {
    for (at, c) in piece.char_indices() {
        match c {
            '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}' => write!(f, "\\{c}")?,
            // `\not` would be the word.
            '\n' if piece.get(at + 1..at + 3).is_some_and(|next| next.eq_ignore_ascii_case("ot")) => {
                f.write_str("\\u000a")?;
            }
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            // At an end it would be trimmed, next to a keyword it would make it one.
            _ if is_space(c) => write!(f, "\\u{:04x}", u32::from(c))?,
            // It would swallow the white space after it.
            _ if piece[at..].eq_ignore_ascii_case("not") => write!(f, "\\{c}")?,
            _ => f.write_char(c)?,
        }
    }
    Ok(())
}
