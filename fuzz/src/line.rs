//! Lines of the log, whose texts whoever makes requests chooses.
use std::cell::RefCell;
use std::sync::Arc;

use tripline::detect::{Context, Matcher, Outcome, Reading, RuleSet};
use tripline::event::{DecodeError, Event, JsonError, Stage, Tape};
use tripline::source::{Boundary, Record, Records};

use super::json::{Members, is_json};
use super::rules::rules;

const CONTEXT: Context<'_> = Context { cluster: Some("prod"), omitted_stages: &[] };

/// What the plain evaluation makes of a line: its outcomes, or `None` if it is no event.
type Expected = Option<Vec<Outcome>>;

/// What is kept from text to text. That a matcher remembers earlier lines must not show.
struct Judges {
    rules: Arc<RuleSet>,
    in_order: Matcher,
    in_any_order: Matcher,
    tape: Tape,
}

thread_local! {
    static JUDGES: RefCell<Judges> = RefCell::new(Judges::new());
}

/// Every line of the text is read as another JSON reader reads it, and judged alike by the plain evaluation and by
/// every way of matching. As a container's log the text has the same records wherever it is cut.
pub fn check(data: &[u8]) {
    check_records(data);
    JUDGES.with_borrow_mut(|judges| {
        let expected: Vec<_> = lines(data).map(|line| judges.check_line(line)).collect();
        judges.check_text(data, &expected);
    });
}

