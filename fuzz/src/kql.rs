//! A rule's text, which whoever may write rules chooses.
use tripline::detect::{Rule, RuleSource};
use tripline::query::{Diagnostic, Expr, Literal, MAX_LENGTH, Values, parse};

/// Bytes of a query that is compiled too: looking for the known name nearest to each unknown one takes long.
const MOST_COMPILED: usize = 96;

/// A text parses or is refused with a message that can be shown; what parses is printed as a text that says the same.
/// A short one is also compiled, or refused, as a rule.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = match parse(text) {
        Ok(parsed) => parsed,
        Err(error) => return check_message(text, &error),
    };
    for warning in &parsed.warnings {
        check_message(text, warning);
    }

    let printed = parsed.expr.to_string();
    // Escapes are longer than what they stand for, so that the longest queries print as too long ones.
    if printed.len() <= MAX_LENGTH {
        let again = match parse(&printed) {
            Ok(again) => again.expr,
            Err(error) => panic!("{printed:?} was printed of {text:?}: {}", error.render(&printed)),
        };
        assert_eq!(printed, again.to_string(), "printed of {text:?}, and again");
        assert_eq!(meaning(parsed.expr), meaning(again), "{printed:?} was printed of {text:?}");
    }

    if text.len() > MOST_COMPILED {
        return;
    }
    let source = RuleSource { query: text.to_owned(), ..RuleSource::default() };
    let findings = Rule::compile(source).map_or_else(|findings| findings, |(_, warnings)| warnings);
    for finding in findings {
        check_message(text, &finding.diagnostic);
    }
}

fn check_message(text: &str, diagnostic: &Diagnostic) {
    assert!(text.get(diagnostic.span.clone()).is_some(), "{:?} in {text:?}", diagnostic.span);
    let rendered = diagnostic.render(text);
    assert!(rendered.len() < 4_000 && rendered.lines().count() <= 4, "{rendered}");
    assert!(rendered.chars().all(|c| c == '\n' || !c.is_control()), "{rendered:?}");
}

/// The tree without its places, and without quotes where they make no difference.
fn meaning(mut expr: Expr) -> Expr {
    strip(&mut expr);
    expr
}

fn strip(expr: &mut Expr) {
    match expr {
        Expr::Everything => {}
        Expr::And(parts) | Expr::Or(parts) => parts.iter_mut().for_each(strip),
        Expr::Not(inner) => strip(inner),
        Expr::Field { field, values } => {
            strip_literal(field);
            strip_values(values);
        }
        Expr::Range { field, value, .. } => {
            strip_literal(field);
            strip_literal(value);
        }
        Expr::Nested { field, query } => {
            strip_literal(field);
            strip(query);
        }
        Expr::Bare(value) => strip_literal(value),
    }
}

fn strip_values(values: &mut Values) {
    match values {
        Values::One(value) => strip_literal(value),
        Values::And(parts) | Values::Or(parts) => parts.iter_mut().for_each(strip_values),
        Values::Not(inner) => strip_values(inner),
    }
}

fn strip_literal(literal: &mut Literal) {
    literal.quoted = literal.as_bool().is_none();
    literal.span = 0..0;
}
