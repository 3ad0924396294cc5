//! A rule set at work: lines in, outcomes out.
//!
//! Most events are no rule's concern, and most of an event says so: a line is read from its beginning, each value ends
//! the rules that cannot match it (see [`Candidates`]), and reading stops with the last of them. Only a line that some
//! rule has a say on is read in full.
use std::sync::Arc;

use super::candidates::Candidates;
use super::evaluate::Evaluator;
use super::set::{Judgement, Outcome, RuleSet};
use super::stage::{decides, is_decisive};
use super::{Context, Verdict};
use crate::event::{
    DecodeError, Event, Outline, Reached, Slot, Stage, Tape, is_long_running, read_canonical,
};

/// How much of a line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All of it, so that a line which is no event is always found out.
    Whole,
    /// No more than it takes to know that no rule has anything to say on it. What is reported was read whole.
    Enough,
}

/// Judges lines by a rule set. It remembers values that it has met, in bounded memory: keep it, one a thread, for as
/// long as the set and the source are the same.
#[derive(Debug)]
pub struct Matcher {
    rules: Arc<RuleSet>,
    cluster: Option<String>,
    omitted_stages: Vec<Stage>,
    is_any_order: bool,
    candidates: Candidates,
    outline: Outline,
    has_outline: bool,
    tape: Tape,
    verdicts: Vec<Option<Verdict>>,
    outcomes: Vec<Outcome>,
}

