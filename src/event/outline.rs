//! Where in a line the values of an event stand, whatever the order of its keys.
use super::scan::{decode_text, string_end};
use super::skip::{skip_space, value_end};
use super::slot::{Slot, Slots};

/// The spans of the values, in bytes from the line's start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outline {
    spans: [(u32, u32); Slot::COUNT],
}

/// A value is no string, or one with escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPlain;

impl Outline {
    /// The slot's value as the line spells it; `None` where the line has none.
    #[inline]
    pub fn value<'t>(&self, slot: Slot, line: &'t [u8]) -> Option<&'t [u8]> {
        match self.spans[slot as usize] {
            (0, 0) => None,
            (start, end) => line.get(start as usize..end as usize),
        }
    }

    /// The slot's text, of a slot that holds one; nothing where it is missing or null.
    ///
    /// # Errors
    /// Where it is not spelt plainly, so that it takes reading the event.
    pub fn text<'t>(&self, slot: Slot, line: &'t [u8]) -> Result<Option<&'t str>, NotPlain> {
        match self.value(slot, line) {
            None | Some(b"null") => Ok(None),
            Some([b'"', text @ .., b'"']) if !text.contains(&b'\\') => {
                std::str::from_utf8(text).map(Some).map_err(|_| NotPlain)
            }
            Some(_) => Err(NotPlain),
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // lines of more than 4 GiB are refused before
    pub(super) fn set(&mut self, slot: Slot, start: usize, end: usize) {
        self.spans[slot as usize] = (start as u32, end as u32);
    }

    /// Reads a whole line: valid JSON, an audit event, in which each value of a slot stands under plain keys. Of equal
    /// keys the last one counts.
    ///
    /// `None` for everything else: what is no event, and events that are one in an unusual way (a key that holds a
    /// dot, `objectRef` as a list), which have to be read in full.
    pub fn read(line: &[u8]) -> Option<Outline> {
        u32::try_from(line.len()).ok()?;
        let mut outline = Outline::default();
        let (mut is_event, mut is_known_version) = (false, false);
        let mut wide = false;
        let mut at = members(line, skip_space(line, 0), &mut wide, |key, at, wide| {
            if key == b"objectRef" {
                return outline.object(line, at, wide);
            }
            let end = value_end(line, at, 1, wide).ok()?;
            match key {
                b"kind" => is_event = &line[at..end] == b"\"Event\"",
                b"apiVersion" => {
                    is_known_version =
                        matches!(&line[at..end], b"\"audit.k8s.io/v1\"" | b"\"audit.k8s.io/v1beta1\"");
                }
                _ => match Slot::of_member(key) {
                    Slot::Rest => {}
                    slot => outline.set(slot, at, end),
                },
            }
            Some(end)
        })?;
        at = skip_space(line, at);
        let is_utf8 = !wide || std::str::from_utf8(line).is_ok();
        (at == line.len() && is_utf8 && is_event && is_known_version).then_some(outline)
    }

    /// Reads `objectRef`; a later one replaces all of an earlier one.
    fn object(&mut self, line: &[u8], at: usize, wide: &mut bool) -> Option<usize> {
        for slot in Slots::OBJECT.iter() {
            self.set(slot, 0, 0);
        }
        match line.get(at)? {
            b'{' => members(line, at, wide, |key, at, wide| {
                let end = value_end(line, at, 2, wide).ok()?;
                match Slot::of_object_member(key) {
                    Slot::Rest => {}
                    slot => self.set(slot, at, end),
                }
                Some(end)
            }),
            b'[' => None,
            _ => value_end(line, at, 1, wide).ok(),
        }
    }
}

/// Calls `member` with the key and the value's place of each member of the object at `at`; it answers where the value
/// ends. Answers where the object ends; `None` for what is no object, or has a key that holds a dot.
#[inline]
fn members(
    line: &[u8],
    at: usize,
    wide: &mut bool,
    mut member: impl FnMut(&[u8], usize, &mut bool) -> Option<usize>,
) -> Option<usize> {
    if line.get(at) != Some(&b'{') {
        return None;
    }
    let mut at = skip_space(line, at + 1);
    if line.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        if line.get(at) != Some(&b'"') {
            return None;
        }
        let end = string_end(line, at + 1).ok()?;
        *wide |= end.wide;
        let raw = &line[at + 1..end.quote];
        let colon = skip_space(line, end.quote + 1);
        if line.get(colon) != Some(&b':') {
            return None;
        }
        let value = skip_space(line, colon + 1);
        let after = if end.escaped {
            let key = decode_text(std::str::from_utf8(raw).ok()?);
            plain_key(key.as_bytes()).then(|| member(key.as_bytes(), value, wide))??
        } else {
            plain_key(raw).then(|| member(raw, value, wide))??
        };
        at = skip_space(line, after);
        match line.get(at)? {
            b',' => at = skip_space(line, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// A key with a dot spells a path, and what it holds belongs to another slot than its name says.
fn plain_key(key: &[u8]) -> bool {
    memchr::memchr(b'.', key).is_none()
}
