//! Judging a log that is in memory already: the engine alone, on one thread and on two.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tripline::detect::{Reading, RuleSet, RuleSource};

use crate::inputs::{Inputs, compiled, matcher};
use crate::measure::{Rounds, shown, speed};
use crate::passes;
use crate::report::{Goal, Row, Taken};

pub(crate) const AGAINST_SKIPPING: Row = Row {
    name: "memory-skip",
    figure: "in memory, 50 rules",
    goal: Goal::Faster(2.5),
    take: |inputs, rounds| against_skipping(&inputs.few()?.rules, inputs.log()?, Reading::Enough, rounds),
};

pub(crate) const ONE_RULE: Row = Row {
    name: "memory-newline-1",
    figure: "in memory, the exec rule",
    goal: Goal::Longer(2.0),
    take: |inputs, rounds| against_newlines(&inputs.few()?.exec_rule()?, inputs.log()?, rounds),
};

pub(crate) const FIFTY_RULES: Row = Row {
    name: "memory-newline-50",
    figure: "in memory, 50 rules",
    goal: Goal::Longer(4.0),
    take: |inputs, rounds| against_newlines(&inputs.few()?.rules, inputs.log()?, rounds),
};

pub(crate) const MANY_RULES: Row =
    Row { name: "memory-5000", figure: "in memory, 5,000 rules", goal: Goal::Longer(3.0), take: many_rules };

pub(crate) const LIBRARY: Row = Row {
    name: "memory-library",
    figure: "in memory, the library as it ships",
    goal: Goal::Longer(2.0),
    take: library,
};

/// A condition on each kind of derived field, as a rule would ask for it.
const DERIVED: [&str; 5] = [
    "objectRef.resource: secrets and request.dryRun: true",
    "user.groups: \"system:serviceaccounts\" and request.fromPublicAddress: true",
    "objectRef.subresource: exec and exec.argv: nowhere",
    "objectRef.resource: certificatesigningrequests and csr.subject.organization: nobody",
    "objectRef.resource: pods and podSpec.allContainers: { image.registry: \"registry.invalid\" }",
];

pub(crate) const DERIVED_ASKED: Row = Row {
    name: "derived-asked",
    figure: "in memory, 50 rules and five on derived fields",
    goal: Goal::Longer(2.0),
    take: |inputs, rounds| derived("verb: *", inputs, rounds),
};

pub(crate) const DERIVED_NOT_ASKED: Row = Row {
    name: "derived-not-asked",
    figure: "in memory, 50 rules and five on derived fields that another field decides",
    goal: Goal::Longer(1.1),
    take: |inputs, rounds| derived("verb: none", inputs, rounds),
};

pub(crate) const TWO_THREADS: Row = Row {
    name: "threads-memory",
    figure: "in memory, 50 rules, two threads",
    goal: Goal::Faster(1.7),
    take: two_threads,
};

pub(crate) const REORDERED: Row = Row {
    name: "reordered",
    figure: "keys in another order, 50 rules",
    goal: Goal::Faster(0.5),
    take: |inputs, rounds| {
        against_skipping(&inputs.few()?.rules, inputs.reordered()?, Reading::Enough, rounds)
    },
};

pub(crate) const UNIQUE: Row = Row {
    name: "unique",
    figure: "no user, address or agent twice, 50 rules",
    goal: Goal::Faster(0.5),
    take: |inputs, rounds| against_skipping(&inputs.few()?.rules, inputs.unique()?, Reading::Enough, rounds),
};

pub(crate) const MANY_UNIQUE: Row = Row {
    name: "unique-5000",
    figure: "no user, address or agent twice, 5,000 rules",
    goal: Goal::Faster(0.2),
    take: |inputs, rounds| against_skipping(&inputs.many()?.rules, inputs.unique()?, Reading::Enough, rounds),
};

pub(crate) const WHOLE: Row = Row {
    name: "strict",
    figure: "every line read whole, 50 rules",
    goal: Goal::Faster(0.8),
    take: |inputs, rounds| against_skipping(&inputs.few()?.rules, inputs.log()?, Reading::Whole, rounds),
};

fn judging(rules: &Arc<RuleSet>, text: &[u8], reading: Reading) -> Result<Duration> {
    Ok(passes::judge(matcher(rules), text, reading)?.0)
}

