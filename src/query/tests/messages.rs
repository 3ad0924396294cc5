//! The messages as an author reads them.
use super::parse;

/// The errors, as they are shown.
fn shown(queries: &[&str]) -> String {
    queries.iter().map(|query| error(query) + "\n").collect::<Vec<_>>().join("\n")
}

/// The error, as it is shown.
fn error(query: &str) -> String {
    parse(query).unwrap_err().render(query)
}

#[test]
fn errors_in_values() {
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
}

#[test]
fn errors_between_conditions() {
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
        "verb = \"create\"",
        "verb in (\"get\" or list)",
        "user.username startswith \"a\"",
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

    line 1, column 8: expected `and`, `or` or the end of the query
      verb = "create"
             ^
    help: `=` is no KQL: write `verb:value`

    line 1, column 9: expected `and`, `or` or the end of the query
      verb in ("get" or list)
              ^
    help: `in` is no KQL: write `verb:(one or other)`

    line 1, column 26: expected `and`, `or` or the end of the query
      user.username startswith "a"
                               ^
    help: `startswith` is no KQL: write `user.username:text*`
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
    let query = format!("a:{}\u{1b}[31m\u{202e}x:y{}", "b".repeat(5_000), " c".repeat(5_000));
    let shown = error(&query);
    assert!(shown.len() < 1_000, "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']));
    let (line, caret) = (shown.lines().nth(1).unwrap(), shown.lines().nth(2).unwrap());
    let at = caret.chars().count() - 1;
    assert_eq!(line.chars().nth(at), Some(':'), "{shown}");
}
