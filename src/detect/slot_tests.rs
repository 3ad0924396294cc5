//! All that a set of rules asks of one slot, decided together.
//!
//! The tests on a slot are numbered, equal ones once for all rules. A value passes some and fails the others; with
//! that every [`Filter`] says which rules it ends. Values that pass the same tests are one class.
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::compare::Test;
use super::conjunct::{write_field, write_key};
use super::evaluate::{Evaluator, MissingBody};
use super::plan::{Leaf, Plan};
use super::{Context, Verdict};
use crate::event::{Event, Field, Look, Scalar, Slot, Slots, Type};

/// What a conjunct comes to as far as one slot can tell.
#[derive(Debug)]
enum Part {
    /// The test of this number.
    Test(u32),
    /// Anything: another slot decides.
    Open,
    Not(Box<Part>),
    And(Vec<Part>),
    Or(Vec<Part>),
}

/// Whether a part can come to something else than no match, and to something else than a match.
type Can = (bool, bool);

impl Part {
    fn can(&self, passed: &[u64]) -> Can {
        let all = |parts: &[Part], start: Can, join: fn(Can, Can) -> Can| {
            parts.iter().fold(start, |can, part| join(can, part.can(passed)))
        };
        match self {
            Part::Test(number) => {
                let holds = passed[*number as usize / 64] >> (number % 64) & 1 == 1;
                (holds, !holds)
            }
            Part::Open => (true, true),
            Part::Not(inner) => {
                let (hold, fail) = inner.can(passed);
                (fail, hold)
            }
            Part::And(parts) => all(parts, (true, false), |a, b| (a.0 && b.0, a.1 || b.1)),
            Part::Or(parts) => all(parts, (false, true), |a, b| (a.0 || b.0, a.1 && b.1)),
        }
    }
}

/// One conjunct, and the rules that end where it cannot hold.
#[derive(Debug)]
struct Filter {
    part: Part,
    rules: Vec<usize>,
}

/// The tests on one field.
#[derive(Debug)]
struct FieldTests {
    field: Arc<Field>,
    /// Written `*` or `**`, that is the same.
    exists: Vec<u32>,
    /// Plain texts that a test asks for, with the test's number.
    exact: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    /// The same tests, for values that are no plain text.
    equal: Vec<(u32, Test)>,
    others: Vec<(u32, Test)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SlotTests {
    count: u32,
    numbers: HashMap<String, u32>,
    fields: Vec<FieldTests>,
    field_numbers: HashMap<String, usize>,
    /// Tests that are no single comparison: nested groups.
    groups: Vec<(u32, Plan)>,
    filters: Vec<Filter>,
    filter_numbers: HashMap<String, usize>,
}

impl SlotTests {
    /// Takes in that `rule` needs the conjunct of this key.
    pub(super) fn add(&mut self, slot: Slot, plan: &Plan, key: &str, rule: usize) {
        if let Some(number) = self.filter_numbers.get(key) {
            self.filters[*number].rules.push(rule);
            return;
        }
        let part = self.part(slot, plan);
        self.filter_numbers.insert(key.to_owned(), self.filters.len());
        self.filters.push(Filter { part, rules: vec![rule] });
    }

    /// Whether no rule asks anything of the slot.
    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The rules that ask something of the slot; one may come more than once.
    pub(super) fn rules(&self) -> impl Iterator<Item = usize> {
        self.filters.iter().flat_map(|filter| filter.rules.iter().copied())
    }

    /// How many words [`SlotTests::evaluate`] fills.
    pub(super) fn words(&self) -> usize {
        (self.count as usize).div_ceil(64)
    }

    /// Calls `ends` with each rule that cannot match where these tests are passed and no others.
    pub(super) fn ended(&self, passed: &[u64], mut ends: impl FnMut(usize)) {
        let failing = self.filters.iter().filter(|filter| !filter.part.can(passed).0);
        failing.flat_map(|filter| &filter.rules).for_each(|rule| ends(*rule));
    }

