//! Where the scalars of a JSON text end, and what a string with escapes says.
use wide::u8x16;

use super::json_error::{JsonError, syntax};

/// A string's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StringEnd {
    /// Index of the closing quote.
    pub(super) quote: usize,
    /// Whether it holds an escape.
    pub(super) escaped: bool,
    /// Whether it holds a byte beyond ASCII, which may be no UTF-8.
    pub(super) wide: bool,
}

/// The end of the string whose text begins at `at`.
#[inline]
pub(super) fn string_end(bytes: &[u8], at: usize) -> Result<StringEnd, JsonError> {
    let (at, wide) = plain_end(bytes, at);
    if bytes.get(at) == Some(&b'"') {
        return Ok(StringEnd { quote: at, escaped: false, wide });
    }
    escaped_end(bytes, at, wide)
}

fn escaped_end(bytes: &[u8], mut at: usize, mut wide: bool) -> Result<StringEnd, JsonError> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(StringEnd { quote: at, escaped: true, wide }),
            Some(b'\\') => at = escape_end(bytes, at)?,
            Some(_) => return Err(syntax(at, "no raw control character in a string")),
            None => return Err(syntax(at, "the end of a string")),
        }
        let (end, more) = plain_end(bytes, at);
        at = end;
        wide |= more;
    }
}

#[inline]
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match bytes.get(at + 2..at + 6) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
            _ => Err(syntax(at, "four hexadecimal digits after \\u")),
        },
        _ => Err(syntax(at, "an escape that JSON knows")),
    }
}

/// Index of the first byte from `at` on that is a quote, a backslash or a control character, and whether there is a
/// byte beyond ASCII before it. Sixteen bytes at a time, because most of a log is the inside of strings.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut wide = false;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let (special, high) = classify(chunk);
        if special != 0 {
            let offset = special.trailing_zeros();
            return (at + offset as usize, wide || high & ((1 << offset) - 1) != 0);
        }
        wide |= high != 0;
        at += 16;
    }
    while let Some(&byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            break;
        }
        wide |= byte >= 0x80;
        at += 1;
    }
    (at, wide)
}

/// Of sixteen bytes a bit each: which end plain text (a quote, a backslash, a control character), and which are beyond
/// ASCII.
#[inline]
fn classify(chunk: &[u8; 16]) -> (u32, u32) {
    let bytes = u8x16::new(*chunk);
    let quote = bytes.simd_eq(u8x16::splat(b'"'));
    let backslash = bytes.simd_eq(u8x16::splat(b'\\'));
    let control = bytes.simd_eq(bytes.min(u8x16::splat(0x1f)));
    ((quote | backslash | control).to_bitmask(), bytes.to_bitmask())
}

/// Index after the word (`true`, `false`, `null`) that begins at `at`.
#[inline]
pub(super) fn word_end(bytes: &[u8], at: usize, word: &str) -> Result<usize, JsonError> {
    let end = at + word.len();
    if bytes.get(at..end) == Some(word.as_bytes()) { Ok(end) } else { Err(syntax(at, "a value")) }
}

/// Index after the number that begins at `at`.
pub(super) fn number_end(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let some_digits = |at: usize| match digits(at) {
        end if end > at => Ok(end),
        _ => Err(syntax(at, "a digit")),
    };
    let start = if bytes.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut end = if bytes.get(start) == Some(&b'0') { start + 1 } else { some_digits(start)? };
    if bytes.get(end) == Some(&b'.') {
        end = some_digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = some_digits(end + 1 + sign)?;
    }
    Ok(end)
}

/// The text that a string with escapes stands for. A surrogate without its partner becomes U+FFFD, as in Go.
pub(super) fn decode_text(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (decoded, used) = decode_escape(&rest[at..]);
        text.push(decoded);
        rest = &rest[at + used..];
    }
    text.push_str(rest);
    text
}

/// One escape, which the reader has checked, and the bytes it takes.
fn decode_escape(escape: &str) -> (char, usize) {
    let simple = match escape.as_bytes().get(1) {
        Some(b'u') => {
            let first = code_unit(escape);
            let (pair, used) = match first {
                0xD800..0xDC00 if escape.get(6..8) == Some("\\u") => ([first, code_unit(&escape[6..])], 12),
                _ => ([first, 0], 6),
            };
            return match char::decode_utf16(pair).next() {
                Some(Ok(decoded)) => (decoded, if decoded.len_utf16() == 2 { used } else { 6 }),
                _ => (char::REPLACEMENT_CHARACTER, 6),
            };
        }
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(&other) => char::from(other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (simple, 2)
}

fn code_unit(escape: &str) -> u16 {
    escape.get(2..6).and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or(0xFFFD)
}
