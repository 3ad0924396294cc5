//! A line that is too long to be handed out: what is kept of it while it passes.
use memchr::memmem;

use crate::event::RECORD_START;

/// How much of its beginning and of its end is kept.
const EDGE: usize = 64 << 10;

/// A line longer than [`MAX_LINE`](super::MAX_LINE).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongLine {
    /// Its beginning.
    pub head: Vec<u8>,
    /// Its end, without the newline.
    pub tail: Vec<u8>,
    /// Whether it is surely one record: it has a newline, and no second record begins in it. Where one seems to, beginning
    /// and end may belong to two.
    pub is_one_record: bool,
}

impl LongLine {
    /// From all that was read of it.
    pub(super) fn begin(bytes: &[u8]) -> Self {
        let head = bytes[..bytes.len().min(EDGE)].to_vec();
        let mut long = Self { head, tail: Vec::new(), is_one_record: true };
        // It may begin as a record does.
        let (first, rest) = bytes.split_at(bytes.len().min(1));
        long.tail.extend_from_slice(first);
        long.pass(rest);
        long
    }

    /// More of it was read.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        // A beginning may lie across two reads.
        let overlap = RECORD_START.len() - 1;
        let before = &self.tail[self.tail.len().saturating_sub(overlap)..];
        let across = [before, &bytes[..bytes.len().min(overlap)]].concat();
        let starts_at_first = self.tail.len() == 1 && self.head.starts_with(RECORD_START);
        let across = if starts_at_first { &across[1..] } else { &across[..] };
        self.is_one_record &=
            memmem::find(across, RECORD_START).is_none() && memmem::find(bytes, RECORD_START).is_none();
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(EDGE)..]);
        let surplus = self.tail.len().saturating_sub(EDGE);
        self.tail.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(line: &[u8], first: usize, chunk: usize) -> LongLine {
        let mut long = LongLine::begin(&line[..first]);
        line[first..].chunks(chunk).for_each(|chunk| long.pass(chunk));
        long
    }

    #[test]
    fn both_ends_are_kept_and_a_second_beginning_is_seen_wherever_it_lies() {
        let start = std::str::from_utf8(RECORD_START).unwrap();
        let one = format!("{start}{}end", "x".repeat(200_000));
        for chunk in [1_000, 65_536, 100_000, 300_000] {
            let long = passed(one.as_bytes(), 70_000, chunk);
            assert!(long.is_one_record, "{chunk}");
            assert_eq!(long.head, one.as_bytes()[..EDGE]);
            assert_eq!(long.tail, one.as_bytes()[one.len() - EDGE..]);
        }
        for place in [60, 69_980, 70_000, 100_000, 100_990, 199_999] {
            let two = format!("{}{start}{}", &one[..place], &one[place..]);
            assert!(!passed(two.as_bytes(), 70_000, 1_000).is_one_record, "{place}");
        }
        assert!(!passed(format!("{{{one}").as_bytes(), 70_000, 1_000).is_one_record);
    }
}
