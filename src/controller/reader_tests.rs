//! A reading thread from a log on disk to the ledger and the counts, without an API server.
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::alerts::TriageWrites;
use super::compile::compile;
use super::progress::{Report, SharedReport};
use super::*;
use crate::alert::{Bounds, Ledger, Parcel, RuleFacts};
use crate::api::{DetectionRule, Evidence, Mode};
use crate::source::{FileSource, LogRoot, MAX_LINE, StartAt, StateFolder, Wakeup};
use crate::telemetry::Metrics;

const OWN: &str = "system:serviceaccount:tripline-system:tripline";

/// What came of a log.
struct Came {
    report: Report,
    parcels: Vec<Parcel>,
    metrics: String,
}

impl Came {
    /// The users of the matches, sorted.
    fn users(&self) -> Vec<String> {
        let group = |parcel: &Parcel| parcel.opening.group[0].value.clone().unwrap_or_default();
        let mut users: Vec<_> = self.parcels.iter().map(group).collect();
        users.sort();
        users
    }

    fn has(&self, metric: &str) -> bool {
        self.metrics.lines().any(|line| line == metric)
    }
}

fn rules() -> LoadedRules {
    let rule: DetectionRule = serde_json::from_value(json!({
        "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule",
        "metadata": {"name": "deletes", "uid": "1"},
        "spec": {"displayName": "Deletes", "riskScore": 21, "severity": "Low", "query": "verb: delete",
            "grouping": {"by": ["user.username"]}},
    }))
    .unwrap();
    let compiled = compile(&rule).unwrap();
    let facts = Arc::new(RuleFacts::from(&rule));
    std::iter::once(LoadedRule { rule: Arc::new(compiled.rule), facts, mode: Mode::Alert }).collect()
}

/// A log in a folder of its own, and what reads it.
struct Following {
    folder: TempDir,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    report: SharedReport,
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Reader>,
}

impl Following {
    /// Follows a log, of which the first part was rotated.
    fn start(rotated: &str, log: &str, start_at: StartAt) -> Following {
        Self::within(Bounds::default(), rotated, log, start_at)
    }

