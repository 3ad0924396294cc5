//! `tripline lint` on files as people write them: the place, the remedy and the exit code.

mod cli;

use cli::{Folder, rule, tripline};
use serde_json::Value;

/// The findings that `lint --output json` prints for one file.
fn findings(text: &str) -> (i32, Vec<Value>) {
    let folder = Folder::new(&[("rule.yaml", text)]);
    let run = tripline(&["lint", "--output", "json", folder.path("rule.yaml").as_str()]);
    let lines = run.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    (run.code, lines)
}

/// The one error of a rule, with its place, after checking that it has a remedy and ends in exit code 1.
fn error(text: &str) -> (String, u64, u64) {
    let (code, found) = findings(text);
    let errors: Vec<_> = found.iter().filter(|finding| finding["severity"] == "error").collect();
    assert_eq!(errors.len(), 1, "{found:#?}");
    assert_eq!(code, 1, "{found:#?}");
    let error = errors[0];
    let message = error["message"].as_str().expect("set");
    let remedy = error["help"].is_string() || message.starts_with("expected") || message.contains("at most");
    assert!(remedy, "no remedy: {error:#}");
    let number = |key: &str| error[key].as_u64().expect("set");
    (error["message"].as_str().expect("set").to_owned(), number("line"), number("column"))
}

#[test]
fn a_good_rule_is_silent_on_standard_output() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let run = tripline(&["lint", &folder.root()]);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{run:?}");
    assert_eq!(run.err, "1 rule in 1 file: 0 errors, 0 warnings\n");
}

#[test]
fn the_rules_of_the_library_are_clean() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let run = tripline(&["lint", rules]);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{run:?}");
}

#[test]
fn text_that_is_no_yaml() {
    let (message, line, column) = error("apiVersion: tripline.dev/v1alpha1\nkind: [DetectionRule\n");
    assert!(message.starts_with("not valid YAML"), "{message}");
    assert_eq!((line, column), (2, 7));
}

#[test]
fn a_file_that_is_not_utf8() {
    let folder = Folder::new(&[]);
    std::fs::write(folder.path("rule.yaml"), b"kind: \xff\xfe\n").unwrap();
    let run = tripline(&["lint", &folder.root()]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("rule.yaml:1:7: error: this is not UTF-8"), "{}", run.out);
}

#[test]
fn an_unknown_field_names_the_nearest_one() {
    let text = rule("verb: create").replace("  severity:", "  severty: Low\n  severity:");
    let (code, found) = findings(&text);
    assert_eq!((code, found.len()), (1, 1));
    assert_eq!(found[0]["message"], "unknown field `severty` in `spec`");
    assert_eq!(found[0]["help"], "did you mean `severity`?");
    assert_eq!(found[0]["column"], 3);
}

#[test]
fn values_the_api_server_would_refuse() {
    for (from, to, expected) in [
        ("severity: Low", "severity: low", "`spec.severity` cannot be `low`"),
        ("riskScore: 21", "riskScore: 101", "`spec.riskScore` must be from 0 to 100, this is 101"),
        ("riskScore: 21", "riskScore: \"21\"", "`spec.riskScore` must be a whole number, this is a string"),
        ("riskScore: 21", "riskScore: 2.5", "`spec.riskScore` must be a whole number, this is 2.5"),
        ("displayName: A rule", "displayName: on", "`spec.displayName` must be a string, this is a boolean"),
        ("displayName: A rule", "displayName: \"\"", "`spec.displayName` must not be empty"),
        ("  riskScore: 21\n", "", "`spec.riskScore` is missing"),
        ("name: a-rule", "name: A_Rule", "`metadata.name` must be lower-case"),
        ("name: a-rule", "nmae: a-rule", "unknown field `nmae` in `metadata`"),
        ("expect: NoMatch", "expect: No", "`spec.tests[1].expect` must be a string, this is a boolean"),
        ("v1alpha1", "v1", "unknown apiVersion"),
        ("riskScore: 21", "riskScore: 21\n  tags: [x, y, x]", "`x` stands twice in `spec.tags`"),
        (
            "riskScore: 21",
            "riskScore: 21\n  riskScore: 22",
            "not valid YAML: the key `riskScore` stands twice",
        ),
    ] {
        let text = rule("verb: create").replace(from, to);
        let (code, found) = findings(&text);
        assert_eq!(code, 1, "{to}");
        assert!(
            found.iter().any(|finding| finding["message"].as_str().unwrap().starts_with(expected)),
            "{to}: {found:#?}"
        );
    }
    let long = rule("verb: create").replace("a-rule", &"a".repeat(64));
    assert!(error(&long).0.contains("64 characters long, at most 63"));
}

