//! KQL, the Kibana Query Language: from a rule's text to a tree, and from a mistake to advice.
//!
//! KQL is what the detection community writes its Kubernetes rules in. This module knows nothing but text: what a field
//! is and how a value compares is for `event` and `detect`.
//!
//! ```
//! use tripline::query::{Expr, parse};
//!
//! let parsed = parse("verb:create and objectRef.resource:(pods or secrets)").unwrap();
//! assert!(matches!(parsed.expr, Expr::And(parts) if parts.len() == 2));
//! ```
//!
//! An error says where it is, what was expected there and, where that can be known, what to write instead:
//!
//! ```
//! let query = "responseStatus.code:>400";
//! let error = tripline::query::parse(query).unwrap_err();
//! assert_eq!(error.line_column(query), (1, 21));
//! assert_eq!(
//!     error.render(query),
//!     "line 1, column 21: expected a value after \":\"
//!   responseStatus.code:>400
//!                       ^
//! help: a range has no colon: `responseStatus.code > value`"
//! );
//! ```
//!
//! A text that parses, but hardly as it was meant, comes with a warning:
//!
//! ```
//! let parsed = tripline::query::parse("verb:create or delete").unwrap();
//! assert_eq!(parsed.warnings[0].help.as_deref(), Some("write `verb:(create or delete)`"));
//! ```
//!
//! # Syntax
//!
//! White space is space, tab, carriage return, line feed and the no-break space; a line's end is nothing special, and
//! there are no comments. A blank query means every event.
//!
//! | form | holds when |
//! |---|---|
//! | `a or b` | either holds; binds loosest |
//! | `a and b` | both hold; `a or b and c` is `a or (b and c)` |
//! | `not a` | `a`, one condition or a group in parentheses, does not hold |
//! | `( a )` | `a` holds |
//! | `field:value` | a value of the field equals this one |
//! | `field:(a or (b and not c))` | the same of each, so joined |
//! | `field:*` | the field has a value |
//! | `field < value`, `<=`, `>`, `>=` | a value lies on that side |
//! | `field:{ a }` | one element of the field satisfies all of `a`, whose names are relative to it |
//! | `value` | any field has the value |
//!
//! `and`, `or` and `not` may have any case. `and` and `or` need white space on both sides and `not` after it, so
//! `not(a:x)` is an error. `not not a` is one too; `not (not a)` is not. There is no implicit operator: `a:x y` is one
//! value. White space around `:` and the operators is free.
//!
//! A **quoted** text stands in double quotes and may span lines. Its escapes are `\\`, `\"`, `\t`, `\r`, `\n` and
//! `\uXXXX`; any other backslash is a backslash. Nothing else in it is special, `*` included. Single quotes mean nothing.
//!
//! An **unquoted** text goes on over white space, and is trimmed. It ends before one of `\ ( ) : < > " { }`, before `and`
//! or `or` with white space around, and before `not` with white space behind, even inside a word. `*` in it stands for
//! any text. A special character is escaped by a backslash; there are also `\t`, `\r`, `\n` and `\uXXXX`, and `\and`,
//! `\or` and `\not` for the words (`\not` only where the word ends; `\nothing` is a line feed and `othing`). Any other
//! backslash is an error. The unquoted words `true` and `false` are booleans; `null` is refused, because `not field:*`
//! is how a missing field is asked for. Numbers stay text until they meet a value.
//!
//! A field's name is a text like any other: it may be quoted, and unquoted it may have wildcards.
//!
//! # Bounds
//!
//! A query has at most [`MAX_LENGTH`] bytes and [`MAX_DEPTH`] levels of parentheses and braces; parsing is linear in its
//! length. Whatever it holds, a message is short and free of control characters.
mod ast;
mod diagnostic;
mod lexer;
mod parser;
mod print;
mod warn;

pub use ast::{Expr, Literal, Operator, Span, Values};
pub use diagnostic::{Diagnostic, Severity, alters_display, shown};
pub use parser::{MAX_DEPTH, MAX_LENGTH, Parsed, parse};

#[cfg(test)]
mod tests;