    fn within(bounds: Bounds, rotated: &str, log: &str, start_at: StartAt) -> Following {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("audit-2026-01-01T00-30-00.000.log"), rotated).unwrap();
        fs::write(folder.path().join("audit.log"), log).unwrap();
        let (ledger, metrics) = (Arc::new(Ledger::new("node", bounds)), Arc::new(Metrics::new()));
        let own_accounts = vec![OWN.to_owned()];
        let around = Surroundings {
            stdout: None,
            rules: Arc::new(ArcSwap::from_pointee(rules())),
            ledger: Arc::clone(&ledger),
            ignored: Arc::new(IgnoredUsers {
                own_accounts,
                own_pods: Vec::new(),
                users: vec!["quiet".to_owned()],
            }),
            evidence: Evidence::default(),
            triage: TriageWrites::new(&metrics).0,
            metrics: Arc::clone(&metrics),
            state: Arc::new(StateFolder::open(folder.path().join("state")).unwrap()),
        };
        let settings = SourceSettings {
            name: "log".to_owned(),
            path: "audit.log".to_owned(),
            cluster: None,
            omitted_stages: Vec::new(),
        };
        let root = LogRoot::open(folder.path()).unwrap();
        let wakeup = Wakeup::new(folder.path()).unwrap();
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let file = FileSource::new(root, "audit.log", start_at, now, None);
        let (stop, report) = (Arc::new(AtomicBool::new(false)), SharedReport::default());
        let reader = Reader::new(settings, around, file, wakeup, Arc::clone(&stop), report.clone()).unwrap();
        let reader = std::thread::spawn(|| reader.run());
        Following { folder, ledger, metrics, report, stop, reader }
    }

    fn wait_for(&self, what: impl Fn(&Report) -> bool) {
        let limit = Instant::now() + Duration::from_secs(30);
        while !what(&self.report.lock()) {
            assert!(Instant::now() < limit, "{:?}", self.report.lock());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn append(&self, lines: &str) {
        let mut log = OpenOptions::new().append(true).open(self.folder.path().join("audit.log")).unwrap();
        log.write_all(lines.as_bytes()).unwrap();
    }

    fn end(self) -> Came {
        self.stop.store(true, Ordering::Release);
        self.reader.join().unwrap().finish();
        let mut text = String::new();
        encode(&mut text, &self.metrics.registry()).unwrap();
        let report = self.report.lock().clone();
        Came { report, parcels: self.ledger.take_all(), metrics: text }
    }
}

/// Reads a log to its end, of which the first part was rotated.
fn follow(rotated: &str, log: &str, start_at: StartAt) -> Came {
    let following = Following::start(rotated, log, start_at);
    let length = i64::try_from(rotated.len() + log.len()).unwrap();
    following.wait_for(|report| report.offset >= length);
    following.end()
}

fn record(user: &str, minute: u32, more: &Value) -> String {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "stage": "ResponseComplete",
        "requestURI": "/", "verb": "delete", "user": {"username": user},
        "stageTimestamp": format!("2026-01-01T00:{minute:02}:00.000000Z"),
    });
    event.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    // In the order in which the API server writes them.
    let keys = ["kind", "apiVersion", "level", "stage", "requestURI", "verb", "user", "objectRef"];
    let rest = event.as_object().unwrap().keys().map(String::as_str).filter(|key| !keys.contains(key));
    let members =
        keys.into_iter().chain(rest).filter_map(|key| Some(format!("{}:{}", json!(key), event.get(key)?)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[test]
fn a_log_without_a_record_is_a_place_that_is_kept() {
    let following = Following::start("", "", StartAt::Start);
    following.wait_for(|report| !report.stream.is_empty());
    // It is told only when it is on disk: else a kill would look like a lost checkpoint.
    let state = following.folder.path().join("state");
    let checkpoints =
        fs::read_dir(state).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert!(checkpoints.into_iter().any(|name| name.starts_with("checkpoint-")));
    following.end();
}

#[test]
fn records_on_both_sides_of_a_missing_newline_are_judged_once() {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| record(user, 0, &json!({})));
    let planted =
        record("dave", 0, &json!({"requestObject": {"a": serde_json::from_str::<Value>(&carol).unwrap()}}));
    // A beginning, a record without its newline, a beginning that holds a whole record, and one that nothing follows.
    let whole = &planted[..=planted.rfind("}}").unwrap()];
    assert!(whole.ends_with("\"delete\"}"), "{whole}");
    let log = format!("{}{alice}\n{bob}{carol}\n{whole}{alice}\n", &alice[..50]);
    let came = follow(whole, &log, StartAt::Start);
    assert_eq!(came.report.counts.events, 4, "{:?}", came.report);
    assert_eq!(came.report.counts.malformed_lines, 3);
    assert!(came.has("tripline_salvaged_records_total{source=\"log\"} 3"), "{}", came.metrics);
    assert_eq!((came.report.counts.salvaged_records, came.report.counts.rotations), (3, 1));
    assert_eq!(came.report.counts.bytes, came.report.offset);
    let count = |user: &str| {
        let of_user =
            came.parcels.iter().find(|parcel| parcel.opening.group[0].value.as_deref() == Some(user));
        of_user.map_or(0, Parcel::count)
    };
    assert_eq!(["alice", "bob", "carol", "dave"].map(count), [2, 1, 1, 0]);
}

#[test]
fn who_is_ignored_is_counted_and_not_judged() {
    let own = json!({"objectRef": {"apiGroup": "tripline.dev", "resource": "securityalerts", "name": "x"}, "verb": "create"});
    let escaped = record("quiet", 0, &json!({})).replace("quiet", "q\\u0075iet");
    let twice = record("alice", 0, &json!({}))
        .replace("\"username\":", "\"username\":\"alice\",\"username\":")
        .replace("\"alice\"}", "\"quiet\"}");
    let lines = [
        record("quiet", 0, &json!({})),
        record("quiets", 0, &json!({})),
        escaped,
        twice,
        record(OWN, 0, &own),
        record(OWN, 0, &json!({})),
        record("quiet", 0, &json!({"verb": "get"})),
        record("alice", 0, &json!({"verb": "get"})),
    ];
    let came = follow("", &(lines.join("\n") + "\n"), StartAt::Start);
    assert_eq!((came.report.counts.events, came.report.counts.ignored), (8, 5));
    assert_eq!(came.users(), ["quiets", OWN]);
}

#[test]
fn what_is_older_than_wanted_is_neither_counted_nor_judged() {
    let untimed = record(
        "carol",
        0,
        &json!({"stageTimestamp": null, "requestReceivedTimestamp": "2026-01-01T00:40:00Z"}),
    );
    let lines = [
        record("alice", 10, &json!({})),
        record("alice", 10, &json!({"verb": "get"})),
        record("bob", 50, &json!({})),
        record("bob", 50, &json!({"verb": "get"})),
        untimed.clone(),
        untimed.replace("delete", "get"),
        // Without any time, it may be new; after it, one that has to be read in full to see when it was.
        record("dave", 0, &json!({"verb": "get", "stageTimestamp": null}))
            .replace(",\"stageTimestamp\":null", ""),
        record("erin", 10, &json!({"verb": "get", "a.key": "with a dot"})),
    ];
    let came = follow("", &(lines.join("\n") + "\n"), StartAt::LastSeconds(1800));
    assert_eq!(came.report.counts.events, 5);
    assert_eq!(came.users(), ["bob", "carol"]);
    let last = came.report.counts.last_event_time;
    assert_eq!(last, Some("2026-01-01T00:50:00Z".parse::<Timestamp>().unwrap()));
}

#[test]
fn reading_waits_for_a_state_folder_that_cannot_be_written() {
    let line = |user: &str| record(user, 0, &json!({})) + "\n";
    let following = Following::start("", &line("alice"), StartAt::Start);
    following.wait_for(|report| report.counts.events == 1);
    let (state, away) = (following.folder.path().join("state"), following.folder.path().join("away"));
    fs::rename(&state, &away).unwrap();
    following.append(&line("bob"));
    following.wait_for(|report| {
        report.trouble.as_ref().is_some_and(|trouble| trouble.reason == "StateUnwritable")
    });
    following.append(&line("carol"));
    let events = following.report.lock().counts.events;
    std::thread::sleep(Wakeup::SAFETY_POLL * 8);
    assert_eq!(following.report.lock().counts.events, events, "it was read on");
    fs::rename(&away, &state).unwrap();
    following.wait_for(|report| report.counts.events == 3 && report.trouble.is_none());
    let came = following.end();
    assert_eq!(came.users(), ["alice", "bob", "carol"]);
}

#[test]
fn a_record_too_long_to_be_read_is_judged_by_its_ends() {
    let long = |user: &str, body: &str| {
        let event = record(user, 0, &json!({}));
        let (head, time) = event.split_once(",\"stageTimestamp\"").unwrap();
        let received = r#""requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z""#;
        format!("{head},\"responseObject\":{{\"items\":[\"{body}\"]}},{received},\"stageTimestamp\"{time}\n")
    };
    let body = "x".repeat(MAX_LINE);
    let planted = format!("{body}\",{},\"{body}", record("carol", 0, &json!({})));
    let lines = [
        record("alice", 0, &json!({})) + "\n",
        long("bob", &body),
        long("dave", &planted),
        record("eve", 0, &json!({})) + "\n",
    ];
    let came = follow("", &lines.concat(), StartAt::Start);
    assert_eq!((came.report.counts.events, came.report.counts.malformed_lines), (3, 1));
    assert!(came.has("tripline_oversized_records_total{source=\"log\"} 1"), "{}", came.metrics);
    assert_eq!(came.report.counts.oversized_records, 1);
    assert!(
        came.has("tripline_malformed_lines_total{source=\"log\",reason=\"too_long\"} 1"),
        "{}",
        came.metrics
    );
    assert_eq!(came.users(), ["alice", "bob", "eve"]);
}

#[test]
fn text_beside_the_records_is_counted_as_such_and_takes_none_with_it() {
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|user| record(user, 0, &json!({})));
    let klog = "E1125 21:00:00.000000       1 runtime.go:79] Observed a panic";
    let lines = [
        alice.clone(),
        klog.to_owned(),
        "goroutine 7 [running]:".to_owned(),
        String::new(),
        format!("{klog}: {bob}"),
        "\tpanic.go:884 +0x212".to_owned(),
        // The end of a record is none of it.
        alice[50..].to_owned(),
    ];
    let wrapped =
        |stream: &str, tag: &str, text: &str| format!("2026-01-01T00:00:00.5Z {stream} {tag} {text}");
    let (head, rest) = carol.split_at(60);
    let container = [
        wrapped("stdout", "P", head),
        wrapped("stderr", "F", klog),
        // Whoever may have a client's text in klog's must not make records by it.
        wrapped("stderr", "F", &alice),
        wrapped("stdout", "F", rest),
        wrapped("stdout", "F", ""),
        wrapped("stdout", "F", &dave),
        // Nothing ends this one.
        wrapped("stdout", "P", &alice),
        "panic: no runtime wrote this".to_owned(),
    ];
    let came = follow("", &(lines.join("\n") + "\n" + &container.join("\n") + "\n"), StartAt::Start);
    assert_eq!(came.users(), ["alice", "bob", "carol", "dave"]);
    let counts = &came.report.counts;
    assert_eq!(
        (counts.events, counts.malformed_lines, counts.plain_text_lines),
        (4, 2, 9),
        "{:?}",
        came.report
    );
    assert!(came.has("tripline_plain_text_lines_total{source=\"log\"} 9"), "{}", came.metrics);
    assert!(came.has("tripline_salvaged_records_total{source=\"log\"} 1"), "{}", came.metrics);
}

