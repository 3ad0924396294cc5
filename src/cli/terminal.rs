//! What is written to a terminal comes from files and events, which may hold anything: a control character could
//! move the cursor, change the window's title or hide text.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::query::alters_display;

/// Writes a line to standard error, formatted as by `format!`. Whoever has closed it does not want to know, and `eprintln!`
/// would panic.
macro_rules! say {
    ($($text:tt)*) => {{
        let to = &mut std::io::stderr();
        let _nobody_reads = std::io::Write::write_fmt(to, format_args!("{}\n", format_args!($($text)*)));
    }};
}
pub(crate) use say;

/// `text` in one line, with every character that a terminal would act on written as an escape.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The same for text of several lines: line breaks stay.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| character == '\n')
}

/// Whether `text` of several lines holds such a character.
pub(crate) fn is_unsafe(text: &str) -> bool {
    text.chars().any(|character| character != '\n' && alters_display(character))
}

/// At most so many characters, with an ellipsis where something is left out.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A line of JSON in which such characters are written as JSON's own escapes, so that it says the same.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> serde_json::Result<String> {
    Ok(escape_json(&serde_json::to_string(value)?).into_owned())
}

/// JSON of one or several lines, written so.
pub(crate) fn escape_json(text: &str) -> Cow<'_, str> {
    escape_quoted(text, |out, character| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _written = write!(out, "\\u{unit:04x}");
        }
    })
}

/// The same for JSON that is read as YAML, which knows no pairs of surrogates.
pub(crate) fn escape_yaml(text: &str) -> Cow<'_, str> {
    escape_quoted(text, |out, character| {
        let _written = write!(out, "\\U{:08x}", u32::from(character));
    })
}

/// A line break that is left stands between values, never in a string.
fn escape_quoted(text: &str, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !is_unsafe(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character != '\n' && alters_display(character) {
            write(&mut out, character);
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
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
        let written = escape_yaml(&serde_json::to_string(text).unwrap()).into_owned();
        assert!(written.is_ascii() && !is_unsafe(&written), "{written}");
        assert_eq!(serde_saphyr::from_str::<String>(&written).unwrap(), text);
        assert_eq!(escape_json("[\n1,\n\"\u{202e}\"\n]"), "[\n1,\n\"\\u202e\"\n]");
        assert!(matches!(line("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_clipped_says_so() {
        assert_eq!((clipped("äbc", 3), clipped("äbcd", 3)), ("äbc".to_owned(), "äb…".to_owned()));
    }
}