impl Matcher {
    /// A matcher for the events of one source.
    pub fn new(rules: Arc<RuleSet>, context: &Context<'_>) -> Matcher {
        Matcher {
            candidates: Candidates::new(Arc::clone(rules.index()), context),
            rules,
            cluster: context.cluster.map(str::to_owned),
            omitted_stages: context.omitted_stages.to_vec(),
            is_any_order: false,
            outline: Outline::default(),
            has_outline: false,
            tape: Tape::new(),
            verdicts: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// Takes every line for one whose keys may stand in any order, as if no API server had written it.
    #[must_use]
    pub fn in_any_order(self) -> Matcher {
        Matcher { is_any_order: true, ..self }
    }

    /// What the rules make of a line without its newline: in their order, those that have something to say.
    ///
    /// With [`Reading::Enough`] a line that begins as the API server writes it and matches no rule is not read on, and
    /// so is taken for an event whatever follows.
    pub fn judge(&mut self, line: &[u8], reading: Reading) -> Result<&[Outcome], DecodeError> {
        self.judge_next(line, 0, reading).1
    }

    /// The same for the line that begins at `from` in a text of many lines; answers also where the next one begins.
    pub fn judge_next(
        &mut self,
        text: &[u8],
        from: usize,
        reading: Reading,
    ) -> (usize, Result<&[Outcome], DecodeError>) {
        let text = &text[from..];
        let line_end = |at: usize| memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
        let next = |end: usize| from + (end + 1).min(text.len());
        match self.begin_canonical(text, reading) {
            Reached::End(end) => {
                let reported = self.report(&text[..end]);
                (next(end), reported.map(|()| self.outcomes.as_slice()))
            }
            Reached::Stopped(at) => {
                let end = line_end(at);
                if self.candidates.may_have_missed(&text[at..end]) {
                    return (next(end), self.judge_any_order(&text[..end]));
                }
                (next(end), Ok(&[]))
            }
            Reached::Unlike => {
                let end = line_end(0);
                (next(end), self.judge_any_order(&text[..end]))
            }
        }
    }

    /// Where the values stand in the line that was judged last, if it was read to its end; `None` also for one that is
    /// an event in an unusual way.
    pub fn outline(&self) -> Option<&Outline> {
        self.has_outline.then_some(&self.outline)
    }

    /// Reads a line that was judged, all of it, in the memory that judging takes: a long one must not take it twice.
    pub fn read<'a>(&'a mut self, line: &'a [u8]) -> Result<Event<'a>, DecodeError> {
        Event::decode(line, &mut self.tape)
    }

    /// Reads a line as the API server writes it, until no rule is left.
    #[inline]
    fn begin_canonical(&mut self, text: &[u8], reading: Reading) -> Reached {
        self.outcomes.clear();
        self.has_outline = false;
        if self.is_any_order {
            return Reached::Unlike;
        }
        // Spans are kept in 32 bits, and a longer line is refused anyway.
        let text = &text[..text.len().min(u32::MAX as usize)];
        self.candidates.begin(reading == Reading::Whole);
        match read_canonical(text, &mut self.outline, &mut self.candidates) {
            Reached::Stopped(_) if self.candidates.is_broken() => Reached::Unlike,
            reached => {
                self.has_outline = matches!(reached, Reached::End(_));
                reached
            }
        }
    }

    fn judge_any_order(&mut self, line: &[u8]) -> Result<&[Outcome], DecodeError> {
        self.outcomes.clear();
        if let Some(outline) = Outline::read(line) {
            self.outline = outline;
            self.candidates.begin(false);
            self.candidates.visit_outline(line, &self.outline);
            if !self.candidates.is_broken() {
                self.has_outline = true;
                self.report(line)?;
                return Ok(&self.outcomes);
            }
        }
        let event = Event::decode_wanted(line, &mut self.tape, self.rules.wanted())?;
        let context = Context { cluster: self.cluster.as_deref(), omitted_stages: &self.omitted_stages };
        self.rules.judge(&event, &context, &mut self.outcomes);
        Ok(&self.outcomes)
    }

    /// Says what the rules that are left make of a line that was read to its end.
    #[inline]
    fn report(&mut self, line: &[u8]) -> Result<(), DecodeError> {
        if self.candidates.is_empty() { Ok(()) } else { self.report_left(line) }
    }

    fn report_left(&mut self, line: &[u8]) -> Result<(), DecodeError> {
        let index = self.rules.index();
        let rules = self.rules.rules();
        let is_sure = |rule: usize| {
            let indexed = &index.rules[rule];
            rules[indexed.rule].exceptions.is_empty() && !indexed.needs_event
        };
        let decisive = self.decisive(line);
        if let (Some(decisive), true) =
            (decisive, !self.candidates.may_be_early() && self.candidates.iter().all(is_sure))
        {
            for rule in self.candidates.iter().map(|rule| index.rules[rule].rule) {
                let is_detection = decisive || rules[rule].names_stage();
                let what = if is_detection { Judgement::Detection } else { Judgement::Passing };
                self.outcomes.push(Outcome { rule, what });
            }
        } else {
            let event = Event::decode_wanted(line, &mut self.tape, self.rules.wanted())?;
            let context = Context { cluster: self.cluster.as_deref(), omitted_stages: &self.omitted_stages };
            let evaluator = Evaluator::new(&event, &context);
            let decisive = decisive.unwrap_or_else(|| is_decisive(&event, &context));
            self.verdicts.clear();
            self.verdicts.resize(index.late.len() * 2, None);
            for indexed in self.candidates.iter().map(|rule| &index.rules[rule]) {
                let rule = &rules[indexed.rule];
                let verdict = if self.candidates.may_be_early() {
                    rule.evaluate(&evaluator)
                } else {
                    Verdict::all(indexed.late.iter().map(|number| {
                        let at = *number as usize;
                        let known = &mut self.verdicts[at * 2 + indexed.missing_body as usize];
                        let plan = &index.late[at].plan;
                        *known.get_or_insert_with(|| {
                            evaluator.verdict(plan, &evaluator.look(), indexed.missing_body)
                        })
                    }))
                };
                let decisive = decisive || rule.names_stage();
                if let Some(what) = rule.judgement(verdict, decisive, &evaluator) {
                    self.outcomes.push(Outcome { rule: indexed.rule, what });
                }
            }
        }
        self.outcomes.sort_unstable_by_key(|outcome| outcome.rule);
        Ok(())
    }

    /// Whether a match on this event is a detection, as [`is_decisive`] says, where a few values tell it.
    fn decisive(&self, line: &[u8]) -> Option<bool> {
        let outline = &self.outline;
        let text = |slot| outline.text(slot, line).ok();
        let stage = Stage::from_name(text(Slot::Stage)??)?;
        let status = outline.value(Slot::Status, line).unwrap_or_default();
        // Who was not authenticated, or how else a status spells it, is for the whole event to say.
        if memchr::memmem::find(status, b"401").is_some() || status.contains(&b'\\') {
            return None;
        }
        let is_omitted = self.omitted_stages.contains(&Stage::ResponseStarted);
        let is_long = is_long_running(text(Slot::Verb)?, text(Slot::Subresource)?);
        Some(decides(stage, !is_omitted && is_long))
    }
}