#[test]
fn a_record_whose_parts_are_too_long_is_judged_by_its_ends() {
    let event = record("bob", 0, &json!({}));
    let (head, time) = event.split_once(",\"stageTimestamp\"").unwrap();
    let received = r#""requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z""#;
    let body = "x".repeat(MAX_LINE);
    let long = format!("{head},\"responseObject\":[\"{body}\"],{received},\"stageTimestamp\"{time}");
    let parts = long.as_bytes().chunks(16 << 10).map(|part| std::str::from_utf8(part).unwrap());
    let last = parts.len() - 1;
    let mut lines = String::new();
    for (number, part) in parts.enumerate() {
        let tag = if number == last { "F" } else { "P" };
        let time = "2026-01-01T00:00:00.5Z";
        lines.extend([time, " stdout ", tag, " ", part, "\n", time, " stderr F text\n"]);
    }
    let came = follow("", &(lines + &record("eve", 0, &json!({})) + "\n"), StartAt::Start);
    assert_eq!((came.report.counts.events, came.report.counts.malformed_lines), (2, 0));
    assert!(came.has("tripline_oversized_records_total{source=\"log\"} 1"), "{}", came.metrics);
    let texts = format!("tripline_plain_text_lines_total{{source=\"log\"}} {}", last + 1);
    assert!(came.has(&texts), "{}", came.metrics);
    assert_eq!(came.users(), ["bob", "eve"]);
}

#[test]
fn what_waits_for_a_checkpoint_is_let_go_by_the_last_one_of_a_source_that_is_gone() {
    let line = |user: &str| record(user, 0, &json!({})) + "\n";
    let following =
        Following::within(Bounds { alerts: 100, alerts_per_rule: 1 }, "", &line("alice"), StartAt::Start);
    following.wait_for(|report| report.counts.events == 1);
    following.append(&line("bob"));
    following.wait_for(|report| report.counts.events == 2);
    following.stop.store(true, Ordering::Release);
    following.reader.join().unwrap().finish();
    let due = following.ledger.take_due(Instant::now(), usize::MAX);
    let counted: i64 = due.iter().flat_map(|delivery| &delivery.parcels).map(Parcel::count).sum();
    assert_eq!(counted, 2);
}
