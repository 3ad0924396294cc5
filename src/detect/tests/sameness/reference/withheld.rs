//! The event without what no query may ask, as the page on fields has it.
use serde_json::Value;

pub(super) fn without_withheld(event: &Value) -> Value {
    let mut event = event.clone();
    let object = &event["objectRef"];
    let hidden: &[&str] = match (object["resource"].as_str(), object["subresource"].as_str()) {
        (Some("secrets"), _) => &["data", "stringData", "value", "io/last-applied-configuration", "Raw"],
        (Some("serviceaccounts"), Some("token")) | (Some("tokenreviews"), _) => &["token"],
        _ => return event,
    };
    if let Value::Object(members) = &mut event {
        members.retain(|key, value| {
            let mut names = key.split('.');
            if !matches!(names.next(), Some("requestObject" | "responseObject")) {
                return true;
            }
            strip(value, hidden);
            if !(value.is_object() || value.is_array() || value.is_null()) {
                *value = Value::Object(serde_json::Map::new());
            }
            !names.any(|name| hidden.contains(&name))
        });
    }
    event
}

fn strip(value: &mut Value, hidden: &[&str]) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|element| strip(element, hidden)),
        Value::Object(members) => {
            members.retain(|key, _| !key.split('.').any(|name| hidden.contains(&name)));
            members.values_mut().for_each(|value| strip(value, hidden));
        }
        _ => {}
    }
}
