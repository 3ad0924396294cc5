//! A rule's own tests: events, and what its query must say of each.

use crate::api::{Expectation, RuleTest};
use crate::detect::{self, Context, Exception, Verdict};
use crate::event::{Event, Tape};

/// How one of a rule's own tests came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// The test's name.
    pub name: String,
    /// What it expects.
    pub expected: Expectation,
    /// What the query said, or why it was not asked.
    pub got: Result<Expectation, NotJudged>,
}

impl TestOutcome {
    /// Whether the query said what was expected.
    pub fn ok(&self) -> bool {
        self.got.as_ref() == Ok(&self.expected)
    }
}

/// Why a test's event was not judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    /// It is no audit event.
    #[error("the test's event cannot be read: {0}")]
    InvalidEvent(String),
    /// The time for all tests ran out first.
    #[error("the time for the rule's tests ran out")]
    OutOfTime,
}

/// Runs a rule's own tests, one after the other while `in_time` says so. It is asked before each.
///
/// A test states the query's verdict, before the decisive stage and exceptions.
pub fn run_tests(
    rule: &detect::Rule,
    tests: &[RuleTest],
    mut in_time: impl FnMut() -> bool,
) -> Vec<TestOutcome> {
    let mut tape = Tape::default();
    let context = Context::default();
    tests
        .iter()
        .map(|test| {
            let got =
                if in_time() { judge(rule, test, &context, &mut tape) } else { Err(NotJudged::OutOfTime) };
            TestOutcome { name: test.name.clone(), expected: test.expect, got }
        })
        .collect()
}

fn judge(
    rule: &detect::Rule,
    test: &RuleTest,
    context: &Context<'_>,
    tape: &mut Tape,
) -> Result<Expectation, NotJudged> {
    let object =
        serde_json::to_string(&test.event).map_err(|error| NotJudged::InvalidEvent(error.to_string()))?;
    let event =
        Event::from_object(&object, tape).map_err(|error| NotJudged::InvalidEvent(error.to_string()))?;
    Ok(match rule.verdict(&event, context) {
        Verdict::Match => Expectation::Match,
        Verdict::NoMatch => Expectation::NoMatch,
        Verdict::Unknown => Expectation::Unknown,
    })
}

/// The names of the exceptions that cover each of the tests that must match, if there is such a test.
pub fn covering<'e, E: AsRef<Exception> + 'e>(
    exceptions: impl IntoIterator<Item = &'e E>,
    tests: &[RuleTest],
) -> Vec<String> {
    let mut left: Vec<&Exception> = exceptions.into_iter().map(AsRef::as_ref).collect();
    let mut is_tested = false;
    let mut tape = Tape::default();
    for test in tests.iter().filter(|test| test.expect == Expectation::Match) {
        if left.is_empty() {
            break;
        }
        let Ok(object) = serde_json::to_string(&test.event) else { continue };
        if let Ok(event) = Event::from_object(&object, &mut tape) {
            is_tested = true;
            left.retain(|exception| exception.verdict(&event, &Context::default()) == Verdict::Match);
        }
    }
    if is_tested {
        left.into_iter().map(|exception| exception.name().to_owned()).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DetectionRule;
    use crate::controller::compile::compile;
    use serde_json::json;

    #[test]
    fn tests_are_run_while_there_is_time() {
        let rule: DetectionRule = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {
            "displayName": "x", "severity": "Low", "riskScore": 1, "query": "verb: create", "tests": [
            {"name": "right", "event": {"verb": "create"}, "expect": "Match"},
            {"name": "wrong", "event": {"verb": "create"}, "expect": "NoMatch"},
            {"name": "late", "event": {"verb": "create"}, "expect": "Match"},
        ]}}))
        .unwrap();
        let compiled = compile(&rule).unwrap();
        let mut left = 2;
        let outcomes = run_tests(&compiled.rule, &rule.spec.tests, || {
            left -= 1;
            left >= 0
        });
        let ok: Vec<_> = outcomes.iter().map(|outcome| (outcome.name.as_str(), outcome.ok())).collect();
        assert_eq!(ok, [("right", true), ("wrong", false), ("late", false)]);
        assert_eq!(outcomes[2].got, Err(NotJudged::OutOfTime));
    }
}
