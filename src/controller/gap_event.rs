//! The Kubernetes Event that tells of a gap in a log: who watches Events hears of it without looking at the source.

use data_encoding::HEXLOWER;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use kube::{Client, Resource as _, ResourceExt as _};
use sha2::{Digest as _, Sha256};

use crate::alert::{CLUSTER_NAMESPACE, NOTE_MAX, WriteError, text, write_once};
use crate::api::{AuditSource, CONTROLLER, SourceAgent, condition_type};

/// Writes the Event of the newest gap of `agent`, once however often it is tried.
///
/// # Errors
/// When the API server does not take it.
pub(super) async fn publish(
    client: &Client,
    source: &AuditSource,
    agent: &SourceAgent,
) -> Result<(), WriteError> {
    write_once(client, CLUSTER_NAMESPACE, &event(source, agent)).await.map(drop)
}

fn event(source: &AuditSource, agent: &SourceAgent) -> Event {
    // A gap is told from others by whose it is and by its number.
    let told = format!("{}/{}/{}", source.uid().unwrap_or_default(), agent.name, agent.gaps);
    let hash = HEXLOWER.encode(&Sha256::digest(told)[..8]);
    let name = text::cut(&source.name_any(), 200);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{hash}", name.trim_end_matches(['.', '-']))),
            namespace: Some(CLUSTER_NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        event_time: Some(agent.last_gap_time.clone().unwrap_or_else(|| MicroTime(jiff::Timestamp::now()))),
        type_: Some("Warning".to_owned()),
        reason: Some(condition_type::GAP_DETECTED.to_owned()),
        action: Some("Read".to_owned()),
        note: Some(text::short(&format!("on {}: {}", agent.name, agent.last_gap), NOTE_MAX)),
        regarding: Some(source.object_ref(&())),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(text::short(&agent.name, 128)),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_has_an_event_of_its_own() {
        let source = |name: &str| {
            let object = serde_json::json!({
                "apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource",
                "metadata": {"name": name, "uid": "5d1a"}, "spec": {"file": {"path": "audit.log"}},
            });
            serde_json::from_value::<AuditSource>(object).unwrap()
        };
        let name = |source: &AuditSource, node: &str, gaps| {
            let agent = SourceAgent { name: node.to_owned(), gaps, ..SourceAgent::default() };
            event(source, &agent).metadata.name.unwrap()
        };
        let log = source("log");
        assert_eq!(name(&log, "a", 1), name(&log, "a", 1));
        assert_ne!(name(&log, "a", 1), name(&log, "a", 2));
        assert_ne!(name(&log, "a", 1), name(&log, "b", 1));
        assert!(name(&log, "a", 1).starts_with("log."));
        assert!(name(&source(&format!("{}.{}", "x".repeat(199), "y".repeat(50))), "a", 1).len() < 253);
    }
}
