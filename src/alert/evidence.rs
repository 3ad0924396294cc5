//! The evidence of a match: what an alert says of the rule, the group and the event.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::bodies;
use super::name::{group_hash, overflow_hash};
use super::size::fit_evidence;
use super::text::{LONG, SHORT, long, short};
use crate::api::{
    Detection, DetectionRule, EventEvidence, EventTarget, Evidence, GroupField, ObjectEvidence, RecordPlace,
    Sample, Severity, Threat, ThreatReference, UserEvidence,
};
use crate::detect::GroupValue;
use crate::event::{Event, User};

/// The most groups of a user, and source addresses, that an alert shows.
const GROUPS: usize = 16;
const ADDRESSES: usize = 8;

/// What an alert says of its rule, and how its matches are grouped.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleFacts {
    /// The object's name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// The generation of the spec that is evaluated.
    pub generation: i64,
    /// Its severity.
    pub severity: Severity,
    /// How long a group may be quiet within one alert.
    pub window_seconds: i64,
    /// The hash of what its overflow alert counts.
    pub overflow_hash: String,
    /// Where the rule wants the Kubernetes Event of a new alert, if it says so.
    pub events: Option<EventTarget>,
    /// What of a request the rule wants an alert to show.
    pub evidence: Evidence,
    rule_id: Option<String>,
    title: String,
    risk_score: i32,
    threat: Vec<Threat>,
    tags: Vec<String>,
}

impl From<&DetectionRule> for RuleFacts {
    fn from(rule: &DetectionRule) -> Self {
        let spec = &rule.spec;
        Self {
            name: rule.metadata.name.clone().unwrap_or_default(),
            uid: rule.metadata.uid.clone().unwrap_or_default(),
            generation: rule.metadata.generation.unwrap_or_default(),
            severity: spec.severity,
            window_seconds: spec.grouping.window_seconds,
            overflow_hash: overflow_hash(rule.metadata.name.as_deref().unwrap_or_default()),
            events: spec.events,
            evidence: spec.evidence,
            rule_id: spec.rule_id.as_deref().map(|id| short(id, SHORT)),
            title: short(&spec.display_name, SHORT),
            risk_score: spec.risk_score,
            threat: spec.threat.iter().map(shown_threat).collect(),
            tags: spec.tags.iter().map(|tag| short(tag, 128)).collect(),
        }
    }
}

/// A threat whose texts are safe to show. The schema bounds them where they come from.
fn shown_threat(threat: &Threat) -> Threat {
    let reference = |entry: &ThreatReference| ThreatReference {
        id: short(&entry.id, 32),
        name: short(&entry.name, 128),
        reference: entry.reference.as_deref().map(|page| short(page, SHORT)),
    };
    Threat {
        framework: short(&threat.framework, 64),
        tactic: reference(&threat.tactic),
        techniques: threat.techniques.iter().map(reference).collect(),
    }
}

/// One match at its decisive stage, on its way to an alert.
#[derive(Debug)]
pub struct Match<'a> {
    pub(super) rule: &'a Arc<RuleFacts>,
    pub(super) event: &'a Event<'a>,
    pub(super) place: &'a RecordPlace,
    /// The event's own time.
    pub(super) time: Timestamp,
    /// The hash of the group.
    pub(super) hash: String,
    group: &'a [GroupValue],
    evidence: Evidence,
    /// Most matches only add to a count, and need none.
    detection: OnceCell<Detection>,
}

impl<'a> Match<'a> {
    /// A match of `rule` by `event`, which stands at `place`, in the group of these values. An alert shows at most as
    /// much of the request as `evidence` says, whatever the rule asks for.
    pub fn new(
        rule: &'a Arc<RuleFacts>,
        group: &'a [GroupValue],
        event: &'a Event<'a>,
        place: &'a RecordPlace,
        time: Timestamp,
        evidence: Evidence,
    ) -> Self {
        let hash = group_hash(&rule.name, group);
        Self { rule, event, place, time, hash, group, evidence, detection: OnceCell::new() }
    }

    /// The evidence, as an alert that this match opens has it.
    pub(super) fn detection(&self) -> &Detection {
        self.detection.get_or_init(|| detection(self))
    }

    /// The evidence, as an alert that this match opens has it.
    pub fn into_detection(mut self) -> Detection {
        self.detection.take().unwrap_or_else(|| detection(&self))
    }
}

fn detection(found: &Match<'_>) -> Detection {
    let rule = found.rule;
    let group = found.group.iter().map(|value| GroupField {
        field: short(&value.field, SHORT),
        value: value.values.as_ref().map(|values| short(&values.join(", "), SHORT)),
    });
    let mut detection = Detection {
        rule_name: rule.name.clone(),
        rule_uid: rule.uid.clone(),
        rule_generation: rule.generation,
        rule_id: rule.rule_id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        risk_score: rule.risk_score,
        threat: rule.threat.clone(),
        tags: rule.tags.clone(),
        group: group.collect(),
        group_hash: found.hash.clone(),
        target: target(found.event),
        // Of the alert that is made of it.
        who: String::new(),
        event: event_evidence(found.event, found.place, rule.evidence.min(found.evidence)),
    };
    fit_evidence(&mut detection);
    detection
}

