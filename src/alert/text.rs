//! Text from an audit event, made fit for an object, a column or a log line.
//!
//! Every string of an event is the client's to choose: user agent, names, URIs, even the audit id. Here it is
//! bounded and its control characters (and those that reorder text on a terminal) are written as `\u{..}`.

use sha2::{Digest, Sha256};

use crate::query::alters_display;

/// The most bytes kept of an ordinary string.
pub const SHORT: usize = 256;
/// The most bytes kept of a request URI.
pub const LONG: usize = 2048;

const ELLIPSIS: &str = "…";

/// Escapes `text` until the result would pass `max` bytes; says whether all of it went in.
fn escape_into(out: &mut String, text: &str, max: usize) -> bool {
    for c in text.chars() {
        let before = out.len();
        if alters_display(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        if out.len() > max {
            out.truncate(before);
            return false;
        }
    }
    true
}

/// `text` escaped and cut to at most `max` bytes, on a character boundary, with an ellipsis where it was cut.
pub fn short(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    if !escape_into(&mut out, text, max) {
        while out.len() + ELLIPSIS.len() > max {
            out.pop();
        }
        out.push_str(ELLIPSIS);
    }
    out
}

/// `text` as it is, cut to at most `max` bytes on a character boundary, with an ellipsis where it was cut. For text of
/// our own, whose line breaks are wanted.
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(ELLIPSIS.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ELLIPSIS}", text.split_at(end).0)
}

/// `text` escaped and cut to at most `max` bytes in its middle, keeping head and tail with the whole text's length
/// and SHA-256 between them, so that two texts that differ only in what was cut can be told apart.
pub fn long(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    if escape_into(&mut out, text, max) {
        return out;
    }
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    let middle = format!("{ELLIPSIS}[{} bytes, sha256 {digest}]{ELLIPSIS}", text.len());
    let half = max.saturating_sub(middle.len()) / 2;
    out.clear();
    escape_into(&mut out, text, half);
    out.push_str(&middle);
    // The tail is found from the end: as many characters as fit once escaped.
    let mut tail = Vec::new();
    let mut room = half;
    for c in text.chars().rev() {
        let shown: String = if alters_display(c) { c.escape_unicode().collect() } else { c.to_string() };
        if shown.len() > room {
            break;
        }
        room -= shown.len();
        tail.push(shown);
    }
    out.extend(tail.into_iter().rev());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_reordering_characters_are_escaped() {
        assert_eq!(short("a\u{1b}[31mb\nc\u{202e}d", SHORT), r"a\u{1b}[31mb\u{a}c\u{202e}d");
        assert_eq!(long("ok/ä?x=y", LONG), "ok/ä?x=y");
    }

    #[test]
    fn a_cut_falls_on_a_character_and_within_the_bound() {
        for max in 4..40 {
            for text in ["ääääääääääääääääääääää", "\n\n\n\n\n\n\n\n\n\n\n", "😀😀😀😀😀😀😀😀😀😀😀"]
            {
                let cut = short(text, max);
                assert!(cut.len() <= max, "{cut:?} is longer than {max}");
                assert!(cut.ends_with('…'));
            }
        }
        assert_eq!(short("abcdef", 6), "abcdef");
        assert_eq!(short("abcdefg", 6), "abc…");
    }

    #[test]
    fn a_long_text_keeps_head_tail_length_and_digest() {
        let text = format!("HEAD{}TAIL", "x".repeat(1 << 20));
        let cut = long(&text, LONG);
        assert!(cut.len() <= LONG && cut.starts_with("HEADx") && cut.ends_with("xTAIL"));
        assert!(cut.contains(&format!("[{} bytes, sha256 ", text.len())));
        assert_ne!(cut, long(&text.replace("HEADxx", "HEADxy"), LONG));
        let middle = |c: char| format!("{}{c}{}", "x".repeat(9000), "x".repeat(9000));
        assert_ne!(long(&middle('a'), LONG), long(&middle('b'), LONG));
    }
}
