//! KQL, the Kibana Query Language.
mod ast;
mod diagnostic;
mod lexer;
mod parser;
mod print;
mod warn;

pub use ast::{Expr, Literal, Operator, Span, Values};
pub use diagnostic::{Diagnostic, Severity, shown};
pub use parser::{MAX_DEPTH, MAX_LENGTH, Parsed, parse};

#[cfg(test)]
mod tests;
