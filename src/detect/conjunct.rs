//! A query taken apart into what must hold together.
//!
//! `a and b and not (c or d)` holds where `a`, `b`, `not c` and `not d` do. Each of these is decided on its own, most
//! of them from one slot of the event, and one that does not hold ends the rule for this event. What is the same on
//! every event (`event.kind:event`) is decided here, so that no slot has to know of it.
use super::evaluate::{Evaluator, MissingBody};
use super::literal::Clause;
use super::memo::is_told_apart;
use super::plan::Plan;
use super::{Context, Verdict};
use crate::event::{Event, Field, Glob, Slot, Slots, Tape};

/// One of the things that must all hold for a query to match.
#[derive(Debug, Clone)]
pub(super) struct Conjunct {
    pub(super) plan: Plan,
    /// The slots that it is decided by.
    pub(super) slots: Slots,
    /// The same text for the same condition, in whichever rule it stands.
    pub(super) key: String,
    /// What a body must hold, as text, for this to hold.
    pub(super) clauses: Vec<Clause>,
}

impl Conjunct {
    /// Takes a query apart.
    pub(super) fn all_of(plan: &Plan) -> Vec<Conjunct> {
        let mut found = Vec::new();
        collect(&without_constants(plan), false, &mut found);
        found
    }

    fn new(plan: Plan) -> Conjunct {
        let mut key = String::new();
        write_key(&plan, &mut key);
        let mut slots = slots(&plan);
        // No slot tells what the source says.
        if slots != Slots::NONE && reads_source(&plan) {
            slots = slots.with(Slot::Rest.into());
        }
        let reads_body = slots.has(Slot::RequestObject) || slots.has(Slot::ResponseObject);
        let clauses = if reads_body { Clause::all_of(&plan) } else { Vec::new() };
        Conjunct { plan, slots, key, clauses }
    }

    /// Whether it is told before the event is read whole, on most events that it does not hold on: from one place that
    /// is looked at anyhow, from the absence of a text, or without looking.
    pub(super) fn is_told_early(&self) -> bool {
        self.slots == Slots::NONE
            || self.slots.single().is_some_and(is_told_apart)
            || !self.clauses.is_empty()
    }
}

/// The same plan, with what is the same on every event decided: what remains is told by a slot or by the source.
pub(super) fn without_constants(plan: &Plan) -> Plan {
    let all = |parts: &[Plan]| parts.iter().map(without_constants).collect();
    match plan {
        Plan::And(parts) => Plan::And(all(parts)),
        Plan::Or(parts) => Plan::Or(all(parts)),
        Plan::Not(inner) => Plan::Not(Box::new(without_constants(inner))),
        Plan::Leaf(leaf) if slots(plan) == Slots::NONE && !leaf.field.is_of_source() => {
            if holds_on_empty_event(plan) {
                Plan::Everything
            } else {
                Plan::Not(Box::new(Plan::Everything))
            }
        }
        Plan::Everything | Plan::Leaf(_) | Plan::Nested(..) => plan.clone(),
    }
}

fn holds_on_empty_event(plan: &Plan) -> bool {
    let mut tape = Tape::new();
    Event::from_object("{}", &mut tape).is_ok_and(|event| {
        let evaluator = Evaluator::new(&event, &Context::default());
        evaluator.verdict(plan, &evaluator.look(), MissingBody::Absent) == Verdict::Match
    })
}

fn collect(plan: &Plan, negated: bool, found: &mut Vec<Conjunct>) {
    match (plan, negated) {
        (Plan::And(parts), false) | (Plan::Or(parts), true) => {
            for part in parts {
                collect(part, negated, found);
            }
        }
        (Plan::Not(inner), _) => collect(inner, !negated, found),
        (_, false) => found.push(Conjunct::new(plan.clone())),
        (_, true) => found.push(Conjunct::new(Plan::Not(Box::new(plan.clone())))),
    }
}

/// The slots that a plan is decided by.
pub(super) fn slots(plan: &Plan) -> Slots {
    match plan {
        Plan::Everything => Slots::NONE,
        Plan::And(parts) | Plan::Or(parts) => {
            parts.iter().fold(Slots::NONE, |all, part| all.with(slots(part)))
        }
        Plan::Not(inner) => slots(inner),
        Plan::Leaf(leaf) => {
            // A date relative to now needs the event's time.
            leaf.field.slots().with(if leaf.test.is_relative() { Slot::Rest.into() } else { Slots::NONE })
        }
        Plan::Nested(field, inner) => {
            field.slots().with(if has_relative(inner) { Slot::Rest.into() } else { Slots::NONE })
        }
    }
}

fn reads_source(plan: &Plan) -> bool {
    let mut found = false;
    plan.fields(&mut |field| found |= field.is_of_source());
    found
}

/// Whether the plan holds on an event that has nothing of what it asks for.
pub(super) fn holds_on_nothing(plan: &Plan) -> bool {
    match plan {
        Plan::Everything => true,
        Plan::And(parts) => parts.iter().all(holds_on_nothing),
        Plan::Or(parts) => parts.iter().any(holds_on_nothing),
        Plan::Not(inner) => !holds_on_nothing(inner),
        Plan::Leaf(_) | Plan::Nested(..) => false,
    }
}

fn has_relative(plan: &Plan) -> bool {
    match plan {
        Plan::Everything => false,
        Plan::And(parts) | Plan::Or(parts) => parts.iter().any(has_relative),
        Plan::Not(inner) | Plan::Nested(_, inner) => has_relative(inner),
        Plan::Leaf(leaf) => leaf.test.is_relative(),
    }
}

/// Writes the plan so that equal texts mean equal plans. Lengths stand before texts, which may hold anything.
pub(super) fn write_key(plan: &Plan, key: &mut String) {
    let mut list = |sign: char, parts: &[Plan]| {
        key.push(sign);
        for part in parts {
            write_key(part, key);
        }
        key.push(')');
    };
    match plan {
        Plan::Everything => key.push('*'),
        Plan::And(parts) => list('&', parts),
        Plan::Or(parts) => list('|', parts),
        Plan::Not(inner) => {
            key.push('!');
            write_key(inner, key);
        }
        Plan::Leaf(leaf) => {
            write_field(&leaf.field, key);
            key.push(if leaf.is_bare { 'b' } else { 'f' });
            key.push_str(leaf.operator.map_or(":", crate::query::Operator::as_str));
            for piece in &leaf.value.pieces {
                write_text(piece, key);
            }
            key.push(';');
        }
        Plan::Nested(field, inner) => {
            write_field(field, key);
            key.push('{');
            write_key(inner, key);
        }
    }
}

/// Writes a field so that equal texts mean the same values.
pub(super) fn write_field(field: &Field, key: &mut String) {
    write_text(field.name(), key);
    key.push(if field.is_plain() { 'n' } else { 'p' });
    // A star in a pattern's name may be one that stands for itself.
    field.glob().into_iter().flat_map(Glob::pieces).for_each(|piece| write_text(piece, key));
}

fn write_text(text: &str, key: &mut String) {
    key.push_str(&text.len().to_string());
    key.push('"');
    key.push_str(text);
}
