//! What was learnt of the values of one slot: which rules each of them leaves.
use std::collections::HashMap;

use super::index::{Index, narrow};
use super::memo::Memo;
use crate::event::{Event, Slot, Tape};

/// Classes that a slot has at most; all are forgotten before there are more.
const MOST_CLASSES: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Learnt {
    pub(super) memo: Memo,
    /// The rules that ask something of the slot, a bit each.
    pub(super) asking: Vec<u64>,
    /// By the tests that are passed.
    classes: HashMap<Box<[u64]>, u32, foldhash::fast::RandomState>,
    /// The rules that each class leaves, a bit each, one class after the other; first that of no value.
    pub(super) left: Vec<u64>,
}

impl Learnt {
    pub(super) fn new(index: &Index, slot: Slot, tape: &mut Tape) -> Learnt {
        // How many values are remembered, and how long they may be.
        let (places, longest) = match slot {
            Slot::Level | Slot::Stage | Slot::Verb => (64, 32),
            Slot::User => (4096, 1024),
            Slot::ImpersonatedUser => (256, 1024),
            Slot::SourceIps => (4096, 96),
            Slot::UserAgent => (2048, 256),
            Slot::Resource | Slot::Namespace => (2048, 66),
            Slot::Status | Slot::Annotations => (2048, 512),
            _ => (512, 66),
        };
        let random = foldhash::fast::RandomState::default();
        let mut asking = vec![0; index.words()];
        index.slots[slot as usize].rules().for_each(|rule| asking[rule / 64] |= 1 << (rule % 64));
        let mut learnt = Learnt {
            memo: Memo::new(places, longest),
            asking,
            classes: HashMap::with_hasher(random),
            left: Vec::new(),
        };
        learnt.learn_nothing(index, slot, tape);
        learnt
    }

    /// Makes the class of no value the first one.
    fn learn_nothing(&mut self, index: &Index, slot: Slot, tape: &mut Tape) {
        let tests = &index.slots[slot as usize];
        let mut passed = vec![0; tests.words()];
        if let Ok(nothing) = Event::from_object("{}", tape) {
            tests.evaluate(&nothing, &mut passed);
        }
        self.add_class(index, slot, &passed);
    }

    /// The class of values that pass these tests and no others.
    pub(super) fn class(&mut self, index: &Index, slot: Slot, passed: &[u64]) -> u32 {
        if let Some(class) = self.classes.get(passed) {
            return *class;
        }
        if self.classes.len() >= MOST_CLASSES {
            self.memo.clear();
            self.classes.clear();
            self.left.clear();
            self.learn_nothing(index, slot, &mut Tape::new());
        }
        self.add_class(index, slot, passed)
    }

    fn add_class(&mut self, index: &Index, slot: Slot, passed: &[u64]) -> u32 {
        if let Some(class) = self.classes.get(passed) {
            return *class;
        }
        let words = index.words();
        let class = narrow(self.classes.len());
        let from = self.left.len();
        self.left.resize(from + words, u64::MAX);
        let left = &mut self.left[from..];
        index.slots[slot as usize].ended(passed, |rule| left[rule / 64] &= !(1 << (rule % 64)));
        self.classes.insert(passed.into(), class);
        class
    }
}
