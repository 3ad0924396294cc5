//! A rule set at work: lines in, outcomes out.
use std::sync::Arc;

use super::Context;
use super::set::{Outcome, RuleSet};
use crate::event::{DecodeError, Event, Stage, Tape};

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
    tape: Tape,
    outcomes: Vec<Outcome>,
}

impl Matcher {
    /// A matcher for the events of one source.
    pub fn new(rules: Arc<RuleSet>, context: &Context<'_>) -> Matcher {
        Matcher {
            rules,
            cluster: context.cluster.map(str::to_owned),
            omitted_stages: context.omitted_stages.to_vec(),
            tape: Tape::new(),
            outcomes: Vec::new(),
        }
    }

    /// Takes every line for one whose keys may stand in any order, as if no API server had written it.
    #[must_use]
    pub fn in_any_order(self) -> Matcher {
        self
    }

    /// What the rules make of a line without its newline: in their order, those that have something to say.
    pub fn judge(&mut self, line: &[u8], _reading: Reading) -> Result<&[Outcome], DecodeError> {
        let event = Event::decode(line, &mut self.tape)?;
        let context = Context { cluster: self.cluster.as_deref(), omitted_stages: &self.omitted_stages };
        self.rules.judge(&event, &context, &mut self.outcomes);
        Ok(&self.outcomes)
    }

    /// The same for the line that begins at `from` in a text of many lines; answers also where the next one begins.
    pub fn judge_next(
        &mut self,
        text: &[u8],
        from: usize,
        reading: Reading,
    ) -> (usize, Result<&[Outcome], DecodeError>) {
        let end = memchr::memchr(b'\n', &text[from..]).map_or(text.len(), |at| from + at);
        ((end + 1).min(text.len()), self.judge(&text[from..end], reading))
    }
}
