//! The evaluator against a simple one over `serde_json::Value`, written from the language page and nothing else.
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Verdict, verdict};

/// A condition of a generated query.
#[derive(Debug, Clone)]
enum Condition {
    Is(String, String),
    Fits(String, String),
    Exists(String),
    AtLeast(String, i32),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Nested(String, Box<Condition>),
}

impl Condition {
    fn kql(&self) -> String {
        let join = |parts: &[Condition], word: &str| {
            parts.iter().map(|part| format!("({})", part.kql())).collect::<Vec<_>>().join(word)
        };
        match self {
            Condition::Is(field, value) => format!("{field}:\"{value}\""),
            Condition::Fits(field, pattern) => format!("{field}:{pattern}"),
            Condition::Exists(field) => format!("{field}:*"),
            Condition::AtLeast(field, bound) => format!("{field} >= {bound}"),
            Condition::Not(inner) => format!("not ({})", inner.kql()),
            Condition::And(parts) => join(parts, " and "),
            Condition::Or(parts) => join(parts, " or "),
            Condition::Nested(field, inner) => format!("{field}:{{ {} }}", inner.kql()),
        }
    }

    fn holds(&self, document: &Value) -> bool {
        let any = |field: &str, test: &dyn Fn(&Value) -> bool| leaves(document, field).iter().any(test);
        match self {
            Condition::Is(field, text) => any(field, &|leaf| match leaf {
                Value::String(value) => value == text,
                Value::Number(value) => text.parse().ok() == value.as_i64(),
                Value::Bool(value) => text == &value.to_string(),
                _ => false,
            }),
            Condition::Fits(field, pattern) => {
                any(field, &|leaf| leaf.as_str().is_some_and(|text| fits(pattern, text)))
            }
            Condition::Exists(field) => {
                !leaves(document, field).is_empty() || below(document, &format!("{field}."))
            }
            Condition::AtLeast(field, bound) => any(field, &|leaf| match leaf {
                Value::Number(value) => value.as_i64().is_some_and(|value| value >= i64::from(*bound)),
                Value::String(value) => value.as_str() >= bound.to_string().as_str(),
                _ => false,
            }),
            Condition::Not(inner) => !inner.holds(document),
            Condition::And(parts) => parts.iter().all(|part| part.holds(document)),
            Condition::Or(parts) => parts.iter().any(|part| part.holds(document)),
            Condition::Nested(field, inner) => {
                elements(document, field).iter().any(|element| inner.holds(element))
            }
        }
    }
}

/// Every leaf of the document with its flattened name, the slow and plain way.
fn flatten(value: &Value, name: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Null => {}
        Value::Array(list) => list.iter().for_each(|element| flatten(element, name, found)),
        Value::Object(members) => {
            for (key, value) in members {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(value, &name, found);
            }
        }
        leaf => found.push((name.to_owned(), leaf.clone())),
    }
}

fn leaves(document: &Value, field: &str) -> Vec<Value> {
    let mut found = Vec::new();
    flatten(document, "", &mut found);
    found.into_iter().filter(|(name, _)| fits(field, name)).map(|(_, leaf)| leaf).collect()
}

fn below(document: &Value, start: &str) -> bool {
    let mut found = Vec::new();
    flatten(document, "", &mut found);
    found.iter().any(|(name, _)| name.starts_with(start))
}

fn elements(document: &Value, field: &str) -> Vec<Value> {
    match document {
        Value::Array(list) => list.iter().flat_map(|element| elements(element, field)).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| match field.strip_prefix(key.as_str()) {
                Some("") => spread(value),
                Some(rest) => rest.strip_prefix('.').map_or(Vec::new(), |rest| elements(value, rest)),
                None => Vec::new(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn spread(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(spread).collect(),
        Value::Null => Vec::new(),
        other => vec![other.clone()],
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| fits(rest, &text[at..]))
        }),
    }
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..12i64).prop_map(Value::from),
        prop_oneof!["[ab]{0,3}", Just("7".to_owned()), Just("true".to_owned())].prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    });
    prop::collection::vec((key(), value), 0..4).prop_map(|members| json!({ "t": Map::from_iter(members) }))
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["x", "y", "z", "x.y", "y.z"]).prop_map(str::to_owned)
}

fn field() -> impl Strategy<Value = String> {
    let plain = prop::collection::vec(prop::sample::select(vec!["x", "y", "z"]), 1..4);
    plain.prop_map(|parts| format!("t.{}", parts.join(".")))
}

fn any_field() -> impl Strategy<Value = String> {
    prop_oneof![4 => field(), 1 => prop::sample::select(vec!["t.*", "t.x*", "t.*.z", "t*y*"]).prop_map(str::to_owned)]
}

fn condition() -> impl Strategy<Value = Condition> {
    let value = prop_oneof!["[ab]{0,3}", (0..12i64).prop_map(|n| n.to_string()), Just("true".to_owned())];
    let leaf = prop_oneof![
        (any_field(), value).prop_map(|(field, value)| Condition::Is(field, value)),
        (any_field(), "[ab]{0,2}\\*[ab]{1,2}").prop_map(|(field, pattern)| Condition::Fits(field, pattern)),
        field().prop_map(Condition::Exists),
        (any_field(), 0..12i32).prop_map(|(field, bound)| Condition::AtLeast(field, bound)),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Condition::Not(Box::new(part))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Or),
        ]
    })
}

/// A condition inside a nested group: its names are relative.
fn nested() -> impl Strategy<Value = Condition> {
    let names = prop::sample::select(vec!["x", "y", "x.y", "z*"]).prop_map(str::to_owned);
    let leaf = (names, "[ab]{0,2}").prop_map(|(field, value)| Condition::Is(field, value));
    (field(), prop::collection::vec(leaf, 2..4), any::<bool>()).prop_map(|(field, parts, negated)| {
        let inner =
            if negated { Condition::Not(Box::new(Condition::Or(parts))) } else { Condition::Or(parts) };
        Condition::Nested(field, Box::new(inner))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn both_evaluators_agree(document in document(), condition in prop_oneof![5 => condition(), 1 => nested()]) {
        let mut event = String::new();
        write!(event, "{document}").unwrap();
        let expected = if condition.holds(&document) { Verdict::Match } else { Verdict::NoMatch };
        prop_assert_eq!(verdict(&condition.kql(), &event), expected, "{} on {}", condition.kql(), event);
    }
}