fn check_records(text: &[u8]) {
    let records: Vec<_> = Records::of(text).collect();
    let increases = |pair: &[Record<'_>]| pair[0].end < pair[1].end && pair[0].line < pair[1].line;
    assert!(records.windows(2).all(increases), "{records:?}");
    assert_eq!(records.last().map_or(0, |last| last.end), text.len(), "{records:?}");
    let (mut boundary, mut from, mut parts) = (Boundary::default(), 0, Vec::new());
    for (newline, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let safe = boundary.advance(&text[from..=newline]);
        parts.extend(Records::of(&text[from..from + safe]).map(|record| (record.text, from + record.end)));
        boundary.forget(safe);
        from += safe;
    }
    parts.extend(Records::of(&text[from..]).map(|record| (record.text, from + record.end)));
    let whole: Vec<_> = records.into_iter().map(|record| (record.text, record.end)).collect();
    assert_eq!(parts, whole, "{:?}", shown(text));
}

/// The lines, as `Matcher::judge_next` divides a text: what follows the last newline is a line if it is not empty.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

impl Judges {
    fn new() -> Judges {
        let rules = rules();
        let matcher = || Matcher::new(Arc::clone(&rules), &CONTEXT);
        let (in_order, in_any_order) = (matcher(), matcher().in_any_order());
        Judges { rules, in_order, in_any_order, tape: Tape::new() }
    }

    fn check_line(&mut self, line: &[u8]) -> Expected {
        let event = Event::decode(line, &mut self.tape);
        check_reading(line, event.as_ref());
        let expected = event.ok().map(|event| {
            let mut outcomes = Vec::new();
            self.rules.judge(&event, &CONTEXT, &mut outcomes);
            outcomes
        });
        for reading in [Reading::Whole, Reading::Enough] {
            for matcher in [&mut self.in_order, &mut self.in_any_order] {
                check_outcomes(line, reading, matcher.judge(line, reading), expected.as_ref());
            }
        }
        expected
    }

    /// The same lines, found in their text.
    fn check_text(&mut self, text: &[u8], expected: &[Expected]) {
        for reading in [Reading::Whole, Reading::Enough] {
            for matcher in [&mut self.in_order, &mut self.in_any_order] {
                let mut from = 0;
                for (line, expected) in lines(text).zip(expected) {
                    let (next, judged) = matcher.judge_next(text, from, reading);
                    check_outcomes(line, reading, judged, expected.as_ref());
                    from = (from + line.len() + 1).min(text.len());
                    assert_eq!(next, from, "the line after {:?}", shown(line));
                }
            }
        }
    }
}

fn check_outcomes(
    line: &[u8],
    reading: Reading,
    judged: Result<&[Outcome], DecodeError>,
    expected: Option<&Vec<Outcome>>,
) {
    match (judged, expected) {
        (Ok(outcomes), Some(expected)) => {
            assert_eq!(outcomes, expected, "{reading:?} of {:?}", shown(line));
        }
        (Ok(outcomes), None) => {
            assert!(reading == Reading::Enough, "what is no event was taken for one: {:?}", shown(line));
            assert!(outcomes.is_empty(), "{outcomes:?} of {:?}", shown(line));
        }
        (Err(error), Some(_)) => panic!("{error}: {:?}", shown(line)),
        (Err(_), None) => {}
    }
}

/// Whether the line is an event, and what it says, as another reader has it.
fn check_reading(line: &[u8], event: Result<&Event<'_>, &DecodeError>) {
    let Ok(text) = std::str::from_utf8(line) else {
        return assert!(matches!(event, Err(DecodeError::NotUtf8 { .. })), "{:?}", shown(line));
    };
    match event {
        Err(DecodeError::NotJson(JsonError::TooDeep { .. })) => return,
        Err(DecodeError::NotJson(error)) => return assert!(!is_json(text), "{error}: {text:?}"),
        _ => assert!(is_json(text), "it is no JSON: {text:?}"),
    }
    let Some(members) = Members::read(text) else { return };
    let is_event = members.text("kind", &[]) == Some("Event")
        && matches!(members.text("apiVersion", &[]), Some("audit.k8s.io/v1" | "audit.k8s.io/v1beta1"));
    assert_eq!(event.is_ok(), is_event, "{text:?}");
    if let Ok(event) = event {
        check_members(event, &members, text);
    }
}

fn check_members(event: &Event<'_>, members: &Members, text: &str) {
    let (user, other, object) = (event.user(), event.impersonated_user(), event.object_ref());
    for (name, path, read) in [
        ("level", &[][..], event.level()),
        ("auditID", &[], event.audit_id()),
        ("verb", &[], event.verb()),
        ("requestURI", &[], event.request_uri()),
        ("userAgent", &[], event.user_agent()),
        ("user", &["username"], user.and_then(|user| user.username())),
        ("user", &["uid"], user.and_then(|user| user.uid())),
        ("impersonatedUser", &["username"], other.and_then(|user| user.username())),
        ("objectRef", &["resource"], object.and_then(|object| object.resource())),
        ("objectRef", &["subresource"], object.and_then(|object| object.subresource())),
        ("objectRef", &["namespace"], object.and_then(|object| object.namespace())),
        ("objectRef", &["name"], object.and_then(|object| object.name())),
        ("objectRef", &["apiGroup"], object.and_then(|object| object.api_group())),
        ("annotations", &["authorization.k8s.io/decision"], event.decision()),
    ] {
        assert_eq!(read.as_deref(), members.text(name, path), "{name} {path:?} of {text:?}");
    }
    let groups: Vec<_> = user.into_iter().flat_map(|user| user.groups()).collect();
    assert_eq!(groups, members.texts("user", &["groups"]), "the groups of {text:?}");
    let addresses: Vec<_> = event.source_ips().collect();
    assert_eq!(addresses, members.texts("sourceIPs", &[]), "the addresses of {text:?}");
    let stage = event.stage().map(Stage::as_str);
    assert!(stage.is_none() || stage == members.text("stage", &[]), "the stage of {text:?}");
    // The other reader takes -0 for a float.
    let code = members.get("responseStatus", &["code"]).and_then(serde_json::Value::as_i64);
    assert_eq!(event.response_code().filter(|code| *code != 0), code.filter(|code| *code != 0), "{text:?}");
}

fn shown(line: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(line)
}
