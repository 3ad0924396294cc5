//! Cutting the records out of a batch, while it arrives.
//!
//! A batch is an `EventList`: one JSON object, whose `items` are the records. Whether a record is an audit event is for
//! whoever reads the spool to say, as with a line of a file: here only quotes and brackets are followed, so that one
//! bad record costs no other.
use super::super::lines::MAX_LINE;
use super::super::long_line::LongLine;
use crate::event::without_bodies;

/// How deep a batch may be nested around its records: its own members hold next to nothing.
const MAX_DEPTH: u32 = 64;
/// How much of a member's name or value is kept.
const MAX_TEXT: usize = 64;

/// What kube-apiserver begins each line of a log file with, and leaves out in a batch, which says it once for all.
const TYPE: &[u8] = b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",";
const VERSION: &[u8] = b"\"audit.k8s.io/v1\"";

/// Why a body is no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotABatch {
    /// It is no object with `items`.
    #[error("the body is no EventList of audit.k8s.io/v1")]
    NoList,
    /// It ends in its middle, or something follows it.
    #[error("the body is no whole JSON document")]
    Broken,
}

/// Where in the batch the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the list.
    Start,
    /// Before a member's name, or a bracket that ends the list.
    Name,
    /// In a member's name.
    InName,
    /// Before the colon.
    Colon,
    /// In a member's value other than the items, or before it.
    Value,
    /// Before the first bracket of the items.
    Items,
    /// Before a record.
    BeforeRecord,
    /// In a record.
    Record,
    /// After the list.
    End,
}

/// Whether the next byte is in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    No,
    Yes,
    /// In one, after a backslash.
    Escaped,
}

impl Quoted {
    /// Passes a byte. Says whether it is outside of strings, and so may be a bracket or comma that counts.
    fn pass(&mut self, byte: u8) -> bool {
        let next = match (*self, byte) {
            (Self::No, b'"') | (Self::Escaped, _) => Self::Yes,
            (Self::Yes, b'"') => Self::No,
            (Self::Yes, b'\\') => Self::Escaped,
            (same, _) => same,
        };
        let was = std::mem::replace(self, next);
        (was, next) == (Self::No, Self::No)
    }
}

/// A batch that is being cut.
#[derive(Debug)]
pub(super) struct Batch {
    at: At,
    /// Open brackets of what is being passed.
    depth: u32,
    quoted: Quoted,
    /// A member's name, then its value.
    text: Vec<u8>,
    name: Vec<u8>,
    has_items: bool,
    is_version: bool,
    record: Vec<u8>,
    long: Option<LongLine>,
    max_record: usize,
}

/// A record as a line of a log, without the newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// As it came.
    Whole(Vec<u8>),
    /// It was longer than a line may be: what is left of it without its bodies.
    Oversized(Vec<u8>),
    /// It was too long, and it is not written as the API server writes one: its beginning.
    Lost(Vec<u8>),
}

impl Batch {
    pub(super) fn new() -> Self {
        Self::with_limit(MAX_LINE)
    }

    pub(super) fn with_limit(max_record: usize) -> Self {
        Self {
            at: At::Start,
            depth: 0,
            quoted: Quoted::No,
            text: Vec::new(),
            name: Vec::new(),
            has_items: false,
            is_version: false,
            record: Vec::new(),
            long: None,
            max_record,
        }
    }

    /// How much of an unfinished record is held.
    pub(super) fn held(&self) -> usize {
        self.record.len()
    }

