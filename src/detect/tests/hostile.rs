//! Events and queries made to be slow.
use proptest::prelude::*;

use super::{rule, verdict};
use crate::detect::{Context, Rule, RuleSource, Verdict, explain, is_decisive};
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
        let found = if open.contains('a') { Verdict::Match } else { Verdict::NoMatch };
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
        let source = RuleSource { query, ..RuleSource::default() };
        drop(Rule::compile(source));
    }
    let stars = format!("a:{}b", "*a".repeat(20_000));
    assert_eq!(verdict(&stars, &format!(r#"{{"a":"{}"}}"#, "a".repeat(100_000))), Verdict::NoMatch);
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
        (format!("a:{}", "b".repeat(64 * 1024)), Some("a query has at most 65536 bytes")),
    ] {
        let error = crate::query::parse(&query).err().map(|error| error.message);
        assert_eq!(error.as_deref(), message);
    }
}

#[test]
fn numbers_and_addresses_as_long_as_a_line() {
    let digits = "9".repeat(1_000_000);
    let event = format!(r#"{{"n":{digits},"m":1e{digits},"sourceIPs":["{digits}"]}}"#);
    assert_eq!(verdict(&format!("n:{}", "9".repeat(60_000)), &event), Verdict::NoMatch);
    assert_eq!(verdict("m > 5 and n > 5 and not sourceIPs:10.0.0.0/8", &event), Verdict::Match);
    let mut tape = Tape::new();
    let event = Event::from_object(&event, &mut tape).unwrap();
    assert_eq!(rule("m < 5").verdict(&event, &Context::default()), Verdict::NoMatch);
}

/// A piece of a query that means something, or any text.
fn word() -> impl Strategy<Value = String> {
    let words = vec![
        "verb",
        "@timestamp",
        "sourceIPs",
        "podSpec.allContainers",
        "kubernetes.audit",
        "kubernetes.audit.annotations",
        "requestObject.*",
        "exec.argv",
        "request.dryRun",
        "now/d",
        "2026-01-01||+1M",
        "10.0.0.0/8",
        "1e9",
        "*",
        ":",
        ":{ ",
        " }",
        "(",
        ")",
        " and ",
        " or ",
        "not ",
        " > ",
        " <= ",
        "true",
        "\"",
        "€",
    ];
    prop_oneof![8 => prop::sample::select(words).prop_map(str::to_owned), 1 => "\\PC{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn any_query_on_any_event_comes_to_something(
        words in prop::collection::vec(word(), 1..12),
        date in "(2026-01-02T03:04:05Z|9999-12-30T00:00:00Z|-9999-01-02T00:00:00Z|x)",
        uri in "/exec\\?(command=|%|[a-z&=+]){0,6}\\PC{0,2}",
    ) {
        let query = words.concat();
        let source = RuleSource { query: query.clone(), group_by: words[..1].to_vec(), ..RuleSource::default() };
        if let Ok((rule, findings)) = Rule::compile(source) {
            let event = serde_json::json!({
                "verb": "create", "stageTimestamp": date, "requestURI": uri, "sourceIPs": ["10.0.0.1", date],
                "requestObject": { "spec": { "containers": [{ "image": date }] }, "n": 5 }, "level": "Request",
            });
            let (text, mut tape) = (event.to_string(), Tape::new());
            let event = Event::from_object(&text, &mut tape).unwrap();
            let context = Context::default();
            prop_assert_eq!(explain(&rule, &event, &context).verdict, rule.verdict(&event, &context));
            prop_assert!(rule.group(&event, &context).len() < 12 && is_decisive(&event, &context));
            prop_assert!(findings.iter().all(|finding| finding.diagnostic.message.len() < 500));
        }
    }
}
