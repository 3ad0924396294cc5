//! Reading a tape: values, members and elements.
use std::borrow::Cow;

use super::json::{Kind, Node};
use super::scan::decode_text;

/// A value on a tape: a cheap handle.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    at: u32,
}

impl<'a> Value<'a> {
    /// The value that a tape begins with.
    pub(super) fn root(text: &'a str, nodes: &'a [Node]) -> Value<'a> {
        Value { text, nodes, at: 0 }
    }

    fn node(&self) -> &'a Node {
        &self.nodes[self.at as usize]
    }

    pub(super) fn sibling(&self, at: u32) -> Value<'a> {
        Value { at, ..*self }
    }

    /// Index of the first entry inside, and of the one after the whole value.
    pub(super) fn inside(&self) -> (u32, u32) {
        (self.at + 1, self.node().next)
    }

    /// As a key: whether a later member hides it.
    pub(super) fn is_shadowed(&self) -> bool {
        self.node().shadowed
    }

    /// As a key: the member's value.
    pub(super) fn member_value(&self) -> Value<'a> {
        self.sibling(self.at + 1)
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.node().kind
    }

    /// The value as it is written in the event (of a string, between its quotes).
    pub fn raw(&self) -> &'a str {
        raw(self.text, self.node())
    }

    /// A string's text; `None` for anything else.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Text | Kind::EscapedText => Some(node_text(self.text, self.node())),
            _ => None,
        }
    }

    /// The member of this name, if this is an object that has it and it is not null.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members()
            .find(|(key, _)| key.is(name))
            .map(|(_, value)| value)
            .filter(|v| v.kind() != Kind::Null)
    }

    /// The members of an object in their order, without those that a later equal key replaces; of anything else, none.
    pub fn members(&self) -> impl Iterator<Item = (Key<'a>, Value<'a>)> + use<'a> {
        let whole = *self;
        let (first, end) = if self.kind() == Kind::Object { self.inside() } else { (0, 0) };
        let mut at = first;
        std::iter::from_fn(move || {
            while at < end {
                let key = whole.sibling(at);
                at = key.node().next;
                if !key.is_shadowed() {
                    return Some((Key(key), key.member_value()));
                }
            }
            None
        })
    }

    /// The elements of an array; of anything else, none.
    pub fn elements(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let whole = *self;
        let (first, end) = if self.kind() == Kind::Array { self.inside() } else { (0, 0) };
        let mut at = first;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let element = whole.sibling(at);
                at = element.node().next;
                element
            })
        })
    }
}

/// The key of a member.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a>(pub(super) Value<'a>);

impl<'a> Key<'a> {
    /// Whether the key is `name`.
    pub fn is(&self, name: &str) -> bool {
        match self.0.kind() {
            Kind::Text => self.0.raw() == name,
            _ => self.text() == name,
        }
    }

    /// Whether the key can begin this flattened path, by its first byte: most keys are told apart by that, before
    /// anything is sliced or decoded. A dot may be shown as an underscore, and an escape be anything.
    pub(super) fn may_begin(&self, path: &str) -> bool {
        let Node { start, end, .. } = *self.0.node();
        let first = if start < end { self.0.text.as_bytes().get(start as usize) } else { None };
        matches!(first, None | Some(b'\\' | b'.')) || first == path.as_bytes().first()
    }

    /// The key's text.
    pub fn text(&self) -> Cow<'a, str> {
        node_text(self.0.text, self.0.node())
    }
}

pub(super) fn raw<'a>(text: &'a str, node: &Node) -> &'a str {
    &text[node.start as usize..node.end as usize]
}

pub(super) fn node_text<'a>(text: &'a str, node: &Node) -> Cow<'a, str> {
    match node.kind {
        Kind::EscapedText => Cow::Owned(decode_text(raw(text, node))),
        _ => Cow::Borrowed(raw(text, node)),
    }
}
