//! How long it takes until rules are at work: all of them, and one that changes among many.

use std::sync::Arc;

use anyhow::{Context, Result};
use tripline::detect::{Rule, RuleSet, RuleSource};

use crate::inputs::{Inputs, compiled, matcher};
use crate::measure::{self, Rounds, shown};
use crate::report::{Goal, Row, Taken};

pub(crate) const COMPILE: Row =
    Row { name: "compile", figure: "5,000 rules compiled", goal: Goal::Below(200.0, "ms"), take: compile };

pub(crate) const REPLACE: Row = Row {
    name: "replace",
    figure: "one of 5,000 rules replaced",
    goal: Goal::Below(100.0, "ms"),
    take: replace,
};

fn compile(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    let sources = &inputs.many()?.sources;
    let [seconds] = rounds.in_turn([&mut || {
        let (time, at_work) = measure::of_thread(|| compiled(sources).map(|rules| matcher(&rules)))?;
        at_work.map(|_| time)
    }])?;
    Ok(milliseconds(seconds))
}

fn replace(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    let pack = inputs.many()?;
    let middle = pack.sources.len() / 2;
    let changed = RuleSource {
        query: format!("{} and verb:*", pack.sources[middle].query),
        ..pack.sources[middle].clone()
    };
    let [seconds] = rounds.in_turn([&mut || {
        let (time, at_work) = measure::of_thread(|| {
            let (rule, _) =
                Rule::compile(changed.clone()).ok().context("the changed rule does not compile")?;
            let mut rules = pack.rules.rules().to_vec();
            rules[middle] = Arc::new(rule);
            Ok::<_, anyhow::Error>(matcher(&Arc::new(RuleSet::new(rules))))
        })?;
        at_work.map(|_| time)
    }])?;
    Ok(milliseconds(seconds))
}

fn milliseconds(seconds: f64) -> Taken {
    Taken::number(seconds * 1e3, shown(seconds * 1e3, "ms"), "-".to_owned())
}