/// The evidence of what found no room for an alert of its own, of which this match is the first: where it stands, and
/// nothing of who made it, since others will follow.
pub(super) fn overflow(found: &Match<'_>) -> Detection {
    let whole = found.detection().clone();
    let EventEvidence { stage, request_received_time, stage_time, place, .. } = whole.event;
    Detection {
        group: Vec::new(),
        group_hash: found.rule.overflow_hash.clone(),
        target: "what found no room in alerts of its own".to_owned(),
        event: EventEvidence { stage, request_received_time, stage_time, place, ..EventEvidence::default() },
        ..whole
    }
}

/// A match among the newest few of an alert.
pub(super) fn sample(event: &Event<'_>, place: &RecordPlace, time: Timestamp) -> Sample {
    Sample {
        time: Some(shown_time(time)),
        audit_id: shortened(event.audit_id()),
        user: shortened(event.user().and_then(|u| u.username())),
        source_ip: shortened(event.source_ips().last()),
        verb: shortened(event.verb()),
        target: target(event),
        response_code: event.response_code(),
        place: place.clone(),
    }
}

fn event_evidence(event: &Event<'_>, place: &RecordPlace, shown: Evidence) -> EventEvidence {
    let body = |wanted, field| (shown >= wanted).then(|| bodies::shown(event, field)).flatten();
    EventEvidence {
        user: event.user().map(|u| user_evidence(&u)),
        impersonated_user: event.impersonated_user().map(|u| user_evidence(&u)),
        source_ips: event.source_ips().take(ADDRESSES).map(|ip| short(&ip, SHORT)).collect(),
        user_agent: shortened(event.user_agent()),
        verb: shortened(event.verb()),
        object: event.object_ref().map(|object| ObjectEvidence {
            // The core group is the empty string; an absent field says the same without looking like a mistake.
            api_group: shortened(object.api_group().filter(|group| !group.is_empty())),
            api_version: shortened(object.api_version()),
            resource: shortened(object.resource()),
            subresource: shortened(object.subresource()),
            namespace: shortened(object.namespace()),
            name: shortened(object.name()),
            uid: shortened(object.uid()),
        }),
        request_uri: event.request_uri().map(|uri| long(&uri, LONG)),
        response_code: event.response_code(),
        decision: shortened(event.decision()),
        stage: event.stage().map(|stage| stage.as_str().to_owned()),
        audit_id: shortened(event.audit_id()),
        request_object: body(Evidence::Request, "requestObject"),
        response_object: body(Evidence::RequestResponse, "responseObject"),
        request_received_time: event.request_received_time().map(shown_time),
        stage_time: event.stage_time().map(shown_time),
        place: place.clone(),
    }
}

fn user_evidence(user: &User<'_>) -> UserEvidence {
    UserEvidence {
        username: shortened(user.username()),
        uid: shortened(user.uid()),
        groups: user.groups().take(GROUPS).map(|group| short(&group, SHORT)).collect(),
    }
}

/// A time as an object can carry it. An object's times are written as RFC 3339, which has no years before 0: such a time
/// would be refused by the API server, and what a checkpoint holds of it could not be read again.
pub(super) fn shown_time(time: Timestamp) -> MicroTime {
    const YEAR_0: Timestamp = Timestamp::constant(-62_167_219_200, 0);
    MicroTime(time.max(YEAR_0))
}

fn shortened(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(|text| short(&text, SHORT))
}

/// What was touched, in one line: `pods/exec shop/web-0`, `secrets kube-system`, or the path of the URI.
fn target(event: &Event<'_>) -> String {
    let object = event.object_ref();
    let Some((object, resource)) = object.and_then(|object| Some((object, object.resource()?))) else {
        let uri = event.request_uri().unwrap_or_default();
        return short(uri.split('?').next().unwrap_or_default(), SHORT);
    };
    let mut line = resource.into_owned();
    if let Some(subresource) = object.subresource().filter(|s| !s.is_empty()) {
        line = format!("{line}/{subresource}");
    }
    let present = [object.namespace(), object.name()].into_iter().flatten().filter(|part| !part.is_empty());
    let names: Vec<_> = present.collect();
    if !names.is_empty() {
        line = format!("{line} {}", names.join("/"));
    }
    short(&line, SHORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Bounds, Entry, Ledger};
    use crate::event::Tape;

    #[test]
    fn evidence_is_made_once_and_only_for_who_shows_it() {
        let rule: DetectionRule = serde_json::from_value(serde_json::json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "r"},
            "spec": {"displayName": "R", "severity": "Low", "riskScore": 1, "query": "verb:get"},
        }))
        .unwrap();
        let (rule, mut tape) = (Arc::new(RuleFacts::from(&rule)), Tape::default());
        let event = Event::from_object("{\"verb\":\"get\"}", &mut tape).unwrap();
        let place = |offset| RecordPlace { node: "n".into(), source: "s".into(), stream: "t".into(), offset };
        let ledger = Ledger::new("n", Bounds { alerts: 10, alerts_per_rule: 10 });
        let (first, second) = (place(1), place(2));
        let enter = |place| {
            let found = Match::new(&rule, &[], &event, place, Timestamp::UNIX_EPOCH, Evidence::Metadata);
            assert_eq!(ledger.enter(&found), Entry::Taken);
            found
        };
        // What the alert was opened with is what standard output is told.
        let opening = enter(&first);
        assert!(opening.detection.get().is_some());
        assert_eq!(opening.into_detection(), ledger.take_all()[0].opening);
        // One more of a group that waits only counts.
        drop(enter(&first));
        assert!(enter(&second).detection.get().is_none());
    }
}
