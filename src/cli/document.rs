//! YAML (and JSON, which is YAML) as a tree that knows where each part stands in the text.
//!
//! Values are read as kubectl reads them, so that what passes here means the same in a cluster: `yes` and `on` are
//! booleans, `010` is eight, a date stays text, a key that stands twice is an error, `<<` merges.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Number, Value};

use super::scalar::scalar;

/// Aliases may repeat what they name, so a small text can stand for a huge tree.
const MOST_NODES: usize = 200_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Bytes of the text that this value takes up; for a block scalar from its first word on.
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String, ScalarStyle),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

/// Why a text cannot be read, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text, _) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match &self.content {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The value without its places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(value) => Value::Number(value.clone()),
            Content::Text(value, _) => Value::String(value.clone()),
            Content::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
        }
    }

    /// What kind of value this is, as a message names it.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(..) => "a string",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "an object",
        }
    }
}

/// Reads every document of `text`. What was read before an error is kept, the rest of the text is not looked at.
pub(crate) fn read(text: &str) -> (Vec<Node>, Option<Unreadable>) {
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        length: text.len(),
        anchors: HashMap::new(),
        nodes: 0,
        last: 0,
    };
    let mut documents = Vec::new();
    loop {
        match composer.document() {
            Ok(Some(node)) => documents.push(node),
            Ok(None) => return (documents, None),
            Err(error) => return (documents, Some(error)),
        }
    }
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    length: usize,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Where the last event ended, for what has no place of its own.
    last: usize,
}

impl<'a> Composer<'a> {
    /// The next event that is no comment.
    fn event(&mut self) -> Result<(Event<'a>, Range<usize>), Unreadable> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => {
                    let range = self.range(span);
                    self.last = range.end;
                    return Ok((event, range));
                }
                Some(Err(error)) => {
                    let at = error.marker().byte_offset().unwrap_or(self.length).min(self.length);
                    return Err(Unreadable { message: error.info(), span: at..at });
                }
                None => return Ok((Event::StreamEnd, self.length..self.length)),
            }
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = span.start.byte_offset().unwrap_or(self.last).min(self.length);
        let end = span.end.byte_offset().unwrap_or(start).min(self.length);
        start..end.max(start)
    }

    fn document(&mut self) -> Result<Option<Node>, Unreadable> {
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (event, span) => {
                    self.anchors.clear();
                    return self.node(event, span).map(Some);
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Range<usize>) -> Result<Node, Unreadable> {
        self.count(1, &span)?;
        let (anchor, node) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                (anchor, Node { content: scalar(&value, style, tag.as_deref()), span })
            }
            Event::Alias(id) => {
                let named = self.anchors.get(&id).cloned().ok_or_else(|| Unreadable {
                    message: "an alias may not stand inside what it names".to_owned(),
                    span: span.clone(),
                })?;
                self.count(weight(&named), &span)?;
                return Ok(named);
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, at) = self.event()?;
                    if event == Event::SequenceEnd {
                        break (anchor, Node { span: span.start..at.end, content: Content::Sequence(items) });
                    }
                    items.push(self.node(event, at)?);
                }
            }
            Event::MappingStart(_, anchor, _) => {
                let (content, end) = self.mapping()?;
                (anchor, Node { span: span.start..end, content })
            }
            other => {
                return Err(Unreadable { message: format!("expected a value, found {other:?}"), span });
            }
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self) -> Result<(Content, usize), Unreadable> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        let end = loop {
            let (event, at) = self.event()?;
            if event == Event::MappingEnd {
                break at.end;
            }
            let key = self.node(event, at)?;
            let (event, at) = self.event()?;
            let value = self.node(event, at)?;
            let name: Cow<'_, str> = match &key.content {
                Content::Text(text, _) => text.into(),
                Content::Null => "null".into(),
                Content::Bool(value) => value.to_string().into(),
                Content::Number(value) => value.to_string().into(),
                Content::Sequence(_) | Content::Mapping(_) => {
                    return Err(Unreadable {
                        message: "a key must be a plain value".to_owned(),
                        span: key.span,
                    });
                }
            };
            if matches!(&key.content, Content::Text(text, ScalarStyle::Plain) if text == "<<") {
                merged.push(value);
                continue;
            }
            if entries.iter().any(|entry| entry.key == name) {
                let message = format!("the key `{name}` stands twice in one object");
                return Err(Unreadable { message, span: key.span });
            }
            entries.push(Entry { key: name.into_owned(), key_span: key.span, value });
        };
        for node in &merged {
            let sources = if node.items().is_empty() { std::slice::from_ref(node) } else { node.items() };
            for source in sources {
                let Content::Mapping(more) = &source.content else {
                    let message = "`<<` takes an object or a list of objects".to_owned();
                    return Err(Unreadable { message, span: node.span.clone() });
                };
                for entry in more {
                    if !entries.iter().any(|own| own.key == entry.key) {
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok((Content::Mapping(entries), end))
    }

    fn count(&mut self, more: usize, span: &Range<usize>) -> Result<(), Unreadable> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            let message = format!("more than {MOST_NODES} values once aliases are followed");
            return Err(Unreadable { message, span: span.clone() });
        }
        Ok(())
    }
}

fn weight(node: &Node) -> usize {
    1 + match &node.content {
        Content::Sequence(items) => items.iter().map(weight).sum::<usize>(),
        Content::Mapping(entries) => entries.iter().map(|entry| weight(&entry.value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The one document that `text` holds.
    pub(crate) fn one(text: &str) -> Node {
        let (mut documents, error) = read(text);
        assert_eq!(error, None, "{text}");
        assert_eq!(documents.len(), 1, "{text}");
        documents.remove(0)
    }

    #[test]
    fn anchors_and_merges_are_followed() {
        let node = one("base: &b {v: 1, w: 2}\nmore: {<<: *b, w: 3}\nsame: *b");
        assert_eq!(node.get("more").unwrap().to_json(), serde_json::json!({"v": 1, "w": 3}));
        assert_eq!(node.get("same").unwrap().to_json(), serde_json::json!({"v": 1, "w": 2}));
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.extend([format!("a{level}: &a{level} [{}]\n", below.trim_end_matches(", "))]);
        }
        assert!(read(&text).1.unwrap().message.contains("aliases"));
    }

    #[test]
    fn a_key_that_stands_twice_is_placed() {
        let error = read("a: 1\nb: 2\na: 3\n").1.unwrap();
        assert_eq!(error.span, 10..11);
    }
}
