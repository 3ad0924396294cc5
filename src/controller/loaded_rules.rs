//! The rules as they are evaluated: immutable, swapped whole.

use std::collections::HashSet;
use std::sync::Arc;

use crate::alert::RuleFacts;
use crate::api::Mode;
use crate::detect::{Rule, RuleSet};

/// A set of compiled rules with what an alert says of each. Reading threads take the newest one before each batch.
#[derive(Debug, Default)]
pub struct LoadedRules {
    /// The compiled rules.
    pub set: Arc<RuleSet>,
    /// What an alert says of each, in the order of `set`.
    pub facts: Vec<Arc<RuleFacts>>,
    /// What each does with its matches, in the order of `set`.
    pub modes: Vec<Mode>,
    /// The uids of all rules there are, evaluated or not: what was counted for another one is forgotten.
    pub uids: HashSet<String>,
}

/// One rule ready to be evaluated.
#[derive(Clone, Debug)]
pub struct LoadedRule {
    /// The compiled rule.
    pub rule: Arc<Rule>,
    /// What an alert says of it.
    pub facts: Arc<RuleFacts>,
    /// What it does with its matches.
    pub mode: Mode,
}

impl FromIterator<LoadedRule> for LoadedRules {
    fn from_iter<I: IntoIterator<Item = LoadedRule>>(rules: I) -> Self {
        let (mut compiled, mut facts, mut modes) = (Vec::new(), Vec::new(), Vec::new());
        for loaded in rules {
            compiled.push(loaded.rule);
            facts.push(loaded.facts);
            modes.push(loaded.mode);
        }
        Self { set: Arc::new(RuleSet::new(compiled)), facts, modes, uids: HashSet::new() }
    }
}
