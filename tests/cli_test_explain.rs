//! `tripline test`, `explain`, `crds` and `completion`.

mod cli;

use cli::{Folder, rule, tripline, tripline_with};
use serde_json::{Value, json};

#[test]
fn the_tests_of_the_library_pass() {
    let run = tripline(&["test", "--output", "json", concat!(env!("CARGO_MANIFEST_DIR"), "/rules")]);
    assert_eq!(run.code, 0, "{}", run.out);
    let cases: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 10);
    assert!(cases.iter().all(|case| case["ok"] == true));
}

#[test]
fn a_case_is_a_line_of_json() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let run = tripline(&["test", "-o", "json", &folder.root()]);
    let cases: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        cases,
        [
            json!({"rule": "a-rule", "test": "a create", "expected": "Match", "got": "Match", "ok": true}),
            json!({"rule": "a-rule", "test": "a get", "expected": "NoMatch", "got": "NoMatch", "ok": true}),
        ]
    );
    assert_eq!((run.code, run.err.as_str()), (0, "1 rule in 1 file: 2 cases, 0 failed\n"));
}

#[test]
fn a_failing_case_shows_why() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: delete"))]);
    let run = tripline(&["test", &folder.root()]);
    assert_eq!(run.code, 1);
    let lines: Vec<_> = run.out.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["RULE", "TEST", "EXPECTED", "GOT", "RESULT"]
    );
    assert!(lines[1].ends_with("FAILED") && lines[2].ends_with("ok"), "{}", run.out);
    assert!(run.out.contains("a-rule: a create\nexpected Match, got NoMatch:\n"), "{}", run.out);
    assert!(run.out.contains("[create]"), "the value is not shown: {}", run.out);
}