#[test]
fn values_the_api_server_takes() {
    // Each was compared with `kubectl create --dry-run=server` on Kubernetes 1.37.
    for (from, to) in [
        ("riskScore: 21", "riskScore: 0x15"),
        ("riskScore: 21", "riskScore: 21.0"),
        ("riskScore: 21", "riskScore: 21\n  tags: null\n  grouping: {by: null}\n  note: ~"),
        ("severity: Low", "<<: {severity: Low}"),
        ("severity: Low", "severity: &a Low\n  license: *a"),
        ("displayName: A rule", "displayName: 2026-01-01"),
        ("name: a-rule", "name: a.rule\n  labels: {a: ''}\n  annotations: {a: null}"),
        ("kind: DetectionRule", "kind: DetectionRule\nstatus: {matches: 5}"),
    ] {
        let (code, found) = findings(&rule("verb: create").replace(from, to));
        assert_eq!((code, found.len()), (0, 0), "{to}: {found:#?}");
    }
}

#[test]
fn a_query_that_does_not_parse_is_placed_in_the_file_and_in_the_query() {
    // As a block of lines, folded, quoted, plain: always the same character of the file.
    for query in [
        "|\n    verb: create and\n    objectRef.resource: )",
        ">-\n    verb: create and\n    objectRef.resource: )",
        "\"verb: create and\\n objectRef.resource: )\"",
        "'verb: create and objectRef.resource: )'",
    ] {
        let text = rule(query);
        let (code, found) = findings(&text);
        assert_eq!((code, found.len()), (1, 1), "{query}: {found:#?}");
        let place = |key: &str| usize::try_from(found[0][key].as_u64().unwrap()).unwrap();
        let line = text.lines().nth(place("line") - 1).unwrap();
        assert_eq!(line.chars().nth(place("column") - 1), Some(')'), "{query}: {:#}", found[0]);
        assert!(place("queryColumn") > 1 && place("queryLine") >= 1);
    }
    let folder = Folder::new(&[("rule.yaml", &rule("|\n    verb: create and\n    objectRef.resource: )"))]);
    let run = tripline(&["lint", &folder.root()]);
    let shown: Vec<_> = run.out.lines().collect();
    assert!(shown[0].contains("rule.yaml:10:25: error: a-rule: "), "{}", run.out);
    assert_eq!(shown[1], "  10 |     objectRef.resource: )");
    assert_eq!(shown[2].find('^'), shown[1].find(')'));
}

#[test]
fn an_empty_query() {
    for query in ["\"\"", "\"  \"", "\"*\"", "\"*:*\""] {
        let (_, line, _) = error(&rule(query));
        assert_eq!(line, 8, "{query}");
    }
}

#[test]
fn a_query_over_64_kib() {
    let query = format!("\"verb: ({})\"", vec!["create"; 10_000].join(" or "));
    let (message, line, _) = error(&rule(&query));
    assert!(message.contains("65536 bytes"), "{message}");
    assert_eq!(line, 8);
}

#[test]
fn a_query_over_64_levels() {
    let query = format!("\"{}verb: create{}\"", "(".repeat(70), ")".repeat(70));
    let (message, line, column) = error(&rule(&query));
    assert!(message.contains("64"), "{message}");
    assert!(line == 8 && column > 60, "{line}:{column}");
}

#[test]
fn a_rule_over_200_kib() {
    let event = format!("{{verb: get, userAgent: \"{}\"}}", "x".repeat(210_000));
    let text = rule("verb: create").replace("event: {verb: get}", &format!("event: {event}"));
    assert!(error(&text).0.contains("at most 200"), "{}", error(&text).0);
}

