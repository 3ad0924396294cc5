//! `DetectionException`s in files: what `lint` says of them, and that the other commands apply them.

mod cli;

use cli::{Folder, event, rule, tripline};

/// An exception with this name, these rules and this query, which stands on line 7.
fn exception(name: &str, rules: &str, query: &str) -> String {
    format!(
        "apiVersion: tripline.dev/v1alpha1
kind: DetectionException
metadata:
  name: {name}
spec:
  rules: {rules}
  query: '{query}'
  reason: it is known and allowed
"
    )
}

const NAMED: &str = "{names: [a-rule]}";

fn labelled() -> String {
    rule("verb: create").replace("  name: a-rule\n", "  name: a-rule\n  labels: {team: web}\n")
}

fn lint(exception: &str) -> (i32, String) {
    let folder = Folder::new(&[("rule.yaml", &labelled()), ("x/exception.yaml", exception)]);
    let run = tripline(&["lint", &folder.root()]);
    (run.code, run.out)
}

#[test]
fn a_good_exception_is_silent() {
    for rules in [
        NAMED,
        "{selector: {matchLabels: {team: web}}}",
        "{selector: {matchExpressions: [{key: team, operator: In, values: [web]}]}}",
        "{names: [another], selector: {matchLabels: {team: web}}}",
    ] {
        assert_eq!(lint(&exception("fine", rules, "user.username: ci")), (0, String::new()), "{rules}");
    }
    let folder = Folder::new(&[("alone.yaml", &exception("alone", NAMED, "user.username: ci"))]);
    let run = tripline(&["lint", &folder.root()]);
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert_eq!(run.err, "0 rules, 1 exception in 1 file: 0 errors, 0 warnings\n");
}

#[test]
fn lint_says_what_is_wrong_with_one_and_where() {
    for (text, code, expected) in [
        (exception("e", NAMED, "user.username: )"), 1, ":7:26: error: e: "),
        (
            exception("e", NAMED, "*"),
            1,
            ":7:11: error: e: expected a condition: an exception for every event is refused",
        ),
        (
            exception("e", "{}", "user.username: ci"),
            1,
            ":6:10: error: e: `spec.rules` says of no rule that it is meant",
        ),
        (exception("e", "{selector: {}}", "user.username: ci"), 1, "says of no rule that it is meant"),
        (
            exception("e", "{selector: {matchExpressions: [{key: a, operator: Near}]}}", "user.username: ci"),
            1,
            "`spec.rules.selector.matchExpressions[0].operator` cannot be `Near`",
        ),
        (
            exception("e", NAMED, "user.username: ci").replace("  reason: it is known and allowed\n", ""),
            1,
            "`spec.reason` is missing",
        ),
        (
            exception("e", NAMED, "user.username: ci").replace("DetectionException", "DetectionExeption"),
            1,
            "has no kind `DetectionExeption`",
        ),
        (
            exception("e", "{names: [other]}", "user.username: ci"),
            0,
            "warning: e: it applies to none of the rules that were read",
        ),
        (
            exception("e", NAMED, "verb: create or user.username: ci"),
            0,
            "warning: e: it would let every match of a-rule pass",
        ),
        (
            exception("e", NAMED, "user.username: ci") + "  expireTime: \"2020-01-01T00:00:00Z\"\n",
            0,
            "warning: e: this exception has ended",
        ),
        (
            exception("e", NAMED, "user.username: ci")
                + "---\n"
                + &exception("e", NAMED, "user.username: bot"),
            1,
            "the exception `e` is defined twice",
        ),
    ] {
        let (exit, out) = lint(&text);
        assert!(exit == code && out.contains(expected), "{expected}: {out}");
    }
}

/// The rule's tests are what it must still find.
#[test]
fn one_that_covers_all_tests_that_must_match_is_told() {
    let tests = "  tests:
  - {name: a, event: {verb: create, user: {username: alice}}, expect: Match}
  - {name: b, event: {verb: create, user: {username: bob}}, expect: Match}
  - {name: c, event: {verb: get, user: {username: bob}}, expect: NoMatch}
";
    let rule = rule("verb: create").split("  tests:").next().unwrap().to_owned() + tests;
    for (query, is_told) in [("user.username: (alice or bob)", true), ("user.username: bob", false)] {
        let folder = Folder::new(&[("r.yaml", &rule), ("x.yaml", &exception("e", NAMED, query))]);
        let out = tripline(&["lint", &folder.root()]).out;
        let told = "e: the exception covers every test of a-rule that must match";
        assert_eq!(out.contains(told), is_told, "{query}: {out}");
        let own = format!("{rule}  exceptions: [{{name: own, query: '{query}'}}]\n");
        let folder = Folder::new(&[("r.yaml", &own)]);
        let out = tripline(&["lint", &folder.root()]).out;
        assert_eq!(out.contains("covers every test of the rule that must match"), is_told, "{query}: {out}");
    }
}

#[test]
fn the_other_commands_apply_them() {
    let files = rule("verb: create") + "---\n" + &exception("bots", NAMED, "user.username: bot");
    let event = |user: &str| event(serde_json::json!({"user": {"username": user}})) + "\n";
    let log = event("bot") + &event("alice") + &event("bot");
    let folder = Folder::new(&[("rule.yaml", &files), ("audit.log", &log), ("event.json", &event("bot"))]);
    let (rules, log) = (folder.path("rule.yaml"), folder.path("audit.log"));
    let run = tripline(&["replay", "--rules", &rules, &log]);
    assert!(run.err.contains("3 matches (1 detections, 2 suppressed)"), "{}", run.err);
    assert!(run.out.contains("alice") && !run.out.contains("bot"), "{}", run.out);
    let run = tripline(&["explain", "--rule", &rules, &folder.path("event.json")]);
    let result = "result: a match that the DetectionException `bots` lets pass\n";
    assert!(run.out.contains(result), "{}", run.out);
    let run = tripline(&["test", &rules]);
    assert!(run.err.contains("1 rule, 1 exception in 1 file") && run.code == 0, "{run:?}");

    // As in an installation where nobody else may except a Critical rule.
    let critical =
        files.replace("severity: Low", "severity: Critical").replace("riskScore: 1\n", "riskScore: 90\n");
    assert_ne!(critical, files);
    let critical = Folder::new(&[("rule.yaml", &critical)]);
    for (setting, suppressed) in [("allow", 2), ("forbid", 0)] {
        let run = tripline(&["replay", "--critical-exceptions", setting, "--rules", &critical.root(), &log]);
        assert!(run.err.contains(&format!("{suppressed} suppressed")), "{setting}: {}", run.err);
    }
    let run = tripline(&["lint", "--critical-exceptions", "forbid", &critical.root()]);
    assert!(run.out.contains("Critical, and --critical-exceptions=forbid"), "{run:?}");

    let alone = Folder::new(&[("x.yaml", &exception("alone", NAMED, "user.username: bot"))]);
    for arguments in [&["test", &alone.root()][..], &["replay", "--rules", &alone.root(), &log]] {
        let run = tripline(arguments);
        assert!(run.code == 2 && run.err.contains("an exception alone does nothing"), "{run:?}");
    }
}
