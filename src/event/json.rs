//! A strict JSON reader that writes a flat tape instead of a tree.
//!
//! Why our own: an event holds the body of a request as its sender wrote it. Go's decoder accepts nesting to a depth of
//! 10,000, reads a lone surrogate as U+FFFD and lets the last of several equal keys win; a reader that refuses the first
//! or keeps another of the keys would not see what the API server acted on. Numbers keep their text, so that they
//! compare exactly. Nothing here recurses, and the tape keeps its memory from event to event.
use super::json_error::{JsonError, MAX_DEPTH, syntax};
use super::scan::{StringEnd, number_end, string_end, word_end};
use super::skip::value_end;
use super::value::{Value, node_text, raw};
use super::wanted::{At, Wanted};
use super::withheld::withhold;

/// Below this many members every pair of keys is compared; above, the keys are sorted.
const FEW_MEMBERS: usize = 8;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `false`
    False,
    /// `true`
    True,
    /// A number, kept as its text.
    Number,
    /// A string without escapes.
    Text,
    /// A string with at least one escape.
    EscapedText,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

/// One entry of the tape: a value, or a member's key (whose value follows at once, and whose `next` is the next member).
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// On a key: a later member of the same object has an equal key, which is the one that counts.
    pub(super) shadowed: bool,
    /// Bytes of the text; of a string, without its quotes.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Index of the entry after the whole subtree.
    pub(super) next: u32,
}

/// A container that is still open.
#[derive(Debug, Clone, Copy)]
struct Open {
    container: u32,
    /// Where its keys begin in [`Tape::keys`]; `None` for an array.
    keys: Option<usize>,
    /// Where it stands among what is wanted.
    at: At,
}

/// Reusable memory for reading one text after another.
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) nodes: Vec<Node>,
    open: Vec<Open>,
    /// Keys of the open objects, innermost last.
    keys: Vec<u32>,
}

/// How many nodes may stay allocated between events: some hundred kilobytes' worth, more than all but a few events take.
const MOST_KEPT: usize = 1 << 16;

impl Tape {
    /// An empty tape. Keep it, and read the next text with it.
    pub fn new() -> Tape {
        Tape::default()
    }

    /// Reads `text` as one JSON value with white space around it.
    pub fn read<'a>(&'a mut self, text: &'a str) -> Result<Value<'a>, JsonError> {
        self.read_parts(text, None)
    }

