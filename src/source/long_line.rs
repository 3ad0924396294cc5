//! A record that is too long to be handed out: what is kept of it while it passes.
use memchr::memmem;

use super::container_log::{LONGEST_WRAPPER, Wrapper};
use crate::event::RECORD_START;

/// How much of its beginning and of its end is kept.
const EDGE: usize = 64 << 10;

/// A line longer than [`MAX_LINE`](super::MAX_LINE), or a record whose parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongLine {
    /// Its beginning.
    pub head: Vec<u8>,
    /// Its end, without the newline.
    pub tail: Vec<u8>,
    /// Whether it is surely one record: it has a newline, and no second record begins in it. Where one seems to, beginning
    /// and end may belong to two.
    pub is_one_record: bool,
    /// How many lines of standard error stood between its parts.
    pub text_lines: u64,
    length: u64,
}

impl LongLine {
    /// From what was read of it.
    pub(super) fn begin(bytes: &[u8]) -> Self {
        let (head, tail) = (Vec::new(), Vec::new());
        let mut long = Self { head, tail, is_one_record: true, text_lines: 0, length: 0 };
        long.pass(bytes);
        long
    }

    /// More of it was read.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        // A beginning may lie across two reads.
        let overlap = RECORD_START.len() - 1;
        let before = &self.tail[self.tail.len().saturating_sub(overlap)..];
        let across = [before, &bytes[..bytes.len().min(overlap)]].concat();
        // It may begin as a record does.
        let second = |text: &[u8], from: u64| {
            memmem::find_iter(text, RECORD_START).any(|start| from + start as u64 > 0)
        };
        let is_second = second(&across, self.length - before.len() as u64) || second(bytes, self.length);
        self.is_one_record &= !is_second;
        self.length += bytes.len() as u64;
        self.head.extend_from_slice(&bytes[..bytes.len().min(EDGE - self.head.len())]);
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(EDGE)..]);
        let surplus = self.tail.len().saturating_sub(EDGE);
        self.tail.drain(..surplus);
    }
}

/// A record that is too long, while it passes.
#[derive(Debug)]
pub struct Passing {
    long: LongLine,
    at: At,
    is_begun: bool,
    lines: u64,
    /// How much of a line shows what it is.
    sight: usize,
}

/// What is passing.
#[derive(Debug, Clone, Copy)]
enum At {
    /// The beginning of a line, of which not enough was seen to know what it is.
    Line,
    /// The record's content; whether it ends with this line.
    Content { is_last: bool },
    /// A line of another stream.
    Text,
}

impl Passing {
    /// From the record's beginning, where lines up to that long are handed out.
    pub fn begin(max_line: usize) -> Self {
        let sight = LONGEST_WRAPPER.min(max_line + 1);
        Self { long: LongLine::begin(b""), at: At::Line, is_begun: false, lines: 0, sight }
    }