#[test]
fn unknown_is_a_verdict() {
    let text = rule("'requestObject.spec.hostPID: true'")
        .replace("event: {verb: create, stage: ResponseComplete}", "event: {verb: create, level: Metadata}")
        .replace("expect: Match", "expect: Unknown");
    let folder = Folder::new(&[("rule.yaml", &text)]);
    let run = tripline(&["test", "-o", "json", &folder.root()]);
    assert!(run.out.contains(r#""expected":"Unknown","got":"Unknown","ok":true"#), "{}", run.out);
}

#[test]
fn a_rule_with_an_error_does_not_keep_others_from_being_tested() {
    let other = rule("'verb: )'").replace("a-rule", "broken");
    let folder = Folder::new(&[("a.yaml", &rule("verb: create")), ("b.yaml", &other)]);
    let run = tripline(&["test", &folder.root()]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("a-rule") && !run.out.contains("broken"), "{}", run.out);
    assert!(run.err.contains("b.yaml:8:17: error: broken: "), "{}", run.err);
}

#[test]
fn explain_shows_the_query_the_values_and_the_verdict() {
    let folder = Folder::new(&[
        ("rule.yaml", &rule("verb: create and objectRef.resource: pods")),
        ("event.json", r#"{"verb":"create","stage":"ResponseComplete","objectRef":{"resource":"secrets"}}"#),
        ("event.yaml", "verb: create\nstage: ResponseComplete\nobjectRef: {resource: pods}\n"),
    ]);
    let (rule, json, yaml) = (folder.path("rule.yaml"), folder.path("event.json"), folder.path("event.yaml"));
    let run = tripline(&["explain", "--rule", &rule, &json]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.contains("[create]") && run.out.contains("[secrets]"), "{}", run.out);
    assert!(run.out.ends_with("\nresult: no match\n"), "{}", run.out);
    let run = tripline(&["explain", "--rule", &rule, &yaml]);
    assert_eq!(run.code, 0);
    assert!(run.out.contains("\nresult: a detection\ngroup:\n  user.username: none\n"), "{}", run.out);
    assert!(run.out.contains("[pods]"), "{}", run.out);
    let lines = format!("{}\n{}\n", r#"{"verb":"get"}"#, r#"{"verb":"create"}"#);
    let run = tripline_with(&["explain", "-"], &[("TRIPLINE_RULE", &rule)], &lines);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("[get]") && run.out.contains("[create]"), "{}", run.out);
}

#[test]
fn explain_says_what_a_match_would_be() {
    let exception = "riskScore: 21\n  exceptions: [{name: known, query: 'user.username: bob'}]\n";
    let text = rule("objectRef.subresource: exec").replace("riskScore: 21\n", exception);
    let folder = Folder::new(&[("rule.yaml", &text)]);
    let path = folder.path("rule.yaml");
    let explain = |stage: &str, user: &str, more: &[&str]| {
        let event = json!({"verb": "create", "stage": stage, "user": {"username": user},
            "objectRef": {"resource": "pods", "subresource": "exec"}});
        let arguments = [&["explain", "--rule", &path, "-"], more].concat();
        let run = tripline_with(&arguments, &[], &event.to_string());
        let result = run.out.lines().find_map(|line| line.strip_prefix("result: "));
        result.expect("a result").to_owned()
    };
    assert_eq!(explain("ResponseStarted", "alice", &[]), "a detection");
    assert_eq!(explain("ResponseStarted", "bob", &[]), "a match that the exception `known` lets pass");
    let passing = explain("ResponseComplete", "alice", &[]);
    assert_eq!(passing, "a match, but no detection here: this request is decided at ResponseStarted");
    let omitted = ["--omit-stage", "ResponseStarted"];
    assert_eq!(explain("ResponseComplete", "alice", &omitted), "a detection");
}

#[test]
fn explain_prints_no_control_characters_of_an_event() {
    let folder = Folder::new(&[("rule.yaml", &rule("userAgent: x"))]);
    let rule = folder.path("rule.yaml");
    let run =
        tripline_with(&["explain", "--rule", &rule, "-"], &[], "{\"userAgent\":\"\\u001b[2J\\u202e\\n\"}");
    assert_eq!(run.code, 0);
    assert!(run.out.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{:?}", run.out);
}

#[test]
fn explain_chooses_among_several_rules() {
    let text = format!("{}---\n{}", rule("verb: create"), rule("verb: get").replace("a-rule", "second"));
    let folder = Folder::new(&[("rules.yaml", &text)]);
    let rules = folder.path("rules.yaml");
    let run = tripline_with(&["explain", "--rule", &rules, "-"], &[], "{}");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("choose one with --name: a-rule, second"), "{}", run.err);
    let run =
        tripline_with(&["explain", "--rule", &rules, "--name", "second", "-"], &[], "{\"verb\":\"get\"}");
    assert_eq!(run.code, 0, "{run:?}");
    let run = tripline_with(&["explain", "--rule", &rules, "--name", "secnod", "-"], &[], "{}");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("has no rule secnod: did you mean second?"), "{}", run.err);
}

#[test]
fn explain_says_what_is_wrong_with_its_input() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create")), ("bad.yaml", &rule("'verb: )'"))]);
    let (good, bad) = (folder.path("rule.yaml"), folder.path("bad.yaml"));
    assert_eq!(tripline_with(&["explain", "--rule", &bad, "-"], &[], "{}").code, 1);
    let run = tripline(&["explain", "--rule", &good, &good]);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "a rule is no event");
    assert!(run.err.contains("holds no audit event: it has no field of one"), "{}", run.err);
    for input in ["", "[]", "{\"verb\":", "5"] {
        let run = tripline_with(&["explain", "--rule", &good, "-"], &[], input);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{input}");
        assert!(run.err.starts_with("error: "), "{}", run.err);
    }
    let run = tripline_with(&["explain", "--rule", &good, "--omit-stage", "Nope", "-"], &[], "{}");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("ResponseStarted"), "{}", run.err);
}

#[test]
fn crds_are_documents_that_kubectl_takes() {
    let run = tripline(&["crds"]);
    assert_eq!(run.code, 0);
    let documents: Vec<Value> =
        run.out.split("---\n").skip(1).map(|text| serde_saphyr::from_str(text).expect("YAML")).collect();
    let names: Vec<_> = documents.iter().map(|crd| crd["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "auditsources.tripline.dev",
            "detectionexceptions.tripline.dev",
            "detectionrules.tripline.dev",
            "securityalerts.tripline.dev"
        ]
    );
}

#[test]
fn completion_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let run = tripline(&["completion", shell]);
        assert_eq!(run.code, 0);
        assert!(run.out.contains("explain"), "{shell}");
    }
    assert_eq!(tripline(&["completion", "tcsh"]).code, 2);
}

#[test]
fn help_names_exit_codes_and_examples() {
    for command in ["lint", "test", "explain"] {
        let run = tripline(&[command, "--help"]);
        assert_eq!(run.code, 0);
        assert!(run.out.contains("Examples:") && run.out.contains("Exit codes:"), "{command}");
        assert!(run.out.contains("[env: TRIPLINE_"), "{command}");
    }
}
