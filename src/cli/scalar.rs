//! A scalar's meaning, and the place of each of its characters in the text.

use std::ops::Range;

use granit_parser::{ScalarStyle, Tag};
use serde_json::Number;

use super::document::{Content, Node};

/// What a scalar stands for. Only a plain one, or one with a tag that says so, is anything but text.
pub(super) fn scalar(value: &str, style: ScalarStyle, tag: Option<&Tag>) -> Content {
    let text = || Content::Text(value.to_owned(), style);
    let typed = match tag.and_then(Tag::core_suffix) {
        Some(suffix) => matches!(suffix, "null" | "bool" | "int" | "float"),
        None => style == ScalarStyle::Plain,
    };
    if typed { plain(value).unwrap_or_else(text) } else { text() }
}

fn plain(value: &str) -> Option<Content> {
    Some(match value {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            Content::Bool(true)
        }
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Content::Bool(false)
        }
        _ => Content::Number(number(value)?),
    })
}

fn number(value: &str) -> Option<Number> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let bare = value.replace('_', "");
    let (sign, bare) = match bare.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, bare.strip_prefix('+').unwrap_or(&bare)),
    };
    let (radix, digits) = match bare.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, bare.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, bare.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, bare.get(2..)?),
        [b'0', _, ..] => (8, bare.get(1..)?),
        _ => (10, bare),
    };
    if let Ok(whole) = i128::from_str_radix(digits, radix) {
        return Number::from_i128(sign * whole);
    }
    let float: f64 = if digits.len() == bare.len() || radix == 8 {
        bare.parse().ok()?
    } else {
        return None;
    };
    let float = f64::from(i8::try_from(sign).ok()?) * float;
    // On its way to the API server `50.0` becomes `50`.
    #[allow(clippy::cast_possible_truncation)] // whole and small enough
    let whole = (float.fract() == 0.0 && float.abs() < 9e15).then(|| Number::from(float as i64));
    whole.or_else(|| Number::from_f64(float))
}

/// Where byte `offset` of a scalar's value stands in the text.
pub(super) fn offset_in_text(text: &str, node: &Node, offset: usize) -> usize {
    let Content::Text(value, style) = &node.content else {
        return node.span.start;
    };
    let offset = offset.min(value.len());
    match style {
        ScalarStyle::Literal | ScalarStyle::Folded => in_block(text, &node.span, value, offset),
        ScalarStyle::Plain => in_flow(text, node.span.start, value, offset, *style),
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
            in_flow(text, node.span.start + 1, value, offset, *style)
        }
    }
    .min(text.len())
}

/// Each line of a block scalar stands in its value as it is, without the indentation; what lies between two of them
/// is line breaks, or one space where they were folded.
fn in_block(text: &str, span: &Range<usize>, value: &str, offset: usize) -> usize {
    // The span begins behind the indentation of the first line that is not blank.
    let from = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let indent = span.start - from;
    let (mut at, mut done, mut place) = (from, 0, span.start);
    for line in text.get(from..span.end).unwrap_or_default().split_inclusive('\n') {
        let start = at + indent;
        at += line.len();
        let content = line.trim_end_matches(['\n', '\r']).get(indent..).unwrap_or_default();
        if content.is_empty() {
            continue;
        }
        let Some(skip) = value.get(done..).and_then(|rest| rest.find(content)) else {
            return place;
        };
        if offset < done + skip {
            return place;
        }
        done += skip;
        if offset <= done + content.len() {
            return start + (offset - done);
        }
        done += content.len();
        place = start + content.len();
    }
    place
}