    /// Takes in what was read, from where the last call left off: how much of it, and whether the record is over.
    ///
    /// Less than all is taken in only at the beginning of a line, which is over or too short to be known, and after
    /// the end.
    pub fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let newline = |text: &[u8]| memchr::memchr(b'\n', text);
            match self.at {
                At::Line => {
                    let beginning = &rest[..rest.len().min(self.sight)];
                    let is_known = beginning.first().is_some_and(|first| !first.is_ascii_digit())
                        || beginning.len() == self.sight
                        || newline(beginning).is_some();
                    if !is_known {
                        return (used, false);
                    }
                    let wrapper = Wrapper::of(&beginning[..newline(beginning).unwrap_or(beginning.len())]);
                    let Some(at) = self.line(wrapper) else { return (used, true) };
                    used += wrapper.filter(|wrapper| !wrapper.is_stderr).map_or(0, |wrapper| wrapper.length);
                    self.at = at;
                }
                At::Content { is_last } => {
                    let end = newline(rest);
                    self.long.pass(&rest[..end.unwrap_or(rest.len())]);
                    let Some(end) = end else { return (bytes.len(), false) };
                    used += end + 1;
                    self.lines += 1;
                    if is_last {
                        return (used, true);
                    }
                    self.at = At::Line;
                }
                At::Text => {
                    let Some(end) = newline(rest) else { return (bytes.len(), false) };
                    used += end + 1;
                    self.lines += 1;
                    self.long.text_lines += 1;
                    self.at = At::Line;
                }
            }
        }
    }

    /// What a line with that wrapper is; `None` if the record is over before it.
    fn line(&mut self, wrapper: Option<Wrapper>) -> Option<At> {
        let was_begun = std::mem::replace(&mut self.is_begun, true);
        match wrapper {
            None if was_begun => {
                self.long.is_one_record = false;
                None
            }
            None => Some(At::Content { is_last: true }),
            Some(wrapper) if wrapper.is_stderr && was_begun => Some(At::Text),
            Some(wrapper) => {
                self.long.is_one_record &= !wrapper.is_stderr;
                Some(At::Content { is_last: wrapper.is_stderr || !wrapper.is_part })
            }
        }
    }

    /// Whether what was taken in ends between two lines.
    pub fn is_between_lines(&self) -> bool {
        matches!(self.at, At::Line)
    }

    /// How many lines were taken in.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// What is kept of a record that is over.
    pub fn end(self) -> LongLine {
        self.long
    }

    /// What is kept of one that breaks off.
    pub fn break_off(self) -> LongLine {
        LongLine { is_one_record: false, ..self.long }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1";

    /// What is kept of the first record, and how much of the text that was.
    fn passed(text: &[u8], chunk: usize) -> (LongLine, usize) {
        let (mut passing, mut from, mut end) = (Passing::begin(1 << 10), 0, 0);
        loop {
            assert!(end < text.len(), "it is not over at the end");
            end = text.len().min(end + chunk);
            let (used, is_over) = passing.pass(&text[from..end]);
            from += used;
            if is_over {
                return (passing.end(), from);
            }
            assert!(end - from < LONGEST_WRAPPER, "{} bytes are left", end - from);
        }
    }

    #[test]
    fn both_ends_are_kept_and_a_second_beginning_is_seen_wherever_it_lies() {
        let one = format!("{START}{}end\n", "x".repeat(200_000));
        for chunk in [1_000, 65_536, 100_000, 300_000] {
            let (long, end) = passed(one.as_bytes(), chunk);
            assert!(long.is_one_record && end == one.len(), "{chunk}");
            assert_eq!(long.head, one.as_bytes()[..EDGE]);
            assert_eq!(long.tail, one.as_bytes()[one.len() - 1 - EDGE..one.len() - 1]);
        }
        for place in [60, 69_980, 70_000, 100_000, 100_990, 199_999] {
            let two = format!("{}{START}{}", &one[..place], &one[place..]);
            assert!(!passed(two.as_bytes(), 1_000).0.is_one_record, "{place}");
        }
        assert!(!passed(format!("{{{one}").as_bytes(), 1_000).0.is_one_record);
        assert!(!passed(format!("{START}{START}\n").as_bytes(), 1).0.is_one_record);
    }

    #[test]
    fn parts_are_one_record_and_lines_between_them_are_not() {
        let line =
            |stream: &str, tag: &str, text: &str| format!("2026-11-25T21:00:00.1Z {stream} {tag} {text}\n");
        let content = format!("{START}{}end", "x".repeat(1_000));
        let parts = [
            line("stdout", "P", &content[..10]),
            line("stderr", "F", START),
            line("stdout", "P:x", &content[10..500]),
            line("stderr", "P", "text"),
            line("stdout", "F", &content[500..]),
        ];
        let text = parts.concat() + "next";
        for chunk in 1..200 {
            let (long, end) = passed(text.as_bytes(), chunk);
            assert_eq!((end, long.is_one_record, long.text_lines), (text.len() - 4, true, 2));
            assert!(long.head == content.as_bytes() && long.tail == content.as_bytes());
        }
        // A line without a wrapper stands for itself.
        let text = format!("{}{{}}\n", parts[..4].concat());
        for chunk in 1..200 {
            let (long, end) = passed(text.as_bytes(), chunk);
            assert_eq!((end, long.is_one_record), (text.len() - 3, false));
        }
        // What is on standard error is no record.
        let (long, end) = passed(line("stderr", "F", START).as_bytes(), 50);
        assert!(!long.is_one_record && end > START.len());
    }
}
