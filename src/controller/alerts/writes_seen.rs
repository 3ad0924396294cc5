//! Who changed an alert's state, as the audit log tells: the threads that judge hand over each write of an alert, and a
//! task fills in the name once it is certain. Judging never waits for it: what finds no room is counted and its name left
//! unknown.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::readers::Readers;
use super::super::status_failure;
use super::transitions::{Maker, Seen, TriageWrite, maker};
use crate::alert::{WriteError, call, text, write_params};
use crate::api::{GROUP, SecurityAlert, SecurityAlertStatus, Stored, TriageState, is_object_name};
use crate::event::{Event, Stage, Value};
use crate::telemetry::Metrics;

/// How many writes may wait to be taken by the task.
const QUEUE: usize = 256;
/// How many of the newest writes are compared with transitions.
const REMEMBERED: usize = 1024;
/// How long a write is remembered, by its own time.
const MEMORY: SignedDuration = SignedDuration::from_mins(5);
/// After how many seconds a write is looked for among the transitions. The last is when the log is read far enough that
/// no other write can have been at the same time.
const LOOKS: [u64; 7] = [1, 3, 8, 20, 45, 75, 150];
/// How long after one look the next one may come.
const PACE: Duration = Duration::from_millis(100);
/// How often it is tried against others who write the same alert.
const ATTEMPTS: u32 = 8;

/// Where the threads that judge hand writes of alerts.
#[derive(Clone, Debug)]
pub struct TriageWrites {
    sender: mpsc::Sender<TriageWrite>,
    dropped: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl TriageWrites {
    /// Both ends: for the threads, and for the task.
    pub fn new(metrics: &Arc<Metrics>) -> (Self, WritesSeen) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let writes = Self { sender, dropped: Arc::clone(&dropped), metrics: Arc::clone(metrics) };
        (writes, WritesSeen { receiver, dropped, metrics: Arc::clone(metrics) })
    }

    /// Whether an event with this verb and resource may be such a write.
    pub(in crate::controller) fn concerns(verb: Option<&str>, resource: Option<&str>) -> bool {
        matches!(verb, Some("update" | "patch")) && resource == Some("securityalerts")
    }

    /// Hands over what the event tells, if it is a write of an alert that was answered well. Never waits.
    pub(in crate::controller) fn hand(&self, event: &Event<'_>) {
        let Some(write) = triage_write(event) else { return };
        if self.sender.try_send(write).is_err() {
            self.dropped.fetch_add(1, Ordering::AcqRel);
            self.metrics.triage_writes_dropped.inc();
        }
    }
}

