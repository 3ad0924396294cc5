//! The language pages as tables, and the rules around a match.
mod cases;
mod dates;
mod exceptions;
mod explaining;
mod fields;
mod hostile;
mod remarks;
mod rules;
mod sameness;
mod secrets;
mod unlogged;

use super::{Context, MissingBody, Rule, RuleSource, Verdict};
use crate::event::{Event, Tape};

/// Compiles a rule of this query alone.
fn rule(query: &str) -> Rule {
    let source = RuleSource { query: query.to_owned(), ..RuleSource::default() };
    match Rule::compile(source) {
        Ok((rule, _)) => rule,
        Err(findings) => panic!("{query}: {findings:?}"),
    }
}

fn verdict_with(query: &str, event: &str, missing_body: MissingBody) -> Verdict {
    let mut tape = Tape::new();
    let event = Event::from_object(event, &mut tape).unwrap();
    let source = RuleSource { query: query.to_owned(), missing_body, ..RuleSource::default() };
    let (rule, _) = Rule::compile(source).unwrap_or_else(|findings| panic!("{query}: {findings:?}"));
    rule.verdict(&event, &Context { cluster: Some("prod"), omitted_stages: &[] })
}

fn verdict(query: &str, event: &str) -> Verdict {
    verdict_with(query, event, MissingBody::Unknown)
}

/// Checks rows of (query, whether it matches) on one event.
fn check(event: &str, rows: &[(&str, bool)]) {
    for (query, matches) in rows {
        let expected = if *matches { Verdict::Match } else { Verdict::NoMatch };
        assert_eq!(verdict(query, event), expected, "{query} on {event}");
    }
}