/// Walks a plain or quoted scalar and its value side by side.
fn in_flow(text: &str, start: usize, value: &str, offset: usize, style: ScalarStyle) -> usize {
    let (mut at, mut done) = (start, 0);
    while done < offset {
        let rest = text.get(at..).unwrap_or_default();
        let Some(next) = rest.chars().next() else {
            return at;
        };
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let breaks = rest.get(..blank).unwrap_or_default().matches('\n').count();
        if breaks > 0 {
            // One break reads as a space, more of them as one line break fewer.
            let shown = (breaks - 1).max(1);
            if done + shown > offset {
                return at;
            }
            (at, done) = (at + blank, done + shown);
            continue;
        }
        let shown = value.get(done..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        let (taken, shown) = match (style, next) {
            (ScalarStyle::SingleQuoted, '\'') => (2, 1),
            (ScalarStyle::DoubleQuoted, '\\') => match rest.chars().nth(1) {
                Some('x') => (4, shown),
                Some('u') => (6, shown),
                Some('U') => (10, shown),
                Some('\n' | '\r') => {
                    let inner = rest.get(1..).unwrap_or_default();
                    (1 + inner.len() - inner.trim_start().len(), 0)
                }
                Some(escaped) => (1 + escaped.len_utf8(), shown),
                None => return at,
            },
            _ => (next.len_utf8(), next.len_utf8()),
        };
        (at, done) = (at + taken, done + shown);
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cli::document::{read, tests::one};

    fn find(text: &str, word: &str) {
        let node = one(text);
        let value = node.get("q").expect("key q");
        let decoded = value.as_str().expect("text");
        let offset = decoded.find(word).unwrap_or_else(|| panic!("{word} in {decoded:?}"));
        let place = offset_in_text(text, value, offset);
        assert!(text[place..].starts_with(word), "{word} of {decoded:?} found at {:?}", &text[place..]);
    }

    #[test]
    fn values_are_read_as_kubectl_reads_them() {
        let node = one(
            "a: yes\nb: 010\nc: 0x1f\nd: 1_000\ne: 2026-01-01\nf: '5'\ng: ~\nh: 1.5\ni: 1.2.3\n5: x\nj: -3\nk: 1e1",
        );
        assert_eq!(
            node.to_json(),
            serde_json::json!({"a": true, "b": 8, "c": 31, "d": 1000, "e": "2026-01-01", "f": "5", "g": null,
                "h": 1.5, "i": "1.2.3", "5": "x", "j": -3, "k": 10})
        );
    }

    #[test]
    fn places_inside_every_kind_of_scalar() {
        find("q: alpha beta gamma\n", "gamma");
        find("q: alpha\n  beta\n\n  gamma\n", "gamma");
        find("q: 'it''s alpha\n  gamma'\n", "gamma");
        find("q: \"a\\\"b\\u00e9 \\\n   x gamma\"\n", "gamma");
        find("q: \"{}\\n\\tgamma\"\n", "gamma");
        find("q: |\n  alpha\n    beta\n\n  gamma gamma2\n", "gamma2");
        find("q: |\n\n\n  alpha\n  alpha gamma\n", "gamma");
        find("q: |2-\n    alpha\n  gamma\n", "gamma");
        find("q: >\n  alpha\n  beta\n\n  beta\n    more\n  gamma\n", "gamma");
        find("q: >-\n  alpha\n  alpha\n  gamma", "gamma");
        find("x:\n- q: 1\nq: |\r\n  alpha\r\n  gamma\r\n", "gamma");
        find("{\n\t\"q\": \"alpha gamma\"\n}\n", "gamma");
    }

    /// Every character of `value` is found in `text`, unless it is white space, which YAML may have folded.
    fn every_place(text: &str, value: &str) -> Result<(), TestCaseError> {
        let (documents, error) = read(text);
        prop_assert!(error.is_none(), "{error:?} in {text:?}");
        let node = documents[0].get("q").expect("key q");
        prop_assert_eq!(node.as_str(), Some(value));
        for (offset, character) in value.char_indices().filter(|(_, c)| !c.is_whitespace()) {
            let place = offset_in_text(text, node, offset);
            let found = text[place..].chars().next();
            let escaped = found == Some('\\') && "\"\\".contains(character);
            prop_assert!(
                found == Some(character) || escaped,
                "{character} of {value:?} in {text:?} at {place}"
            );
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_character_is_found_again(value in "[a-c\"'\\\\é:#]([a-c\"'\\\\é :#\n]{0,40}[a-c])?") {
            every_place(&format!("x: 1\nq: {}\n", serde_json::to_string(&value).unwrap()), &value)?;
            every_place(&format!("q: |-\n   {}\n", value.replace('\n', "\n   ")), &value)?;
            let quoted = value.replace('\'', "''").replace('\n', " ");
            every_place(&format!("q: '{quoted}'\n"), &value.replace('\n', " "))?;
        }

        #[test]
        fn nothing_makes_it_panic(text in "[ \n\t\"'a:|>{}\\[\\]&*#é\\\\0-9-]{0,60}", offset in 0_usize..80) {
            for node in read(&format!("q: {text}")).0 {
                let place = node.get("q").map_or(0, |value| offset_in_text(&format!("q: {text}"), value, offset));
                prop_assert!(place <= text.len() + 3);
            }
        }
    }
}
