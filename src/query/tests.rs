//! The messages as an author reads them, and the parser on anything.
use proptest::prelude::*;

use super::{Diagnostic, Expr, Literal, Operator, Values, parse};

/// The error, as it is shown.
fn error(query: &str) -> String {
    parse(query).unwrap_err().render(query)
}

#[test]
fn errors_say_what_was_expected_and_what_to_write() {
    let shown = |queries: &[&str]| {
        queries
            .iter()
            .map(|query| error(query) + "\n")
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(shown(&[
        "verb:create and\nobjectRef.resource:\"pods\" and\nuser.name: ",
        "groups:system:*",
        "code:>400",
        "verb:not create",
        "verb:cannot be",
        "verb:()",
        "verb:(create or )",
        "f:null",
        "null or a:b",
        "x:C:\\\\Win",
        "x:a\\-b",
        "x:a\\",
        "a::b",
        "a <> b",
        "a < (b or c)",
        "a: {b:c} and d:({e:f})",
    ]), @r##"
    line 3, column 12: expected a value after ":"
      user.name: 
                 ^

    line 1, column 14: expected `and`, `or` or the end of the query
      groups:system:*
                   ^
    help: a colon in a value is written `\:`, as in `system\:…`, or in double quotes; two conditions are joined by `and`

    line 1, column 6: expected a value after ":"
      code:>400
           ^
    help: a range has no colon: `code > value`

    line 1, column 6: expected a value after ":"
      verb:not create
           ^
    help: `not` in front of a value needs parentheses: `verb:(not …)`

    line 1, column 9: expected `and`, `or` or the end of the query
      verb:cannot be
              ^
    help: `not` and white space end a value even inside a word: put the value in double quotes

    line 1, column 7: expected a value after `(`
      verb:()
            ^

    line 1, column 17: expected a value after `or`
      verb:(create or )
                      ^

    line 1, column 3: `null` is not a value that an event can have
      f:null
        ^^^^
    help: for a missing field write `not f:*`

    line 1, column 1: `null` is not a value that an event can have
      null or a:b
      ^^^^
    help: for the word write `"null"`

    line 1, column 4: expected `and`, `or` or the end of the query
      x:C:\\Win
         ^
    help: a colon in a value is written `\:`, as in `C\:…`, or in double quotes; two conditions are joined by `and`

    line 1, column 4: expected a character that has to be escaped after `\`, not `-`
      x:a\-b
         ^^
    help: write a plain backslash as `\\`, or put the value in double quotes

    line 1, column 4: expected a character after `\`
      x:a\
         ^
    help: write a plain backslash as `\\`

    line 1, column 3: expected a value after ":"
      a::b
        ^
    help: one colon is enough; a colon in a value is written `\:` or in double quotes

    line 1, column 3: expected a value after `<`
      a <> b
        ^^
    help: `<>` is no KQL: write `not field:value`

    line 1, column 5: expected a value after `<`
      a < (b or c)
          ^
    help: a range takes one value: write `field < value or …`

    line 1, column 17: expected a value after `(`
      a: {b:c} and d:({e:f})
                      ^
    help: braces follow the field's colon at once: `field:{ … }`
    "##);
    insta::assert_snapshot!(shown(&[
        "verb:create && ns:kube-system",
        "(a:b) || c:d",
        "not not x:y",
        "f:(not not a)",
        "not(a:x)",
        "a:(x)or b:y",
        "a:\"b\"and c:d",
        "a:\"b\" c:d",
        "a:b \"c\"",
        "(a:b and c:d",
        "a:{ b:c",
        "a:b)",
        "a:\"b",
        ":b",
        "{a:b}",
        "a:b and ",
        "a:b or ) and c:d",
    ]), @r##"
    line 1, column 18: expected `and`, `or` or the end of the query
      verb:create && ns:kube-system
                       ^
    help: `&&` is no KQL: write `and`

    line 1, column 7: expected `and`, `or` or the end of the query
      (a:b) || c:d
            ^
    help: `||` is no KQL: write `or`

    line 1, column 5: expected a condition after `not`
      not not x:y
          ^^^^
    help: `not not x` is no KQL: write `x`, or `not (not x)`

    line 1, column 8: expected a condition after `not`
      f:(not not a)
             ^^^^
    help: `not not x` is no KQL: write `x`, or `not (not x)`

    line 1, column 4: expected `and`, `or` or the end of the query
      not(a:x)
         ^
    help: write `not (`, with white space between

    line 1, column 6: expected `and`, `or` or the end of the query
      a:(x)or b:y
           ^
    help: `and` and `or` need white space on both sides

    line 1, column 6: expected `and`, `or` or the end of the query
      a:"b"and c:d
           ^
    help: `and` and `or` need white space on both sides

    line 1, column 7: expected `and`, `or` or the end of the query
      a:"b" c:d
            ^

    line 1, column 5: expected `and`, `or` or the end of the query
      a:b "c"
          ^
    help: a quote in a value is written `\"`; quotes stand around the whole value

    line 1, column 1: expected a closing `)` for this `(`
      (a:b and c:d
      ^

    line 1, column 3: expected a closing `}` for this `{`
      a:{ b:c
        ^

    line 1, column 4: expected `and`, `or` or the end of the query
      a:b)
         ^
    help: nothing is open that this would close

    line 1, column 3: expected a closing `"` for this one
      a:"b
        ^

    line 1, column 1: expected a condition such as `verb:create`
      :b
      ^
    help: a field's name comes first: `verb:create`

    line 1, column 1: expected a condition such as `verb:create`
      {a:b}
      ^
    help: braces belong to a field: `field:{ … }`

    line 1, column 9: expected a condition after `and`
      a:b and 
              ^

    line 1, column 8: expected a condition after `or`
      a:b or ) and c:d
             ^
    "##);
}

#[test]
fn a_place_is_counted_in_characters_and_lines() {
    let query = "user.name:\"ä\nö\" and\n\u{a0}é:x:y";
    let error = parse(query).unwrap_err();
    assert_eq!(error.line_column(query), (3, 5));
    assert_eq!(error.render(query).lines().nth(1), Some("  \u{a0}é:x:y"));
    assert_eq!(error.render(query).lines().nth(2), Some("      ^"));
}

#[test]
fn what_is_shown_is_short_and_harmless() {
    let query = format!(
        "a:{}\u{1b}[31m\u{202e}x:y{}",
        "b".repeat(5_000),
        " c".repeat(5_000)
    );
    let shown = error(&query);
    assert!(shown.len() < 1_000, "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']));
    let (line, caret) = (shown.lines().nth(1).unwrap(), shown.lines().nth(2).unwrap());
    let at = caret.chars().count() - 1;
    assert_eq!(line.chars().nth(at), Some(':'), "{shown}");
}

#[test]
fn escapes() {
    for (query, text) in [
        (
            r#""a\t\r\n\\\"\u00e9\ud83d\ude00\ud83d\x""#,
            "a\t\r\n\\\"é😀\u{fffd}\\x",
        ),
        (r"a\t\r\n\\\:\*\u00e9\ud83d\ude00\ud83d", "a\t\r\n\\:*é😀\u{fffd}"),
        (r"a \and b \or c \not d", "a and b or c not d"),
        (r"a\nb\nothing \not", "a\nb\nothing not"),
        ("  a  b\u{a0}\t", "a  b"),
        (r"a\u0020", "a "),
    ] {
        let Expr::Bare(literal) = parse(query).unwrap().expr else {
            panic!("{query}")
        };
        assert_eq!(literal.plain(), Some(text), "{query}");
    }
}

#[test]
fn the_spans_are_where_the_texts_are() {
    let query = " a.b : ( \"c\" or d*  ) and e >= 5 ";
    let Expr::And(parts) = parse(query).unwrap().expr else {
        panic!()
    };
    let Expr::Field {
        field,
        values: Values::Or(values),
    } = &parts[0]
    else {
        panic!()
    };
    let (Values::One(first), Values::One(second)) = (&values[0], &values[1]) else {
        panic!()
    };
    let Expr::Range {
        field: bound, value, ..
    } = &parts[1]
    else {
        panic!()
    };
    let texts = [field, first, second, bound, value].map(|literal| &query[literal.span.clone()]);
    assert_eq!(texts, ["a.b", "\"c\"", "d*", "e", "5"]);
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
        let literal = Literal {
            pieces,
            quoted,
            span: 0..0,
        };
        Literal {
            quoted: quoted || literal.is_null(),
            ..literal
        }
    })
}

fn values() -> impl Strategy<Value = Values> {
    literal().prop_map(Values::One).prop_recursive(3, 12, 3, |inner| {
        let not_not = |values: &Values| !matches!(values, Values::Not(_));
        let not = inner
            .clone()
            .prop_filter("one not", not_not)
            .prop_map(|values| Values::Not(Box::new(values)));
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
    let operators = [
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ];
    let leaf = prop_oneof![
        (literal(), values()).prop_map(|(field, values)| Expr::Field { field, values }),
        (literal(), prop::sample::select(operators.to_vec()), literal()).prop_map(
            |(field, operator, value)| Expr::Range {
                field,
                operator,
                value
            }
        ),
        literal().prop_map(Expr::Bare),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Expr::Not(Box::new(part))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            (literal(), inner).prop_map(|(field, query)| Expr::Nested {
                field,
                query: Box::new(query)
            }),
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
        Expr::Range {
            field,
            operator,
            value,
        } => format!("{}{operator:?}{}", of(field), of(value)),
        Expr::Nested { field, query } => format!("{}:{{{}}}", of(field), meaning(query)),
        Expr::Bare(value) => of(value),
    }
}

fn check_spans(query: &str, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        assert!(
            query.get(diagnostic.span.clone()).is_some(),
            "{:?} in {query:?}",
            diagnostic.span
        );
        let rendered = diagnostic.render(query);
        assert!(
            rendered.len() < 4_000 && rendered.lines().count() <= 4,
            "{rendered}"
        );
        assert!(
            rendered.chars().all(|c| c == '\n' || !c.is_control()),
            "{rendered:?}"
        );
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
