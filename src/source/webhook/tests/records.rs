//! A batch in whatever pieces it arrives.
use super::super::records::{Batch, NotABatch, Record};

fn cut(body: &[u8], chunk: usize) -> (Vec<String>, Result<(), NotABatch>) {
    let mut batch = Batch::new();
    let mut records = Vec::new();
    let mut take = |record| {
        let Record::Whole(line) = record else { panic!("{record:?}") };
        records.push(String::from_utf8(line).unwrap());
    };
    let pushed = body.chunks(chunk).try_for_each(|chunk| batch.push(chunk, &mut take));
    (records, pushed.and_then(|()| batch.finish()))
}

fn of(items: &str) -> String {
    format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":{items}}}"#)
}

const TYPED: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;

#[test]
fn records_are_cut_wherever_the_chunks_end_and_get_the_type_that_the_list_says() {
    let items = r#"[{"level":"Metadata","a":"]},{\"\\"},{"kind":"Event","b":[{"c":[]}]} , {"d":{}}]"#;
    let expected = [
        &format!(r#"{TYPED}"level":"Metadata","a":"]}},{{\"\\"}}"#)[..],
        r#"{"kind":"Event","b":[{"c":[]}]}"#,
        &format!(r#"{TYPED}"d":{{}}}}"#),
    ];
    for chunk in 1..of(items).len() {
        assert_eq!(
            cut(of(items).as_bytes(), chunk),
            (expected.map(str::to_owned).to_vec(), Ok(())),
            "{chunk}"
        );
    }
}

#[test]
fn what_is_no_event_is_a_record_too_and_costs_no_other() {
    let (records, result) = cut(of(r#"[1,null,"a,]",[{}],{"a":tru},{},{"b":1}]"#).as_bytes(), 7);
    assert_eq!(result, Ok(()));
    let typed = |rest: &str| format!("{TYPED}{rest}");
    let expected =
        ["1", "null", "\"a,]\"", "[{}]", &typed(r#""a":tru}"#), "{}", &typed(r#""b":1}"#)].map(str::to_owned);
    assert_eq!(records, expected);
}

#[test]
fn line_breaks_between_values_are_spaces_and_in_strings_stay_an_error() {
    let (records, _) = cut(of("[\n{\n\"a\":\r\n1}\n,\n{\"b\":\"x\ny\"}]").as_bytes(), 1000);
    assert_eq!(records[0], "{ \"a\":  1}");
    assert!(serde_json::from_str::<serde_json::Value>(&records[0]).is_ok());
    assert!(records[1].contains("x\u{1}y") && !records[1].contains('\n'));
    assert!(serde_json::from_str::<serde_json::Value>(&records[1]).is_err());
}

#[test]
fn a_body_that_is_no_list_is_said_to_be_none() {
    for (body, error) in [
        ("", NotABatch::NoList),
        ("[]", NotABatch::NoList),
        (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"}"#, NotABatch::NoList),
        (r#"{"items":{}}"#, NotABatch::NoList),
        (r#"{"items":[{"a":"#, NotABatch::Broken),
        (r#"{"items":[]"#, NotABatch::Broken),
        (r#"{"items":[]}x"#, NotABatch::Broken),
        (r#"{"a":]"#, NotABatch::Broken),
    ] {
        assert_eq!(cut(body.as_bytes(), 3).1, Err(error), "{body}");
    }
    assert_eq!(cut(of("null").as_bytes(), 3), (Vec::new(), Ok(())));
    assert_eq!(cut(of("[]").as_bytes(), 3), (Vec::new(), Ok(())));
    let deep = format!(r#"{{"metadata":{}"#, "[".repeat(100_000));
    assert_eq!(cut(deep.as_bytes(), 1000).1, Err(NotABatch::Broken));
}

#[test]
fn records_before_a_break_are_there_all_the_same() {
    let (records, result) = cut(of(r#"[{"a":1},{"b":"2]"#).as_bytes(), 5);
    assert_eq!((records.len(), result), (1, Err(NotABatch::Broken)));
}

#[test]
fn a_record_of_another_version_is_not_made_one_of_this() {
    let body = of(r#"[{"a":1}]"#).replace("audit.k8s.io/v1\"", "audit.k8s.io/v1beta1\"");
    assert_eq!(cut(body.as_bytes(), 9).0, [r#"{"a":1}"#]);
}

#[test]
fn a_record_that_is_too_long_is_kept_without_its_bodies() {
    let times =
        r#""requestReceivedTimestamp":"2026-01-01T00:00:00Z","stageTimestamp":"2026-01-01T00:00:00Z""#;
    let long = |end: &str| {
        format!(
            r#"[{{"level":"RequestResponse","responseObject":{{"a":"{}"}},{times}{end},{{"b":1}}]"#,
            "x".repeat(300_000)
        )
    };
    for (end, is_whole) in [("}", true), (",\"more\":{\"x\":1}}", true), ("", false)] {
        let mut batch = Batch::with_limit(200_000);
        let mut records = Vec::new();
        for chunk in of(&long(end)).as_bytes().chunks(10_000) {
            batch.push(chunk, &mut |record| records.push(record)).ok();
            assert!(batch.held() <= 210_000);
        }
        match (&records[0], is_whole) {
            (Record::Oversized(line), true) => {
                let event: serde_json::Value = serde_json::from_slice(line).unwrap();
                assert_eq!(event["kind"], "Event");
                assert_eq!(event["annotations"]["audit.k8s.io/truncated"], "true");
                assert!(line.len() < 1_000);
                assert_eq!(records.len(), 2);
            }
            (Record::Lost(line), false) => assert!(line.len() < 100_000),
            _ => panic!("{end}"),
        }
    }
}