#[test]
fn exceptions_and_grouping_are_checked_at_their_own_place() {
    let more = "riskScore: 21\n  exceptions:\n    - name: one\n      query: 'verb: )'\n";
    let (_, line, column) = error(&rule("verb: create").replace("riskScore: 21\n", more));
    assert_eq!((line, column), (10, 21));
    let more = "riskScore: 21\n  grouping: {by: [verb, 'user.*']}\n";
    let (_, line, _) = error(&rule("verb: create").replace("riskScore: 21\n", more));
    assert_eq!(line, 8);
}

#[test]
fn a_rule_with_a_wrong_field_still_has_its_query_checked() {
    let (_, found) = findings(&rule("'verb: )'").replace("riskScore: 21", "riskScore: high"));
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn warnings_do_not_fail() {
    let text = rule("verb: create").split("  tests:").next().unwrap().to_owned();
    let (code, found) = findings(&text);
    assert_eq!((code, found.len()), (0, 1));
    assert_eq!(
        (&found[0]["severity"], &found[0]["message"]),
        (&"warning".into(), &"the rule has no tests".into())
    );
    let (code, found) = findings(&rule("verb: craete"));
    assert_eq!((code, found.len()), (0, 1), "{found:#?}");
    let ended =
        "riskScore: 21\n  exceptions: [{name: a, query: 'verb: get', expireTime: 2020-01-01T00:00:00Z}]\n";
    let (code, found) = findings(&rule("verb: create").replace("riskScore: 21\n", ended));
    assert_eq!((code, &found[0]["message"]), (0, &"this exception has ended".into()), "{found:#?}");
    let threat = "riskScore: 21\n  threat: [{framework: MITRE ATT&CK, tactic: {id: T0002, name: x}}]\n";
    let (code, found) = findings(&rule("verb: create").replace("riskScore: 21\n", threat));
    assert_eq!((code, found.len()), (0, 1), "{found:#?}");
}

#[test]
fn other_kinds_and_documents_are_skipped() {
    let text = format!(
        "kind: ConfigMap\napiVersion: v1\ndata: {{kind: DetectionRule}}\n---\n# nothing\n---\n{}---\n\
         kind: AuditSource\napiVersion: tripline.dev/v1alpha1\n---\njust text\n",
        rule("verb: create")
    );
    let (code, found) = findings(&text);
    assert_eq!((code, found.len()), (0, 0), "{found:#?}");
}

#[test]
fn a_misspelt_kind_is_not_passed_over() {
    let (message, line, _) =
        error(&rule("verb: create").replace("kind: DetectionRule", "kind: DetectionRules"));
    assert_eq!((message.as_str(), line), ("tripline.dev has no kind `DetectionRules`", 2));
}

#[test]
fn nor_is_a_misspelt_group() {
    let (message, line, _) = error(&rule("verb: create").replace("tripline.dev", "triplne.dev"));
    assert_eq!((message.as_str(), line), ("unknown apiVersion of a DetectionRule", 1));
    // Another program may have a kind of this name.
    let other = rule("verb: create").replace("tripline.dev", "detections.example.com");
    let (code, found) = findings(&format!("{other}---\n{}", rule("verb: create")));
    assert_eq!((code, found.len()), (0, 0), "{found:#?}");
}

#[test]
fn the_remedy_fits_the_mistake() {
    for (from, to, help) in [
        ("severity: Low", "severity: 3", "write one of Low, Medium, High, Critical"),
        ("riskScore: 21", "riskScore: 21\n  mode: off", "write one of Alert, DryRun, Disabled"),
        ("displayName: A rule", "displayName: on", "put it in quotes"),
        ("riskScore: 21", "riskScore: \"21\"", "write the number without quotes"),
        ("riskScore: 21", "riskScore: high", "write digits alone"),
        ("event: {verb: get}", "event: {verb: get, user: alice}", "write `user: {username: …}`"),
    ] {
        let (_, found) = findings(&rule("verb: create").replace(from, to));
        assert!(found.iter().any(|finding| finding["help"] == help), "{to}: {found:#?}");
    }
}

#[test]
fn folders_are_read_with_what_is_below_them() {
    let second = rule("verb: delete").replace("a-rule", "second");
    let json = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [{
        "apiVersion": "tripline.dev/v1alpha1", "kind": "DetectionRule", "metadata": {"name": "third"},
        "spec": {"displayName": "x", "severity": "Low", "riskScore": 1, "query": "verb: ("}}]});
    let folder = Folder::new(&[
        ("a.yaml", &rule("verb: create")),
        ("below/deep/b.YML", &second),
        ("below/c.json", &serde_json::to_string_pretty(&json).unwrap()),
        ("below/notes.txt", "not: [yaml"),
        (".hidden/d.yaml", "not: [yaml"),
    ]);
    let run = tripline(&["lint", "-o", "json", &folder.root()]);
    assert!(run.err.starts_with("3 rules in 3 files"), "{run:?}");
    let files: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(files.iter().all(|line| line["file"].as_str().unwrap().ends_with("c.json")), "{run:?}");
    assert_eq!(run.code, 1);
}