    /// Reads an event as [`read`](Self::read) does, and keeps of its bodies only what is wanted. The text has no newline.
    pub(super) fn read_wanted<'a>(
        &'a mut self,
        text: &'a str,
        wanted: &Wanted,
    ) -> Result<Value<'a>, JsonError> {
        self.read_parts(text, Some(wanted))
    }

    fn read_parts<'a>(&'a mut self, text: &'a str, wanted: Option<&Wanted>) -> Result<Value<'a>, JsonError> {
        // One huge event shall not keep its memory from then on.
        if self.nodes.capacity() > MOST_KEPT && self.nodes.len() < MOST_KEPT / 4 {
            self.nodes.shrink_to(MOST_KEPT / 4);
        }
        self.nodes.clear();
        self.open.clear();
        self.keys.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(JsonError::TooLong);
        }
        self.fill(text, wanted)?;
        withhold(text, &mut self.nodes);
        Ok(Value::root(text, &self.nodes))
    }

    fn fill(&mut self, text: &str, wanted: Option<&Wanted>) -> Result<(), JsonError> {
        let bytes = text.as_bytes();
        let mut at = skip_space(bytes, 0);
        // Of the next value.
        let mut place = if wanted.is_some() { At::Event } else { At::All };
        loop {
            at = match bytes.get(at) {
                _ if place == At::Nothing => value_end(bytes, at, self.open.len(), &mut false)?,
                Some(b'{') => {
                    self.open_container(Kind::Object, at, place)?;
                    let inside = skip_space(bytes, at + 1);
                    if bytes.get(inside) != Some(&b'}') {
                        (at, place) = self.key(text, inside, wanted)?;
                        continue;
                    }
                    inside
                }
                Some(b'[') => {
                    self.open_container(Kind::Array, at, place)?;
                    let inside = skip_space(bytes, at + 1);
                    if bytes.get(inside) != Some(&b']') {
                        at = inside;
                        continue;
                    }
                    inside
                }
                Some(b'"') => self.string(bytes, at)?,
                Some(b'-' | b'0'..=b'9') => {
                    let end = number_end(bytes, at)?;
                    self.push(Kind::Number, at, end);
                    end
                }
                Some(b't') => self.word(bytes, at, "true", Kind::True)?,
                Some(b'f') => self.word(bytes, at, "false", Kind::False)?,
                Some(b'n') => self.word(bytes, at, "null", Kind::Null)?,
                _ => return Err(syntax(at, "a value")),
            };
            // A value has ended (or an empty container is about to): close what closes, then go on to the next value.
            loop {
                at = skip_space(bytes, at);
                let Some(open) = self.open.last().copied() else {
                    return if at == bytes.len() { Ok(()) } else { Err(syntax(at, "the end of the text")) };
                };
                match (bytes.get(at), open.keys) {
                    (Some(b','), Some(keys)) => {
                        self.end_member(keys);
                        (at, place) = self.key(text, skip_space(bytes, at + 1), wanted)?;
                        break;
                    }
                    (Some(b','), None) => {
                        at = skip_space(bytes, at + 1);
                        place = open.at;
                        break;
                    }
                    (Some(b'}'), Some(keys)) => {
                        if self.keys.len() > keys {
                            self.end_member(keys);
                            self.shadow_repeated(text, keys);
                            self.keys.truncate(keys);
                        }
                        at += 1;
                        self.close_container(open, at);
                    }
                    (Some(b']'), None) => {
                        at += 1;
                        self.close_container(open, at);
                    }
                    (_, Some(_)) => return Err(syntax(at, "`,` or `}`")),
                    (_, None) => return Err(syntax(at, "`,` or `]`")),
                }
            }
        }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.nodes.len() + 1;
        self.nodes.push(Node {
            kind,
            shadowed: false,
            start: narrow(start),
            end: narrow(end),
            next: narrow(next),
        });
    }

    fn open_container(&mut self, kind: Kind, at: usize, place: At) -> Result<(), JsonError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(JsonError::TooDeep { offset: at });
        }
        let keys = (kind == Kind::Object).then_some(self.keys.len());
        self.open.push(Open { container: narrow(self.nodes.len()), keys, at: place });
        self.push(kind, at, at);
        Ok(())
    }

    fn close_container(&mut self, open: Open, end: usize) {
        let next = narrow(self.nodes.len());
        let node = &mut self.nodes[open.container as usize];
        node.end = narrow(end);
        node.next = next;
        self.open.pop();
    }

    /// Reads a key and its colon; answers where the value begins, and where it stands among what is wanted. Of what is
    /// not, no key is kept.
    fn key(&mut self, text: &str, at: usize, wanted: Option<&Wanted>) -> Result<(usize, At), JsonError> {
        let bytes = text.as_bytes();
        if bytes.get(at) != Some(&b'"') {
            return Err(syntax(at, "a key in quotes"));
        }
        let key = self.nodes.len();
        let colon = skip_space(bytes, self.string(bytes, at)?);
        if bytes.get(colon) != Some(&b':') {
            return Err(syntax(colon, "`:`"));
        }
        let around = self.open.last().map_or(At::All, |open| open.at);
        let place = match (wanted, around) {
            (None, _) | (_, At::All) => At::All,
            (Some(wanted), around) => wanted.step(around, &node_text(text, &self.nodes[key])),
        };
        if place == At::Nothing {
            self.nodes.truncate(key);
        } else {
            self.keys.push(narrow(key));
        }
        Ok((skip_space(bytes, colon + 1), place))
    }

    /// Ends the last member of the object whose keys begin there.
    fn end_member(&mut self, keys: usize) {
        let next = narrow(self.nodes.len());
        if let Some(&key) = self.keys[keys..].last() {
            self.nodes[key as usize].next = next;
        }
    }

    fn string(&mut self, bytes: &[u8], quote: usize) -> Result<usize, JsonError> {
        let StringEnd { quote: end, escaped, .. } = string_end(bytes, quote + 1)?;
        let kind = if escaped { Kind::EscapedText } else { Kind::Text };
        self.push(kind, quote + 1, end);
        Ok(end + 1)
    }

    fn word(&mut self, bytes: &[u8], at: usize, word: &str, kind: Kind) -> Result<usize, JsonError> {
        let end = word_end(bytes, at, word)?;
        self.push(kind, at, end);
        Ok(end)
    }

    /// Marks every member of the innermost object that a later one with an equal key replaces. Few members are compared
    /// pair by pair, many are sorted first: a body with 100,000 equal keys must not cost their square.
    fn shadow_repeated(&mut self, text: &str, first: usize) {
        let nodes = &mut self.nodes;
        let keys = &mut self.keys[first..];
        if keys.len() <= FEW_MEMBERS {
            for (i, &earlier) in keys.iter().enumerate() {
                if keys[i + 1..].iter().any(|&later| same_key(text, nodes, earlier, later)) {
                    nodes[earlier as usize].shadowed = true;
                }
            }
            return;
        }
        keys.sort_unstable_by(|&a, &b| {
            let (left, right) = (&nodes[a as usize], &nodes[b as usize]);
            node_text(text, left).cmp(&node_text(text, right)).then(a.cmp(&b))
        });
        for pair in keys.windows(2) {
            if same_key(text, nodes, pair[0], pair[1]) {
                nodes[pair[0] as usize].shadowed = true;
            }
        }
    }
}

fn same_key(text: &str, nodes: &[Node], a: u32, b: u32) -> bool {
    let (a, b) = (&nodes[a as usize], &nodes[b as usize]);
    if a.kind == Kind::Text && b.kind == Kind::Text {
        return a.end - a.start == b.end - b.start && raw(text, a) == raw(text, b);
    }
    node_text(text, a) == node_text(text, b)
}

/// Fits: [`Tape::read`] refuses texts whose length does not, and a tape has at most one entry a byte.
#[allow(clippy::cast_possible_truncation)]
fn narrow(n: usize) -> u32 {
    n as u32
}

#[inline]
fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}
