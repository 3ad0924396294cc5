//! What a record says that is too long to be read: its beginning and its end, without what makes it long.
use serde_json::{Value, json};

use super::scan::string_end;
use super::skip::value_end;

/// How the part after the bodies begins.
const AFTER_BODIES: &[u8] = b",\"requestReceivedTimestamp\":";

/// How many places of the end are tried.
const TRIES: usize = 16;

/// The record that has this beginning and this end, without its bodies. It is marked as the API server marks one whose
/// bodies it left out, so that a rule which needs them is undecided.
///
/// The beginning must hold all that stands before the bodies, the end all that stands after them, in the API server's
/// order; `None` otherwise. A body may hold what looks like the part after the bodies, but no event is whole with that,
/// because more follows.
pub fn without_bodies(head: &[u8], tail: &[u8]) -> Option<Vec<u8>> {
    let head = before_bodies(head)?;
    let ends = memchr::memmem::rfind_iter(tail, AFTER_BODIES).take(TRIES).map(|start| &tail[start..]);
    let mut events = ends.filter_map(|end| serde_json::from_slice::<Value>(&[head, end].concat()).ok());
    let mut event = events.next()?;
    match event.get_mut("annotations") {
        Some(Value::Object(annotations)) => {
            annotations.insert("audit.k8s.io/truncated".to_owned(), json!("true"));
        }
        _ => event["annotations"] = json!({"audit.k8s.io/truncated": "true"}),
    }
    serde_json::to_vec(&event).ok()
}

/// What stands before the first body.
fn before_bodies(head: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    loop {
        let key = at + usize::from(at > 1);
        if head.get(key) != Some(&b'"') || (at > 1 && head[at] != b',') {
            return None;
        }
        let quote = string_end(head, key + 1).ok()?.quote;
        if matches!(&head[key + 1..quote], b"requestObject" | b"responseObject") {
            return Some(&head[..at]);
        }
        if head.get(quote + 1) != Some(&b':') {
            return None;
        }
        at = value_end(head, quote + 2, 1, &mut false).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","verb":"list","user":{"username":"alice","extra":{"requestObject":["x"]}},"objectRef":{"resource":"secrets"}"#;
    const TIMES: &str = r#","requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:01.000000Z""#;

    fn event(body: &str, end: &str, keep: usize) -> Option<Value> {
        let line = format!("{HEAD},{body}{TIMES}{end}");
        let (head, tail) = (&line[..HEAD.len() + keep], &line[line.len() - end.len() - TIMES.len() - keep..]);
        let record = without_bodies(head.as_bytes(), tail.as_bytes())?;
        Some(serde_json::from_slice(&record).unwrap())
    }

    #[test]
    fn all_but_the_bodies_is_kept() {
        let bodies = format!(r#""requestObject":{{"a":"{}"}},"responseObject":["b"]"#, "x".repeat(500));
        for (end, annotations) in [
            ("}", json!({"audit.k8s.io/truncated": "true"})),
            (r#","annotations":{"a":"b"}}"#, json!({"a": "b", "audit.k8s.io/truncated": "true"})),
        ] {
            let mut wanted: Value = serde_json::from_str(&format!("{HEAD}{TIMES}}}")).unwrap();
            wanted["annotations"] = annotations;
            assert_eq!(event(&bodies, end, 100), Some(wanted));
        }
    }

    #[test]
    fn what_a_body_holds_is_not_taken_for_the_end() {
        let planted =
            format!(r#""responseObject":{{"a":{{"b":1{TIMES}}},"c":{{"d":1{TIMES},"annotations":{{}}}}}}"#);
        let found = event(&planted, "}", 200).unwrap();
        assert_eq!(found["annotations"], json!({"audit.k8s.io/truncated": "true"}));
        assert_eq!(found["stageTimestamp"], "2026-01-01T00:00:01.000000Z");
    }

    #[test]
    fn a_beginning_or_an_end_that_is_not_whole_gives_nothing() {
        let body = format!(r#""responseObject":{{"a":"{}"}}"#, "x".repeat(500));
        assert!(event(&body, "}", 100).is_some());
        assert_eq!(event(&body, "", 100), None);
        assert_eq!(event(&body, "},", 100), None);
        assert_eq!(without_bodies(&HEAD.as_bytes()[..HEAD.len() - 5], format!("{TIMES}}}").as_bytes()), None);
        assert_eq!(without_bodies(HEAD.as_bytes(), format!("{TIMES}}}").as_bytes()), None);
        assert_eq!(without_bodies(b"[1", b"]"), None);
        assert_eq!(without_bodies(b"", b""), None);
    }
}