    /// Takes the next bytes of the body, and hands each record that is whole to `take`.
    pub(super) fn push(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Record)) -> Result<(), NotABatch> {
        while let Some(&byte) = bytes.first() {
            if self.at == At::Record {
                let count = self.pass_record(bytes, take);
                bytes = &bytes[count..];
                continue;
            }
            bytes = &bytes[1..];
            self.step(byte)?;
        }
        Ok(())
    }

    /// The body is at its end.
    pub(super) fn finish(&self) -> Result<(), NotABatch> {
        match (self.at, self.has_items) {
            (At::End, true) => Ok(()),
            (At::End | At::Start, _) => Err(NotABatch::NoList),
            _ => Err(NotABatch::Broken),
        }
    }

    fn step(&mut self, byte: u8) -> Result<(), NotABatch> {
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.at {
            At::InName => self.name_byte(byte),
            At::Value => return self.value_byte(byte),
            _ if is_space => {}
            At::Start if byte == b'{' => self.at = At::Name,
            At::Name => match byte {
                b'"' => {
                    self.text.clear();
                    (self.at, self.quoted) = (At::InName, Quoted::Yes);
                }
                b'}' => self.at = At::End,
                b',' => {}
                _ => return Err(NotABatch::Broken),
            },
            At::Colon if byte == b':' => {
                self.at = if self.name == b"items" { At::Items } else { At::Value };
                self.text.clear();
            }
            At::Items if byte == b'[' => (self.at, self.has_items) = (At::BeforeRecord, true),
            // `null`, as Go writes a list of nothing.
            At::Items if byte == b'n' => {
                (self.at, self.has_items) = (At::Value, true);
            }
            At::Start | At::Items => return Err(NotABatch::NoList),
            At::BeforeRecord => match byte {
                b']' => self.at = At::Name,
                b',' => {}
                _ => {
                    self.record.push(byte);
                    self.depth = u32::from(matches!(byte, b'{' | b'['));
                    self.quoted.pass(byte);
                    self.at = At::Record;
                }
            },
            At::Colon | At::Record | At::End => return Err(NotABatch::Broken),
        }
        Ok(())
    }

    fn name_byte(&mut self, byte: u8) {
        self.quoted.pass(byte);
        if self.quoted == Quoted::No {
            self.name = std::mem::take(&mut self.text);
            self.at = At::Colon;
        } else {
            self.keep(byte);
        }
    }

    /// Passes a value that is no record, up to the comma or bracket after it.
    fn value_byte(&mut self, byte: u8) -> Result<(), NotABatch> {
        if self.quoted.pass(byte) {
            match byte {
                b'{' | b'[' => self.depth += 1,
                b',' | b'}' if self.depth == 0 => {
                    self.end_value();
                    self.at = if byte == b',' { At::Name } else { At::End };
                    return Ok(());
                }
                b'}' | b']' if self.depth > 0 => self.depth -= 1,
                b']' => return Err(NotABatch::Broken),
                _ => {}
            }
        }
        if self.depth > MAX_DEPTH {
            return Err(NotABatch::Broken);
        }
        self.keep(byte);
        Ok(())
    }

    fn keep(&mut self, byte: u8) {
        if self.text.len() < MAX_TEXT {
            self.text.push(byte);
        }
    }

    fn end_value(&mut self) {
        if self.name == b"apiVersion" {
            self.is_version = self.text.trim_ascii() == VERSION;
        }
    }

    /// Passes bytes of a record; gives how many belonged to it.
    fn pass_record(&mut self, bytes: &[u8], take: &mut impl FnMut(Record)) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.quoted == Quoted::Yes {
                // Most of a record is strings.
                at += memchr::memchr2(b'"', b'\\', &bytes[at..]).unwrap_or(bytes.len() - at);
                if at == bytes.len() {
                    break;
                }
            }
            if self.quoted.pass(bytes[at]) {
                match bytes[at] {
                    b'{' | b'[' => self.depth += 1,
                    b',' | b']' | b'}' if self.depth == 0 => {
                        self.append(&bytes[..at]);
                        take(self.end_record());
                        // The bracket or comma is looked at again, as what comes after a record.
                        self.at = At::BeforeRecord;
                        return at;
                    }
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
            }
            at += 1;
        }
        self.append(bytes);
        bytes.len()
    }

    /// More of a record. A line has no line break in it, and JSON none in a string: between values it is as good as a
    /// space, and in a string the record is as little JSON as before.
    fn append(&mut self, bytes: &[u8]) {
        if let Some(long) = &mut self.long {
            long.pass(bytes);
            return;
        }
        self.record.extend_from_slice(bytes);
        if self.record.len() > self.max_record {
            self.long = Some(LongLine::begin(&self.record));
            self.record = Vec::new();
        }
    }

    fn end_record(&mut self) -> Record {
        let record = std::mem::take(&mut self.record);
        match self.long.take() {
            None => Record::Whole(self.line_of(record)),
            Some(long) => match without_bodies(&long.head, long.tail.trim_ascii_end()) {
                Some(event) => Record::Oversized(self.line_of(event)),
                None => Record::Lost(self.line_of(long.head)),
            },
        }
    }

    /// The line of a record.
    fn line_of(&self, mut record: Vec<u8>) -> Vec<u8> {
        if memchr::memchr2(b'\n', b'\r', &record).is_some() {
            let mut quoted = Quoted::No;
            for byte in &mut record {
                quoted.pass(*byte);
                if matches!(*byte, b'\n' | b'\r') {
                    *byte = if quoted == Quoted::No { b' ' } else { 1 };
                }
            }
        }
        record.truncate(record.trim_ascii_end().len());
        let has_type = record.starts_with(b"{\"kind\"");
        if self.is_version && !has_type && record.starts_with(b"{\"") {
            record.splice(..1, TYPE.iter().copied());
        }
        record
    }
}
