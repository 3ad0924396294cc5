//! JSON with members in an order, possibly twice, and the ways to spell it.
use std::fmt::Write as _;

use super::dice::Dice;

#[derive(Debug, Clone)]
pub(super) enum Json {
    /// A number, `true`, `false` or `null`; or what shall stand there as it is.
    Word(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<Member>),
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: String,
    /// Whether the key is written with an escape that it does not need.
    pub(super) is_escaped: bool,
    pub(super) value: Json,
}

pub(super) fn member(key: &str, value: Json) -> Member {
    Member { key: key.to_owned(), is_escaped: false, value }
}

pub(super) fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

pub(super) fn word(word: &str) -> Json {
    Json::Word(word.to_owned())
}

pub(super) fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(key, value)| member(key, value)).collect())
}

/// How a value is written, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// White space where it may stand.
    pub(super) spaces: usize,
    /// Keys and strings with escapes that they do not need.
    pub(super) escapes: usize,
    /// Strings without the escapes that only Go's encoder takes for needed.
    pub(super) plain: usize,
}

impl Style {
    /// Writes an event. One `as_go` has the API server's own keys as Go writes them, and the rest in this style: a
    /// client chooses how a body is spelt, but nothing around it.
    pub(super) fn write_event(self, members: &[Member], as_go: bool, dice: &mut Dice) -> String {
        let mut out = String::new();
        if !as_go {
            self.space(dice, &mut out);
            self.members(members, &|_| self, dice, &mut out);
            self.space(dice, &mut out);
            return out;
        }
        let style = |key: &str| if key == "objectRef" { Style::default() } else { self };
        Style::default().members(members, &style, dice, &mut out);
        out
    }

    fn write(self, value: &Json, dice: &mut Dice, out: &mut String) {
        match value {
            Json::Word(word) => out.push_str(word),
            Json::Text(text) => {
                let is_escaped = dice.chance(self.escapes);
                self.string(text, is_escaped, dice, out);
            }
            Json::List(list) => {
                out.push('[');
                self.space(dice, out);
                for (at, element) in list.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.space(dice, out);
                    self.write(element, dice, out);
                    self.space(dice, out);
                }
                out.push(']');
            }
            Json::Object(members) => self.members(members, &|_| self, dice, out),
        }
    }

    /// An object whose values have a style by their key.
    fn members(
        self,
        members: &[Member],
        style_of: &dyn Fn(&str) -> Style,
        dice: &mut Dice,
        out: &mut String,
    ) {
        out.push('{');
        self.space(dice, out);
        for (at, member) in members.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            self.space(dice, out);
            let is_escaped = member.is_escaped || dice.chance(self.escapes);
            self.string(&member.key, is_escaped, dice, out);
            self.space(dice, out);
            out.push(':');
            self.space(dice, out);
            style_of(&member.key).write(&member.value, dice, out);
            self.space(dice, out);
        }
        out.push('}');
    }

    fn space(self, dice: &mut Dice, out: &mut String) {
        if dice.chance(self.spaces) {
            out.push_str(dice.one_of(&[" ", "\t", "\r", "  "]));
        }
    }

    fn string(self, text: &str, is_escaped: bool, dice: &mut Dice, out: &mut String) {
        // At least one of them.
        let chosen = dice.below(text.chars().count().max(1));
        let is_plain = dice.chance(self.plain);
        out.push('"');
        for (at, c) in text.chars().enumerate() {
            if is_escaped && (at == chosen || dice.chance(20)) {
                write_escaped(c, dice, out);
            } else if is_plain && matches!(c, '&' | '<' | '>' | '\u{2028}') {
                out.push(c);
            } else {
                write_as_go(c, out);
            }
        }
        out.push('"');
    }
}

fn write_as_go(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '&' | '<' | '>' | '\u{2028}' | '\u{2029}' | '\0'..' ' => {
            write!(out, "\\u{:04x}", u32::from(c)).unwrap();
        }
        _ => out.push(c),
    }
}

fn write_escaped(c: char, dice: &mut Dice, out: &mut String) {
    if c == '/' && dice.chance(50) {
        out.push_str("\\/");
        return;
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        if dice.chance(50) {
            write!(out, "\\u{unit:04x}").unwrap();
        } else {
            write!(out, "\\u{unit:04X}").unwrap();
        }
    }
}
