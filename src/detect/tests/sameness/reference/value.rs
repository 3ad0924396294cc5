//! One value of an event against one value of a query.
use std::cmp::Ordering;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::date;
use crate::query::{Literal, Operator};

/// How a field's strings compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Address,
    Date,
}

/// What a leaf of a query asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test<'q> {
    Value(&'q Literal),
    Range(Operator, &'q Literal),
}

impl Test<'_> {
    pub(super) fn is_exists(&self) -> bool {
        matches!(self, Test::Value(literal) if literal.is_star())
    }

    pub(super) fn passes(&self, kind: Kind, value: &Value, now: Option<Timestamp>) -> bool {
        match self {
            Test::Value(literal) => match literal.plain() {
                Some(text) => equals(text, kind, value, now),
                None if literal.is_star() => true,
                None => value.as_str().is_some_and(|text| fits(&literal.pieces, text)),
            },
            Test::Range(operator, literal) => {
                literal.plain().is_some_and(|text| lies(*operator, text, kind, value, now))
            }
        }
    }
}

/// Whether the pieces, with any text between them, are the whole text.
pub(super) fn fits(pieces: &[String], text: &str) -> bool {
    match pieces {
        [] => text.is_empty(),
        [only] => text == only,
        [first, rest @ ..] => text.strip_prefix(first.as_str()).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| fits(rest, &text[at..]))
        }),
    }
}

fn equals(text: &str, kind: Kind, value: &Value, now: Option<Timestamp>) -> bool {
    match value {
        Value::Bool(value) => text == value.to_string(),
        Value::Number(value) => compare_numbers(&value.to_string(), text) == Some(Ordering::Equal),
        Value::String(value) if value == text => true,
        Value::String(value) => match kind {
            Kind::Plain => false,
            Kind::Address => is_in_network(value, text),
            Kind::Date => date::unit(text, now)
                .zip(date::instant(value))
                .is_some_and(|((first, last), at)| first <= at && at <= last),
        },
        _ => false,
    }
}

fn lies(operator: Operator, text: &str, kind: Kind, value: &Value, now: Option<Timestamp>) -> bool {
    let ordering = match value {
        Value::Number(value) => compare_numbers(&value.to_string(), text),
        Value::String(value) => match kind {
            Kind::Plain => Some(value.as_bytes().cmp(text.as_bytes())),
            Kind::Address => wide(value).zip(wide(text)).map(|(value, bound)| value.cmp(&bound)),
            Kind::Date => {
                let Some(((first, last), at)) = date::unit(text, now).zip(date::instant(value)) else {
                    return false;
                };
                return match operator {
                    Operator::Less => at < first,
                    Operator::LessOrEqual => at <= last,
                    Operator::Greater => at > last,
                    Operator::GreaterOrEqual => at >= first,
                };
            }
        },
        _ => None,
    };
    let allowed: &[Ordering] = match operator {
        Operator::Less => &[Ordering::Less],
        Operator::LessOrEqual => &[Ordering::Less, Ordering::Equal],
        Operator::Greater => &[Ordering::Greater],
        Operator::GreaterOrEqual => &[Ordering::Greater, Ordering::Equal],
    };
    ordering.is_some_and(|ordering| allowed.contains(&ordering))
}

/// Whole numbers exactly; fractions as floats, which tells the generated ones apart.
fn compare_numbers(left: &str, right: &str) -> Option<Ordering> {
    let float = |text: &str| {
        let is_plain = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
        if is_plain { text.parse::<f64>().ok() } else { None }
    };
    match (left.parse::<i128>(), right.parse::<i128>()) {
        (Ok(left), Ok(right)) => Some(left.cmp(&right)),
        _ => float(left)?.partial_cmp(&float(right)?),
    }
}

/// Whether the address is the other one, or lies in that network.
fn is_in_network(address: &str, network: &str) -> bool {
    let (start, bits) = match network.split_once('/') {
        Some((start, bits)) => (start, bits.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(address), Ok(start), Some(bits)) = (address.parse::<IpAddr>(), start.parse::<IpAddr>(), bits)
    else {
        return false;
    };
    let (address, start, width): (u128, u128, u32) = match (address, start) {
        (IpAddr::V4(address), IpAddr::V4(start)) => {
            (u128::from(u32::from(address)), u128::from(u32::from(start)), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(start)) => (u128::from(address), u128::from(start), 128),
        _ => return false,
    };
    let ignored = if network.contains('/') { width.checked_sub(bits) } else { Some(0) };
    let Some(ignored) = ignored else { return false };
    address.checked_shr(ignored).unwrap_or(0) == start.checked_shr(ignored).unwrap_or(0)
}

/// An address as one of the sixteen-byte kind.
fn wide(text: &str) -> Option<u128> {
    match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => Some(u128::from(address.to_ipv6_mapped())),
        IpAddr::V6(address) => Some(u128::from(address)),
    }
}
