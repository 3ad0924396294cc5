//! What is written to a terminal comes from files and events, which may hold anything: a control character could
//! move the cursor, change the window's title or hide text.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::query::alters_display;

/// `text` in one line, with every character that a terminal would act on written as an escape.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The same for text of several lines: line breaks stay.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| character == '\n')
}

/// A line of JSON in which such characters are written as JSON's own escapes, so that it says the same.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    if !text.chars().any(alters_display) {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if alters_display(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _written = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Ok(out)
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| alters_display(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            c if !alters_display(c) || keep(c) => out.push(c),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => {
                let _written = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_acts_on_passes() {
        assert_eq!(line("a\x1b[2Jb\u{202e}c\nd\u{9b}"), "a\\u{1b}[2Jb\\u{202e}c\\nd\\u{9b}");
        assert_eq!(lines("grün\n\x07"), "grün\n\\u{7}");
        let text = "\x1b\u{9b}\u{e0001}\"";
        let written = json(&text).unwrap();
        assert!(written.is_ascii(), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        assert!(matches!(line("plain"), Cow::Borrowed(_)));
    }
}
