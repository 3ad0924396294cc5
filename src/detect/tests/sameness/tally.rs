//! What the generated cases held.
use super::lines::Line;
use crate::detect::{Judgement, Outcome, RuleSource};
use crate::event::DecodeError;

/// Counts over a number of cases.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rules: usize,
    large_sets: usize,
    lines: usize,
    /// Lines that the reference judged too.
    pub(super) referred: usize,
    /// Pairs of a rule and an event.
    pairs: usize,
    detections: usize,
    passing: usize,
    suppressed: usize,
    undecidable: usize,
    not_utf8: usize,
    not_json: usize,
    not_an_event: usize,
    repeated: usize,
    escaped: usize,
}

impl Tally {
    pub(super) fn of_rules(rules: &[RuleSource]) -> Tally {
        Tally { rules: rules.len(), large_sets: usize::from(rules.len() > 64), ..Tally::default() }
    }

    pub(super) fn add(&mut self, line: &Line, outcomes: &Result<Vec<Outcome>, DecodeError>, rules: usize) {
        self.lines += 1;
        self.repeated += usize::from(line.repeats_a_key);
        self.escaped += usize::from(line.text.windows(2).any(|pair| pair == b"\\u"));
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(DecodeError::NotUtf8 { .. }) => return self.not_utf8 += 1,
            Err(DecodeError::NotJson(_)) => return self.not_json += 1,
            Err(DecodeError::NotAnEvent(_)) => return self.not_an_event += 1,
        };
        self.pairs += rules;
        for outcome in outcomes {
            match outcome.what {
                Judgement::Detection => self.detections += 1,
                Judgement::Passing => self.passing += 1,
                Judgement::Suppressed { .. } => self.suppressed += 1,
                Judgement::Undecidable => self.undecidable += 1,
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Tally) {
        self.rules += other.rules;
        self.large_sets += other.large_sets;
        self.lines += other.lines;
        self.referred += other.referred;
        self.pairs += other.pairs;
        self.detections += other.detections;
        self.passing += other.passing;
        self.suppressed += other.suppressed;
        self.undecidable += other.undecidable;
        self.not_utf8 += other.not_utf8;
        self.not_json += other.not_json;
        self.not_an_event += other.not_an_event;
        self.repeated += other.repeated;
        self.escaped += other.escaped;
    }

    /// Whether a tenth of all pairs has an outcome.
    pub(super) fn check_matches(&self) {
        let told = self.detections + self.passing + self.suppressed + self.undecidable;
        assert!(told * 10 >= self.pairs, "too few pairs of rule and event have an outcome: {self:?}");
    }

    /// Whether there was enough of everything.
    pub(super) fn check(&self) {
        self.check_matches();
        assert!(self.referred * 10 >= self.lines * 6, "{self:?}");
        for (count, least) in [
            (self.detections, self.pairs / 25),
            (self.passing, self.pairs / 50),
            (self.suppressed, self.pairs / 200),
            (self.undecidable, self.pairs / 100),
            (self.large_sets, 1),
            (self.not_utf8, self.lines / 100),
            (self.not_json, self.lines / 20),
            (self.not_an_event, self.lines / 50),
            (self.repeated, self.lines / 50),
            (self.escaped, self.lines / 10),
        ] {
            assert!(count >= least, "{count} where at least {least} should be: {self:?}");
        }
    }
}