fn against_skipping(rules: &Arc<RuleSet>, text: &[u8], reading: Reading, rounds: Rounds) -> Result<Taken> {
    let [judged, skipped] =
        rounds.in_turn([&mut || judging(rules, text, reading), &mut || passes::skip(text)])?;
    let against = format!("sonic-rs skips each line, {}", speed_of(text, skipped));
    Ok(Taken::number(skipped / judged, speed_of(text, judged), against))
}

fn against_newlines(rules: &Arc<RuleSet>, text: &[u8], rounds: Rounds) -> Result<Taken> {
    let [judged, found] = rounds
        .in_turn([&mut || judging(rules, text, Reading::Enough), &mut || passes::find_newlines(text)])?;
    let against = format!("memchr finds newlines, {}", speed_of(text, found));
    Ok(Taken::number(judged / found, speed_of(text, judged), against))
}

fn many_rules(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    let (few, many, text) = (&inputs.few()?.rules, &inputs.many()?.rules, inputs.log()?);
    let [many, few] = rounds.in_turn([&mut || judging(many, text, Reading::Enough), &mut || {
        judging(few, text, Reading::Enough)
    }])?;
    Ok(Taken::number(many / few, speed_of(text, many), format!("50 rules, {}", speed_of(text, few))))
}

fn library(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    let (library, few, text) = (inputs.library()?, &inputs.few()?.rules, inputs.log()?);
    let [library, few] = rounds.in_turn([&mut || judging(library, text, Reading::Enough), &mut || {
        judging(few, text, Reading::Enough)
    }])?;
    Ok(Taken::number(library / few, speed_of(text, library), format!("50 rules, {}", speed_of(text, few))))
}

/// The 50 rules and one for each derived field, against the 50 alone.
fn derived(besides: &str, inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    let (few, text) = (inputs.few()?, inputs.log()?);
    let more = DERIVED.iter().enumerate().map(|(number, condition)| RuleSource {
        name: format!("derived-{number}"),
        query: format!("{besides} and {condition}"),
        ..RuleSource::default()
    });
    let more = compiled(&few.sources.iter().cloned().chain(more).collect::<Vec<_>>())?;
    let [more, alone] = rounds.in_turn([&mut || judging(&more, text, Reading::Enough), &mut || {
        judging(&few.rules, text, Reading::Enough)
    }])?;
    Ok(Taken::number(more / alone, speed_of(text, more), format!("50 rules, {}", speed_of(text, alone))))
}

fn two_threads(inputs: &Inputs, rounds: Rounds) -> Result<Taken> {
    if std::thread::available_parallelism()?.get() < 2 {
        return Ok(Taken::Nothing("there is one core".to_owned()));
    }
    let (rules, text) = (&inputs.few()?.rules, inputs.log()?);
    let middle = memchr::memchr(b'\n', &text[text.len() / 2..]).map_or(0, |at| text.len() / 2 + at + 1);
    let (first, second) = text.split_at(middle);
    let (mut of_one, mut of_two) = (0, 0);
    let [two, one] = rounds
        .in_turn([&mut || by_the_clock(rules, &[first, second], &mut of_two), &mut || {
            by_the_clock(rules, &[text], &mut of_one)
        }])?;
    ensure!(of_one == of_two, "one thread has {of_one} outcomes, two have {of_two}");
    Ok(Taken::number(one / two, speed_of(text, two), format!("one thread, {}", speed_of(text, one))))
}

/// How long it takes until each part has been judged by a thread of its own, and how many outcomes there are.
fn by_the_clock(rules: &Arc<RuleSet>, parts: &[&[u8]], outcomes: &mut usize) -> Result<Duration> {
    let start = Barrier::new(parts.len() + 1);
    std::thread::scope(|scope| {
        let judge = |part| {
            let mut matcher = matcher(rules);
            start.wait();
            passes::count(&mut matcher, part, Reading::Enough).0
        };
        let threads: Vec<_> = parts.iter().map(|part| scope.spawn(move || judge(*part))).collect();
        start.wait();
        let started = Instant::now();
        *outcomes = 0;
        for thread in threads {
            *outcomes += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        }
        Ok(started.elapsed())
    })
}

fn speed_of(text: &[u8], seconds: f64) -> String {
    shown(speed(text.len(), seconds), "MB/s")
}
