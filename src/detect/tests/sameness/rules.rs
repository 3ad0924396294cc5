//! Rules as text: every construct of the language, over the fields and values that events have.
use std::fmt::Write as _;

use jiff::Timestamp;

use super::dice::Dice;
use super::names::{ABOVE, FREQUENT, NESTED, Name, OTHERS, PATTERNS};
use super::pools::{TIMES, WORDS};
use crate::detect::{ExceptionSource, MissingBody, Rule, RuleSource};

/// The rule of this seed. A few come again and again, whole or with something changed.
pub(super) fn rule(seed: u64) -> RuleSource {
    let mut dice = Dice::new(seed);
    if dice.chance(30) {
        let family = dice.below(12) as u64;
        let mut source = compiling(&mut Dice::new(family));
        let changed = otherwise(&source.query, &mut dice);
        let near = RuleSource { query: changed, ..source.clone() };
        if dice.chance(85) && Rule::compile(near.clone()).is_ok() {
            source = near;
        }
        return source;
    }
    compiling(&mut dice)
}

/// The language refuses some of what is written here, such as a query that means every event.
fn compiling(dice: &mut Dice) -> RuleSource {
    loop {
        let source = any_rule(dice);
        if Rule::compile(source.clone()).is_ok() {
            return source;
        }
    }
}

fn any_rule(dice: &mut Dice) -> RuleSource {
    let count = if dice.chance(25) { 1 + dice.below(3) } else { 0 };
    let exceptions = (0..count).map(|at| exception(at, dice)).collect();
    RuleSource {
        name: "rule".to_owned(),
        query: if dice.chance(60) { detector(dice) } else { query(3, dice) },
        missing_body: if dice.chance(25) { MissingBody::Absent } else { MissingBody::Unknown },
        exceptions,
        ..RuleSource::default()
    }
}

fn exception(at: usize, dice: &mut Dice) -> ExceptionSource {
    let time = |dice: &mut Dice| dice.one_of(&TIMES).parse::<Timestamp>().unwrap();
    ExceptionSource {
        name: at.to_string(),
        query: if dice.chance(70) { condition(FREQUENT, dice) } else { query(2, dice) },
        expire: if dice.chance(40) { Some(time(dice)) } else { None },
    }
}

/// What most rules are: a few things that have to be so, and perhaps some that must not.
fn detector(dice: &mut Dice) -> String {
    let mut parts = Vec::new();
    for _ in 0..=dice.below(3) {
        parts.push(condition(FREQUENT, dice));
    }
    if dice.chance(35) {
        parts.push(condition(OTHERS, dice));
    }
    if dice.chance(15) {
        parts.push(nested(dice));
    }
    if dice.chance(30) {
        parts.push(format!("not {}", condition(if dice.chance(50) { FREQUENT } else { OTHERS }, dice)));
    }
    dice.shuffle(&mut parts);
    join(&parts, "and", dice)
}

fn join(parts: &[String], word: &str, dice: &mut Dice) -> String {
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            let word = if dice.chance(20) { word.to_uppercase() } else { word.to_owned() };
            let space = dice.one_of(&[" ", " ", " ", "\n", "\t ", "\u{a0}"]);
            write!(text, "{space}{word}{space}").unwrap();
        }
        text.push_str(part);
    }
    text
}

/// A query of any form.
fn query(depth: usize, dice: &mut Dice) -> String {
    if depth == 0 || dice.chance(30) {
        return match dice.below(10) {
            0..4 => condition(FREQUENT, dice),
            4..8 => condition(OTHERS, dice),
            8 => nested(dice),
            _ => bare(dice),
        };
    }
    let parts = |dice: &mut Dice| {
        (0..2 + dice.below(2)).map(|_| format!("({})", query(depth - 1, dice))).collect::<Vec<_>>()
    };
    match dice.below(5) {
        0 | 1 => join(&parts(dice), "and", dice),
        2 => join(&parts(dice), "or", dice),
        3 => format!("not ({})", query(depth - 1, dice)),
        // Without parentheses: the grammar's own precedence.
        _ => {
            let mut text = query(0, dice);
            for _ in 0..2 {
                let word = dice.one_of(&["and", "or", "and not", "or not"]);
                write!(text, " {word} {}", query(0, dice)).unwrap();
            }
            text
        }
    }
}

/// One condition on one of the fields.
fn condition(names: &[Name], dice: &mut Dice) -> String {
    let Name { spellings, values } = &names[dice.below(names.len())];
    let field = match dice.below(100) {
        0..8 => dice.one_of(PATTERNS),
        8..14 => return format!("{}:*", field_name(dice.one_of(ABOVE), dice)),
        _ => dice.one_of(spellings),
    };
    let field = field_name(field, dice);
    on_field(&field, values, dice)
}

fn on_field(field: &str, values: &[&str], dice: &mut Dice) -> String {
    let colon = dice.one_of(&[":", ":", ":", " : ", ": "]);
    match dice.below(20) {
        0 | 1 => format!("{field}{colon}*"),
        2..5 => format!("{field}{colon}{}", pattern(dice.one_of(values), dice)),
        5 | 6 => {
            let operator = dice.one_of(&["<", "<=", ">", ">="]);
            let bound = match dice.below(10) {
                0 => pattern("ab", dice),
                1 => value(dice.one_of(&["403", "7", "m", "1.5"]), dice),
                _ => value(dice.one_of(values), dice),
            };
            format!("{field} {operator} {bound}")
        }
        7..12 => format!("{field}{colon}({})", list(values, 2, dice)),
        12 => format!("{field}{colon}{}", value(&nearly(dice.one_of(values), dice), dice)),
        _ => format!("{field}{colon}{}", value(dice.one_of(values), dice)),
    }
}

