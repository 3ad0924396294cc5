//! What kube-apiserver would have written into its log under another policy.
use serde_json::Value;
use tripline::detect::Level;
use tripline::event::Stage;
use tripline::policy::{Policy, Request, Target};

/// The request that an event is about, as a policy looks at it.
pub(crate) fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let user = &event["user"];
    let groups = user["groups"].as_array().into_iter().flatten();
    let target = match &event["objectRef"] {
        Value::Null => {
            Target::Path(text(&event["requestURI"]).split('?').next().unwrap_or_default().to_owned())
        }
        object => Target::Resource {
            group: text(&object["apiGroup"]),
            resource: text(&object["resource"]),
            subresource: text(&object["subresource"]),
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
        },
    };
    Request {
        user: user["username"].as_str().map(str::to_owned),
        groups: groups.map(text).collect(),
        verb: text(&event["verb"]),
        target,
    }
}

/// The level that an event was logged at.
pub(crate) fn level(event: &Value) -> Level {
    event["level"].as_str().and_then(Level::from_name).unwrap_or_default()
}

/// The event as it is logged under this policy, if it is. A body that was not logged stays away.
pub(crate) fn projected(event: &Value, policy: &Policy) -> Option<Value> {
    let decision = policy.decide(&request(event));
    if !decision.has(event["stage"].as_str().and_then(Stage::from_name)?) {
        return None;
    }
    let mut event = event.clone();
    let level = level(&event).min(decision.level);
    event["level"] = level.as_str().into();
    let fields = event.as_object_mut()?;
    if level < Level::Request {
        fields.remove("requestObject");
    }
    if level < Level::RequestResponse {
        fields.remove("responseObject");
    }
    if decision.omit_managed_fields {
        // A patch is logged as it was sent.
        let is_patch = fields.get("verb").is_some_and(|verb| verb == "patch");
        for body in
            ["requestObject", "responseObject"].into_iter().filter(|b| !is_patch || *b != "requestObject")
        {
            fields.get_mut(body).into_iter().for_each(omit_managed_fields);
        }
    }
    Some(event)
}

/// Of an object, of those in a list, and of those in the rows of a table.
fn omit_managed_fields(object: &mut Value) {
    let omit = |object: &mut Value| {
        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    omit(object);
    for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        omit(item);
    }
    for row in object.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten() {
        row.get_mut("object").into_iter().for_each(omit);
    }
}
