//! What a rule does not report: exceptions, the rule's own and those that stand for themselves.
use jiff::Timestamp;

use super::conjunct::Conjunct;
use super::evaluate::{Evaluator, MissingBody};
use super::implied::implies;
use super::plan::Plan;
use super::{Context, Verdict};
use crate::event::Event;
use crate::query::Diagnostic;

/// An exception as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExceptionSource {
    /// Its name within the rule, or of its own.
    pub name: String,
    /// What it covers, in KQL.
    pub query: String,
    /// From this time of an event on it covers nothing.
    pub expire: Option<Timestamp>,
}

/// Where an exception stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// In the rule that it is for.
    Rule,
    /// By itself, for several rules.
    Shared,
}

/// A compiled exception. Immutable.
#[derive(Debug)]
pub struct Exception {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) query: Plan,
    pub(super) expire: Option<Timestamp>,
    /// What a body that was never logged counts as: for one of a rule what the rule says.
    pub(super) missing_body: MissingBody,
}

impl Exception {
    /// Compiles an exception that stands for itself; with it come the warnings. A body that was not logged is unknown to
    /// it, whatever a rule says that it is applied to.
    ///
    /// # Errors
    /// Everything that is wrong with it, warnings included; at least one is an error.
    pub fn compile(source: ExceptionSource) -> Result<(Exception, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut remarks = Vec::new();
        let query = super::rule::compile_query(&source.query, None, true, &mut remarks);
        match query {
            Some((query, _)) if !remarks.iter().any(Diagnostic::is_error) => {
                let ExceptionSource { name, expire, .. } = source;
                let missing_body = MissingBody::Unknown;
                Ok((Exception { name, origin: Origin::Shared, query, expire, missing_body }, remarks))
            }
            _ => Err(remarks),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// From when on it covers nothing.
    pub fn expire(&self) -> Option<Timestamp> {
        self.expire
    }

    /// What its query says of an event, expired or not.
    pub fn verdict(&self, event: &Event<'_>, context: &Context<'_>) -> Verdict {
        self.holds(&Evaluator::new(event, context))
    }

    /// Whether it surely holds and has not expired by the event's time. One that is unknown covers nothing; one with an
    /// end covers no event without a time.
    pub(super) fn covers(&self, evaluator: &Evaluator<'_>) -> bool {
        self.expire.is_none_or(|end| evaluator.now().is_some_and(|now| now < end))
            && self.holds(evaluator) == Verdict::Match
    }

    fn holds(&self, evaluator: &Evaluator<'_>) -> Verdict {
        evaluator.verdict(&self.query, &evaluator.look(), self.missing_body)
    }

    /// Whether it follows from a query that an event meets it: then nothing would be left of the query.
    pub(super) fn is_implied_by(&self, conjuncts: &[Conjunct]) -> bool {
        implies(conjuncts.iter().map(|conjunct| &conjunct.plan), &self.query)
    }
}
