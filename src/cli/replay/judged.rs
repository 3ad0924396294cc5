//! What rules make of a chunk of a log.

use std::ops::{AddAssign, Range};
use std::sync::Arc;

use crate::api::Mode;
use crate::cli::log_file::Chunk;
use crate::controller::LoadedRules;
use crate::detect::{Context, Judgement, Matcher, Outcome, Reading};
use crate::event::{DecodeError, Tape, glued_record};

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
    /// Lines with a second record, behind the beginning of another.
    pub(super) glued: u64,
    pub(super) matches: u64,
    pub(super) detections: u64,
    pub(super) suppressed: u64,
    pub(super) undecidable: u64,
}

impl Totals {
    /// How many lines there were.
    pub(super) fn lines(&self) -> u64 {
        self.events + self.malformed - self.glued
    }

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
        self.glued += other.glued;
        self.matches += other.matches;
        self.detections += other.detections;
        self.suppressed += other.suppressed;
        self.undecidable += other.undecidable;
    }
}

/// An outcome to be reported.
pub(super) struct Found {
    /// The line's number, from 0 in the chunk.
    pub(super) line: u64,
    /// Where in the chunk's text the line is, with its newline.
    pub(super) span: Range<usize>,
    /// The rule's index.
    pub(super) rule: usize,
}

/// A chunk and what the rules make of it. One a thread, used again for the next chunk.
pub(super) struct Judged<'a> {
    order: &'a Order<'a>,
    matcher: Matcher,
    /// The lines.
    pub(super) chunk: Chunk,
    /// Their numbers.
    pub(super) totals: Totals,
    /// The first few malformed lines, by their number in the chunk, and what is wrong with them.
    pub(super) malformed: Vec<(u64, String)>,
    /// What is to be reported, in order.
    pub(super) found: Vec<Found>,
}

impl<'a> Judged<'a> {
    pub(super) fn new(order: &'a Order<'a>) -> Self {
        Self {
            order,
            matcher: Matcher::new(Arc::clone(&order.rules.set), &order.context),
            chunk: Chunk::default(),
            totals: Totals::default(),
            malformed: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Judges the lines that the chunk holds now.
    pub(super) fn judge(&mut self) {
        self.totals = Totals { bytes: self.chunk.length, ..Totals::default() };
        self.malformed.clear();
        self.found.clear();
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_too_long() {
            self.count_malformed(0, &"longer than 16 MiB");
        }
        let text = chunk.text();
        let mut from = 0;
        while from < text.len() {
            let line = self.totals.lines();
            if text[from] == b'\n' {
                self.count_malformed(line, &"an empty line");
                from += 1;
                continue;
            }
            let (next, judged) = self.matcher.judge_next(text, from, self.order.reading);
            let judged = judged.map(<[Outcome]>::to_vec);
            // Without a newline it is what a record begins with, and whatever that holds is part of it.
            let glued = || glued_record(text[from..next].strip_suffix(b"\n")?, &mut Tape::new());
            match judged.is_err().then(glued).flatten() {
                None => self.count(line, from..next, judged),
                Some((start, record)) => {
                    let start = from + start;
                    let before = self.matcher.judge(&text[from..start], self.order.reading);
                    let before = before.map(<[Outcome]>::to_vec);
                    self.count(line, from..start, before);
                    let judged = self.matcher.judge(record, self.order.reading).map(<[Outcome]>::to_vec);
                    self.count(line, start..next, judged);
                    self.totals.glued += 1;
                }
            }
            from = next;
        }
        self.chunk = chunk;
    }

    /// Counts what came of what stands there.
    fn count(&mut self, line: u64, span: Range<usize>, judged: Result<Vec<Outcome>, DecodeError>) {
        match judged {
            Ok(outcomes) => {
                for outcome in outcomes {
                    self.totals.count(outcome.what);
                    if self.order.is_reported(&outcome) {
                        self.found.push(Found { line, span: span.clone(), rule: outcome.rule });
                    }
                }
                self.totals.events += 1;
            }
            Err(why) => self.count_malformed(line, &why),
        }
    }

    fn count_malformed(&mut self, line: u64, why: &dyn ToString) {
        if self.malformed.len() < SHOWN_MALFORMED {
            self.malformed.push((line, why.to_string()));
        }
        self.totals.malformed += 1;
    }
}