    /// Sets in `passed` the bit of each test that an event passes which has nothing but the slot's value.
    pub(super) fn evaluate(&self, event: &Event<'_>, passed: &mut [u64]) {
        passed.fill(0);
        let mut pass = |number: u32| passed[number as usize / 64] |= 1 << (number % 64);
        let look = Look { event: *event, cluster: None, element: None };
        for tests in &self.fields {
            tests.evaluate(&look, &mut pass);
        }
        if !self.groups.is_empty() {
            let evaluator = Evaluator::new(event, &Context::default());
            for (number, group) in &self.groups {
                if evaluator.verdict(group, &evaluator.look(), MissingBody::Absent) == Verdict::Match {
                    pass(*number);
                }
            }
        }
    }

    fn part(&mut self, slot: Slot, plan: &Plan) -> Part {
        match plan {
            Plan::Everything => Part::And(Vec::new()),
            Plan::And(parts) => Part::And(parts.iter().map(|part| self.part(slot, part)).collect()),
            Plan::Or(parts) => Part::Or(parts.iter().map(|part| self.part(slot, part)).collect()),
            Plan::Not(inner) => Part::Not(Box::new(self.part(slot, inner))),
            Plan::Leaf(_) | Plan::Nested(..) if super::conjunct::slots(plan) != Slots::from(slot) => {
                Part::Open
            }
            Plan::Leaf(leaf) => Part::Test(self.leaf(leaf, plan)),
            Plan::Nested(..) => {
                let (number, is_new) = self.number(plan);
                if is_new {
                    self.groups.push((number, plan.clone()));
                }
                Part::Test(number)
            }
        }
    }

    fn number(&mut self, plan: &Plan) -> (u32, bool) {
        let mut key = String::new();
        write_key(plan, &mut key);
        let (count, known) = (self.count, self.numbers.len());
        let number = *self.numbers.entry(key).or_insert(count);
        let is_new = self.numbers.len() > known;
        self.count += u32::from(is_new);
        (number, is_new)
    }

    fn leaf(&mut self, leaf: &Leaf, plan: &Plan) -> u32 {
        let (number, is_new) = self.number(plan);
        if !is_new {
            return number;
        }
        let fields = &mut self.fields;
        let mut key = String::new();
        write_field(&leaf.field, &mut key);
        let at = *self.field_numbers.entry(key).or_insert_with(|| {
            fields.push(FieldTests::new(Arc::clone(&leaf.field)));
            fields.len() - 1
        });
        fields[at].add(number, &leaf.test);
        number
    }
}

impl FieldTests {
    fn new(field: Arc<Field>) -> FieldTests {
        FieldTests {
            field,
            exists: Vec::new(),
            exact: HashMap::default(),
            equal: Vec::new(),
            others: Vec::new(),
        }
    }

    fn add(&mut self, number: u32, test: &Test) {
        match (test, test.exact_text()) {
            (Test::Exists, _) => self.exists.push(number),
            (_, Some(exact)) if self.field.kind() == Type::Plain && self.field.is_plain() => {
                self.exact.insert(exact.into(), number);
                self.equal.push((number, test.clone()));
            }
            _ => self.others.push((number, test.clone())),
        }
    }

    fn evaluate(&self, look: &Look<'_>, pass: &mut impl FnMut(u32)) {
        if !self.exists.is_empty() && self.field.exists(look) {
            self.exists.iter().for_each(|number| pass(*number));
        }
        if self.equal.is_empty() && self.others.is_empty() {
            return;
        }
        let mut compare = |value: Scalar<'_>, kind: Type| {
            if let Scalar::Text(text) = &value {
                if let Some(number) = self.exact.get(&**text) {
                    pass(*number);
                }
            } else {
                let equal = self.equal.iter().filter(|(_, test)| test.passes(&value, kind, None));
                equal.for_each(|(number, _)| pass(*number));
            }
            let others = self.others.iter().filter(|(_, test)| test.passes(&value, kind, None));
            others.for_each(|(number, _)| pass(*number));
            ControlFlow::Continue(())
        };
        let end = self.field.visit(look, &mut compare);
        debug_assert!(end.is_continue(), "nothing stops the walk");
    }
}
