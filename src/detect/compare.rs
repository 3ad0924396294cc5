//! One value of an event against one value of a query.
use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::date::DateMath;
use super::number;
use crate::event::{Glob, Scalar, Type};
use crate::query::{Literal, Operator};

/// What a leaf asks of a field.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// That it has a value.
    Exists,
    /// That a value equals this one.
    Is(Target),
    /// That a value fits the pattern.
    Fits(Glob),
    /// That a value lies on one side of this one.
    Range(Operator, Target),
    /// Nothing can: a range with a pattern.
    Never,
}

/// A value of a query, read once as everything that it can be.
#[derive(Debug, Clone)]
pub(super) struct Target {
    text: String,
    is_number: bool,
    boolean: Option<bool>,
    net: Option<IpNet>,
    date: Option<DateMath>,
}

impl Target {
    fn new(text: &str) -> Target {
        Target {
            text: text.to_owned(),
            is_number: number::is_number(text),
            boolean: match text {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            net: parse_net(text),
            date: DateMath::parse(text),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        self.is_number
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.boolean
    }

    pub(super) fn is_address(&self) -> bool {
        self.net.is_some()
    }

    pub(super) fn is_date(&self) -> bool {
        self.date.is_some()
    }

    /// Whether it needs the event's time.
    pub(super) fn is_relative(&self) -> bool {
        self.text.starts_with("now")
    }

    fn equals(&self, value: &Scalar<'_>, kind: Type, now: Option<Timestamp>) -> bool {
        match value {
            Scalar::Bool(value) => self.boolean == Some(*value),
            Scalar::Number(value) => {
                self.is_number && number::compare(value, &self.text) == Some(Ordering::Equal)
            }
            Scalar::Text(value) if *value == self.text => true,
            Scalar::Text(value) => match kind {
                Type::Plain => false,
                Type::Address => match (&self.net, value.parse::<IpAddr>()) {
                    (Some(net), Ok(address)) => net.contains(&address),
                    _ => false,
                },
                Type::Date => {
                    self.compare_date(value, |date, at| Some(date.first(now)? <= at && at <= date.last(now)?))
                }
            },
        }
    }

    fn compare_date(&self, value: &str, test: impl FnOnce(&DateMath, Timestamp) -> Option<bool>) -> bool {
        match (&self.date, value.parse::<Timestamp>()) {
            (Some(date), Ok(at)) => test(date, at).unwrap_or(false),
            _ => false,
        }
    }

    fn in_range(&self, operator: Operator, value: &Scalar<'_>, kind: Type, now: Option<Timestamp>) -> bool {
        let ordering = match value {
            Scalar::Bool(_) => None,
            Scalar::Number(value) => number::compare(value, &self.text),
            Scalar::Text(value) => match kind {
                Type::Plain => Some(value.as_bytes().cmp(self.text.as_bytes())),
                Type::Address => compare_addresses(value, &self.text),
                Type::Date => {
                    return self.compare_date(value, |date, at| {
                        Some(match operator {
                            Operator::Less => at < date.first(now)?,
                            Operator::LessOrEqual => at <= date.last(now)?,
                            Operator::Greater => at > date.last(now)?,
                            Operator::GreaterOrEqual => at >= date.first(now)?,
                        })
                    });
                }
            },
        };
        match operator {
            Operator::Less => ordering.is_some_and(Ordering::is_lt),
            Operator::LessOrEqual => ordering.is_some_and(Ordering::is_le),
            Operator::Greater => ordering.is_some_and(Ordering::is_gt),
            Operator::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
        }
    }
}

impl Test {
    /// Of `field:value`.
    pub(super) fn of_value(value: &Literal) -> Test {
        match value.plain() {
            Some(text) => Test::Is(Target::new(text)),
            None if value.is_star() => Test::Exists,
            None => Glob::new(&value.pieces).map_or(Test::Never, Test::Fits),
        }
    }

    /// Of `field < value`.
    pub(super) fn of_range(operator: Operator, value: &Literal) -> Test {
        value.plain().map_or(Test::Never, |text| Test::Range(operator, Target::new(text)))
    }

    /// Whether one value passes. `now` is the event's time.
    pub(super) fn passes(&self, value: &Scalar<'_>, kind: Type, now: Option<Timestamp>) -> bool {
        match self {
            Test::Exists => true,
            Test::Never => false,
            Test::Is(target) => target.equals(value, kind, now),
            Test::Range(operator, target) => target.in_range(*operator, value, kind, now),
            Test::Fits(glob) => match value {
                Scalar::Text(text) => glob.matches(text),
                Scalar::Number(_) | Scalar::Bool(_) => false,
            },
        }
    }

    /// A text that a plain value must hold to pass; `None` where it can pass without any.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Test::Is(target) if !target.is_number && target.boolean.is_none() => Some(&target.text),
            Test::Fits(glob) => Some(glob.longest_piece()),
            _ => None,
        }
    }

    /// The text that a plain value must be to pass, if it is a text at all.
    pub(super) fn exact_text(&self) -> Option<&str> {
        if let Test::Is(target) = self { Some(&target.text) } else { None }
    }

    /// Whether it needs the event's time.
    pub(super) fn is_relative(&self) -> bool {
        matches!(self, Test::Is(target) | Test::Range(_, target) if target.is_relative())
    }
}

/// An address, or a network in CIDR notation.
fn parse_net(text: &str) -> Option<IpNet> {
    text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).ok()
}

/// As Elasticsearch orders them: an IPv4 address as the IPv6 address that maps it.
fn compare_addresses(left: &str, right: &str) -> Option<Ordering> {
    let wide = |text: &str| match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => Some(address.to_ipv6_mapped()),
        IpAddr::V6(address) => Some(address),
    };
    Some(wide(left)?.cmp(&wide(right)?))
}