/// What stands between the parentheses of `field:( … )`.
fn list(values: &[&str], depth: usize, dice: &mut Dice) -> String {
    let item = |dice: &mut Dice| match dice.below(12) {
        0 => "*".to_owned(),
        1 | 2 => pattern(dice.one_of(values), dice),
        3 if depth > 0 => format!("({})", list(values, depth - 1, dice)),
        _ => value(dice.one_of(values), dice),
    };
    match dice.below(6) {
        0 => format!("not {}", item(dice)),
        1 => format!("* and not {}", item(dice)),
        2 => format!("{} and {}", item(dice), item(dice)),
        3 => format!("{} or not {}", item(dice), item(dice)),
        _ => {
            let items: Vec<String> = (0..2 + dice.below(3)).map(|_| item(dice)).collect();
            join(&items, "or", dice)
        }
    }
}

fn nested(dice: &mut Dice) -> String {
    let (field, names) = NESTED[dice.below(NESTED.len())];
    let part = |dice: &mut Dice| {
        let name = dice.one_of(names);
        let values: Vec<&str> = FREQUENT
            .iter()
            .chain(OTHERS)
            .filter(|known| known.spellings.iter().any(|known| known.ends_with(name)))
            .flat_map(|known| known.values.iter().copied())
            .collect();
        let values = if values.is_empty() { &WORDS[..] } else { &values };
        let word = if dice.chance(25) { "not " } else { "" };
        if dice.chance(6) {
            return format!("{word}{}", bare(dice));
        }
        if dice.chance(8) {
            return format!(
                "{word}{}:{{ {} }}",
                dice.one_of(&["x", "y", "metadata", "containers"]),
                on_field("x", &WORDS, dice)
            );
        }
        format!("{word}{}", on_field(name, values, dice))
    };
    let parts: Vec<String> = (0..=dice.below(3)).map(|_| part(dice)).collect();
    let word = if dice.chance(70) { "and" } else { "or" };
    format!("{field}:{{ {} }}", join(&parts, word, dice))
}

/// A value without a field.
fn bare(dice: &mut Dice) -> String {
    let names = if dice.chance(50) { FREQUENT } else { OTHERS };
    let values = names[dice.below(names.len())].values;
    let known = dice.one_of(values);
    match dice.below(10) {
        0 => "*".to_owned(),
        1..4 => pattern(known, dice),
        _ => value(known, dice),
    }
}

/// A field's name; quotes mean nothing to it unless it has wildcards.
fn field_name(name: &str, dice: &mut Dice) -> String {
    if !name.contains('*') && dice.chance(10) { quoted(name, dice) } else { name.to_owned() }
}

/// A value, quoted or not.
fn value(text: &str, dice: &mut Dice) -> String {
    let is_simple =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "./_-+".contains(c));
    if is_simple && dice.chance(60) { text.to_owned() } else { quoted(text, dice) }
}

fn quoted(text: &str, dice: &mut Dice) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            _ if u32::from(c) < 0x1_0000 && (c.is_control() || dice.chance(2)) => {
                write!(out, "\\u{:04x}", u32::from(c)).unwrap();
            }
            _ => out.push(c),
        }
    }
    out + "\""
}

/// A pattern that fits the text, or nearly.
fn pattern(text: &str, dice: &mut Dice) -> String {
    let text: Vec<char> =
        if dice.chance(85) { text.to_owned() } else { nearly(text, dice) }.chars().collect();
    let (start, end) = (dice.below(text.len() + 1), dice.below(text.len() + 1));
    let (start, end) = (start.min(end), start.max(end));
    let plain = |part: &[char], dice: &mut Dice| -> String {
        let mut out = String::new();
        for c in part {
            match c {
                '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}' => out.extend(['\\', *c]),
                c if u32::from(*c) < 0x1_0000
                    && (c.is_whitespace() || c.is_control() || *c == 'n' || dice.chance(2)) =>
                {
                    write!(out, "\\u{:04x}", u32::from(*c)).unwrap();
                }
                _ => out.push(*c),
            }
        }
        out
    };
    match dice.below(8) {
        0..3 => format!("{}*", plain(&text[..end], dice)),
        3 | 4 => format!("*{}", plain(&text[start..], dice)),
        5 | 6 => format!("*{}*", plain(&text[start..end], dice)),
        _ => format!("{}*{}", plain(&text[..start], dice), plain(&text[end..], dice)),
    }
}

/// Another text that differs in a character, in case or in length.
fn nearly(text: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = dice.below(chars.len() + 1);
    match (dice.below(4), chars.get_mut(at)) {
        (0, Some(c)) => *c = if c.is_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() },
        (1, Some(c)) => *c = 'q',
        (2, Some(_)) => drop(chars.remove(at)),
        _ => chars.insert(at, 'q'),
    }
    chars.into_iter().collect()
}

/// The query with one word for another.
fn otherwise(query: &str, dice: &mut Dice) -> String {
    let words = [
        ("create", "delete"),
        ("pods", "secrets"),
        ("alice", "alicf"),
        ("exec", "attach"),
        ("allow", "forbid"),
        ("shop", "shoq"),
        ("403", "200"),
        ("kubernetes.audit.", ""),
        (" and ", " or "),
        (" or ", " and "),
        ("*", "k*"),
        ("not ", ""),
        ("true", "false"),
        ("1.30", "1.31"),
        (":*", ":**"),
        ("v*b", "v\\*b"),
        ("v\\*b", "v*b"),
    ];
    let fitting: Vec<_> = words.iter().filter(|(old, _)| query.contains(old)).collect();
    if fitting.is_empty() {
        return query.to_owned();
    }
    let (old, new) = fitting[dice.below(fitting.len())];
    query.replacen(old, new, 1)
}
