//! Bodies as evidence, where a rule asks for them and the installation allows it: without what is secret, and cut.

use serde_json::Value;

use super::text::{self, LONG};
use crate::event::{Event, ObjectRef, withholds};

/// The largest body that is looked into.
const LARGEST: usize = 256 * 1024;
const REDACTED: &str = "(redacted)";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A body as an alert may show it: JSON, at most 2 KiB; none where there is none.
pub(super) fn shown(event: &Event<'_>, field: &str) -> Option<String> {
    let body = event.root().get(field)?.raw();
    if event.object_ref().is_some_and(|object| is_secret(&object)) {
        return Some(REDACTED.to_owned());
    }
    if body.len() > LARGEST {
        return Some(format!("({} bytes, too large to be shown)", body.len()));
    }
    let Ok(mut body) = serde_json::from_str::<Value>(body) else {
        // Deeper than a body can be that means something.
        return Some("(cannot be shown)".to_owned());
    };
    redact(&mut body);
    Some(text::long(&body.to_string(), LONG))
}

/// Whether bodies of these objects hold credentials and little else.
fn is_secret(object: &ObjectRef<'_>) -> bool {
    let resource = object.resource().unwrap_or_default();
    withholds(&resource, object.subresource().as_deref()) || resource == "bootstraptokens"
}

/// Takes out what applied manifests and environments hold, wherever it stands: also within lists, pod templates and
/// patches.
fn redact(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(members) => {
            // A step of a JSON patch.
            let path = members.get("path").and_then(Value::as_str).unwrap_or_default();
            let is_kept_back =
                path.split('/').any(|part| part == "env") || path.contains("last-applied-configuration");
            for (name, member) in members.iter_mut() {
                match (name.as_str(), &mut *member) {
                    (LAST_APPLIED, _) => *member = REDACTED.into(),
                    ("value", _) if is_kept_back => *member = REDACTED.into(),
                    ("env", Value::Array(variables)) => variables.iter_mut().for_each(redact_variable),
                    _ => redact(member),
                }
            }
        }
        _ => {}
    }
}

fn redact_variable(variable: &mut Value) {
    if let Some(value) = variable.get_mut("value") {
        *value = REDACTED.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Tape;

    fn shown_of(object: &Value, body: &Value) -> Option<String> {
        let event = json!({"objectRef": object, "requestObject": body}).to_string();
        let mut tape = Tape::default();
        shown(&Event::from_object(&event, &mut tape).unwrap(), "requestObject")
    }

    #[test]
    fn what_is_secret_is_never_shown() {
        let pods = json!({"resource": "pods", "namespace": "shop"});
        let container = json!({"name": "a", "image": "b", "env": [
            {"name": "PASSWORD", "value": "hunter2"}, {"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "x"}}},
        ]});
        let annotations = json!({LAST_APPLIED: "{\"env\":\"hunter2\"}", "note": "kept"});
        let spec = json!({"containers": [container], "initContainers": [container], "hostPID": true});
        for body in [
            json!({"metadata": {"annotations": annotations}, "spec": spec}),
            json!({"metadata": {"annotations": annotations}, "spec": {"template": {"spec": spec}}}),
            json!({"items": [{"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}], "note": "kept"}),
            json!([
                {"op": "add", "path": "/spec/containers/0/env/0", "value": {"name": "A", "value": "hunter2"}},
                {"op": "add", "path": "/spec/containers/0/env", "value": [{"name": "A", "value": "hunter2"}]},
                {"op": "add", "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
                    "value": "hunter2"},
                {"op": "replace", "path": "/spec/hostPID", "value": true}, {"note": "kept"},
            ]),
        ] {
            let shown = shown_of(&pods, &body).unwrap();
            assert!(!shown.contains("hunter2") && shown.contains(REDACTED), "{shown}");
            assert!(shown.contains("kept") || shown.contains("hostPID"), "{shown}");
        }
        for object in [
            json!({"resource": "secrets"}),
            json!({"resource": "serviceaccounts", "subresource": "token"}),
            json!({"resource": "tokenreviews", "apiGroup": "authentication.k8s.io"}),
        ] {
            let shown =
                shown_of(&object, &json!({"stringData": {"a": "hunter2"}, "status": {"token": "hunter2"}}));
            assert_eq!(shown.as_deref(), Some(REDACTED), "{object}");
        }
    }

    #[test]
    fn a_body_is_bounded_and_escaped() {
        let pods = json!({"resource": "pods"});
        let hostile = json!({"a": "\u{1b}[2J\u{202e}".repeat(2_000)});
        let text = shown_of(&pods, &hostile).unwrap();
        assert!(text.len() <= LONG && text.contains("sha256"), "{}", text.len());
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        let huge = json!({"a": "x".repeat(300_000)});
        assert!(shown_of(&pods, &huge).unwrap().contains("too large"));
        assert_eq!(shown_of(&pods, &Value::Null), None);
        let nothing = json!({"objectRef": pods}).to_string();
        let mut tape = Tape::default();
        assert_eq!(shown(&Event::from_object(&nothing, &mut tape).unwrap(), "requestObject"), None);
    }
}
