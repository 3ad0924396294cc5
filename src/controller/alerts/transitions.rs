//! Changes of an alert's state: what is noted of them, and who is noted as having made one.
//!
//! A name is noted only where nobody else can have been it. The audit log tells of every write who made it; which write
//! changed the state, it tells where it holds the answer, by the resourceVersion in it. Otherwise a write is told by its
//! time alone, and then only one person may have written within it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::api::{MOST_TRANSITIONS, SecurityAlert, TriageState, TriageTransition};

/// How far apart the time that a change was seen at and that of its write may be, so that the former, which is to the
/// microsecond, is the better one.
const PROMPT: Duration = Duration::from_secs(2);
/// The times of writes are to the second.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// The longest that the API server takes for a write, by its --request-timeout.
const SLOWEST_WRITE: SignedDuration = SignedDuration::from_mins(1);

/// A change that the watch has just brought.
pub(super) fn seen(alert: &SecurityAlert, from: TriageState, now: Timestamp) -> TriageTransition {
    let write = write_time(alert);
    let apart = |time: &Time| now.duration_since(time.0).unsigned_abs() > PROMPT;
    let time = write.as_ref().filter(|time| apart(time)).map_or(now, |time| time.0);
    let version = alert.metadata.resource_version.clone();
    TriageTransition { resource_version: version, write_time: write, ..transition(alert, from, time) }
}

/// A change that was found made: its write may be any of several.
fn found(alert: &SecurityAlert, from: TriageState, now: Timestamp) -> TriageTransition {
    transition(alert, from, write_time(alert).map_or(now, |time| time.0))
}

fn transition(alert: &SecurityAlert, from: TriageState, time: Timestamp) -> TriageTransition {
    let triage = &alert.spec.triage;
    TriageTransition {
        time: MicroTime(time),
        from,
        state: triage.state,
        by: None,
        assignee: triage.assignee.clone(),
        reason: triage.reason.clone(),
        resource_version: None,
        write_time: None,
    }
}

/// When `spec.triage.state` was last written, by the API server.
fn write_time(alert: &SecurityAlert) -> Option<Time> {
    let owners = alert.metadata.managed_fields.iter().flatten().filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0["f:spec"]["f:triage"]);
        entry.subresource.as_deref().unwrap_or_default().is_empty()
            && fields.is_some_and(|triage| triage.get("f:state").is_some())
    });
    owners.filter_map(|entry| entry.time.clone()).max_by_key(|time| time.0)
}

/// Keeps the newest.
pub(super) fn bound(list: &mut Vec<TriageTransition>) {
    let surplus = list.len().saturating_sub(MOST_TRANSITIONS);
    list.drain(..surplus);
}

/// Adds to the transitions of `alert` those that were seen. `is_current` where no version of it is unseen: then a state
/// that no transition tells of has come about unseen.
pub(super) fn note(
    list: &mut Vec<TriageTransition>,
    alert: &SecurityAlert,
    unnoted: &[TriageTransition],
    is_current: bool,
    now: Timestamp,
) {
    for change in unnoted {
        if !list.iter().any(|old| old.resource_version == change.resource_version) {
            list.push(change.clone());
        }
    }
    let noted = list.last().map_or(TriageState::Open, |newest| newest.state);
    if is_current && noted != alert.spec.triage.state {
        list.push(found(alert, noted, now));
    }
    bound(list);
}

/// A write of an alert, by the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TriageWrite {
    /// The alert's name.
    pub(crate) alert: String,
    /// Who wrote.
    pub(crate) user: String,
    /// When the request arrived.
    pub(crate) received: Timestamp,
    /// When it was answered.
    pub(crate) completed: Timestamp,
    /// The state that it asked for, where the log holds that.
    pub(crate) state: Option<TriageState>,
    /// The alert's resourceVersion in the answer, where the log holds that.
    pub(crate) version: Option<String>,
}

