//! The rules that may still match an event, fewer with every value that is met.
use std::ops::ControlFlow;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::evaluate::{Evaluator, MissingBody};
use super::index::{Index, Place};
use super::learnt::Learnt;
use super::literal::may_hide_text;
use super::memo::{LATE, REMEMBERED};
use super::{Context, Verdict};
use crate::event::{Event, Outline, Slot, Slots, Tape, Visit};

/// See the module.
#[derive(Debug)]
pub(super) struct Candidates {
    index: Arc<Index>,
    /// Rules that the source itself does not end.
    all: Vec<(u32, u64)>,
    /// The words with rules in them, by index.
    live: Vec<(u32, u64)>,
    learnt: Vec<Option<Box<Learnt>>>,
    /// To look for the keys of the slots.
    members: Vec<Finder<'static>>,
    /// Go on when no rule is left.
    is_whole: bool,
    /// The event may be of the stage at which status, annotations and impersonated user are not there yet.
    may_be_early: bool,
    /// Slots that were taken for empty without reading the line to its end.
    missed: Slots,
    /// Late slots without a value in their place, where the line was not read to its end.
    unsure: Slots,
    /// A value could not be read: the line is no event.
    is_broken: bool,
    /// What the late conjuncts came to on the event of this number.
    decided: Vec<(u64, bool)>,
    event: u64,
    tape: Tape,
    text: String,
    passed: Vec<u64>,
}

impl Candidates {
    pub(super) fn new(index: Arc<Index>, context: &Context<'_>) -> Candidates {
        let mut all = vec![0_u64; index.words()];
        for bit in 0..index.rules.len() {
            all[bit / 64] |= 1 << (bit % 64);
        }
        let mut tape = Tape::new();
        if let Ok(nothing) = Event::from_object("{}", &mut tape) {
            let evaluator = Evaluator::new(&nothing, context);
            for (plan, bit) in &index.constants {
                if evaluator.verdict(plan, &evaluator.look(), MissingBody::Absent) != Verdict::Match {
                    all[bit / 64] &= !(1 << (bit % 64));
                }
            }
        }
        let learnt = Slot::ALL
            .into_iter()
            .map(|slot| index.asked.has(slot).then(|| Box::new(Learnt::new(&index, slot, &mut tape))));
        Candidates {
            all: (0..).zip(all).filter(|(_, bits)| *bits != 0).collect(),
            live: Vec::new(),
            learnt: learnt.collect(),
            members: Slot::ALL.iter().map(|slot| Finder::new(slot.member())).collect(),
            is_whole: false,
            may_be_early: false,
            missed: Slots::NONE,
            unsure: Slots::NONE,
            is_broken: false,
            decided: vec![(0, false); index.late.len()],
            event: 0,
            tape,
            text: String::new(),
            passed: Vec::new(),
            index,
        }
    }

    /// Begins an event: every rule may match.
    #[inline]
    pub(super) fn begin(&mut self, is_whole: bool) {
        self.live.clear();
        self.live.extend_from_slice(&self.all);
        self.is_whole = is_whole;
        self.may_be_early = false;
        self.missed = Slots::NONE;
        self.unsure = Slots::NONE;
        self.is_broken = false;
        self.event += 1;
    }

    /// Whether no rule can match.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Whether a value could not be read, so that the line is to be read in full.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether a slot that was taken for empty may have a value in the rest of the line.
    pub(super) fn may_have_missed(&self, rest: &[u8]) -> bool {
        self.missed.iter().any(|slot| self.members[slot as usize].find(rest).is_some())
    }

    /// Whether the event may be of stage RequestReceived: then what remembered slots decided is not certain.
    pub(super) fn may_be_early(&self) -> bool {
        self.may_be_early
    }

