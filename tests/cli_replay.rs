//! `tripline replay` on logs as an API server writes them: alerts, matches, the summary, exit codes.

mod cli;

use std::io::Write as _;

use cli::{Folder, Run, event, rule, tripline, tripline_with};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// An event at this second, with this user and auditID.
fn at(second: u32, user: &str, id: &str) -> String {
    let time = format!("2026-01-01T{:02}:{:02}:{:02}.000000Z", second / 3600, second / 60 % 60, second % 60);
    event(json!({"stageTimestamp": time, "user": {"username": user}, "auditID": id}))
}

fn log(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// A rule grouped by user, with a window of a minute.
fn grouped(query: &str) -> String {
    rule(query).replace("  riskScore", "  grouping: {by: [user.username], windowSeconds: 60}\n  riskScore")
}

/// Replays one log, with `more` arguments.
fn replay(rules: &str, text: &str, more: &[&str]) -> Run {
    let folder = Folder::new(&[("rules.yaml", rules), ("audit.log", text)]);
    let (rules, log) = (folder.path("rules.yaml"), folder.path("audit.log"));
    tripline(&[&["replay", "--rules", &rules, &log], more].concat())
}

fn alerts(rules: &str, text: &str, more: &[&str]) -> Vec<Value> {
    let run = replay(rules, text, &[&["--output", "json"], more].concat());
    assert_eq!(run.code, 0, "{run:?}");
    let list: Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
    list["items"].as_array().expect("a list").clone()
}

/// User, ordinal and count of each alert.
fn counts(alerts: &[Value]) -> Vec<(String, String, i64)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    alerts
        .iter()
        .map(|alert| {
            let name = text(&alert["metadata"]["name"]);
            let user = text(&alert["spec"]["detection"]["event"]["user"]["username"]);
            let ordinal = name.rsplit('-').next().unwrap_or_default().to_owned();
            (user, ordinal, alert["status"]["count"].as_i64().expect("a count"))
        })
        .collect()
}

fn found(user: &str, ordinal: &str, count: i64) -> (String, String, i64) {
    (user.to_owned(), ordinal.to_owned(), count)
}

/// What `--matches` prints.
fn matches(run: &Run) -> Vec<Value> {
    run.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn the_default_is_a_table_and_the_summary_is_on_standard_error() {
    let text = log(&[at(0, "alice", "1"), at(1, "bob", "2"), at(2, "alice", "3"), "{".to_owned()]);
    let run = replay(&grouped("verb: create"), &text, &[]);
    assert_eq!(run.code, 0, "{run:?}");
    let rows: Vec<Vec<&str>> = run.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0].join(" "), "NAME SEVERITY RULE USER TARGET COUNT FIRST SEEN LAST SEEN", "{}", run.out);
    assert_eq!(
        rows[1][1..].join(" "),
        "Low a-rule alice pods shop/web-0 2 2026-01-01T00:00:00Z 2026-01-01T00:00:02Z"
    );
    assert_eq!(rows[2][3], "bob");
    assert_eq!(rows.len(), 3);
    let (shown, summary) = run.err.trim_end().split_once('\n').expect("two lines");
    assert!(shown.ends_with("audit.log:4: not json: expected a key in quotes at byte 1"), "{shown}");
    assert!(
        summary.starts_with(
            "3 events, 1 malformed lines, 3 matches (3 detections, 0 suppressed), 0 undecidable; 0.0 MB in "
        ),
        "{summary}"
    );
    let nothing = replay(&grouped("verb: delete"), &text, &[]);
    assert_eq!((nothing.code, nothing.out.as_str()), (0, ""));
}

