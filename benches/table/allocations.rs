//! What an event that no rule has anything to say on takes of the heap: nothing.

use anyhow::Result;
use tripline::detect::Reading;

use crate::inputs::{Inputs, matcher};
use crate::measure::Rounds;
use crate::passes;
use crate::report::{Goal, Row, Taken};

pub(crate) const NO_MATCH: Row = Row {
    name: "allocations",
    figure: "allocations where nothing matches, 50 rules",
    goal: Goal::Below(0.0, ""),
    take: no_match,
};

/// Over a second pass: in the first one the matcher meets the values it will remember.
fn no_match(inputs: &Inputs, _: Rounds) -> Result<Taken> {
    let (pack, text) = (inputs.few()?, inputs.log()?);
    let mut matcher = matcher(&pack.rules);
    passes::count(&mut matcher, text, Reading::Enough);
    let (mut from, mut silent, mut allocations) = (0, 0_u32, 0_u64);
    while from < text.len() {
        let mut has_outcomes = false;
        let counted = allocation_counter::measure(|| {
            let (next, judged) = matcher.judge_next(text, from, Reading::Enough);
            has_outcomes = judged.map_or(true, |outcomes| !outcomes.is_empty());
            from = next;
        });
        if !has_outcomes {
            silent += 1;
            allocations += counted.count_total;
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "it is 0, or it does not matter how many")]
    let number = allocations as f64;
    Ok(Taken::number(number, format!("{allocations} for {silent} events"), "-".to_owned()))
}
