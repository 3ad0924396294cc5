//! Where the scalars of a JSON text end, and what a string with escapes says.
use super::json::{JsonError, syntax};

/// Index of the quote that ends the string whose text begins at `at`, and whether it holds an escape.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Result<(usize, bool), JsonError> {
    let mut escaped = false;
    loop {
        at = plain_end(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                escaped = true;
                at += match bytes.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                    Some(b'u')
                        if bytes.get(at + 2..at + 6).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) =>
                    {
                        6
                    }
                    Some(b'u') => return Err(syntax(at, "four hexadecimal digits after \\u")),
                    _ => return Err(syntax(at, "an escape that JSON knows")),
                };
            }
            Some(_) => return Err(syntax(at, "no raw control character in a string")),
            None => return Err(syntax(at, "the end of a string")),
        }
    }
}

/// Index of the first byte from `at` on that is a quote, a backslash or a control character; eight bytes at a time,
/// because most of a log is the inside of strings.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|c| <[u8; 8]>::try_from(c).ok()) {
        let word = u64::from_le_bytes(chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let special =
            has_zero(word ^ (ONES * u64::from(b'"'))) | has_zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if special != 0 {
            // The lowest flagged byte is exact: a borrow can only flag bytes above a true one.
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)) {
        at += 1;
    }
    at
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
