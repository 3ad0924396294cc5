//! What rules make of a chunk of a log.

use std::borrow::Cow;
use std::ops::{AddAssign, Range};
use std::sync::Arc;

use crate::api::Mode;
use crate::cli::log_file::Chunk;
use crate::controller::LoadedRules;
use crate::detect::{Context, Judgement, Matcher, Outcome, Reading};
use crate::event::{DecodeError, Tape, glued_record, is_plain_text};
use crate::source::{Records, Wrapper};

/// How many malformed lines are shown.
pub(super) const SHOWN_MALFORMED: usize = 5;

/// What is judged, and how.
#[derive(Clone)]
pub(super) struct Order<'a> {
    /// The rules, with what to do with their matches.
    pub(super) rules: &'a LoadedRules,
    /// What surrounds the events.
    pub(super) context: Context<'a>,
    /// How much of a line is read.
    pub(super) reading: Reading,
    /// Whether matches are reported, not detections.
    pub(super) print_matches: bool,
}

impl Order<'_> {
    /// Whether this outcome is printed, or makes an alert.
    fn is_reported(&self, outcome: &Outcome) -> bool {
        match outcome.what {
            Judgement::Undecidable => false,
            Judgement::Detection => self.print_matches || self.rules.modes[outcome.rule] == Mode::Alert,
            Judgement::Suppressed { .. } | Judgement::Passing => self.print_matches,
        }
    }
}

/// Lines and outcomes, counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) bytes: u64,
    pub(super) events: u64,
    pub(super) malformed: u64,
    /// Lines that the API server wrote beside its log.
    pub(super) text: u64,
    pub(super) matches: u64,
    pub(super) detections: u64,
    pub(super) suppressed: u64,
    pub(super) undecidable: u64,
}

impl Totals {
    fn count(&mut self, what: Judgement) {
        match what {
            Judgement::Undecidable => self.undecidable += 1,
            Judgement::Detection => self.detections += 1,
            Judgement::Suppressed { .. } => self.suppressed += 1,
            Judgement::Passing => {}
        }
        self.matches += u64::from(what != Judgement::Undecidable);
    }
}

impl AddAssign<&Totals> for Totals {
    fn add_assign(&mut self, other: &Totals) {
        self.bytes += other.bytes;
        self.events += other.events;
        self.malformed += other.malformed;
        self.text += other.text;
        self.matches += other.matches;
        self.detections += other.detections;
        self.suppressed += other.suppressed;
        self.undecidable += other.undecidable;
    }
}

/// An outcome to be reported.
pub(super) struct Found {
    /// The line's number, from 0 in the chunk; the last one's of a record in parts.
    pub(super) line: u64,
    /// Where in the chunk's text the record ends.
    pub(super) end: usize,
    /// Where the record is: in the chunk's text, or in that of the parts put together.
    span: Range<usize>,
    joined: Option<usize>,
    /// The rule's index.
    pub(super) rule: usize,
}

/// A line, or parts put together.
struct Line<'t> {
    number: u64,
    /// The text that `span` is a part of.
    text: &'t [u8],
    span: Range<usize>,
    /// Where it ends in the chunk.
    end: usize,
    /// Whether it has a newline.
    is_ended: bool,
    is_joined: bool,
}

/// A chunk and what the rules make of it. One a thread, used again for the next chunk.
pub(super) struct Judged<'a> {
    order: &'a Order<'a>,
    matcher: Matcher,
    /// The lines.
    pub(super) chunk: Chunk,
    /// How many they are.
    pub(super) lines: u64,
    /// Their numbers.
    pub(super) totals: Totals,
    /// The first few malformed lines, by their number in the chunk, and what is wrong with them.
    pub(super) malformed: Vec<(u64, String)>,
    /// What is to be reported, in order.
    pub(super) found: Vec<Found>,
    /// Records put together of which something is to be reported.
    joined: Vec<Vec<u8>>,
}