#[test]
fn json_and_yaml_are_the_objects_that_run_would_have_written() {
    let text = log(&(0..9).map(|i| at(i, "alice", &format!("id-{i}"))).collect::<Vec<_>>());
    let found = alerts(&grouped("verb: create"), &text, &[]);
    assert_eq!(found.len(), 1);
    let alert = &found[0];
    assert_eq!(
        (&alert["apiVersion"], &alert["kind"]),
        (&json!("tripline.dev/v1alpha1"), &json!("SecurityAlert"))
    );
    let (labels, detection) = (&alert["metadata"]["labels"], &alert["spec"]["detection"]);
    let group = labels["tripline.dev/group"].as_str().expect("a label");
    assert_eq!(alert["metadata"]["name"], format!("a-rule-{group}-1"));
    assert_eq!((group.len(), &labels["tripline.dev/severity"]), (13, &json!("Low")));
    assert!(detection["groupHash"].as_str().expect("a hash").starts_with(group));
    assert_eq!((&detection["ruleName"], &detection["riskScore"]), (&json!("a-rule"), &json!(21)));
    assert_eq!(detection["group"], json!([{"field": "user.username", "value": "alice"}]));
    assert_eq!(detection["target"], "pods shop/web-0");
    let first = &detection["event"];
    assert_eq!((&first["auditID"], &first["decision"]), (&json!("id-0"), &json!("allow")));
    assert_eq!((&first["node"], &first["sourceIPs"]), (&json!("replay"), &json!(["10.0.0.5"])));
    assert_eq!(first["offset"], text.find('\n').expect("a line") + 1);
    assert_eq!(alert["spec"]["triage"], json!({"state": "Open"}));
    let status = &alert["status"];
    assert_eq!((&status["count"], &status["sources"][0]["count"]), (&json!(9), &json!(9)));
    assert_eq!(status["sources"][0]["offset"], text.len());
    assert_eq!(status["firstSeenTime"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(status["lastSeenTime"], "2026-01-01T00:00:08.000000Z");
    let samples: Vec<_> =
        status["samples"].as_array().expect("a list").iter().map(|s| &s["auditID"]).collect();
    assert_eq!(samples, ["id-4", "id-5", "id-6", "id-7", "id-8"]);

    let folder = Folder::new(&[("rule.yaml", &grouped("verb: create")), ("audit.log", &text)]);
    let (rules, log) = (folder.path("rule.yaml"), folder.path("audit.log"));
    let print = |form: &str| tripline(&["replay", "--rules", &rules, "--output", form, &log]).out;
    let yaml: Value = serde_saphyr::from_str(&print("yaml")).expect("YAML");
    assert_eq!(yaml, serde_json::from_str::<Value>(&print("json")).expect("JSON"));
}

#[test]
fn a_group_that_was_quiet_for_its_window_opens_the_next_alert() {
    let times = [0, 60, 120, 181, 241, 100];
    let text = log(&times.map(|second| at(second, "alice", "x")));
    let text = text + &at(50, "bob", "y") + "\n";
    let alerts = alerts(&grouped("verb: create"), &text, &[]);
    // The last one is older than what came before it and belongs where its own time says.
    assert_eq!(counts(&alerts), [found("alice", "1", 4), found("bob", "1", 1), found("alice", "2", 2)]);
}

#[test]
fn two_rules_that_match_one_event_are_two_alerts() {
    let second = grouped("user.username: alice").replace("a-rule", "b-rule");
    let rules = format!("{}---\n{second}", grouped("verb: create"));
    let found = alerts(&rules, &log(&[at(0, "alice", "1")]), &[]);
    let rules: Vec<_> = found.iter().map(|alert| &alert["spec"]["detection"]["ruleName"]).collect();
    assert_eq!(rules, ["a-rule", "b-rule"]);
}

/// One exec session, as the log has it: two events of one request.
fn session() -> String {
    let stage = |stage: &str| {
        let object = json!({"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web-0"});
        event(json!({"stage": stage, "objectRef": object, "auditID": "session"}))
    };
    log(&[stage("RequestReceived"), stage("ResponseStarted"), stage("ResponseComplete")])
}

#[test]
fn a_request_is_detected_once_and_its_every_event_is_a_match() {
    let alerts = alerts(&rule("verb: create"), &session(), &[]);
    assert_eq!((alerts.len(), &alerts[0]["status"]["count"]), (1, &json!(1)));
    assert_eq!(alerts[0]["spec"]["detection"]["event"]["stage"], "ResponseStarted");
    let run = replay(&rule("verb: create"), &session(), &["--matches"]);
    let found = matches(&run);
    let stages: Vec<_> = found.iter().map(|found| &found["stage"]).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseStarted", "ResponseComplete"]);
    assert!(run.err.starts_with("3 events, 0 malformed lines, 3 matches (1 detections"), "{}", run.err);
}

#[test]
fn where_the_policy_omits_a_stage_the_request_is_decided_at_another() {
    let text = session();
    let alerts = alerts(&rule("verb: create"), &text, &["--omit-stage", "ResponseStarted"]);
    assert_eq!(alerts[0]["spec"]["detection"]["event"]["stage"], "ResponseComplete");
    let wrong = replay(&rule("verb: create"), &text, &["--omit-stage", "Complete"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{wrong:?}");
}

#[test]
fn a_match_line_has_five_keys_and_null_where_the_event_says_nothing() {
    let bare = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"create","stage":"Later"}"#;
    let folder = Folder::new(&[
        ("rule.yaml", &rule("verb: create")),
        ("audit.log", &format!("{}\n\n{bare}\n", at(0, "alice", "one"))),
    ]);
    let file = folder.path("audit.log");
    let run = tripline(&["replay", "--rules", &folder.path("rule.yaml"), "--matches", &file]);
    let expected = format!(
        "{{\"rule\":\"a-rule\",\"file\":\"{file}\",\"line\":1,\"auditID\":\"one\",\"stage\":\"ResponseComplete\"}}\n\
         {{\"rule\":\"a-rule\",\"file\":\"{file}\",\"line\":3,\"auditID\":null,\"stage\":null}}\n"
    );
    assert_eq!((run.code, run.out), (0, expected), "{}", run.err);
}

#[test]
fn exceptions_and_modes_shape_alerts_and_not_matches() {
    let excepted = grouped("verb: create").replace(
        "  riskScore",
        "  exceptions: [{name: known, query: 'user.username: bob', reason: x}]\n  riskScore",
    );
    let text = log(&[at(0, "alice", "1"), at(0, "bob", "2")]);
    let run = replay(&excepted, &text, &["-o", "json"]);
    assert!(
        run.err.starts_with("2 events, 0 malformed lines, 2 matches (1 detections, 1 suppressed)"),
        "{}",
        run.err
    );
    assert_eq!(counts(&alerts(&excepted, &text, &[])), [found("alice", "1", 1)]);
    assert_eq!(matches(&replay(&excepted, &text, &["--matches"])).len(), 2);

    let dry = grouped("verb: create").replace("  riskScore", "  mode: DryRun\n  riskScore");
    let run = replay(&dry, &text, &[]);
    assert_eq!(run.out, "");
    assert!(run.err.contains("2 matches (2 detections"), "{}", run.err);
    assert_eq!(matches(&replay(&dry, &text, &["--matches"])).len(), 2);

    let disabled = dry.replace("DryRun", "Disabled");
    let run = replay(&disabled, &text, &["--matches"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert!(run.err.contains("2 events, 0 malformed lines, 0 matches"), "{}", run.err);
}

#[test]
fn a_body_that_was_not_logged_is_undecidable() {
    let run = replay(&rule("requestObject.spec.hostNetwork: true"), &log(&[at(0, "alice", "1")]), &[]);
    assert!(run.err.contains("0 matches (0 detections, 0 suppressed), 1 undecidable"), "{}", run.err);
}

#[test]
fn the_clusters_name_is_a_field() {
    let (rules, text) = (rule("orchestrator.cluster.name: east"), log(&[at(0, "alice", "1")]));
    assert_eq!(alerts(&rules, &text, &["--cluster", "east"]).len(), 1);
    assert_eq!(alerts(&rules, &text, &["--cluster", "west"]).len(), 0);
    assert_eq!(alerts(&rules, &text, &[]).len(), 0);
}

#[test]
fn standard_input_is_a_log() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let arguments = ["replay", "--rules", &folder.path("rule.yaml"), "--matches", "-"];
    let run = tripline_with(&arguments, &[], &at(0, "alice", "1"));
    assert_eq!((run.code, &matches(&run)[0]["file"]), (0, &json!("-")), "{run:?}");
    let run = tripline_with(&arguments, &[], "");
    assert!(run.code == 0 && run.err.starts_with("0 events, 0 malformed lines"), "{run:?}");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(text.as_bytes()).expect("memory");
    out.finish().expect("memory")
}

#[test]
fn several_files_are_read_in_order_compressed_or_not() {
    let folder =
        Folder::new(&[("rule.yaml", &grouped("verb: create")), ("c.log", &log(&[at(3, "alice", "4")]))]);
    // Two members, as `cat` makes them of two files, with a line across both.
    let line = at(1, "alice", "2");
    let (head, tail) = line.split_at(40);
    let members = [gzip(&format!("{}\n{head}", at(0, "alice", "1"))), gzip(&format!("{tail}\n"))].concat();
    std::fs::write(folder.path("a.log.gz"), members).expect("a file");
    std::fs::write(folder.path("b.log.gz"), gzip(&log(&[at(2, "alice", "3")]))).expect("a file");
    let paths = ["a.log.gz", "b.log.gz", "c.log"].map(|name| folder.path(name));
    let rules = folder.path("rule.yaml");
    let arguments = ["replay", "--rules", &rules, &paths[0], &paths[1], &paths[2]];
    let run = tripline(&[&arguments[..], &["--matches"]].concat());
    let found: Vec<_> = matches(&run).iter().map(|m| (m["auditID"].clone(), m["line"].clone())).collect();
    assert_eq!(found, [("1", 1), ("2", 2), ("3", 1), ("4", 1)].map(|(id, line)| (json!(id), json!(line))));
    let run = tripline(&[&arguments[..], &["-o", "json"]].concat());
    let list: Value = serde_json::from_str(&run.out).expect("JSON");
    let status = &list["items"][0]["status"];
    assert_eq!((&status["count"], status["sources"].as_array().map(Vec::len)), (&json!(4), Some(3)));

    // The same log twice is two logs: a replay has no memory.
    let run = tripline(&["replay", "--rules", &rules, "-o", "json", &paths[2], &paths[2]]);
    let list: Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(list["items"][0]["status"]["count"], 2);
}

#[test]
fn exit_codes_tell_a_bad_rule_from_bad_input() {
    let text = log(&[at(0, "alice", "1")]);
    // The good rule is applied all the same.
    let rules = format!("{}---\n{}", rule("verb: create"), rule("'verb: )'").replace("a-rule", "broken"));
    let run = replay(&rules, &text, &["--matches"]);
    assert_eq!((run.code, matches(&run).len()), (1, 1), "{run:?}");
    assert!(run.err.contains("error: broken: "), "{}", run.err);

    let folder =
        Folder::new(&[("rule.yaml", &rule("verb: create")), ("audit.log", &text), ("none/x.yaml", "a: 1\n")]);
    let (rules, log, none) = (folder.path("rule.yaml"), folder.path("audit.log"), folder.path("none"));
    let missing = folder.path("missing.log");
    let empty = folder.path("none");
    for (arguments, why) in [
        (vec!["--rules", &rules, &log, &missing], "missing.log cannot be opened: No such file"),
        (vec!["--rules", &rules, &log, &empty], "is a folder"),
        (vec!["--rules", &none, &log], "no DetectionRule"),
        (vec!["--rules", &missing, &log], "missing.log"),
        (vec!["--rules", &rules], "<LOG>"),
        (vec![&log], "--rules"),
        (vec!["--rules", &rules, "--matches", "-o", "json", &log], "cannot be used with"),
    ] {
        let run = tripline(&[&["replay"], &arguments[..]].concat());
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}: {run:?}");
        assert!(run.err.contains(why), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn a_log_that_breaks_off_is_judged_up_to_there() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let whole =
        gzip(&log(&(0..200).map(|i| at(i, &format!("user-{i}"), &format!("{i:x}"))).collect::<Vec<_>>()));
    std::fs::write(folder.path("cut.gz"), &whole[..whole.len() / 2]).expect("a file");
    let run = tripline(&["replay", "--rules", &folder.path("rule.yaml"), &folder.path("cut.gz")]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.out.starts_with("NAME") && run.err.contains("cut.gz cannot be read on"), "{run:?}");
}
