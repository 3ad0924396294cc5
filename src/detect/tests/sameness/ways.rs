//! The ways to judge a line, and how two of them differ.
use std::fmt::Write as _;
use std::sync::Arc;

use super::lines::Line;
use super::reference::{ReferenceRule, judge};
use super::tally::Tally;
use crate::detect::{Context, Matcher, Outcome, Reading, Rule, RuleSet, RuleSource};
use crate::event::{DecodeError, Event, Tape};

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

/// Judges every line in every way; answers with what was met, or with how the first difference came about.
pub(super) fn compare(
    sources: &[RuleSource],
    lines: &[Line],
    context: &Context<'_>,
) -> Result<Tally, String> {
    let compiled = sources.iter().map(|source| Arc::new(Rule::compile(source.clone()).unwrap().0));
    let set = Arc::new(RuleSet::new(compiled.collect()));
    let reference: Vec<ReferenceRule> = sources.iter().map(ReferenceRule::new).collect();
    let mut tally = Tally::of_rules(sources);

    let mut expected = Vec::new();
    for line in lines {
        let plain = plainly(&set, &line.text, context);
        if let (Ok(value), Ok(plain)) = (serde_json::from_slice(&line.text), &plain) {
            let wanted = judge(&reference, &value, context);
            if wanted != *plain {
                return Err(difference("the plain evaluation", sources, line, plain, &wanted));
            }
            tally.referred += 1;
        }
        tally.add(line, &plain, sources.len());
        expected.push(plain);
    }

    let text = text_of(lines);
    for way in WAYS {
        let mut matcher = way.matcher(&set, context);
        let mut from = 0;
        for (index, (line, plain)) in lines.iter().zip(&expected).enumerate() {
            let reading = way.reading(index);
            let (next, outcomes) = if way.of_a_text {
                matcher.judge_next(&text, from, reading)
            } else {
                (0, matcher.judge(&line.text, reading))
            };
            agree(way, reading, sources, line, plain, outcomes).map_err(|difference| {
                let mut fresh = way.matcher(&set, context);
                let alone = agree(way, reading, sources, line, plain, fresh.judge(&line.text, reading));
                let fresh = if alone.is_ok() { "does not" } else { "does too" };
                format!("{difference}A fresh matcher {fresh}.\n")
            })?;
            let end = (from + line.text.len() + 1).min(text.len());
            if way.of_a_text && next != end {
                return Err(format!("{way:?}: the next line is at {end}, not at {next}: {}", shown(line)));
            }
            from = next;
        }
    }
    Ok(tally)
}

/// The lines as one text, whose last line may end or not.
fn text_of(lines: &[Line]) -> Vec<u8> {
    let mut text = lines.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>().join(&b'\n');
    text.extend(lines.len().is_multiple_of(2).then_some(b'\n'));
    text
}

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
