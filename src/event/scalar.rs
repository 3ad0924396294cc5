//! What a field's value is, for comparing.
use std::borrow::Cow;

use super::json::Kind;
use super::value::Value;

/// How a field's strings compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// As text.
    Plain,
    /// As network addresses.
    Address,
    /// As points in time.
    Date,
}

impl Type {
    /// Of an own path, or one under `kubernetes.audit`.
    pub(super) fn of_path(path: &str) -> Type {
        match path.strip_prefix("kubernetes.audit.").unwrap_or(path) {
            "sourceIPs" => Type::Address,
            "requestReceivedTimestamp" | "stageTimestamp" => Type::Date,
            _ => Type::Plain,
        }
    }
}

/// A value that a query can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number, as it is written.
    Number(&'a str),
    /// A boolean.
    Bool(bool),
}

impl<'a> Scalar<'a> {
    /// From a JSON value; `None` for null, arrays and objects.
    pub(super) fn of(value: Value<'a>) -> Option<Scalar<'a>> {
        match value.kind() {
            Kind::Number => Some(Scalar::Number(value.raw())),
            Kind::True => Some(Scalar::Bool(true)),
            Kind::False => Some(Scalar::Bool(false)),
            _ => value.text().map(Scalar::Text),
        }
    }

    /// As text: of a number its digits as logged.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Scalar::Text(text) => text,
            Scalar::Number(digits) => Cow::Borrowed(digits),
            Scalar::Bool(true) => Cow::Borrowed("true"),
            Scalar::Bool(false) => Cow::Borrowed("false"),
        }
    }
}
