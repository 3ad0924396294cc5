//! All rules on one event.
use std::cell::LazyCell;
use std::sync::Arc;

use super::evaluate::Evaluator;
use super::index::Index;
use super::rule::Rule;
use super::stage::is_decisive;
use super::{Context, Verdict};
use crate::event::{Event, Wanted};

/// What a rule makes of an event that it has something to say on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// A match at the decisive stage that no exception covers.
    Detection,
    /// Such a match that an exception covers.
    Suppressed {
        /// The exception's index in the rule.
        exception: usize,
    },
    /// At the decisive stage, the query hangs on something that was not logged.
    Undecidable,
    /// A match at another stage of the request, which is no detection.
    Passing,
}

/// One rule's judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The rule's index in the set.
    pub rule: usize,
    /// What it makes of the event.
    pub what: Judgement,
}

/// The rules that are in force. Immutable: a change makes a new set.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    index: Arc<Index>,
    wanted: Arc<Wanted>,
}

impl RuleSet {
    /// A set of these rules, in this order.
    pub fn new(rules: Vec<Arc<Rule>>) -> RuleSet {
        let index = Arc::new(Index::new(&rules));
        let mut wanted = Wanted::default();
        for rule in &rules {
            rule.add_wanted(&mut wanted);
        }
        RuleSet { rules, index, wanted: Arc::new(wanted) }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// What of the bodies any rule or exception reads.
    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Replaces `outcomes` by what the rules make of the event: in their order, without those that do not match, and
    /// without those that are unknown at a stage that does not decide.
    ///
    /// One rule after the other, for an event that is read already; [`Matcher`](super::Matcher) comes to the same
    /// without reading most events.
    pub fn judge(&self, event: &Event<'_>, context: &Context<'_>, outcomes: &mut Vec<Outcome>) {
        outcomes.clear();
        let evaluator = Evaluator::new(event, context);
        // Most events match no rule, and their stage is never asked for.
        let decisive = LazyCell::new(|| is_decisive(event, context));
        for (index, rule) in self.rules.iter().enumerate() {
            let verdict = rule.evaluate(&evaluator);
            if verdict != Verdict::NoMatch
                && let Some(what) = rule.judgement(verdict, rule.names_stage() || *decisive, &evaluator)
            {
                outcomes.push(Outcome { rule: index, what });
            }
        }
    }
}

impl Rule {
    fn add_wanted(&self, wanted: &mut Wanted) {
        let queries = self.exceptions.iter().map(|exception| &exception.query);
        for query in queries.chain([&self.query]) {
            query.fields(&mut |field| field.add_wanted(wanted));
        }
    }

    pub(super) fn evaluate(&self, evaluator: &Evaluator<'_>) -> Verdict {
        evaluator.verdict(&self.query, &evaluator.look(), self.missing_body)
    }

    /// The query alone on this event: no stage, no exception.
    pub fn verdict(&self, event: &Event<'_>, context: &Context<'_>) -> Verdict {
        self.evaluate(&Evaluator::new(event, context))
    }

    /// What the query's verdict means; `None` for nothing worth telling.
    pub(super) fn judgement(
        &self,
        verdict: Verdict,
        decisive: bool,
        evaluator: &Evaluator<'_>,
    ) -> Option<Judgement> {
        match (verdict, decisive) {
            (Verdict::NoMatch, _) | (Verdict::Unknown, false) => None,
            (Verdict::Unknown, true) => Some(Judgement::Undecidable),
            (Verdict::Match, false) => Some(Judgement::Passing),
            (Verdict::Match, true) => Some(match self.covering_exception(evaluator) {
                Some(exception) => Judgement::Suppressed { exception },
                None => Judgement::Detection,
            }),
        }
    }

    fn covering_exception(&self, evaluator: &Evaluator<'_>) -> Option<usize> {
        self.exceptions.iter().position(|exception| exception.covers(evaluator))
    }
}
