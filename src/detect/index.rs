//! What all rules of a set need of an event, arranged by where it stands.
//!
//! Rules are numbered anew, those that need the same verb and resource side by side, so that the few that can match
//! an event lie in few words of a set with a bit a rule.
use std::collections::HashMap;
use std::sync::Arc;

use super::evaluate::MissingBody;
use super::literal::Clause;
use super::memo::{LATE, REMEMBERED};
use super::plan::Plan;
use super::rule::Rule;
use super::slot_tests::SlotTests;
use crate::event::{Slot, Slots};

/// A conjunct that is not decided by a remembered slot, once for all rules that have it.
#[derive(Debug)]
pub(super) struct LateConjunct {
    pub(super) plan: Plan,
    pub(super) place: Place,
    pub(super) clauses: Vec<Clause>,
    /// Whether it reads `responseObject`.
    pub(super) reads_response: bool,
    /// Whether it can hold where there is no body.
    pub(super) holds_without_body: bool,
}

/// What a late conjunct is decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// One slot of [`LATE`].
    Late(Slot),
    /// `requestObject` alone.
    RequestObject,
    /// The whole event.
    Event,
}

/// A rule as the index has it.
#[derive(Debug)]
pub(super) struct Indexed {
    /// Its index in the rule set.
    pub(super) rule: usize,
    /// Its conjuncts that no remembered slot decides, by their index.
    pub(super) late: Vec<u32>,
    /// Whether a conjunct is left that only the whole event decides.
    pub(super) needs_event: bool,
    pub(super) missing_body: MissingBody,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) rules: Vec<Indexed>,
    pub(super) slots: [SlotTests; Slot::COUNT],
    /// The remembered slots that some rule asks something of.
    pub(super) asked: Slots,
    pub(super) late: Vec<LateConjunct>,
    /// What only the source decides, and the rule that ends where it does not hold.
    pub(super) constants: Vec<(Plan, usize)>,
}

impl Index {
    pub(super) fn new(rules: &[Arc<Rule>]) -> Index {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by_cached_key(|rule| {
            (needs(&rules[*rule], Slot::Verb), needs(&rules[*rule], Slot::Resource))
        });
        let mut index = Index::default();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        for (bit, rule) in order.into_iter().enumerate() {
            let mut late = Vec::new();
            for conjunct in &rules[rule].conjuncts {
                for slot in REMEMBERED.into_iter().filter(|slot| conjunct.slots.has(*slot)) {
                    index.slots[slot as usize].add(slot, &conjunct.plan, &conjunct.key, bit);
                }
                if conjunct.slots == Slots::NONE {
                    index.constants.push((conjunct.plan.clone(), bit));
                    continue;
                }
                let is_decided = conjunct.slots.single().is_some_and(|slot| REMEMBERED.contains(&slot));
                if !is_decided {
                    late.push(*numbers.entry(&conjunct.key).or_insert_with(|| {
                        index.late.push(LateConjunct::new(conjunct));
                        narrow(index.late.len() - 1)
                    }));
                }
            }
            // The cheap ones first: they may end the rule.
            late.sort_by_key(|number| index.late[*number as usize].place == Place::Event);
            let needs_event =
                late.iter().any(|number| !matches!(index.late[*number as usize].place, Place::Late(_)));
            index.rules.push(Indexed { rule, late, needs_event, missing_body: rules[rule].missing_body });
        }
        for slot in REMEMBERED {
            if !index.slots[slot as usize].is_empty() {
                index.asked = index.asked.with(slot.into());
            }
        }
        index
    }

    /// How many words a set of rules has.
    pub(super) fn words(&self) -> usize {
        self.rules.len().div_ceil(64)
    }
}

/// The condition on this slot, to sort rules by.
fn needs(rule: &Rule, slot: Slot) -> Option<&str> {
    let conjunct = rule.conjuncts.iter().find(|conjunct| conjunct.slots == Slots::from(slot));
    conjunct.map(|conjunct| conjunct.key.as_str())
}

impl LateConjunct {
    fn new(conjunct: &super::conjunct::Conjunct) -> LateConjunct {
        let place = match conjunct.slots.single() {
            Some(slot) if LATE.contains(&slot) => Place::Late(slot),
            Some(Slot::RequestObject) => Place::RequestObject,
            _ => Place::Event,
        };
        LateConjunct {
            plan: conjunct.plan.clone(),
            place,
            clauses: conjunct.clauses.clone(),
            reads_response: conjunct.slots.has(Slot::ResponseObject),
            holds_without_body: super::conjunct::holds_on_nothing(&conjunct.plan),
        }
    }
}

/// A set has fewer than 2³² rules and conjuncts.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn narrow(n: usize) -> u32 {
    n as u32
}
