//! The Kubernetes Event that tells of a gap in a log: who watches Events hears of it without looking at the source.

use kube::Client;

use super::own_event::OwnEvent;
use crate::alert::WriteError;
use crate::api::{AuditSource, SourceAgent, condition_type};

/// Writes the Event of the newest gap of `agent`, once however often it is tried.
///
/// # Errors
/// When the API server does not take it.
pub(super) async fn publish(
    client: &Client,
    source: &AuditSource,
    agent: &SourceAgent,
) -> Result<(), WriteError> {
    let note = format!("on {}: {}", agent.name, agent.last_gap);
    event(agent, &note).publish(client, source).await
}

fn event<'a>(agent: &'a SourceAgent, note: &'a str) -> OwnEvent<'a> {
    OwnEvent {
        // A gap is told from others by whose it is and by its number.
        told: format!("{}/{}", agent.name, agent.gaps),
        reason: condition_type::GAP_DETECTED,
        action: "Read",
        note,
        time: agent.last_gap_time.as_ref().map_or_else(jiff::Timestamp::now, |time| time.0),
        instance: &agent.name,
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
            event(&agent, "").on(source).metadata.name.unwrap()
        };
        let log = source("log");
        assert_eq!(name(&log, "a", 1), name(&log, "a", 1));
        assert_ne!(name(&log, "a", 1), name(&log, "a", 2));
        assert_ne!(name(&log, "a", 1), name(&log, "b", 1));
        assert!(name(&log, "a", 1).starts_with("log."));
        assert!(name(&source(&format!("{}.{}", "x".repeat(199), "y".repeat(50))), "a", 1).len() < 253);
    }
}
