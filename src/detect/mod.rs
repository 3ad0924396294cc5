//! A rule compiled, and what it makes of an event.
//!
//! [`Rule::compile`] turns KQL into a plan, with remarks on every part that cannot work; [`RuleSet::judge`] says for
//! each rule whether an event is a detection. Matching is three-valued: a field whose body was never logged is neither
//! there nor missing, and a rule that hangs on it is *undecidable*, not silent. Nothing here reads a clock: `now` and
//! the end of an exception go by the event's own time, so that judging an event again gives the same verdict.
mod asked;
mod candidates;
mod compare;
mod conjunct;
mod date;
mod evaluate;
mod exception;
mod explain;
mod implied;
mod index;
mod learnt;
mod lint;
mod literal;
mod matcher;
mod memo;
mod needs;
mod number;
mod plan;
mod rule;
mod set;
mod slot_tests;
mod stage;

pub use asked::{Asked, Known, Property, VERBS};
pub use evaluate::MissingBody;
pub use exception::{Exception, ExceptionSource, Origin};
pub use explain::{Explanation, explain};
pub use matcher::{Matcher, Reading};
pub use needs::{Level, Need};
pub use rule::{Finding, GroupValue, Part, Rule, RuleSource};
pub use set::{Judgement, Outcome, RuleSet};
pub use stage::is_decisive;

use crate::event::Stage;

/// What a query comes to on one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The event satisfies it.
    Match,
    /// The event does not.
    NoMatch,
    /// It hangs on something that was not logged.
    Unknown,
}

impl Verdict {
    fn of(holds: bool) -> Verdict {
        if holds { Verdict::Match } else { Verdict::NoMatch }
    }

    fn negated(self) -> Verdict {
        match self {
            Verdict::Match => Verdict::NoMatch,
            Verdict::NoMatch => Verdict::Match,
            Verdict::Unknown => Verdict::Unknown,
        }
    }

    /// All of them: no match if one is none, else unknown if one is.
    fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
        let mut result = Verdict::Match;
        for verdict in verdicts {
            match verdict {
                Verdict::NoMatch => return Verdict::NoMatch,
                Verdict::Unknown => result = Verdict::Unknown,
                Verdict::Match => {}
            }
        }
        result
    }

    fn any(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
        Verdict::all(verdicts.into_iter().map(Verdict::negated)).negated()
    }
}

/// What surrounds an event and is not in it: what its source says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The cluster's name (`orchestrator.cluster.name`).
    pub cluster: Option<&'a str>,
    /// Stages that the audit policy omits.
    pub omitted_stages: &'a [Stage],
}

#[cfg(test)]
mod tests;
