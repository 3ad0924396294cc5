//! Events and queries made to be slow.
use super::{rule, verdict};
use crate::detect::{Context, Rule, RuleSource, Verdict};
use crate::event::{Event, Tape};

#[test]
fn a_body_as_deep_as_go_accepts_is_judged() {
    for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("{\"\":", "}")] {
        let body = format!("{}\"evil\"{}", open.repeat(10_000), close.repeat(10_000));
        let event = format!(r#"{{"verb":"patch","requestObject":{{"x":{body},"hostPID":true}}}}"#);
        assert_eq!(verdict("requestObject.hostPID:true", &event), Verdict::Match);
        assert_eq!(verdict("requestObject.*:evil", &event), Verdict::Match);
        assert_eq!(verdict("evil", &event), Verdict::Match);
        assert_eq!(verdict("requestObject:*", &event), Verdict::Match);
        assert_eq!(verdict("requestObject.x:{ nothing }", &event), Verdict::NoMatch);
        assert_eq!(verdict("requestObject.*a.a*q:evil", &event), Verdict::NoMatch);
        let path = format!("requestObject.x{}", ".a".repeat(10_000));
        let found = if open.contains('a') {
            Verdict::Match
        } else {
            Verdict::NoMatch
        };
        assert_eq!(verdict(&format!("{path}:evil"), &event), found);
    }
}

#[test]
fn many_leaves_behind_a_long_path_are_not_a_square() {
    let key = "k".repeat(500_000);
    let members: Vec<String> = (0..50_000).map(|n| format!("\"{n}\":1")).collect();
    let event = format!(r#"{{"requestObject":{{"{key}":{{{}}}}}}}"#, members.join(","));
    assert_eq!(verdict("requestObject.*q*z:1", &event), Verdict::NoMatch);
    assert_eq!(verdict("requestObject.*.49999:1", &event), Verdict::Match);
}

#[test]
fn equal_keys_by_the_hundred_thousand() {
    let members: Vec<String> = (0..100_000).map(|n| format!(r#""\u0061":{n}"#)).collect();
    let event = format!(r#"{{"requestObject":{{{},"a":"last"}}}}"#, members.join(","));
    assert_eq!(verdict("requestObject.a:last", &event), Verdict::Match);
    assert_eq!(verdict("requestObject.a:5", &event), Verdict::NoMatch);
    let mut tape = Tape::new();
    let event = Event::from_object(&event, &mut tape).unwrap();
    assert_eq!(event.root().get("requestObject").unwrap().members().count(), 1);
}

#[test]
fn a_long_query_on_a_large_event() {
    let field = format!("requestObject.{}", "f".repeat(30_000));
    let query = format!("{field}:({}x)", "a or ".repeat(6_000));
    assert_eq!(verdict(&query, r#"{"requestObject":{"a":1}}"#), Verdict::NoMatch);
    for query in [
        "((((".repeat(8_000),
        " ".repeat(60_000),
        "a ".repeat(30_000),
        "not ".repeat(10_000),
        "*".repeat(60_000) + ":a",
    ] {
        let source = RuleSource {
            query,
            ..RuleSource::default()
        };
        drop(Rule::compile(source));
    }
    let stars = format!("a:{}b", "*a".repeat(20_000));
    assert_eq!(
        verdict(&stars, &format!(r#"{{"a":"{}"}}"#, "a".repeat(100_000))),
        Verdict::NoMatch
    );
}

#[test]
fn depth_and_size_have_errors_of_their_own() {
    for (query, message) in [
        (format!("{}a:b{}", "(".repeat(64), ")".repeat(64)), None),
        (
            format!("{}a:b{}", "(".repeat(65), ")".repeat(65)),
            Some("a query has at most 64 levels of parentheses and braces"),
        ),
        (
            format!("{}b{}", "a:{".repeat(65), "}".repeat(65)),
            Some("a query has at most 64 levels of parentheses and braces"),
        ),
        (
            format!("a:{}b{}", "(".repeat(65), ")".repeat(65)),
            Some("a query has at most 64 levels of parentheses and braces"),
        ),
        (
            format!("a:{}", "b".repeat(64 * 1024)),
            Some("a query has at most 65536 bytes"),
        ),
    ] {
        let error = crate::query::parse(&query).err().map(|error| error.message);
        assert_eq!(error.as_deref(), message);
    }
}

#[test]
fn numbers_and_addresses_as_long_as_a_line() {
    let digits = "9".repeat(1_000_000);
    let event = format!(r#"{{"n":{digits},"m":1e{digits},"sourceIPs":["{digits}"]}}"#);
    assert_eq!(
        verdict(&format!("n:{}", "9".repeat(60_000)), &event),
        Verdict::NoMatch
    );
    assert_eq!(
        verdict("m > 5 and n > 5 and not sourceIPs:10.0.0.0/8", &event),
        Verdict::Match
    );
    let mut tape = Tape::new();
    let event = Event::from_object(&event, &mut tape).unwrap();
    assert_eq!(
        rule("m < 5").verdict(&event, &Context::default()),
        Verdict::NoMatch
    );
}
