//! What is told: a change of an alert, or a detection, as a CloudEvent 1.0 in JSON.
//!
//! `docs/outputs.md` is its description. Fields are added to it and never change their meaning.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use crate::alert::text::short;
use crate::api::{Detection, SecurityAlert, Severity, TriageState};

/// The most bytes of what a person wrote of an alert.
const TRIAGE_TEXT: usize = 256;

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum ChangeKind {
    /// It is there.
    Opened,
    /// More matches joined it.
    Counted,
    /// Somebody takes care of it.
    Acknowledged,
    /// It is done.
    Closed,
    /// It is open again.
    Reopened,
    /// It is gone.
    Deleted,
}

impl ChangeKind {
    /// The last part of the CloudEvent's type.
    fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Counted => "counted",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Deleted => "deleted",
        }
    }

    /// The change that led to this state from another one.
    pub(super) fn to(state: TriageState) -> Self {
        match state {
            TriageState::Open => Self::Reopened,
            TriageState::Acknowledged => Self::Acknowledged,
            TriageState::Closed => Self::Closed,
        }
    }
}

/// An alert in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertFacts {
    /// The object's name.
    pub(super) name: String,
    /// The object's uid.
    pub(super) uid: String,
    /// The object's generation, which grows with each change of its triage.
    pub(super) generation: i64,
    /// The rule's name.
    pub(super) rule: String,
    /// The rule's `displayName`.
    pub(super) title: String,
    /// The rule's severity.
    pub(super) severity: Severity,
    /// The rule's risk score.
    pub(super) risk_score: i32,
    /// What was touched, in one line.
    pub(super) target: String,
    /// Who did it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// From where, as the API server saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source_ip: Option<String>,
    /// How far triage has come.
    pub(super) state: TriageState,
    /// Who takes care of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) assignee: String,
    /// Why it is in this state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    /// How many requests.
    pub(super) count: i64,
    /// When the alert was opened.
    pub(super) opened_time: Timestamp,
    /// The oldest match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_seen_time: Option<Timestamp>,
    /// The newest match's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_seen_time: Option<Timestamp>,
}

impl AlertFacts {
    /// The facts of an alert as the API server has it; none of one without a uid, which it never sends.
    pub(super) fn of(alert: &SecurityAlert) -> Option<Self> {
        let (detection, triage) = (&alert.spec.detection, &alert.spec.triage);
        let (event, status) = (&detection.event, alert.status.as_ref());
        let time = |time: Option<&MicroTime>| time.map(|time| time.0);
        let opened = alert.creation_timestamp().map(|time| time.0);
        Some(Self {
            name: alert.name_any(),
            uid: alert.uid()?,
            generation: alert.metadata.generation.unwrap_or_default(),
            rule: detection.rule_name.clone(),
            title: detection.title.clone(),
            severity: detection.severity,
            risk_score: detection.risk_score,
            target: detection.target.clone(),
            user: event.user.as_ref().and_then(|user| user.username.clone()),
            source_ip: event.source_ips.last().cloned(),
            state: triage.state,
            assignee: short(&triage.assignee, TRIAGE_TEXT),
            reason: short(&triage.reason, TRIAGE_TEXT),
            // Its first match is counted a moment after it was opened.
            count: status.map_or(0, |status| status.count).max(1),
            opened_time: opened.unwrap_or_default(),
            first_seen_time: time(
                status.and_then(|s| s.first_seen_time.as_ref()).or(event.stage_time.as_ref()),
            ),
            last_seen_time: time(
                status.and_then(|s| s.last_seen_time.as_ref()).or(event.stage_time.as_ref()),
            ),
        })
    }
}

/// One change of one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// What became of it.
    pub(super) kind: ChangeKind,
    /// When that was seen.
    pub(super) time: Timestamp,
    /// The alert after it.
    pub(super) alert: AlertFacts,
    /// The evidence, where the alert opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detection: Option<Box<Detection>>,
}

impl Change {
    /// What names this change, however often and by whichever process it is told: a receiver drops what it had.
    /// Without a full stop, which separates it from what is signed with it.
    pub(super) fn id(&self) -> String {
        let AlertFacts { uid, count, generation, .. } = &self.alert;
        match self.kind {
            ChangeKind::Opened | ChangeKind::Deleted => format!("{uid}-{}", self.kind.as_str()),
            ChangeKind::Counted => format!("{uid}-counted-{count}"),
            ChangeKind::Acknowledged | ChangeKind::Closed | ChangeKind::Reopened => {
                format!("{uid}-{}-{generation}", self.kind.as_str())
            }
        }
    }
}

/// Where messages come from: the cluster.
#[derive(Clone, Debug)]
pub struct Origin {
    cluster: Option<String>,
    source: String,
}

impl Origin {
    /// Messages of this cluster.
    pub fn new(cluster: Option<&str>) -> Self {
        let source = match cluster {
            // It is part of a URI.
            Some(cluster) => {
                let name: String = form_urlencoded::byte_serialize(cluster.as_bytes()).collect();
                format!("/tripline/{name}")
            }
            None => "/tripline".to_owned(),
        };
        Self { cluster: cluster.map(str::to_owned), source }
    }

