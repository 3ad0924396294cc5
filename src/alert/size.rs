//! How large an alert may be: whoever makes requests chooses most of what stands in it, and etcd keeps all of it.

use serde::Serialize;

use super::text;
use crate::api::{Detection, SecurityAlertStatus};

/// The most bytes of the evidence, and of the status, as JSON: with its name and labels an alert has at most 10 KiB.
const EVIDENCE: usize = 5 * 1024;
const STATUS: usize = 4 * 1024 + 512;
/// The most bytes of a string where all of them together are too much.
const LITTLE: usize = 64;

fn length(part: &impl Serialize) -> usize {
    // What cannot be written could not be sent either, and is found out there.
    serde_json::to_vec(part).map_or(0, |bytes| bytes.len())
}

/// Cuts evidence down to its size: first what says least.
pub(super) fn fit_evidence(detection: &mut Detection) {
    const STEPS: [fn(&mut Detection); 8] = [
        |detection| {
            let event = &mut detection.event;
            for user in [&mut event.user, &mut event.impersonated_user].into_iter().flatten() {
                user.groups.truncate(4);
            }
        },
        |detection| detection.tags.truncate(8),
        |detection| {
            for threat in &mut detection.threat {
                threat.techniques.truncate(4);
                threat.techniques.iter_mut().for_each(|technique| technique.reference = None);
            }
            detection.threat.truncate(4);
        },
        |detection| {
            if let Some(uri) = &mut detection.event.request_uri {
                *uri = text::cut(uri, 256);
            }
        },
        |detection| detection.event.source_ips.truncate(1),
        |detection| {
            for body in [&mut detection.event.request_object, &mut detection.event.response_object] {
                *body = body.take().map(|body| text::cut(&body, 1_024));
            }
        },
        |detection| {
            for user in
                [&mut detection.event.user, &mut detection.event.impersonated_user].into_iter().flatten()
            {
                user.groups.clear();
            }
            detection.tags.clear();
            detection.threat.clear();
            for body in [&mut detection.event.request_object, &mut detection.event.response_object] {
                *body = body.take().map(|body| text::cut(&body, 256));
            }
        },
        |detection| {
            for field in &mut detection.group {
                field.field = text::cut(&field.field, LITTLE);
            }
            for string in strings(detection) {
                *string = text::cut(string, LITTLE);
            }
        },
    ];
    for step in STEPS {
        if length(detection) <= EVIDENCE {
            return;
        }
        step(detection);
    }
}

/// The strings that the event chose.
fn strings(detection: &mut Detection) -> Vec<&mut String> {
    let event = &mut detection.event;
    let mut strings: Vec<&mut String> = Vec::new();
    strings.extend(detection.group.iter_mut().filter_map(|field| field.value.as_mut()));
    strings.push(&mut detection.target);
    for user in [&mut event.user, &mut event.impersonated_user].into_iter().flatten() {
        strings.extend([&mut user.username, &mut user.uid].into_iter().flatten());
    }
    if let Some(object) = &mut event.object {
        let parts = [
            &mut object.api_group,
            &mut object.api_version,
            &mut object.resource,
            &mut object.subresource,
            &mut object.namespace,
            &mut object.name,
            &mut object.uid,
        ];
        strings.extend(parts.into_iter().flatten());
    }
    let rest = [&mut event.user_agent, &mut event.verb, &mut event.decision, &mut event.audit_id];
    strings.extend(rest.into_iter().flatten());
    strings
}

/// Cuts a status down to its size, except what counts.
pub(super) fn fit_status(status: &mut SecurityAlertStatus) {
    while length(status) > STATUS {
        let shown = status.overflow.as_ref().map_or(0, |shown| shown.users.len().max(shown.targets.len()));
        if let Some(overflow) = status.overflow.as_mut().filter(|_| shown > 2) {
            overflow.users.truncate(shown - 1);
            overflow.targets.truncate(shown - 1);
        } else if !status.samples.is_empty() {
            // The oldest.
            status.samples.remove(0);
        } else {
            return;
        }
    }
}
