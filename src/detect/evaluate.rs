//! The plain evaluation of a plan: the reference for anything faster.
use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use super::compare::Test;
use super::plan::{Leaf, Plan};
use super::{Context, Verdict};
use crate::event::{Event, Field, Look, Parts, Type};

/// What a body that was never logged counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingBody {
    /// Neither there nor missing.
    #[default]
    Unknown,
    /// Missing, as Elasticsearch reads it.
    Absent,
}

/// One event, and what is read from it at most once however many leaves ask.
pub(super) struct Evaluator<'e> {
    event: Event<'e>,
    cluster: Option<&'e str>,
    unlogged: OnceCell<Parts>,
    now: OnceCell<Option<Timestamp>>,
}

impl<'e> Evaluator<'e> {
    pub(super) fn new(event: &Event<'e>, context: &Context<'e>) -> Evaluator<'e> {
        Evaluator { event: *event, cluster: context.cluster, unlogged: OnceCell::new(), now: OnceCell::new() }
    }

    pub(super) fn look(&self) -> Look<'e> {
        Look { event: self.event, cluster: self.cluster, element: None }
    }

    fn unlogged(&self, missing: MissingBody) -> Parts {
        match missing {
            MissingBody::Unknown => *self.unlogged.get_or_init(|| self.event.unlogged()),
            MissingBody::Absent => Parts::NONE,
        }
    }

    pub(super) fn now(&self) -> Option<Timestamp> {
        *self.now.get_or_init(|| self.event.stage_time())
    }

    /// Recursion ends: the parser bounds a query's depth.
    pub(super) fn verdict(&self, plan: &Plan, look: &Look<'e>, missing: MissingBody) -> Verdict {
        match plan {
            Plan::Everything => Verdict::Match,
            Plan::And(parts) => Verdict::all(parts.iter().map(|part| self.verdict(part, look, missing))),
            Plan::Or(parts) => self
                .any_value(parts, look, missing)
                .unwrap_or_else(|| Verdict::any(parts.iter().map(|part| self.verdict(part, look, missing)))),
            Plan::Not(inner) => self.verdict(inner, look, missing).negated(),
            Plan::Leaf(leaf) => self.leaf(leaf, look, missing),
            Plan::Nested(field, inner) => {
                let mut open = false;
                let found = field.elements(look, &mut |value, scope| {
                    let element = Look { element: Some((value, scope)), ..*look };
                    match self.verdict(inner, &element, missing) {
                        Verdict::Match => return ControlFlow::Break(()),
                        Verdict::Unknown => open = true,
                        Verdict::NoMatch => {}
                    }
                    ControlFlow::Continue(())
                });
                let result = match (found.is_break(), open) {
                    (true, _) => Verdict::Match,
                    (false, true) => Verdict::Unknown,
                    (false, false) => Verdict::NoMatch,
                };
                self.or_unknown(result, field, missing)
            }
        }
    }

    /// Whether a field has one of several values, `field:(a or b)`, by going through its values once; `None` where the
    /// parts are something else.
    fn any_value(&self, parts: &[Plan], look: &Look<'e>, missing: MissingBody) -> Option<Verdict> {
        let [Plan::Leaf(first), Plan::Leaf(_), ..] = parts else { return None };
        let is_alike = |part: &Plan| match part {
            Plan::Leaf(leaf) => Arc::ptr_eq(&leaf.field, &first.field) && !matches!(leaf.test, Test::Exists),
            _ => false,
        };
        if !parts.iter().all(is_alike) {
            return None;
        }
        let tests = || {
            parts.iter().filter_map(|part| if let Plan::Leaf(leaf) = part { Some(&leaf.test) } else { None })
        };
        let now = if tests().any(Test::is_relative) { self.now() } else { None };
        let passes = first.field.visit(look, &mut |value, kind: Type| {
            if tests().any(|test| test.passes(&value, kind, now)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        Some(self.or_unknown(Verdict::of(passes.is_break()), &first.field, missing))
    }

    pub(super) fn leaf(&self, leaf: &Leaf, look: &Look<'e>, missing: MissingBody) -> Verdict {
        let now = if leaf.test.is_relative() { self.now() } else { None };
        let passes = match leaf.test {
            Test::Exists => leaf.field.exists(look),
            _ => leaf
                .field
                .visit(look, &mut |value, kind: Type| {
                    if leaf.test.passes(&value, kind, now) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })
                .is_break(),
        };
        self.or_unknown(Verdict::of(passes), &leaf.field, missing)
    }

    /// What has not matched may yet have, in a part that was not logged.
    pub(super) fn or_unknown(&self, verdict: Verdict, field: &Field, missing: MissingBody) -> Verdict {
        let is_open = verdict == Verdict::NoMatch
            && field.parts() != Parts::NONE
            && field.parts().meets(self.unlogged(missing));
        if is_open { Verdict::Unknown } else { verdict }
    }
}
