//! Whatever a rule set and a log hold, everything that judges gives the same outcomes, rule by rule: the plain
//! evaluation, a matcher that knows how an API server writes and remembers what it met, and a reference written from the
//! language page alone.
//!
//! A line and a rule are each as good as their seed, so a failing case shrinks to the lines and rules that it takes. More
//! cases than the usual ones: `make sameness`.
mod bodies;
mod dice;
mod events;
mod json;
mod lines;
mod names;
mod pools;
mod reference;
mod rules;
mod tally;

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, RngSeed};

use self::lines::{Line, line};
use self::reference::{ReferenceRule, judge};
use self::rules::rule;
use self::tally::Tally;
use crate::detect::{Context, Matcher, Outcome, Reading, Rule, RuleSet, RuleSource};
use crate::event::{DecodeError, Event, Stage, Tape};

/// A rule set and a stretch of a log.
#[derive(Debug, Clone)]
struct Case {
    rules: Vec<u64>,
    lines: Vec<u64>,
    /// Whether the cluster has a name, and which stages its policy omits.
    surroundings: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let seed = || any::<u64>().no_shrink();
    let rules = prop_oneof![
        1 => prop::collection::vec(seed(), 1..=1),
        6 => prop::collection::vec(seed(), 2..12),
        1 => prop::collection::vec(seed(), 12..64),
        1 => prop::collection::vec(seed(), 65..=80),
    ];
    // Some lines come again and again.
    let lines = prop::collection::vec(prop_oneof![5 => seed(), 1 => (0..20u64).no_shrink()], 1..=60);
    (rules, lines, 0..4usize).prop_map(|(rules, lines, surroundings)| Case { rules, lines, surroundings })
}

impl Case {
    fn context(&self) -> Context<'static> {
        let omitted_stages: &[Stage] = match self.surroundings {
            0 | 1 => &[],
            2 => &[Stage::RequestReceived],
            _ => &[Stage::RequestReceived, Stage::ResponseStarted],
        };
        Context { cluster: (self.surroundings != 1).then_some("prod"), omitted_stages }
    }

    /// Judges every line in every way; answers with what was met, or with how the first difference came about.
    fn run(&self) -> Result<Tally, String> {
        let sources: Vec<RuleSource> = self.rules.iter().map(|seed| rule(*seed)).collect();
        let lines: Vec<Line> = self.lines.iter().map(|seed| line(*seed)).collect();
        let compiled = sources.iter().map(|source| Arc::new(Rule::compile(source.clone()).unwrap().0));
        let set = Arc::new(RuleSet::new(compiled.collect()));
        let reference: Vec<ReferenceRule> = sources.iter().map(ReferenceRule::new).collect();
        let context = self.context();
        let mut tally = Tally::of_rules(&sources);

        let mut expected = Vec::new();
        for line in &lines {
            let plain = plainly(&set, &line.text, &context);
            if let (Ok(value), Ok(plain)) = (serde_json::from_slice(&line.text), &plain) {
                let wanted = judge(&reference, &value, &context);
                if wanted != *plain {
                    return Err(difference("the plain evaluation", &sources, line, plain, &wanted));
                }
                tally.referred += 1;
            }
            tally.add(line, &plain, sources.len());
            expected.push(plain);
        }

        let text = self.text_of(&lines);
        for way in &WAYS {
            let mut matcher = way.matcher(&set, &context);
            let mut from = 0;
            for (index, (line, plain)) in lines.iter().zip(&expected).enumerate() {
                let reading = way.reading(index);
                let (next, outcomes) = if way.of_a_text {
                    matcher.judge_next(&text, from, reading)
                } else {
                    (0, matcher.judge(&line.text, reading))
                };
                agree(*way, reading, &sources, line, plain, outcomes).map_err(|difference| {
                    let mut fresh = way.matcher(&set, &context);
                    let alone = agree(*way, reading, &sources, line, plain, fresh.judge(&line.text, reading));
                    let fresh = if alone.is_ok() { "does not" } else { "does too" };
                    format!("{difference}A fresh matcher {fresh}.\n")
                })?;
                let end = (from + line.text.len() + 1).min(text.len());
                if way.of_a_text && next != end {
                    return Err(format!(
                        "{way:?}: the next line is at {end}, not at {next}: {}",
                        shown(line)
                    ));
                }
                from = next;
            }
        }
        Ok(tally)
    }

    /// The lines as one text, whose last line may end or not.
    fn text_of(&self, lines: &[Line]) -> Vec<u8> {
        let mut text = lines.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>().join(&b'\n');
        text.extend(self.surroundings.is_multiple_of(2).then_some(b'\n'));
        text
    }
}