impl TriageWrite {
    /// Whether it was under way in the second that begins then.
    fn overlaps(&self, second: Timestamp) -> bool {
        self.received.duration_since(second) < SECOND && self.completed >= second
    }
}

/// From when to when this process has seen every write there was; only where it alone reads all there is to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// From when.
    pub(crate) since: Timestamp,
    /// To when.
    pub(crate) until: Timestamp,
}

/// Who made a transition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// This user and nobody else.
    One(String),
    /// One of several: it will never be known.
    Several,
    /// Nobody whose write has been seen, or not for certain yet.
    Unknown,
}

/// Who made a transition, by the writes of its alert.
pub(crate) fn maker(transition: &TriageTransition, writes: &[TriageWrite], seen: Option<Seen>) -> Maker {
    let (Some(version), Some(Time(second))) = (&transition.resource_version, &transition.write_time) else {
        return Maker::Unknown;
    };
    let within = || writes.iter().filter(|write| write.overlaps(*second));
    // A write that changes nothing is answered with the version that was there: so the version alone is not enough.
    let exact = within().filter(|write| write.version.as_ref() == Some(version));
    let vague = within()
        .filter(|write| write.version.is_none() && write.state.is_none_or(|state| state == transition.state));
    let is_exact = exact.clone().next().is_some();
    let users: BTreeSet<&str> = exact.chain(vague).map(|write| write.user.as_str()).collect();
    // Whoever writes an alert may write its times too, to the end of all times.
    let is_seen = seen.is_some_and(|seen| {
        second.duration_since(seen.since) >= SECOND
            && seen.until.duration_since(*second) >= SECOND + SLOWEST_WRITE
    });
    match users.first() {
        Some(_) if users.len() > 1 => Maker::Several,
        Some(user) if is_exact || is_seen => Maker::One((*user).to_owned()),
        _ => Maker::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000_000 + millis).unwrap()
    }

    fn closed(version: Option<&str>) -> TriageTransition {
        TriageTransition {
            time: MicroTime(at(500)),
            from: TriageState::Open,
            state: TriageState::Closed,
            by: None,
            assignee: String::new(),
            reason: String::new(),
            resource_version: version.map(str::to_owned),
            write_time: version.map(|_| Time(at(0))),
        }
    }

    fn write(user: &str, from: i64, state: Option<TriageState>, version: Option<&str>) -> TriageWrite {
        TriageWrite {
            alert: "a".to_owned(),
            user: user.to_owned(),
            received: at(from),
            completed: at(from + 20),
            state,
            version: version.map(str::to_owned),
        }
    }

    fn one(user: &str) -> Maker {
        Maker::One(user.to_owned())
    }

    #[test]
    fn times_at_the_end_of_all_times_tell_nothing() {
        for time in [Timestamp::MIN, Timestamp::MAX] {
            let transition = TriageTransition { write_time: Some(Time(time)), ..closed(Some("7")) };
            let seen = Some(Seen { since: Timestamp::MIN, until: Timestamp::MAX });
            assert_eq!(maker(&transition, &[write("alice", 480, None, Some("7"))], seen), Maker::Unknown);
        }
    }

    #[test]
    fn an_answer_in_the_log_tells_who_it_was() {
        let (alice, bob) = (write("alice", 480, None, Some("7")), write("bob", 490, None, Some("6")));
        assert_eq!(maker(&closed(Some("7")), &[alice.clone(), bob], None), one("alice"));
        // Who changes nothing is answered with the version that was there.
        let later = write("bob", 5_000, Some(TriageState::Closed), Some("7"));
        assert_eq!(maker(&closed(Some("7")), &[alice.clone(), later.clone()], None), one("alice"));
        assert_eq!(maker(&closed(Some("7")), &[later], None), Maker::Unknown);
        let at_once = write("bob", 600, Some(TriageState::Closed), Some("7"));
        assert_eq!(maker(&closed(Some("7")), &[alice.clone(), at_once], None), Maker::Several);
        // Another, of whose write the log does not hold the answer, may have been it as well.
        let vague = write("bob", 600, None, None);
        assert_eq!(maker(&closed(Some("7")), &[alice, vague], None), Maker::Several);
    }

    #[test]
    fn without_it_only_one_person_may_have_written_then() {
        let (alice, bob) = (write("alice", 480, None, None), write("bob", 990, None, None));
        let seen = Some(Seen { since: at(-5_000), until: at(70_000) });
        let closed = closed(Some("7"));
        assert_eq!(maker(&closed, std::slice::from_ref(&alice), seen), one("alice"));
        assert_eq!(maker(&closed, &[alice.clone(), alice.clone()], seen), one("alice"));
        assert_eq!(maker(&closed, &[alice.clone(), bob], seen), Maker::Several);
        for (user, from) in [("bob", -30), ("bob", 1_000)] {
            assert_eq!(maker(&closed, &[alice.clone(), write(user, from, None, None)], seen), one("alice"));
        }
        let other = write("bob", 490, Some(TriageState::Acknowledged), None);
        assert_eq!(maker(&closed, &[alice.clone(), other], seen), one("alice"));
        // Not yet, and not without having seen all.
        for seen in [
            None,
            Some(Seen { since: at(-5_000), until: at(60_000) }),
            Some(Seen { since: at(0), until: at(70_000) }),
        ] {
            assert_eq!(maker(&closed, std::slice::from_ref(&alice), seen), Maker::Unknown);
        }
    }

    #[test]
    fn what_came_about_unseen_is_nobodys() {
        let seen = Some(Seen { since: at(-5_000), until: at(70_000) });
        assert_eq!(maker(&closed(None), &[write("alice", 480, None, Some("7"))], seen), Maker::Unknown);
    }

    fn alert(state: &str) -> SecurityAlert {
        serde_json::from_value(json!({
            "apiVersion": "tripline.dev/v1alpha1", "kind": "SecurityAlert",
            "metadata": {"name": "a", "resourceVersion": "7", "managedFields": [
                {"manager": "kubectl-patch", "operation": "Update", "time": "2026-01-01T00:00:10Z",
                 "fieldsV1": {"f:spec": {"f:triage": {"f:state": {}}}}},
                {"manager": "other", "operation": "Update", "time": "2026-01-01T00:00:20Z",
                 "fieldsV1": {"f:metadata": {"f:labels": {}}}},
            ]},
            "spec": {
                "detection": {
                    "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "", "target": "",
                    "event": {},
                },
                "triage": {"state": state, "reason": "planned work"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn each_change_is_noted_once() {
        let (alert, now) = (alert("Closed"), "2026-01-01T00:00:10.5Z".parse().unwrap());
        let new = seen(&alert, TriageState::Open, now);
        assert_eq!((new.time.0, new.reason.as_str()), (now, "planned work"));
        let late = seen(&alert, TriageState::Open, "2026-01-01T00:05:00Z".parse().unwrap());
        assert_eq!(late.time.0.to_string(), "2026-01-01T00:00:10Z");
        let mut list = Vec::new();
        note(&mut list, &alert, std::slice::from_ref(&new), true, now);
        note(&mut list, &alert, &[new], true, now);
        assert_eq!(list.len(), 1);
        // A version that is still to be seen brings its own news.
        let reopened = self::alert("Open");
        note(&mut list, &reopened, &[], false, now);
        assert_eq!(list.len(), 1);
        note(&mut list, &reopened, &[], true, now);
        assert_eq!(
            (list.len(), list[1].from, list[1].resource_version.as_ref()),
            (2, TriageState::Closed, None)
        );
        for _ in 0..20 {
            note(&mut list, &self::alert("Closed"), &[], true, now);
            note(&mut list, &reopened, &[], true, now);
        }
        assert_eq!(list.len(), MOST_TRANSITIONS);
    }
}
