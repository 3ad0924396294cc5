//! Whatever a rule set and a log hold, everything that judges gives the same outcomes, rule by rule: the plain
//! evaluation, a matcher that knows how an API server writes and remembers what it met, and a reference written from the
//! language page alone.
//!
//! A line and a rule are each as good as their seed, so a failing case shrinks to the lines and rules that it takes. More
//! cases than the usual ones: `make sameness`.
mod bodies;
mod crowd;
mod dice;
mod events;
mod json;
mod lines;
mod names;
mod pools;
mod reference;
mod rules;
mod tally;
mod ways;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, RngSeed, TestRunner};

use self::lines::line;
use self::rules::rule;
use self::tally::Tally;
use self::ways::compare;
use crate::detect::Context;
use crate::event::Stage;

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
    // Where few rules are, most of a line is not read.
    let rules = prop_oneof![
        8 => prop::collection::vec(seed(), 1..=3),
        5 => prop::collection::vec(seed(), 4..12),
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

    /// Judges every line in every way.
    fn run(&self) -> Result<Tally, String> {
        let sources: Vec<_> = self.rules.iter().map(|seed| rule(*seed)).collect();
        let lines: Vec<_> = self.lines.iter().map(|seed| line(*seed)).collect();
        compare(&sources, &lines, &self.context())
    }
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
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(800)
}

/// A test that cannot fail is worth nothing: what is generated has to reach all there is to get wrong.
#[test]
fn what_is_generated_reaches_everything() {
    let config = ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        rng_algorithm: RngAlgorithm::ChaCha,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let mut total = Tally::default();
    for _ in 0..60 {
        let case = case().new_tree(&mut runner).unwrap().current();
        total.merge(&case.run().unwrap());
    }
    total.check();
}

/// A matcher remembers only so many values, and only so many ways in which they differ.
#[test]
fn more_different_values_than_a_matcher_remembers() {
    let (rules, lines) = crowd::crowd();
    let tally = compare(&rules, &lines, &Context::default()).unwrap();
    tally.check_matches();
}
