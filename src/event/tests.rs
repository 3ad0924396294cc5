//! The reader against another one, on what Go accepts, and on what it must refuse; the event's accessors.
use proptest::prelude::*;
use serde_json::Value as Json;

use super::{Event, JsonError, Kind, MAX_DEPTH, Stage, Tape, Value, Wanted};

/// The value as serde_json has it, without recursing deeper than the tests' texts.
fn to_json(value: Value<'_>) -> Json {
    match value.kind() {
        Kind::Null => Json::Null,
        Kind::True => Json::Bool(true),
        Kind::False => Json::Bool(false),
        Kind::Number => serde_json::from_str(value.raw()).unwrap(),
        Kind::Text | Kind::EscapedText => Json::String(value.text().unwrap().into_owned()),
        Kind::Array => value.elements().map(to_json).collect(),
        Kind::Object => {
            value.members().map(|(key, value)| (key.text().into_owned(), to_json(value))).collect()
        }
    }
}

fn read(text: &str) -> Result<Json, JsonError> {
    Tape::new().read(text).map(to_json)
}

fn text(json: &str) -> String {
    Tape::new().read(json).unwrap().text().unwrap().into_owned()
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 60, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Json::from),
            prop::collection::vec((any::<String>(), inner), 0..12)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_another_writer_writes_is_read_as_it_was(json in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        // Through its own text, because numbers may change in writing.
        let expected: Json = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read(&text).unwrap(), expected);
    }

    #[test]
    fn any_text_is_accepted_or_refused_as_by_another_reader(
        text in "([{}\\[\\],: \n]|\"[a-c]?\"|\"\\\\[ntu\"x]\"|\"a\":|[0-9.eE+-]{1,3}|true|null|fals|\\PC){0,14}",
    ) {
        let other = serde_json::from_str::<Json>(&text);
        match read_kind(&text) {
            Ok(()) => prop_assert!(other.is_ok() || is_out_of_range(&other), "{}: {:?}", text, other),
            Err(error) => prop_assert!(other.is_err(), "{}: {}", text, error),
        }
    }
}

fn read_kind(text: &str) -> Result<(), JsonError> {
    Tape::new().read(text).map(|_| ())
}

/// serde_json refuses numbers that no float holds; we keep their text.
fn is_out_of_range(other: &serde_json::Result<Json>) -> bool {
    other.as_ref().is_err_and(|error| error.to_string().contains("out of range"))
}

#[test]
fn texts_that_are_no_json() {
    for bad in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{a:1}",
        "{'a':1}",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "tru",
        "nulL",
        "NaN",
        "[1]]",
        "{} {}",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123",
        "\"\n\"",
        "\"\u{1f}\"",
        "// note\n1",
        "[}",
        "{]",
        "{\"a\":1]",
        "\u{feff}{}",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "[,1]",
    ] {
        assert!(read_kind(bad).is_err(), "{bad:?}");
        assert!(serde_json::from_str::<Json>(bad).is_err(), "{bad:?}");
    }
    let error = read_kind("{\"a\":1,}").unwrap_err();
    assert_eq!(error.to_string(), "expected a key in quotes at byte 7");
}

#[test]
fn a_control_character_is_found_wherever_it_stands() {
    for length in 0..20 {
        for at in 0..=length {
            let mut inside = "x".repeat(length);
            inside.insert(at, '\u{7}');
            assert!(read_kind(&format!("\"{inside}\"")).is_err(), "{at} of {length}");
            let escaped = format!("\"{}\\u0041é\"", "é".repeat(at));
            assert_eq!(text(&escaped), format!("{}Aé", "é".repeat(at)));
        }
    }
}