    /// The rules that are left, by their number in the index.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.live.iter().flat_map(|(word, bits)| rules_in(*word, *bits))
    }

    #[inline]
    fn flow(&self) -> ControlFlow<()> {
        if self.live.is_empty() && !self.is_whole {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// What was learnt of a slot, if a rule that is left asks something of it.
    #[inline]
    fn asked(&self, slot: Slot) -> Option<&Learnt> {
        let learnt = self.learnt[slot as usize].as_deref()?;
        self.live.iter().any(|(word, bits)| learnt.asking[*word as usize] & bits != 0).then_some(learnt)
    }

    /// Leaves those of a class.
    #[inline]
    fn narrow(&mut self, slot: Slot, class: u32) -> ControlFlow<()> {
        if let Some(learnt) = &self.learnt[slot as usize] {
            let words = self.index.words();
            let left = &learnt.left[class as usize * words..][..words];
            let mut kept = 0;
            for at in 0..self.live.len() {
                let (word, bits) = self.live[at];
                let bits = bits & left[word as usize];
                self.live[kept] = (word, bits);
                kept += usize::from(bits != 0);
            }
            self.live.truncate(kept);
        }
        self.flow()
    }

    /// The class of a value that is not remembered.
    #[cold]
    fn learn(&mut self, slot: Slot, start: &[u8], value: &[u8]) -> Option<u32> {
        let tests = &self.index.slots[slot as usize];
        let learnt = self.learnt[slot as usize].as_deref_mut()?;
        let event = framed(slot, value, &mut self.text, &mut self.tape)?;
        self.passed.resize(tests.words(), 0);
        tests.evaluate(&event, &mut self.passed);
        let class = learnt.class(&self.index, slot, &self.passed);
        learnt.memo.keep(start, value, class);
        Some(class)
    }

    /// Ends the rules that `keep` says nothing for.
    fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        self.live.retain_mut(|(word, bits)| {
            for rule in rules_in(*word, *bits) {
                if !keep(rule) {
                    *bits &= !(1 << (rule % 64));
                }
            }
            *bits != 0
        });
    }

    /// Ends the rules that this late slot ends.
    fn look_at(&mut self, slot: Slot, value: Option<&[u8]>) {
        let index = Arc::clone(&self.index);
        let is_asked = |rule: usize| {
            let mut late = index.rules[rule].late.iter();
            late.any(|number| index.late[*number as usize].place == Place::Late(slot))
        };
        if !self.iter().any(is_asked) {
            return;
        }
        if self.unsure.has(slot) {
            self.missed = self.missed.with(slot.into());
        }
        let (mut text, mut tape) = (std::mem::take(&mut self.text), std::mem::take(&mut self.tape));
        let mut decided = std::mem::take(&mut self.decided);
        let number_of_event = self.event;
        if let Some(event) = framed(slot, value.unwrap_or(b"null"), &mut text, &mut tape) {
            let evaluator = Evaluator::new(&event, &Context::default());
            self.retain(|rule| {
                index.rules[rule].late.iter().all(|number| {
                    let late = &index.late[*number as usize];
                    let known = &mut decided[*number as usize];
                    if late.place == Place::Late(slot) && known.0 != number_of_event {
                        let verdict = evaluator.verdict(&late.plan, &evaluator.look(), MissingBody::Absent);
                        *known = (number_of_event, verdict == Verdict::Match);
                    }
                    late.place != Place::Late(slot) || known.1
                })
            });
        } else {
            self.is_broken = true;
        }
        (self.text, self.tape, self.decided) = (text, tape, decided);
    }

    /// Ends the rules that need a body which is not there, or a text which no body holds.
    fn look_for_texts(&mut self, text: &[u8], has_request: bool) {
        let index = Arc::clone(&self.index);
        if !self.iter().any(|rule| index.rules[rule].needs_event) {
            return;
        }
        let line = &text[..memchr::memchr(b'\n', text).unwrap_or(text.len())];
        let mut hidden = None;
        let mut decided = std::mem::take(&mut self.decided);
        let number_of_event = self.event;
        self.retain(|rule| {
            let rule = &index.rules[rule];
            rule.late.iter().all(|number| {
                let late = &index.late[*number as usize];
                let is_certain = rule.missing_body == MissingBody::Absent;
                if late.place == Place::RequestObject && !has_request {
                    return !is_certain || late.holds_without_body;
                }
                // What is not logged may be unknown, and that is for the whole event to say.
                if late.clauses.is_empty() || !(is_certain || (has_request && !late.reads_response)) {
                    return true;
                }
                let known = &mut decided[*number as usize];
                if known.0 != number_of_event {
                    let may_hold = late.clauses.iter().all(|clause| clause.is_met(line))
                        || *hidden.get_or_insert_with(|| may_hide_text(line));
                    *known = (number_of_event, may_hold);
                }
                known.1
            })
        });
        self.decided = decided;
    }
}

