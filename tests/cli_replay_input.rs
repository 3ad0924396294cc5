//! `tripline replay` on lines that no API server wrote, or that an attacker had a hand in: each is counted or read,
//! none stops the replay or harms its neighbours, and none reaches the terminal as it is.

mod cli;

use std::io::Write as _;
use std::process::{Command, Stdio};

use cli::{Folder, Run, event, is_plain, peak, rule, tripline};
use serde_json::{Value, json};

/// Replays these lines between two good ones and says which lines matched; a good line has its number as auditID.
fn between(query: &str, lines: &[&[u8]]) -> (Vec<u64>, Run) {
    let good = event(json!({"auditID": "good"})).into_bytes();
    let all = [&[good.as_slice()], lines, &[good.as_slice()]].concat();
    let folder = Folder::new(&[("rule.yaml", &rule(query))]);
    let mut text = all.join(&b'\n');
    text.push(b'\n');
    std::fs::write(folder.path("audit.log"), text).expect("a file");
    let run =
        tripline(&["replay", "--matches", "--rules", &folder.path("rule.yaml"), &folder.path("audit.log")]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(is_plain(&run.out) && is_plain(&run.err), "{:?}", run.err);
    let line =
        |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["line"].as_u64().expect("a number");
    (run.out.lines().map(line).collect(), run)
}

/// Asserts that `line` is counted as malformed, for this reason, and that its neighbours are judged.
fn is_malformed(line: &[u8], why: &str) {
    let (matched, run) = between("verb: create", &[line]);
    assert_eq!(matched, [1, 3], "{}", run.err);
    assert!(run.err.contains("2 events, 1 malformed lines, 2 matches"), "{}", run.err);
    let first = run.err.lines().next().expect("a line");
    assert!(first.contains(&format!("audit.log:2: {why}")) && first.len() < 500, "{why}: {first}");
}

/// Asserts that `line` is read, and matches `query`, which a good line does not.
fn is_read(line: &[u8], query: &str) {
    let (matched, run) = between(query, &[line]);
    assert_eq!(matched, [2], "{query}: {}", run.err);
    assert!(run.err.contains("3 events, 0 malformed lines, 1 matches"), "{}", run.err);
}

fn changed(from: &str, to: &str) -> Vec<u8> {
    let line = event(json!({}));
    assert!(line.contains(from), "{line}");
    line.replace(from, to).into_bytes()
}

#[test]
fn what_is_no_event_is_counted() {
    let whole = event(json!({}));
    is_malformed(&whole.as_bytes()[..whole.len() / 2], "not json: expected");
    is_malformed(b"[]", "not an audit event: not an object");
    is_malformed(b"{}", "not an audit event: its kind is not Event");
    is_malformed(b"null", "not an audit event");
    is_malformed(&changed("\"Event\"", "\"Pod\""), "not an audit event: its kind");
    is_malformed(&changed("\"Event\"", "\"EventList\""), "not an audit event: its kind");
    is_malformed(&changed("audit.k8s.io/v1", "audit.k8s.io/v1alpha1"), "not an audit event: its apiVersion");
    is_malformed(&changed("audit.k8s.io/v1", "v1"), "not an audit event: its apiVersion");
    is_malformed(&vec![0; 4096], "not json: expected a value");
    let mut latin = changed("alice", "Ren\u{e9}");
    let at = latin.iter().position(|&byte| byte == 0xc3).expect("an accent");
    latin.splice(at..at + 2, [0xe9]);
    is_malformed(&latin, "not valid utf-8 after byte ");
}

/// Asserts that `line` is counted as text, and that its neighbours are judged.
fn is_text(line: &[u8]) {
    let (matched, run) = between("verb: create", &[line]);
    assert_eq!(matched, [1, 3], "{}", run.err);
    assert!(run.err.starts_with("2 events, 0 malformed lines, 1 lines of text, 2 matches"), "{}", run.err);
}

#[test]
fn text_beside_the_records_is_counted_as_such() {
    is_text(b"");
    is_text(b"\r");
    is_text(b"I1124 05:52:29.000000       1 httplog.go:132] \"HTTP\" verb=\"GET\" x={}");
    is_text(b"\t/usr/local/go/src/runtime/panic.go:884 +0x212");
    is_text(container("stderr", "F", "I1124 05:52:29.000000       1 x.go:1] text").as_bytes());
    is_text(container("stderr", "F", &event(json!({}))).as_bytes());
    is_text(container("stderr", "P", "{").as_bytes());
    is_text(container("stdout", "F", "").as_bytes());
}

/// A line as a container runtime writes it.
fn container(stream: &str, tag: &str, text: &str) -> String {
    format!("2026-11-25T21:00:00.123456789Z {stream} {tag} {text}")
}

#[test]
fn a_containers_lines_are_read() {
    let whole = event(json!({"verb": "x"}));
    is_read(container("stdout", "F", &whole).as_bytes(), "verb: x");
    is_read(container("stdout", "F:more", &whole).as_bytes(), "verb: x");
    is_malformed(container("stdout", "F", &whole[..50]).as_bytes(), "not json: expected");
    // A line that no runtime wrote is no part of it.
    is_malformed(container("stdout", "P", &whole).as_bytes(), "not json: expected");

    let (head, rest) = whole.split_at(40);
    let parts = [
        container("stdout", "P", head),
        container("stderr", "F", "text"),
        container("stdout", "P", &rest[..20]),
        container("stdout", "F", &rest[20..]),
        container("stdout", "F", &event(json!({}))),
    ];
    let parts = parts.each_ref().map(String::as_bytes);
    let (matched, run) = between("verb: x or verb: create", &parts);
    assert_eq!(matched, [1, 5, 6, 7], "{}", run.err);
    assert!(run.err.starts_with("4 events, 0 malformed lines, 1 lines of text, 4 matches"), "{}", run.err);
}

#[test]
fn a_record_that_a_rotation_cut_is_read_from_both_logs() {
    let whole = event(json!({"verb": "x"}));
    let (head, rest) = whole.split_at(40);
    let begins = format!("{}\n{}\n", event(json!({})), container("stdout", "P", head));
    let ends = format!("{}\n{}\n", container("stderr", "F", "text"), container("stdout", "F", rest));
    let logs =
        [("rule.yaml", rule("verb: *")), ("a.log", begins), ("b.log", ends), ("c.log", event(json!({})))];
    let folder = Folder::new(&logs.each_ref().map(|(name, text)| (*name, text.as_str())));
    let run = |logs: &[&str]| {
        let paths = logs.iter().map(|name| folder.path(name)).collect::<Vec<_>>();
        let (rule, mut arguments) = (folder.path("rule.yaml"), vec!["replay", "--matches", "--rules"]);
        arguments.push(&rule);
        arguments.extend(paths.iter().map(String::as_str));
        let run = tripline(&arguments);
        let lines: Vec<Value> =
            run.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let places = lines.iter().map(|line| {
            let file = line["file"].as_str().expect("a file");
            (file[file.len() - 5..].to_owned(), line["line"].as_u64().expect("a number"))
        });
        (places.collect::<Vec<_>>(), run.err)
    };
    let place = |file: &str, line: u64| (file.to_owned(), line);
    let (places, err) = run(&["a.log", "b.log", "c.log"]);
    assert_eq!(places, [place("a.log", 1), place("b.log", 2), place("c.log", 1)], "{err}");
    assert!(err.starts_with("3 events, 0 malformed lines, 1 lines of text"), "{err}");
    // What follows is another log, or nothing does.
    let (places, err) = run(&["a.log", "c.log"]);
    assert_eq!(places, [place("a.log", 1), place("c.log", 1)], "{err}");
    assert!(err.contains("2 events, 1 malformed lines"), "{err}");
    let (places, err) = run(&["a.log"]);
    assert_eq!(places, [place("a.log", 1)], "{err}");
    assert!(err.contains("a.log:2: not json") && err.contains("1 events, 1 malformed lines"), "{err}");
}

#[test]
fn what_is_unusual_is_read() {
    is_read(&changed("audit.k8s.io/v1", "audit.k8s.io/v1beta1"), "apiVersion: \"audit.k8s.io/v1beta1\"");
    let null = event(json!({"user": null, "objectRef": null, "annotations": null, "responseStatus": null}));
    is_read(null.as_bytes(), "not user.username: * and verb: create");
    is_read(event(json!({"user": 5, "objectRef": [], "verb": "x"})).as_bytes(), "verb: x");
    is_read(&changed("\"alice\"", "\"\\ud800\\udc00\\ud800x\""), "user.username: \"\u{10000}\u{fffd}x\"");
    is_read(format!(" \t{} ", event(json!({"verb": "x"}))).as_bytes(), "verb: x");
}

#[test]
fn of_equal_keys_the_last_counts() {
    is_read(&changed("\"verb\":\"create\"", "\"verb\":\"create\",\"verb\":\"delete\""), "verb: delete");
    is_read(
        &changed("\"verb\":\"create\"", "\"verb\":\"x\",\"kind\":\"Pod\",\"verb\":\"y\",\"kind\":\"Event\""),
        "verb: y",
    );
    let body =
        r#""level":"Request","requestObject":{"spec":{"hostNetwork":false},"spec":{"hostNetwork":true}}"#;
    is_read(&changed("\"level\":\"Metadata\"", body), "requestObject.spec.hostNetwork: true");
    // The same key, written with an escape.
    is_read(&changed("\"verb\":\"create\"", "\"verb\":\"create\",\"v\\u0065rb\":\"patch\""), "verb: patch");
}

#[test]
fn depth_is_read_as_far_as_the_api_server_reads() {
    let nested = |depth: usize| {
        let body = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        event(json!({}))
            .replace("\"level\":\"Metadata\"", &format!("\"level\":\"Request\",\"requestObject\":{body}"))
    };
    let deep = nested(9_000).replace("\"verb\":\"create\"", "\"verb\":\"deep\"");
    is_read(deep.as_bytes(), "verb: deep");
    is_malformed(nested(200_000).as_bytes(), "not json: nested deeper than");
    is_malformed("[".repeat(200_000).as_bytes(), "not json: nested deeper than");
}

#[test]
fn a_line_over_16_mib_is_passed_over() {
    let long = event(json!({"userAgent": "x".repeat(17 << 20)}));
    is_malformed(long.as_bytes(), "longer than 16 MiB");
    let (head, rest) = long.split_at(9 << 20);
    let parts =
        [container("stdout", "P", head), container("stderr", "F", "text"), container("stdout", "F", rest)];
    let (matched, run) = between("verb: create", &parts.each_ref().map(String::as_bytes));
    assert_eq!(matched, [1, 5], "{}", run.err);
    assert!(run.err.contains("2 events, 1 malformed lines, 1 lines of text, 2 matches"), "{}", run.err);
    let below = event(json!({"userAgent": "x".repeat(15 << 20), "verb": "x"}));
    is_read(below.as_bytes(), "verb: x");
}

#[test]
fn line_ends() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let line = event(json!({}));
    for (text, summary) in [
        (String::new(), "0 events, 0 malformed"),
        (line.clone(), "1 events, 0 malformed"),
        (format!("{line}\r\n{line}\r\n"), "2 events, 0 malformed"),
        (format!("{line}\n{line}"), "2 events, 0 malformed"),
        ("\n".to_owned(), "0 events, 0 malformed lines, 1 lines of text"),
        (format!("{line}\n{{"), "1 events, 1 malformed"),
    ] {
        std::fs::write(folder.path("audit.log"), &text).expect("a file");
        let run = tripline(&["replay", "--rules", &folder.path("rule.yaml"), &folder.path("audit.log")]);
        assert!(run.code == 0 && run.err.contains(summary), "{text:?}: {run:?}");
    }
}