#[test]
fn escapes_read_as_in_go() {
    for (json, expected) in [
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""\u00e9\ud83d\ude00""#, "é😀"),
        (r#""\ud800""#, "\u{fffd}"),
        (r#""\ud800x""#, "\u{fffd}x"),
        (r#""\ud800\n""#, "\u{fffd}\n"),
        (r#""\udc00\ud800""#, "\u{fffd}\u{fffd}"),
        (r#""\ud800\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
        (r#""\u0000""#, "\0"),
    ] {
        assert_eq!(text(json), expected, "{json}");
    }
}

#[test]
fn numbers_keep_their_text() {
    let mut tape = Tape::new();
    for number in ["0", "-0", "1e400", "9007199254740993", "-1.50E+03", "0.1000"] {
        assert_eq!(tape.read(number).unwrap().raw(), number);
    }
}

#[test]
fn the_last_of_equal_keys_counts_at_every_level() {
    for many in [0, 20] {
        let filler = (0..many).map(|n| format!("\"k{n}\":{n},")).collect::<Vec<_>>().concat();
        let text = format!(r#"{{{filler}"a":{{"x":1}},"b":{{"c":1,"\u0063":2,"c":3}},"a":4,"\u0061":5}}"#);
        let mut tape = Tape::new();
        let root = tape.read(&text).unwrap();
        assert_eq!(root.get("a").unwrap().raw(), "5");
        assert_eq!(root.members().filter(|(key, _)| key.is("a")).count(), 1);
        assert_eq!(to_json(root.get("b").unwrap()), serde_json::json!({ "c": 3 }));
        assert_eq!(to_json(root), serde_json::from_str::<Json>(&text).unwrap());
    }
}

#[test]
fn depth_has_an_end_and_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":[", "]}")] {
        let levels = MAX_DEPTH / open.matches(['[', '{']).count();
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(read_kind(&nested(levels)).is_ok());
        let error = read_kind(&nested(levels + 1)).unwrap_err();
        assert!(matches!(error, JsonError::TooDeep { .. }), "{error}");
    }
    assert!(read_kind(&"[".repeat(5_000_000)).is_err());
}

#[test]
fn a_tape_is_used_again() {
    let mut tape = Tape::new();
    assert!(tape.read("{\"a\":[1,{\"b\":").is_err());
    assert_eq!(to_json(tape.read("{\"b\":[2]}").unwrap()), serde_json::json!({ "b": [2] }));
}

#[test]
fn only_an_audit_event_is_one() {
    let category =
        |line: &[u8]| Event::decode(line, &mut Tape::new()).map_err(|error| error.category()).err();
    for (line, expected) in [
        (&br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#[..], None),
        (br#" {"kind":"Event","apiVersion":"audit.k8s.io/v1beta1"} "#, None),
        (br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1alpha1"}"#, Some("not_an_event")),
        (br#"{"kind":"Event","apiVersion":"v1"}"#, Some("not_an_event")),
        (br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1"}"#, Some("not_an_event")),
        (br#"{"kind":1,"apiVersion":"audit.k8s.io/v1"}"#, Some("not_an_event")),
        (br#"["Event"]"#, Some("not_an_event")),
        (b"null", Some("not_an_event")),
        (b"{\"kind\":\"Ev", Some("not_json")),
        (b"", Some("not_json")),
        (b"{\"kind\":\"\xff\"}", Some("not_utf8")),
    ] {
        assert_eq!(category(line), expected, "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn an_event_is_read_by_name() {
    let text = r#"{"level":"Metadata","auditID":"id","stage":"ResponseStarted","verb":"get","requestURI":"/x?a=\u0026",
        "user":{"username":"u","uid":"1","groups":["a",7,"b"]},"impersonatedUser":{"username":"i"},
        "sourceIPs":["10.0.0.1","x"],"userAgent":"curl",
        "objectRef":{"resource":"pods","subresource":"exec","namespace":"n","name":"p","uid":"2","apiGroup":"","apiVersion":"v1"},
        "responseStatus":{"code":101},"annotations":{"authorization.k8s.io/decision":"allow"},
        "requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z","stageTimestamp":"2026-01-02T03:04:06Z"}"#;
    let mut tape = Tape::new();
    let event = Event::from_object(text, &mut tape).unwrap();
    assert_eq!(event.level().as_deref(), Some("Metadata"));
    assert_eq!(event.audit_id().as_deref(), Some("id"));
    assert_eq!(event.stage(), Some(Stage::ResponseStarted));
    assert_eq!(event.verb().as_deref(), Some("get"));
    assert_eq!(event.request_uri().as_deref(), Some("/x?a=&"));
    let user = event.user().unwrap();
    assert_eq!((user.username().as_deref(), user.uid().as_deref()), (Some("u"), Some("1")));
    assert_eq!(user.groups().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(event.impersonated_user().unwrap().username().as_deref(), Some("i"));
    assert_eq!(event.source_ips().collect::<Vec<_>>(), ["10.0.0.1", "x"]);
    assert_eq!(event.user_agent().as_deref(), Some("curl"));
    let object = event.object_ref().unwrap();
    let names = [
        object.resource(),
        object.subresource(),
        object.namespace(),
        object.name(),
        object.uid(),
        object.api_group(),
        object.api_version(),
    ];
    let names: Vec<_> = names.into_iter().flatten().collect();
    assert_eq!(names, ["pods", "exec", "n", "p", "2", "", "v1"]);
    assert_eq!(event.response_code(), Some(101));
    assert_eq!(event.decision().as_deref(), Some("allow"));
    assert_eq!(event.request_received_time().unwrap().to_string(), "2026-01-02T03:04:05.000001Z");
    assert_eq!(event.stage_time().unwrap().as_second(), 1_767_323_046);
    assert!(event.is_long_running());
}

#[test]
fn null_and_wrong_types_read_as_missing() {
    let text = r#"{"level":1,"stage":"Other","user":"u","objectRef":[],"sourceIPs":{},"verb":null,
        "responseStatus":{"code":"403"},"stageTimestamp":"yesterday","annotations":null,"impersonatedUser":null}"#;
    let mut tape = Tape::new();
    let event = Event::from_object(text, &mut tape).unwrap();
    assert!(event.level().is_none() && event.stage().is_none() && event.user().is_none());
    assert!(event.object_ref().is_none() && event.source_ips().next().is_none() && event.verb().is_none());
    assert!(event.response_code().is_none() && event.stage_time().is_none() && event.decision().is_none());
    assert!(event.impersonated_user().is_none() && !event.is_long_running());
}

#[test]
fn what_no_field_asks_for_is_passed_over_as_strictly_as_it_is_read() {
    let mut wanted = Wanted::default();
    for path in ["requestObject.spec.a", "requestObject.list.b", "responseObject.x.y"] {
        wanted.add(path);
    }
    let read = |text: &str| Tape::new().read_wanted(text, &wanted).map(to_json);
    for (text, kept) in [
        (
            r#"{"requestObject":{"spec":{"a":{"z":[1,{"q":2}]},"b":2},"other":{"a":1}},"k":{"spec":1}}"#,
            r#"{"requestObject":{"spec":{"a":{"z":[1,{"q":2}]}}},"k":{"spec":1}}"#,
        ),
        (
            r#"{"requestObject":{"spec.a.c":1,"spec.b":2,"spec":{"\u0061":3,"a":4}},"requestObject.spec":{"b":1}}"#,
            r#"{"requestObject":{"spec.a.c":1,"spec":{"a":4}},"requestObject.spec":{"b":1}}"#,
        ),
        (
            r#"{"requestObject":{"list":[{"b":1,"c":2},[{"c":1,"b":2}],3]},"responseObject":{"y":1,"x":[]}}"#,
            r#"{"requestObject":{"list":[{"b":1},[{"b":2}],3]},"responseObject":{"x":[]}}"#,
        ),
        (
            r#"{"requestObject":{"z":1},"responseObject":null}"#,
            r#"{"requestObject":{},"responseObject":null}"#,
        ),
        (
            r#"{"requestObject":[{"spec":{"a":1,"b":2}}],"responseObject":"x"}"#,
            r#"{"requestObject":[{"spec":{"a":1}}],"responseObject":"x"}"#,
        ),
    ] {
        assert_eq!(read(text), Ok(serde_json::from_str(kept).unwrap()), "{text}");
        // Wherever it is cut, or spoilt, the same is wrong with it.
        for at in 0..text.len() {
            for spoilt in [
                text[..at].to_owned(),
                format!("{},{}", &text[..at], &text[at..]),
                format!("{}\u{1}{}", &text[..at], &text[at..]),
            ] {
                assert_eq!(read(&spoilt).map(drop), Tape::new().read(&spoilt).map(drop), "{spoilt}");
            }
        }
    }
    let deep =
        |levels| format!("{{\"requestObject\":{{\"q\":{}{}}}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&deep(MAX_DEPTH - 2)).is_ok());
    assert_eq!(read(&deep(MAX_DEPTH - 1)).map(drop), Tape::new().read(&deep(MAX_DEPTH - 1)).map(drop));
}