impl Visit for Candidates {
    #[inline]
    fn recall(&mut self, slot: Slot, start: &[u8], text: &[u8]) -> Option<(usize, ControlFlow<()>)> {
        // Also where no rule asks: a known value need not be read.
        let (length, class) = self.learnt[slot as usize].as_ref()?.memo.find_start(start, text)?;
        Some((length, self.narrow(slot, class)))
    }

    #[inline]
    fn meet(&mut self, slot: Slot, start: &[u8], value: &[u8]) -> ControlFlow<()> {
        if slot == Slot::Stage {
            self.may_be_early =
                !matches!(value, b"\"ResponseComplete\"" | b"\"ResponseStarted\"" | b"\"Panic\"");
        }
        let Some(learnt) = self.asked(slot) else {
            return ControlFlow::Continue(());
        };
        // Null is no value.
        if value == b"null" {
            return self.miss(slot, true);
        }
        let known = if start.len() == value.len() { learnt.memo.find(value) } else { None };
        match known.or_else(|| self.learn(slot, start, value)) {
            Some(class) => self.narrow(slot, class),
            None => {
                self.is_broken = true;
                ControlFlow::Break(())
            }
        }
    }

    #[inline]
    fn miss(&mut self, slot: Slot, is_certain: bool) -> ControlFlow<()> {
        if !is_certain && LATE.contains(&slot) {
            self.unsure = self.unsure.with(slot.into());
        }
        let is_unlogged =
            matches!(slot, Slot::Status | Slot::Annotations | Slot::ImpersonatedUser) && self.may_be_early;
        if is_unlogged || self.asked(slot).is_none() {
            return ControlFlow::Continue(());
        }
        if !is_certain {
            self.missed = self.missed.with(slot.into());
        }
        self.narrow(slot, 0)
    }

    fn before_bodies(
        &mut self,
        text: &[u8],
        outline: &Outline,
        at: usize,
        has_request: bool,
    ) -> ControlFlow<()> {
        self.end_late(text, outline, at, has_request);
        if self.is_broken { ControlFlow::Break(()) } else { self.flow() }
    }
}

impl Candidates {
    /// Ends the rules that need more than the remembered slots give. The bodies stand in `text` from `at` on.
    fn end_late(&mut self, text: &[u8], outline: &Outline, at: usize, has_request: bool) {
        for slot in LATE {
            self.look_at(slot, outline.value(slot, text));
        }
        self.look_for_texts(&text[at..], has_request);
    }

    /// Goes through an event whose values have been found, in whatever order they stand.
    pub(super) fn visit_outline(&mut self, line: &[u8], outline: &Outline) {
        for slot in REMEMBERED {
            let flow = match outline.value(slot, line) {
                Some(value) => self.meet(slot, value, value),
                None => self.miss(slot, true),
            };
            if flow.is_break() {
                return;
            }
        }
        let has_request = outline.value(Slot::RequestObject, line).is_some_and(|value| value != b"null");
        self.end_late(line, outline, 0, has_request);
    }
}

/// The rules whose bits are set in the word of this index.
fn rules_in(word: u32, mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(word as usize * 64 + bit)
    })
}

/// An event that has nothing but this value.
fn framed<'a>(slot: Slot, value: &[u8], text: &'a mut String, tape: &'a mut Tape) -> Option<Event<'a>> {
    slot.write_alone(std::str::from_utf8(value).ok()?, text);
    Event::from_object(text, tape).ok()
}
