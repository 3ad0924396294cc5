//! The parser on what the page says, and on anything.
mod messages;

use proptest::prelude::*;

use super::{Diagnostic, Expr, Literal, Operator, Values, parse};

#[test]
fn escapes() {
    for (query, text) in [
        (r#""a\t\r\n\\\"\u00e9\ud83d\ude00\ud83d\x""#, "a\t\r\n\\\"é😀\u{fffd}\\x"),
        (r"a\t\r\n\\\:\*\u00e9\ud83d\ude00\ud83d", "a\t\r\n\\:*é😀\u{fffd}"),
        (r"a \and b \or c \not d", "a and b or c not d"),
        (r"a\nb\nothing \not", "a\nb\nothing not"),
        ("  a  b\u{a0}\t", "a  b"),
        (r"a\u0020", "a "),
    ] {
        let Expr::Bare(literal) = parse(query).unwrap().expr else { panic!("{query}") };
        assert_eq!(literal.plain(), Some(text), "{query}");
    }
}

#[test]
fn the_spans_are_where_the_texts_are() {
    let query = " a.b : ( \"c\" or d*  ) and e >= 5 ";
    let Expr::And(parts) = parse(query).unwrap().expr else { panic!() };
    let Expr::Field { field, values: Values::Or(values) } = &parts[0] else { panic!() };
    let (Values::One(first), Values::One(second)) = (&values[0], &values[1]) else { panic!() };
    let Expr::Range { field: bound, value, .. } = &parts[1] else { panic!() };
    let texts = [field, first, second, bound, value].map(|literal| &query[literal.span.clone()]);
    assert_eq!(texts, ["a.b", "\"c\"", "d*", "e", "5"]);
}

#[test]
fn a_line_feed_before_ot_is_printed_as_no_word() {
    for text in ["\not", "\nOT x", "\nother"] {
        let literal = Literal { pieces: vec![text.to_owned(), String::new()], quoted: false, span: 0..0 };
        let expr = Expr::Bare(literal);
        assert_eq!(meaning(&parse(&expr.to_string()).unwrap().expr), meaning(&expr), "{expr}");
    }
}

fn literal() -> impl Strategy<Value = Literal> {
    let piece = prop_oneof![
        "[a-c]{0,3}",
        "[ -~]{0,6}",
        "(not|and|or| |x|\\\\|\u{a0}){0,4}",
        any::<String>().prop_map(|text| text.chars().take(5).collect()),
    ];
    let words = prop::sample::select(vec!["true", "false", "null", "not", "and", "OR", "cannot"]);
    prop_oneof![
        3 => (piece.clone(), any::<bool>()).prop_map(|(text, quoted)| (vec![text], quoted)),
        1 => (words, any::<bool>()).prop_map(|(text, quoted)| (vec![text.to_owned()], quoted)),
        2 => prop::collection::vec(piece, 2..4).prop_map(|pieces| (pieces, false)),
    ]
    .prop_map(|(pieces, quoted)| {
        let literal = Literal { pieces, quoted, span: 0..0 };
        Literal { quoted: quoted || literal.is_null(), ..literal }
    })
}

fn values() -> impl Strategy<Value = Values> {
    literal().prop_map(Values::One).prop_recursive(3, 12, 3, |inner| {
        let not_not = |values: &Values| !matches!(values, Values::Not(_));
        let not =
            inner.clone().prop_filter("one not", not_not).prop_map(|values| Values::Not(Box::new(values)));
        let not_and = |values: &Values| !matches!(values, Values::And(_));
        let not_or = |values: &Values| !matches!(values, Values::Or(_));
        prop_oneof![
            not,
            prop::collection::vec(inner.clone().prop_filter("flat", not_and), 2..4).prop_map(Values::And),
            prop::collection::vec(inner.prop_filter("flat", not_or), 2..4).prop_map(Values::Or),
        ]
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    let operators = [Operator::Less, Operator::LessOrEqual, Operator::Greater, Operator::GreaterOrEqual];
    let leaf = prop_oneof![
        (literal(), values()).prop_map(|(field, values)| Expr::Field { field, values }),
        (literal(), prop::sample::select(operators.to_vec()), literal())
            .prop_map(|(field, operator, value)| Expr::Range { field, operator, value }),
        literal().prop_map(Expr::Bare),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Expr::Not(Box::new(part))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            (literal(), inner).prop_map(|(field, query)| Expr::Nested { field, query: Box::new(query) }),
        ]
    })
}

/// The tree in a text that leaves nothing out but places, and quotes where they make no difference.
fn meaning(expr: &Expr) -> String {
    fn of(literal: &Literal) -> String {
        format!("{:?}{:?}", literal.pieces, literal.as_bool())
    }
    fn of_values(values: &Values) -> String {
        match values {
            Values::One(value) => of(value),
            Values::And(parts) => format!("and{:?}", parts.iter().map(of_values).collect::<Vec<_>>()),
            Values::Or(parts) => format!("or{:?}", parts.iter().map(of_values).collect::<Vec<_>>()),
            Values::Not(inner) => format!("not({})", of_values(inner)),
        }
    }
    match expr {
        Expr::Everything => "everything".to_owned(),
        Expr::And(parts) => format!("And{:?}", parts.iter().map(meaning).collect::<Vec<_>>()),
        Expr::Or(parts) => format!("Or{:?}", parts.iter().map(meaning).collect::<Vec<_>>()),
        Expr::Not(inner) => format!("Not({})", meaning(inner)),
        Expr::Field { field, values } => format!("{}:{}", of(field), of_values(values)),
        Expr::Range { field, operator, value } => format!("{}{operator:?}{}", of(field), of(value)),
        Expr::Nested { field, query } => format!("{}:{{{}}}", of(field), meaning(query)),
        Expr::Bare(value) => of(value),
    }
}

fn check_spans(query: &str, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        assert!(query.get(diagnostic.span.clone()).is_some(), "{:?} in {query:?}", diagnostic.span);
        let rendered = diagnostic.render(query);
        assert!(rendered.len() < 4_000 && rendered.lines().count() <= 4, "{rendered}");
        assert!(rendered.chars().all(|c| c == '\n' || !c.is_control()), "{rendered:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_text_parses_or_has_an_error_in_its_bounds(query in "([ -~\n]|a:|\"|\\\\|not | and | or |[(){}:*<>]|\\PC){0,40}") {
        match parse(&query) {
            Ok(parsed) => check_spans(&query, &parsed.warnings),
            Err(error) => check_spans(&query, &[error]),
        }
    }

    #[test]
    fn a_printed_tree_parses_to_itself(expr in expr()) {
        let printed = expr.to_string();
        let parsed = parse(&printed).map_err(|error| error.render(&printed)).unwrap();
        prop_assert_eq!(meaning(&parsed.expr), meaning(&expr), "{}", printed);
        check_spans(&printed, &parsed.warnings);
    }
}
