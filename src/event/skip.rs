//! Passing over a JSON value of a line: as strict as reading it, without keeping anything.
use super::json_error::{JsonError, MAX_DEPTH, syntax};
use super::scan::{number_end, string_end, word_end};

/// Index after the value that begins at `at`, `depth` levels down. A newline is no white space here: a line has none,
/// and a value must not reach into the next one. `wide` becomes true where a byte beyond ASCII was passed, which the
/// caller has to look at: it may be no UTF-8.
pub(super) fn value_end(
    bytes: &[u8],
    mut at: usize,
    depth: usize,
    wide: &mut bool,
) -> Result<usize, JsonError> {
    let mut open = Nesting::new();
    loop {
        at = match bytes.get(at) {
            Some(b'"') => string(bytes, at, wide)?,
            Some(b'{') => {
                if depth + open.depth >= MAX_DEPTH {
                    return Err(JsonError::TooDeep { offset: at });
                }
                let inside = skip_space(bytes, at + 1);
                if bytes.get(inside) == Some(&b'}') {
                    inside + 1
                } else {
                    open.push(true);
                    at = key(bytes, inside, wide)?;
                    continue;
                }
            }
            Some(b'[') => {
                if depth + open.depth >= MAX_DEPTH {
                    return Err(JsonError::TooDeep { offset: at });
                }
                let inside = skip_space(bytes, at + 1);
                if bytes.get(inside) == Some(&b']') {
                    inside + 1
                } else {
                    open.push(false);
                    at = inside;
                    continue;
                }
            }
            Some(b'-' | b'0'..=b'9') => number_end(bytes, at)?,
            Some(b't') => word_end(bytes, at, "true")?,
            Some(b'f') => word_end(bytes, at, "false")?,
            Some(b'n') => word_end(bytes, at, "null")?,
            _ => return Err(syntax(at, "a value")),
        };
        loop {
            if open.depth == 0 {
                return Ok(at);
            }
            at = skip_space(bytes, at);
            match (bytes.get(at), open.in_object()) {
                (Some(b','), true) => {
                    at = key(bytes, skip_space(bytes, at + 1), wide)?;
                    break;
                }
                (Some(b','), false) => {
                    at = skip_space(bytes, at + 1);
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    open.pop();
                    at += 1;
                }
                (_, true) => return Err(syntax(at, "`,` or `}`")),
                (_, false) => return Err(syntax(at, "`,` or `]`")),
            }
        }
    }
}

/// Which of the open containers are objects, a bit each, the innermost lowest.
struct Nesting {
    word: u64,
    depth: usize,
    /// The words of 64 levels each that `word` has no room for.
    outer: Vec<u64>,
}

impl Nesting {
    fn new() -> Nesting {
        Nesting { word: 0, depth: 0, outer: Vec::new() }
    }

    #[inline]
    fn in_object(&self) -> bool {
        self.word & 1 == 1
    }

    #[inline]
    fn push(&mut self, is_object: bool) {
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.outer.push(self.word);
        }
        self.word = self.word << 1 | u64::from(is_object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.word >>= 1;
        if self.depth.is_multiple_of(64)
            && let Some(word) = self.outer.pop()
        {
            self.word = word;
        }
    }
}

#[inline]
fn string(bytes: &[u8], quote: usize, wide: &mut bool) -> Result<usize, JsonError> {
    let end = string_end(bytes, quote + 1)?;
    *wide |= end.wide;
    Ok(end.quote + 1)
}

/// Index of the value of the member whose key begins at `at`.
#[inline]
fn key(bytes: &[u8], at: usize, wide: &mut bool) -> Result<usize, JsonError> {
    if bytes.get(at) != Some(&b'"') {
        return Err(syntax(at, "a key in quotes"));
    }
    let colon = skip_space(bytes, string(bytes, at, wide)?);
    if bytes.get(colon) != Some(&b':') {
        return Err(syntax(colon, "`:`"));
    }
    Ok(skip_space(bytes, colon + 1))
}

/// Index after the spaces, tabs and carriage returns at `at`.
#[inline]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}