fn triage_write(event: &Event<'_>) -> Option<TriageWrite> {
    let object = event.object_ref()?;
    let is_alert = TriageWrites::concerns(event.verb().as_deref(), object.resource().as_deref())
        && object.api_group().as_deref() == Some(GROUP);
    let is_whole = object.subresource().is_none_or(|part| part.is_empty());
    let is_done = event.stage() == Some(Stage::ResponseComplete)
        && event.response_code().is_some_and(|code| (200..300).contains(&code));
    if !(is_alert && is_whole && is_done) {
        return None;
    }
    let alert = object.name()?.into_owned();
    // The name goes into a URL.
    if alert.len() > 63 || !is_object_name(&alert) {
        return None;
    }
    let text_at = |body: &str, path: &[&str]| -> Option<String> {
        let found = path.iter().try_fold(event.root().get(body)?, |value: Value<'_>, key| value.get(key))?;
        found.text().map(Cow::into_owned)
    };
    let state = text_at("requestObject", &["spec", "triage", "state"]);
    Some(TriageWrite {
        alert,
        user: text::short(&event.user()?.username()?, text::SHORT),
        received: event.request_received_time()?,
        completed: event.stage_time()?,
        state: state.and_then(|state| TriageState::ALL.into_iter().find(|known| known.as_str() == state)),
        version: text_at("responseObject", &["metadata", "resourceVersion"]),
    })
}

/// The other end, which fills in names.
#[derive(Debug)]
pub struct WritesSeen {
    receiver: mpsc::Receiver<TriageWrite>,
    dropped: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

/// An alert that is to be looked at again.
struct Look {
    alert: String,
    /// When its write was handed over.
    began: Instant,
    /// How often it was looked at.
    looks: usize,
}

impl Look {
    fn due(&self) -> Instant {
        self.began + Duration::from_secs(LOOKS[self.looks.min(LOOKS.len() - 1)])
    }
}

impl WritesSeen {
    /// Fills in names until `stop`, as the process of `node`.
    pub async fn run(mut self, client: Client, node: String, readers: Arc<Readers>, stop: CancellationToken) {
        let api: Api<Stored<SecurityAlert>> = Api::all(client);
        let mut writes: VecDeque<TriageWrite> = VecDeque::new();
        let mut looks: VecDeque<Look> = VecDeque::new();
        let (mut since, mut dropped) = (Timestamp::now(), 0);
        loop {
            let next = looks.iter().map(Look::due).min();
            tokio::select! {
                () = stop.cancelled() => return,
                handed = self.receiver.recv() => {
                    let Some(write) = handed else { return };
                    looks.retain(|look| look.alert != write.alert);
                    looks.push_back(Look { alert: write.alert.clone(), began: Instant::now(), looks: 0 });
                    let newest = write.completed;
                    writes.push_back(write);
                    writes.retain(|old| newest.duration_since(old.completed) <= MEMORY);
                    if writes.len() > REMEMBERED {
                        writes.pop_front();
                        since = since.max(Timestamp::now());
                    }
                    looks.truncate(REMEMBERED);
                    continue;
                }
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {}
            }
            let now_dropped = self.dropped.load(Ordering::Acquire);
            if now_dropped != dropped {
                (dropped, since) = (now_dropped, Timestamp::now());
            }
            let now = Instant::now();
            let Some(at) = looks.iter().position(|look| look.due() <= now) else { continue };
            let Some(mut look) = looks.remove(at) else { continue };
            look.looks += 1;
            let of_alert: Vec<_> = writes.iter().filter(|write| write.alert == look.alert).cloned().collect();
            let seen = seen(&readers, &node, since);
            let is_done = match fill(&api, &look.alert, &of_alert, seen).await {
                Ok(is_done) => is_done,
                Err(error) => {
                    status_failure::note(&self.metrics, "alert", &look.alert, &error);
                    error.is_not_found()
                }
            };
            if !is_done && look.looks < LOOKS.len() {
                looks.push_back(look);
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

/// What this process has seen of all writes there were: nothing, unless it is the only one to read, and of one log.
fn seen(readers: &Readers, node: &str, since: Timestamp) -> Option<Seen> {
    let entries = readers.entries();
    let [source] = &entries[..] else { return None };
    let agents = source.object.status.iter().flat_map(|status| &status.agents);
    let is_sole = source.selected && agents.into_iter().all(|agent| agent.name == node);
    let until = source.report.lock().counts.last_event_time?;
    is_sole.then_some(Seen { since, until })
}

/// Fills in who made the transitions of an alert, as far as its writes tell; says whether none is left that they could.
async fn fill(
    api: &Api<Stored<SecurityAlert>>,
    name: &str,
    writes: &[TriageWrite],
    seen: Option<Seen>,
) -> Result<bool, WriteError> {
    for _ in 0..ATTEMPTS {
        let found = call("the alert", api.get_opt(name)).await?.and_then(|stored| stored.0.ok());
        let Some(mut alert) = found else { return Ok(true) };
        let Some(status) = &mut alert.status else { return Ok(false) };
        let (changed, is_done) = fill_in(status, alert.spec.triage.state, writes, seen);
        if !changed {
            return Ok(is_done);
        }
        let alert = Stored(Ok(alert));
        match call("the alert's transitions", api.replace_status(name, &write_params(), &alert)).await {
            Ok(_) => return Ok(is_done),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    Err(WriteError::Contended { attempts: ATTEMPTS })
}

/// Whether that changed anything, and whether nothing is left to be done.
fn fill_in(
    status: &mut SecurityAlertStatus,
    state: TriageState,
    writes: &[TriageWrite],
    seen: Option<Seen>,
) -> (bool, bool) {
    // The newest state may still be to be noted.
    let noted = status.transitions.last().map_or(TriageState::Open, |last| last.state);
    let (mut changed, mut is_done) = (false, noted == state);
    for transition in &mut status.transitions {
        match (maker(transition, writes, seen), &transition.by) {
            (Maker::One(user), None) => {
                transition.by = Some(user);
                changed = true;
            }
            (Maker::One(user), Some(by)) if user == *by => {}
            // Another process read of somebody else: nobody can say who it was, and nobody is to try.
            (Maker::One(_) | Maker::Several, _) => {
                (transition.by, transition.resource_version, transition.write_time) = (None, None, None);
                changed = true;
            }
            (Maker::Unknown, by) => is_done &= by.is_some() || transition.resource_version.is_none(),
        }
    }
    (changed, is_done)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::Tape;

    fn event(more: &Value) -> Value {
        let mut event = json!({
            "verb": "patch", "stage": "ResponseComplete", "user": {"username": "al\u{1b}ice"},
            "objectRef": {"apiGroup": "tripline.dev", "resource": "securityalerts", "name": "a-1"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": "2026-01-01T00:00:00.100000Z", "stageTimestamp": "2026-01-01T00:00:00.200000Z",
        });
        for (key, value) in more.as_object().unwrap() {
            event[key] = value.clone();
        }
        event
    }

    fn read(event: &Value) -> Option<TriageWrite> {
        let (text, mut tape) = (event.to_string(), Tape::default());
        triage_write(&Event::from_object(&text, &mut tape).unwrap())
    }

    #[test]
    fn what_an_event_tells_of_a_write() {
        let write = read(&event(&json!({}))).unwrap();
        assert_eq!((write.alert.as_str(), write.user.as_str()), ("a-1", r"al\u{1b}ice"));
        assert_eq!((write.state, write.version), (None, None));
        let write = read(&event(&json!({
            "requestObject": {"spec": {"triage": {"state": "Closed"}}},
            "responseObject": {"metadata": {"resourceVersion": "7"}},
        })));
        let write = write.unwrap();
        assert_eq!((write.state, write.version.as_deref()), (Some(TriageState::Closed), Some("7")));
        // A JSON patch says it in another way; its answer says the same.
        let patch = json!([{"op": "replace", "path": "/spec/triage/state", "value": "Closed"}]);
        assert_eq!(read(&event(&json!({"requestObject": patch}))).unwrap().state, None);
        let object = |object: Value| json!({"objectRef": object});
        for other in [
            json!({"verb": "get"}),
            json!({"stage": "RequestReceived"}),
            json!({"responseStatus": {"code": 409}}),
            json!({"user": {}}),
            object(json!({"apiGroup": "x", "resource": "securityalerts", "name": "a"})),
            object(
                json!({"apiGroup": "tripline.dev", "resource": "securityalerts", "subresource": "status", "name": "a"}),
            ),
            object(json!({"apiGroup": "tripline.dev", "resource": "securityalerts", "name": "../a"})),
            object(json!({"apiGroup": "tripline.dev", "resource": "securityalerts"})),
        ] {
            assert_eq!(read(&event(&other)), None, "{other}");
        }
    }

    #[test]
    fn two_who_read_of_different_makers_leave_it_unknown() {
        let status = json!({"count": 1, "transitions": [{
            "time": "2026-01-01T00:00:00.150000Z", "from": "Open", "state": "Closed", "resourceVersion": "7",
            "writeTime": "2026-01-01T00:00:00Z",
        }]});
        let mut status: SecurityAlertStatus = serde_json::from_value(status).unwrap();
        let write = |user: &str| {
            let event = event(&json!({
                "user": {"username": user}, "responseObject": {"metadata": {"resourceVersion": "7"}},
            }));
            [read(&event).unwrap()]
        };
        let closed = TriageState::Closed;
        assert_eq!(fill_in(&mut status, closed, &[], None), (false, false));
        assert_eq!(fill_in(&mut status, closed, &write("alice"), None), (true, true));
        assert_eq!(status.transitions[0].by.as_deref(), Some("alice"));
        assert_eq!(fill_in(&mut status, closed, &write("alice"), None), (false, true));
        assert_eq!(fill_in(&mut status, closed, &write("bob"), None), (true, true));
        assert_eq!(status.transitions[0].by, None);
        assert_eq!(fill_in(&mut status, closed, &write("alice"), None), (false, true));
        // What is still to be noted is waited for.
        assert_eq!(fill_in(&mut status, TriageState::Open, &write("alice"), None), (false, false));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let metrics = Arc::new(Metrics::new());
        let (writes, _seen) = TriageWrites::new(&metrics);
        let (text, mut tape) = (event(&json!({})).to_string(), Tape::default());
        let event = Event::from_object(&text, &mut tape).unwrap();
        for _ in 0..QUEUE + 3 {
            writes.hand(&event);
        }
        assert_eq!(metrics.triage_writes_dropped.get(), 3);
    }
}