#[test]
fn only_the_first_few_malformed_lines_are_shown() {
    let lines = vec![b"\x1b]0;owned\x07".as_slice(); 50];
    let (matched, run) = between("verb: create", &lines);
    assert_eq!(matched, [1, 52]);
    assert_eq!(run.err.lines().count(), 6, "{}", run.err);
    assert!(run.err.contains("2 events, 50 malformed lines"), "{}", run.err);
}

#[test]
fn what_an_attacker_writes_is_bounded_and_escaped() {
    let escape = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}\r\n\t\u{0}";
    let object = json!({"resource": escape, "subresource": escape, "namespace": escape, "name": escape});
    let hostile = json!({
        "user": {"username": format!("{escape}{}", "u".repeat(1 << 20)), "uid": escape, "groups": vec![escape; 5_000]},
        "impersonatedUser": {"username": escape}, "auditID": escape, "userAgent": escape, "objectRef": object,
        "sourceIPs": vec![escape; 5_000], "requestURI": format!("/{escape}{}", "?".repeat(2 << 20)),
        "annotations": {"authorization.k8s.io/decision": escape},
    });
    let text = rule("verb: create").replace("  riskScore", "  tags: [\"\\e[31m\\u202e\\x9b\"]\n  riskScore");
    let folder = Folder::new(&[("rule.yaml", &text), ("audit.log", &event(hostile))]);
    let (rules, log) = (folder.path("rule.yaml"), folder.path("audit.log"));
    for (form, most) in [("table", 1_500), ("json", 20_000), ("yaml", 20_000)] {
        let run = tripline(&["replay", "--rules", &rules, "-o", form, &log]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(is_plain(&run.out) && is_plain(&run.err), "{form}: {}", run.out);
        assert!(run.out.len() < most, "{form}: {} bytes", run.out.len());
        assert!(run.out.contains("owned"), "{form}: {}", run.out);
        let list: Value = match form {
            "json" => serde_json::from_str(&run.out).expect("JSON"),
            "yaml" => serde_saphyr::from_str(&run.out).expect("YAML"),
            _ => continue,
        };
        let alert = &list["items"][0];
        let user = alert["spec"]["detection"]["event"]["user"]["username"].as_str().expect("a name");
        assert!(user.starts_with("\\u{1b}[2J") && user.len() <= 256, "{user}");
        assert_eq!(alert["spec"]["detection"]["tags"], json!(["\\u{1b}[31m\\u{202e}\\u{9b}"]));
    }
    let run = tripline(&["replay", "--rules", &rules, "--matches", &log]);
    assert!(is_plain(&run.out), "{}", run.out);
    assert_eq!(serde_json::from_str::<Value>(&run.out).expect("JSON")["auditID"], escape);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let lines: Vec<_> = (0..200).map(|i| event(json!({"user": {"username": format!("user-{i}")}}))).collect();
    let by_user =
        rule("verb: create").replace("  riskScore", "  grouping: {by: [user.username]}\n  riskScore");
    let folder = Folder::new(&[("rule.yaml", &by_user), ("audit.log", &lines.join("\n"))]);
    for form in ["table", "json", "yaml"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tripline"))
            .args(["replay", "--rules", &folder.path("rule.yaml"), &folder.path("audit.log"), "-o", form])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("the binary ends").code(), Some(0), "{form}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_64_mib_is_not_kept_in_memory() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tripline"))
        .args(["replay", "--rules", &folder.path("rule.yaml"), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = child.stdin.take().expect("piped");
    let block = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        input.write_all(&block).expect("it reads");
    }
    // All but what the pipe holds was read, and it waits for more.
    let peak = peak(child.id());
    drop(input);
    let output = child.wait_with_output().expect("the binary ends");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success() && err.contains("0 events, 1 malformed lines"), "{err}");
    assert!(peak < 60 << 10, "a peak of {peak} KiB");
}

#[test]
fn a_record_behind_the_beginning_of_another_is_judged() {
    // In the API server's order.
    let first = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;
    let ordered = |event: String| {
        let rest =
            event.replacen(r#""kind":"Event","#, "", 1).replacen(r#""apiVersion":"audit.k8s.io/v1","#, "", 1);
        format!("{first}{}", &rest[1..])
    };
    let [whole, other] = ["one", "other"].map(|id| ordered(event(json!({"auditID": id}))));
    let glued = [format!("{}{other}", &whole[..whole.len() / 2]), format!("{whole}{other}")];
    let [cut, both] = glued.each_ref().map(String::as_bytes);
    let (matched, run) = between("verb: create", &[cut, both]);
    assert_eq!(matched, [1, 2, 3, 3, 4], "{}", run.err);
    assert!(run.err.contains("5 events, 1 malformed lines, 5 matches"), "{}", run.err);
    assert!(run.err.starts_with(&format!("{}:2: not json", run.err.split(":2:").next().unwrap_or_default())));
}