    /// The cluster's name.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// A change as it is sent: the same bytes each time.
    pub(super) fn change(&self, change: &Change) -> Vec<u8> {
        self.envelope(
            change.id(),
            &format!("alert.{}", change.kind.as_str()),
            &change.alert.name,
            change.time,
            Some(&change.alert),
            change.detection.as_deref(),
        )
    }

    /// A detection as it is sent.
    pub(super) fn detection(&self, detection: &Detection) -> Vec<u8> {
        let place = &detection.event.place;
        let time = detection.event.stage_time.as_ref().or(detection.event.request_received_time.as_ref());
        let time = time.map_or_else(Timestamp::now, |time| time.0);
        let id = format!("{}-{}-{}", detection.rule_uid, place.stream, place.offset);
        self.envelope(id, "detection", &detection.rule_name, time, None, Some(detection))
    }

    fn envelope(
        &self,
        id: String,
        what: &str,
        subject: &str,
        time: Timestamp,
        alert: Option<&AlertFacts>,
        detection: Option<&Detection>,
    ) -> Vec<u8> {
        let envelope = Envelope {
            specversion: "1.0",
            id,
            source: &self.source,
            r#type: format!("dev.tripline.{what}"),
            subject,
            time,
            datacontenttype: "application/json",
            data: Data { cluster: self.cluster(), alert, detection },
        };
        // Strings and numbers only: it has a JSON form.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    r#type: String,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'a AlertFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detection: Option<&'a Detection>,
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An alert as the API server has it.
    pub(in crate::output) fn alert(
        uid: &str,
        severity: &str,
        state: &str,
        generation: i64,
        count: i64,
    ) -> SecurityAlert {
        let alert = json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert",
            "metadata": {
                "name": format!("exec-{uid}-1"), "uid": uid, "generation": generation,
                "creationTimestamp": "2026-11-26T12:00:00Z",
            },
            "spec": {
                "detection": {
                    "ruleName": "exec", "ruleUid": "r", "title": "Exec", "severity": severity, "riskScore": 47,
                    "groupHash": "h", "target": "pods/exec shop/web-0",
                    "event": {
                        "user": {"username": "alice"}, "sourceIPs": ["1.2.3.4", "10.0.0.5"],
                        "stageTime": "2026-11-26T11:59:59.000000Z",
                        "node": "n", "source": "s", "stream": "t", "offset": 17,
                    },
                },
                "triage": {"state": state, "assignee": "bob\u{1b}"},
            },
            "status": if count == 0 { Value::Null } else { json!({"count": count}) },
        });
        serde_json::from_value(alert).unwrap()
    }

    fn change(kind: ChangeKind) -> Change {
        let alert = alert("u", "High", "Open", 3, 5);
        let detection = (kind == ChangeKind::Opened).then(|| Box::new(alert.spec.detection.clone()));
        let time = "2026-11-26T12:00:01Z".parse().unwrap();
        Change { kind, time, alert: AlertFacts::of(&alert).unwrap(), detection }
    }

    #[test]
    fn a_change_is_a_cloud_event() {
        let sent: Value =
            serde_json::from_slice(&Origin::new(Some("shop eu/1")).change(&change(ChangeKind::Closed)))
                .unwrap();
        let wanted = json!({
            "specversion": "1.0", "id": "u-closed-3", "source": "/tripline/shop+eu%2F1",
            "type": "dev.tripline.alert.closed", "subject": "exec-u-1", "time": "2026-11-26T12:00:01Z",
            "datacontenttype": "application/json",
            "data": {"cluster": "shop eu/1", "alert": {
                "name": "exec-u-1", "uid": "u", "generation": 3, "rule": "exec", "title": "Exec", "severity": "High",
                "riskScore": 47, "target": "pods/exec shop/web-0", "user": "alice", "sourceIp": "10.0.0.5",
                "state": "Open", "assignee": "bob\\u{1b}", "count": 5, "openedTime": "2026-11-26T12:00:00Z",
                "firstSeenTime": "2026-11-26T11:59:59Z", "lastSeenTime": "2026-11-26T11:59:59Z",
            }},
        });
        assert_eq!(sent, wanted);
    }

    #[test]
    fn evidence_goes_with_the_opening_and_with_a_detection() {
        let opened = change(ChangeKind::Opened);
        let sent: Value = serde_json::from_slice(&Origin::new(None).change(&opened)).unwrap();
        assert_eq!(sent["data"]["detection"]["event"]["offset"], 17);
        assert_eq!((&sent["id"], &sent["source"]), (&json!("u-opened"), &json!("/tripline")));
        let found = opened.detection.unwrap();
        let sent: Value = serde_json::from_slice(&Origin::new(None).detection(&found)).unwrap();
        assert_eq!((&sent["id"], &sent["type"]), (&json!("r-t-17"), &json!("dev.tripline.detection")));
        assert_eq!(sent["data"]["detection"]["target"], "pods/exec shop/web-0");
    }

    #[test]
    fn an_id_is_the_same_for_the_same_change_and_has_no_full_stop() {
        use ChangeKind::{Acknowledged, Closed, Counted, Deleted, Opened, Reopened};
        let ids = [Opened, Counted, Acknowledged, Closed, Reopened, Deleted].map(|kind| change(kind).id());
        assert_eq!(
            ids,
            ["u-opened", "u-counted-5", "u-acknowledged-3", "u-closed-3", "u-reopened-3", "u-deleted"]
        );
    }
}
