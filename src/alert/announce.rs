//! The Kubernetes Event that tells of a new alert.
//!
//! One Event an alert, written by ourselves: kube's `Recorder` drops the note of a repeat, keeps failing after a 404,
//! and builds invalid names for objects whose name holds a colon. The name here follows from the alert's uid, so that
//! `AlreadyExists` means done, however often it is tried.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use tracing::warn;

use super::call::{call, write_params};
use super::error::WriteError;
use super::text;
use crate::api::{CONTROLLER, EventTarget, SecurityAlert, is_object_name};
use crate::telemetry::Chain;

/// The most bytes of a note, by the API server's own validation.
pub const NOTE_MAX: usize = 1024;
/// Where an Event on a cluster-scoped object has to live.
pub const CLUSTER_NAMESPACE: &str = "kube-system";

/// How alerts are announced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Announcement {
    /// On which object.
    pub target: EventTarget,
    /// Whether an Event in a namespace names user, object and address. Everybody there can read it.
    pub detail: bool,
}

impl Announcement {
    /// Writes the Event of `alert`, once. Says whether this call wrote it.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn publish(
        self,
        client: &Client,
        instance: &str,
        alert: &SecurityAlert,
    ) -> Result<bool, WriteError> {
        let pod = match self.target {
            EventTarget::None => return Ok(false),
            EventTarget::Alert => None,
            EventTarget::Object => touched_pod(client, alert).await?,
        };
        if let Some(pod) = pod {
            match create(client, instance, alert, pod, self.detail).await {
                // The namespace may be on its way out, or closed to us: the alert's own place is always there.
                Err(WriteError::Refused { .. } | WriteError::Rejected { .. }) => {}
                other => return other,
            }
        }
        create(client, instance, alert, alert.object_ref(&()), true).await
    }
}

/// The pod the request touched, if it exists now.
async fn touched_pod(client: &Client, alert: &SecurityAlert) -> Result<Option<ObjectReference>, WriteError> {
    let Some(object) = &alert.spec.detection.event.object else {
        return Ok(None);
    };
    let is_pod = object.resource.as_deref() == Some("pods") && object.api_group.is_none();
    let (true, Some(namespace), Some(name)) = (is_pod, &object.namespace, &object.name) else {
        return Ok(None);
    };
    // They come from the request.
    if !is_object_name(namespace) || !is_object_name(name) {
        return Ok(None);
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    match call("the look-up of the pod", pods.get_metadata_opt(name)).await {
        Ok(found) => Ok(found.map(|pod| ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: pod.metadata.uid,
            ..ObjectReference::default()
        })),
        Err(error @ (WriteError::Refused { .. } | WriteError::Rejected { .. })) => {
            warn!(error = %Chain(&error), "a pod could not be looked up; the Event stands on the alert");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn create(
    client: &Client,
    instance: &str,
    alert: &SecurityAlert,
    regarding: ObjectReference,
    detail: bool,
) -> Result<bool, WriteError> {
    let namespace = regarding.namespace.clone().unwrap_or_else(|| CLUSTER_NAMESPACE.to_owned());
    let uid = alert.uid().unwrap_or_default();
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", alert.name_any(), uid.split('-').next().unwrap_or_default())),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(jiff::Timestamp::now())),
        type_: Some("Warning".to_owned()),
        reason: Some("SecurityAlert".to_owned()),
        action: Some("Detect".to_owned()),
        note: Some(note(alert, detail)),
        regarding: Some(regarding),
        related: Some(alert.object_ref(&())),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(text::short(instance, 128)),
        ..Event::default()
    };
    write_once(client, &namespace, &event).await
}

/// Writes an Event whose name follows from what it tells of. Says whether this call wrote it, or an earlier one had.
///
/// # Errors
/// When the API server does not take it.
pub async fn write_once(client: &Client, namespace: &str, event: &Event) -> Result<bool, WriteError> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    match call("the Event", api.create(&write_params(), event)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the Event says.
fn note(alert: &SecurityAlert, detail: bool) -> String {
    let detection = &alert.spec.detection;
    let told = if detail {
        let event = &detection.event;
        let user = event.user.as_ref().and_then(|u| u.username.as_deref()).unwrap_or("somebody");
        let verb = event.verb.as_deref().unwrap_or("touched");
        let from = event.source_ips.last().map(|address| format!(" from {address}")).unwrap_or_default();
        format!("{user} {verb} {}{from}, ", detection.target)
    } else {
        String::new()
    };
    let head = format!("[{}] {}: {told}", detection.severity.as_str(), detection.title);
    let tail = format!("see securityalert {}", alert.name_any());
    text::short(&head, NOTE_MAX - tail.len()) + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(user: &str) -> SecurityAlert {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert", "metadata": {"name": "r-k3j5mwq2xr7ta-1"},
            "spec": {"detection": {
                "ruleName": "r", "title": "Shell in a pod", "severity": "Medium", "riskScore": 47, "groupHash": "",
                "target": "pods/exec shop/web-0",
                "event": {"user": {"username": user}, "verb": "create", "sourceIPs": ["1.2.3.4", "10.0.0.5"]},
            }},
        }))
        .unwrap()
    }

    #[test]
    fn a_note_tells_only_what_its_readers_may_know() {
        assert_eq!(
            note(&alert("alice"), false),
            "[Medium] Shell in a pod: see securityalert r-k3j5mwq2xr7ta-1"
        );
        assert_eq!(
            note(&alert("alice"), true),
            "[Medium] Shell in a pod: alice create pods/exec shop/web-0 from 10.0.0.5, see securityalert r-k3j5mwq2xr7ta-1"
        );
    }

    #[test]
    fn a_note_fits_whatever_the_event_holds() {
        let note = note(&alert(&"\u{1b}ä".repeat(5_000)), true);
        assert!(note.len() <= NOTE_MAX && note.ends_with("see securityalert r-k3j5mwq2xr7ta-1"), "{note}");
        assert!(!note.contains('\u{1b}'));
    }
}