#[test]
fn a_name_that_two_files_use() {
    let folder = Folder::new(&[("a.yaml", &rule("verb: create")), ("b.yaml", &rule("verb: delete"))]);
    let run = tripline(&["lint", &folder.root()]);
    assert_eq!(run.code, 1);
    assert!(
        run.out.contains("b.yaml:4:9: error: a-rule: the rule `a-rule` is defined twice, first in"),
        "{run:?}"
    );
    // The same file named twice is one file.
    let file = folder.path("a.yaml");
    assert_eq!(tripline(&["lint", &file, &file]).code, 0);
}

#[test]
fn what_cannot_be_used_is_exit_code_2() {
    let folder = Folder::new(&[("empty.yaml", "kind: Pod\n")]);
    for arguments in
        [vec!["lint"], vec!["lint", "/nonexistent"], vec!["lint", &folder.root()], vec!["no-such"]]
    {
        let run = tripline(&arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}");
        assert!(!run.err.is_empty());
    }
}

#[test]
fn nothing_a_terminal_acts_on_is_printed() {
    let text = rule("verb: create")
        .replace("displayName: A rule", "displayName: A rule\n  \"x\\e]0;owned\\a\": 1")
        .replace("severity: Low", "severity: \"\\e[31mLow\"");
    let folder = Folder::new(&[("rule.yaml", &text)]);
    for arguments in [vec!["lint"], vec!["lint", "-o", "json"], vec!["test"]] {
        let mut arguments = arguments;
        let root = folder.root();
        arguments.push(&root);
        let run = tripline(&arguments);
        assert_eq!(run.code, 1);
        let printed = format!("{}{}", run.out, run.err);
        assert!(printed.chars().all(|c| c == '\n' || !c.is_control()), "{printed:?}");
    }
}

#[test]
fn evidence_beyond_what_an_installation_shows_is_warned_of_where_that_is_known() {
    let asks = rule("verb: create").replace("  query:", "  evidence: RequestResponse\n  query:");
    assert!(asks.contains("evidence"), "{asks}");
    let folder = Folder::new(&[("rule.yaml", &asks)]);
    for (most, warned) in [(None, false), (Some("RequestResponse"), false), (Some("Metadata"), true)] {
        let most = most.map(|most| format!("--evidence={most}"));
        let path = folder.path("rule.yaml");
        let run =
            tripline(&["lint"].into_iter().chain(most.as_deref()).chain([path.as_str()]).collect::<Vec<_>>());
        let says = run.out.contains("RequestResponse is asked for, and alerts here show at most Metadata");
        assert_eq!((run.code, says), (0, warned), "{run:?}");
    }
}

#[test]
fn whoever_has_closed_standard_error_gets_the_rest() -> std::io::Result<()> {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tripline"));
    assert!(command.args(["lint", &folder.root()]).stderr(writer).status()?.success());
    Ok(())
}
