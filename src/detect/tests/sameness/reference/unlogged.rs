//! Which parts of an event were not logged, and which of a request's events decides.
use serde_json::Value;

use crate::event::Stage;

const LATE: [&str; 3] = ["annotations", "responseStatus", "impersonatedUser"];
const BODIES: [&str; 2] = ["requestObject", "responseObject"];

/// The parts that are missing because they were not logged, and not because there was nothing to log.
pub(super) fn unlogged_parts(event: &Value) -> Vec<&'static str> {
    let (level, stage) = (event["level"].as_str(), event["stage"].as_str());
    let is_received = stage == Some("RequestReceived");
    let is_cut = event["annotations"]["audit.k8s.io/truncated"].is_string();
    let is_write = matches!(event["verb"].as_str(), Some("create" | "update" | "patch"));
    let is_refused = matches!(event["responseStatus"]["code"].as_i64(), Some(401 | 403));
    let is_unread = is_write && is_refused && event["requestObject"].is_null();
    let request = matches!(level, Some("Metadata" | "None")) || is_received || is_cut || is_unread;
    let response = request || level == Some("Request") || stage == Some("ResponseStarted");
    let mut parts = Vec::new();
    // An event without a level was written by hand.
    if level.is_some() {
        parts.extend(request.then_some(BODIES[0]));
        parts.extend(response.then_some(BODIES[1]));
    }
    if is_received {
        parts.extend(LATE);
    }
    parts.retain(|part| event[*part].is_null());
    parts
}

/// Whether this event is the one of its request that decides.
pub(super) fn is_decisive(event: &Value, omitted: &[Stage]) -> bool {
    let subresource = event["objectRef"]["subresource"].as_str();
    let is_long = event["verb"] == "watch"
        || matches!(subresource, Some("exec" | "attach" | "portforward" | "proxy" | "log"));
    let has_user = event["user"]["username"].as_str().is_some_and(|name| !name.is_empty());
    let is_nobody = event["responseStatus"]["code"].as_i64() == Some(401) && !has_user;
    let at_start = (is_long || is_nobody) && !omitted.contains(&Stage::ResponseStarted);
    match event["stage"].as_str() {
        Some("RequestReceived") => false,
        Some("ResponseStarted") => at_start,
        Some("ResponseComplete" | "Panic") => !at_start,
        _ => true,
    }
}