/// A way to let a matcher judge.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// One line after the other is read so.
    readings: [Reading; 2],
    in_any_order: bool,
    of_a_text: bool,
}

impl Way {
    fn reading(self, index: usize) -> Reading {
        self.readings[index % 2]
    }

    fn matcher(self, set: &Arc<RuleSet>, context: &Context<'_>) -> Matcher {
        let matcher = Matcher::new(Arc::clone(set), context);
        if self.in_any_order { matcher.in_any_order() } else { matcher }
    }
}

const fn way(first: Reading, second: Reading, in_any_order: bool, of_a_text: bool) -> Way {
    Way { readings: [first, second], in_any_order, of_a_text }
}

const WAYS: [Way; 7] = [
    way(Reading::Whole, Reading::Whole, false, false),
    way(Reading::Whole, Reading::Whole, true, false),
    way(Reading::Whole, Reading::Whole, false, true),
    way(Reading::Enough, Reading::Enough, false, false),
    way(Reading::Enough, Reading::Enough, true, true),
    way(Reading::Enough, Reading::Enough, false, true),
    way(Reading::Enough, Reading::Whole, false, false),
];

fn plainly(set: &RuleSet, line: &[u8], context: &Context<'_>) -> Result<Vec<Outcome>, DecodeError> {
    let mut tape = Tape::new();
    let event = Event::decode(line, &mut tape)?;
    let mut outcomes = Vec::new();
    set.judge(&event, context, &mut outcomes);
    Ok(outcomes)
}

/// Whether a matcher said what it has to: of a line that is no event, reading all of it, an error; reading no more than
/// needed, at least nothing else.
fn agree(
    way: Way,
    reading: Reading,
    sources: &[RuleSource],
    line: &Line,
    plain: &Result<Vec<Outcome>, DecodeError>,
    outcomes: Result<&[Outcome], DecodeError>,
) -> Result<(), String> {
    match (plain, outcomes) {
        (Err(_), Err(_)) => Ok(()),
        (Err(_), Ok([])) if reading == Reading::Enough => Ok(()),
        (Ok(_), _) if reading == Reading::Enough && line.repeats_a_key => Ok(()),
        (Ok(plain), Ok(outcomes)) if plain == outcomes => Ok(()),
        (Ok(plain), Ok(outcomes)) => Err(difference(&format!("{way:?}"), sources, line, outcomes, plain)),
        (Ok(_), Err(error)) => Err(format!("{way:?} takes this for no event, {error}: {}\n", shown(line))),
        (Err(error), Ok(_)) => {
            Err(format!("{way:?} takes this for an event, but {error}: {}\n", shown(line)))
        }
    }
}

/// What to read when they differ: the line, and the rules that they differ on.
fn difference(
    way: &str,
    sources: &[RuleSource],
    line: &Line,
    given: &[Outcome],
    wanted: &[Outcome],
) -> String {
    let mut text = format!("{way} differs on this line:\n{}\n", shown(line));
    for (index, source) in sources.iter().enumerate() {
        let of = |outcomes: &[Outcome]| outcomes.iter().find(|o| o.rule == index).map(|o| o.what);
        let (given, wanted) = (of(given), of(wanted));
        if given != wanted {
            writeln!(
                text,
                "rule {index}: {given:?} instead of {wanted:?}, missing body {:?}",
                source.missing_body
            )
            .unwrap();
            writeln!(text, "  {}", source.query).unwrap();
            for exception in &source.exceptions {
                writeln!(text, "  except until {:?}: {}", exception.expire, exception.query).unwrap();
            }
        }
    }
    text
}

fn shown(line: &Line) -> String {
    String::from_utf8_lossy(&line.text).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 600, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn everything_that_judges_says_the_same(case in case()) {
        case.run().map_err(TestCaseError::fail)?;
    }
}

/// How many cases the usual run takes; `PROPTEST_CASES` says otherwise.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(250)
}

/// A test that cannot fail is worth nothing: what is generated has to reach all there is to get wrong.
#[test]
fn what_is_generated_reaches_everything() {
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        rng_algorithm: RngAlgorithm::ChaCha,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let mut total = Tally::default();
    for _ in 0..60 {
        let case = case().new_tree(&mut runner).unwrap().current();
        total.merge(&case.run().unwrap());
    }
    total.check();
}