impl<'a> Judged<'a> {
    pub(super) fn new(order: &'a Order<'a>) -> Self {
        Self {
            order,
            matcher: Matcher::new(Arc::clone(&order.rules.set), &order.context),
            chunk: Chunk::default(),
            lines: 0,
            totals: Totals::default(),
            malformed: Vec::new(),
            found: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// The record of which something was found.
    pub(super) fn record(&self, found: &Found) -> &[u8] {
        let text = found.joined.map_or(self.chunk.text(), |joined| &self.joined[joined]);
        &text[found.span.clone()]
    }

    /// Judges the lines that the chunk holds now.
    pub(super) fn judge(&mut self) {
        self.totals = Totals { bytes: self.chunk.length, ..Totals::default() };
        self.malformed.clear();
        self.found.clear();
        self.joined.clear();
        let chunk = std::mem::take(&mut self.chunk);
        self.lines = if chunk.is_too_long() {
            self.judge_text(&chunk.parts, b"");
            self.totals.text += chunk.passed.text_lines;
            self.count_malformed(chunk.passed.lines.saturating_sub(1), &"longer than 16 MiB");
            chunk.passed.lines
        } else if chunk.is_open {
            self.count_text_only(chunk.text())
        } else {
            self.judge_text(&chunk.parts, chunk.text())
        };
        self.chunk = chunk;
    }

    /// Judges the lines of a text that goes on where a record is open in the one before; their number.
    fn judge_text(&mut self, parts: &[u8], text: &[u8]) -> u64 {
        let (mut records, goes_on) = Records::after(parts, text);
        if !parts.is_empty() && !goes_on {
            self.count_malformed(0, &"the record that the log before it ends with does not go on here");
        }
        loop {
            if let Some(from) = records.plain() {
                let (end, judged) = self.matcher.judge_next(text, from, self.order.reading);
                let judged = judged.map(<[Outcome]>::to_vec);
                let line = text[from..end].strip_suffix(b"\n").unwrap_or(&text[from..end]);
                let (span, is_ended) = (from..from + line.len(), line.len() < end - from);
                let number = records.pass(end);
                self.take(&Line { number, text, span, end, is_ended, is_joined: false }, judged);
            } else if let Some(record) = records.next() {
                let (number, end) = (record.line, record.end);
                let is_ended = text[..end].ends_with(b"\n");
                if Wrapper::of(&record.text).is_some_and(|wrapper| wrapper.is_stderr) {
                    self.totals.text += 1;
                    continue;
                }
                let judged = self.matcher.judge(&record.text, self.order.reading);
                let judged = judged.map(<[Outcome]>::to_vec);
                match &record.text {
                    Cow::Borrowed(line) => {
                        let to = end - usize::from(is_ended);
                        let span = to - line.len()..to;
                        self.take(&Line { number, text, span, end, is_ended, is_joined: false }, judged);
                    }
                    Cow::Owned(text) => {
                        let span = 0..text.len();
                        self.take(&Line { number, text, span, end, is_ended, is_joined: true }, judged);
                    }
                }
            } else {
                return records.lines();
            }
        }
    }

    /// Counts the lines between parts of a record that is judged later, and gives the number of all.
    fn count_text_only(&mut self, text: &[u8]) -> u64 {
        let mut lines = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            lines += 1;
            self.totals.text += u64::from(Wrapper::of(line).is_some_and(|wrapper| wrapper.is_stderr));
        }
        lines
    }

    /// Counts what came of a line, and of what stands glued together in it.
    fn take(&mut self, line: &Line<'_>, judged: Result<Vec<Outcome>, DecodeError>) {
        let Line { text, span, end, .. } = line;
        let content = &text[span.clone()];
        // Without a newline it is what a record begins with, and whatever that holds is part of it.
        let may_hold_one = judged.is_err() && line.is_ended && Wrapper::of(content).is_none();
        let glued = if may_hold_one { glued_record(content, &mut Tape::new()) } else { None };
        let Some((start, record)) = glued else { return self.count(line, span.clone(), *end, judged) };
        let start = span.start + start;
        let before = self.matcher.judge(&text[span.start..start], self.order.reading);
        let before = before.map(<[Outcome]>::to_vec);
        // Of a record put together the beginning may be in another log.
        self.count(line, span.start..start, end.saturating_sub(record.len() + 1), before);
        let judged = self.matcher.judge(record, self.order.reading).map(<[Outcome]>::to_vec);
        self.count(line, start..span.end, *end, judged);
    }

    /// Counts what came of what stands there.
    fn count(
        &mut self,
        line: &Line<'_>,
        span: Range<usize>,
        end: usize,
        judged: Result<Vec<Outcome>, DecodeError>,
    ) {
        let outcomes = match judged {
            Ok(outcomes) => outcomes,
            Err(why) => return self.count_no_event(line.number, &line.text[span], &why),
        };
        self.totals.events += 1;
        for outcome in &outcomes {
            self.totals.count(outcome.what);
        }
        let mut reported = outcomes.iter().filter(|outcome| self.order.is_reported(outcome)).peekable();
        let joined = reported.peek().filter(|_| line.is_joined).map(|_| {
            self.joined.push(line.text.to_vec());
            self.joined.len() - 1
        });
        self.found.extend(reported.map(|outcome| Found {
            line: line.number,
            end,
            span: span.clone(),
            joined,
            rule: outcome.rule,
        }));
    }

    fn count_no_event(&mut self, line: u64, content: &[u8], why: &DecodeError) {
        let is_json = matches!(why, DecodeError::NotAnEvent(_));
        if !is_json && Wrapper::of(content).is_none() && is_plain_text(content) {
            self.totals.text += 1;
        } else {
            self.count_malformed(line, why);
        }
    }

    fn count_malformed(&mut self, line: u64, why: &dyn ToString) {
        if self.malformed.len() < SHOWN_MALFORMED {
            self.malformed.push((line, why.to_string()));
        }
        self.totals.malformed += 1;
    }
}
