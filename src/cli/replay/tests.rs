use std::slice;

use super::judged::Totals;
use super::*;

/// As good as none.
const LARGE: Limits = Limits { chunk: 8 << 20, line: 8 << 20 };

const RULES: &str = "apiVersion: tripline.dev/v1alpha1
kind: DetectionRule
metadata: {name: deletes}
spec:
  displayName: Deletes
  riskScore: 21
  severity: Low
  query: 'verb: delete'
  grouping: {by: [user.username]}
---
apiVersion: tripline.dev/v1alpha1
kind: DetectionRule
metadata: {name: by-mallory}
spec:
  displayName: By Mallory
  riskScore: 21
  severity: Low
  query: 'user.username: mallory and requestObject.spec.hostNetwork: true'
  exceptions: [{name: kept, query: 'verb: patch', reason: known}]
";

/// A line as the API server writes it, of a request that is decided here.
fn event(id: usize, verb: &str, user: &str, body: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"{id}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods","verb":"{verb}","user":{{"username":"{user}"}},"sourceIPs":["10.0.0.5"],"objectRef":{{"resource":"pods","namespace":"shop","name":"web-0","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":201}},"requestObject":{body},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.000000Z"}}"#
    )
}

/// Lines of all kinds: the events that match are spread over them.
fn log(lines: usize) -> String {
    let host = r#"{"spec":{"hostNetwork":true}}"#;
    let line = |n: usize| match n % 37 {
        3 => event(n, "delete", "alice", "{}"),
        7 => event(n, "create", "mallory", host),
        8 => event(n, "patch", "mallory", host),
        9 => event(n, "delete", "mallory", host).replace(r#""level":"Request","#, r#""stage":"Panic","#),
        12 => "{".to_owned(),
        20 => event(n, "get", "bob", "{}").replace("shop/pods\",", "shop/pods\",,"),
        21 => event(n, "delete", "bob", "{}") + "x",
        25 => event(n, "delete", "carol", &format!("{{\"text\":\"{}\"}}", "x".repeat(n * 3 % 5000))),
        n if n % 2 == 0 => event(n, "get", "bob", "{}"),
        n => event(n, "list", "alice", host),
    };
    (0..lines).map(|n| line(n) + "\n").collect()
}

/// The same lines, every second hundred of them as a container runtime writes them, in parts and among others.
fn container_log(lines: usize) -> String {
    let wrap =
        |stream: &str, tag: &str, text: &str| format!("2026-11-25T21:00:00.5Z {stream} {tag} {text}\n");
    let container = |number: usize, line: &str| {
        let parts: Vec<_> = line.as_bytes().chunks(1 + number * 7 % 300).collect();
        let mut text = String::new();
        for (index, part) in parts.iter().enumerate() {
            let tag = if index + 1 == parts.len() { "F" } else { "P" };
            text += &wrap("stdout", tag, std::str::from_utf8(part).unwrap());
            if (number + index) % 5 == 1 {
                text += &wrap("stderr", if index % 2 == 0 { "P" } else { "F" }, line);
            }
        }
        text
    };
    let plain = log(lines);
    let line = |(number, line): (usize, &str)| {
        if number / 100 % 2 == 0 { format!("{line}\n") } else { container(number, line) }
    };
    plain.lines().enumerate().map(line).collect()
}

/// What is printed, and the numbers.
fn replay(logs: &[PathBuf], limits: Limits, jobs: usize, print_matches: bool) -> (String, Totals) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yaml");
    std::fs::write(&path, RULES).unwrap();
    let loading = load::load(&[path], load::Installation::default()).unwrap();
    assert!(!loading.has_errors() && loading.rules.len() == 2);
    let rules = evaluated(loading.rules);
    let order = Order { rules: &rules, context: Context::default(), reading: Reading::Enough, print_matches };
    let (progress, mut out) = (ProgressBar::hidden(), Vec::new());
    let mut report = Report::new(&order, logs, &progress, &mut out);
    let jobs = NonZeroUsize::new(jobs).unwrap();
    judge(&order, Logs::new(logs, &progress, limits), jobs, &mut report).unwrap();
    let (ledger, totals) = report.into_parts();
    AlertList::take(&ledger).print(Form::Json, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), totals)
}

#[test]
fn the_result_is_the_same_however_the_logs_are_cut_and_shared() {
    let folder = tempfile::tempdir().unwrap();
    let logs = ["a.log", "b.log", "c.log"].map(|name| folder.path().join(name));
    let text = log(2000);
    for (path, text) in logs.iter().zip([text.as_str(), "", text[..text.len() / 2].trim_end()]) {
        std::fs::write(path, text).unwrap();
    }
    for print_matches in [true, false] {
        let expected = replay(&logs, LARGE, 1, print_matches);
        assert!(expected.1.matches > 400 && expected.1.malformed > 200, "{:?}", expected.1);
        for (chunk, jobs) in [(300, 1), (1000, 2), (4096, 7), (50_000, 2), (1 << 20, 2)] {
            let found = replay(&logs, Limits { chunk, line: 8 << 20 }, jobs, print_matches);
            assert_eq!(found.1, expected.1, "{jobs} jobs, chunks of {chunk}");
            assert!(found.0 == expected.0, "{jobs} jobs, chunks of {chunk}: not the same output");
        }
    }
}

#[test]
fn a_containers_log_is_read_as_a_plain_one_however_it_is_cut_and_shared() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, first, second] =
        ["plain.log", "first.log", "second.log"].map(|name| folder.path().join(name));
    let text = container_log(1000);
    std::fs::write(&plain, log(1000)).unwrap();
    let expected = replay(slice::from_ref(&plain), LARGE, 1, true).1;
    let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let mut cuts = 0;
    for cut in ends.iter().step_by(311) {
        std::fs::write(&first, &text[..*cut]).unwrap();
        std::fs::write(&second, &text[*cut..]).unwrap();
        let logs = [first.clone(), second.clone()];
        let whole = replay(&logs, LARGE, 1, true);
        for (chunk, jobs) in [(300, 1), (1000, 2), (50_000, 3)] {
            let found = replay(&logs, Limits { chunk, line: 8 << 20 }, jobs, true);
            assert_eq!(found.1, whole.1, "{jobs} jobs, chunks of {chunk}, cut at {cut}");
            assert!(found.0 == whole.0, "{jobs} jobs, chunks of {chunk}, cut at {cut}: not the same output");
        }
        let (text, bytes) = (whole.1.text, whole.1.bytes);
        assert!(text > 500, "{text} lines of text");
        assert_eq!(whole.1, Totals { bytes, text, ..expected });
        cuts += 1;
    }
    assert!(cuts > 8 && expected.matches > 100, "{cuts} cuts, {expected:?}");
}

#[test]
fn a_match_has_its_number_in_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let logs = ["a.log", "b.log"].map(|name| folder.path().join(name));
    let text = log(1000);
    for path in &logs {
        std::fs::write(path, &text).unwrap();
    }
    let (out, totals) = replay(&logs, Limits { chunk: 700, line: 2000 }, 3, true);
    let number = |line: &str| {
        let found: serde_json::Value = serde_json::from_str(line).unwrap();
        (found["line"].as_u64().unwrap(), found["auditID"].as_str().unwrap().parse::<u64>().unwrap())
    };
    let numbers: Vec<_> = out.lines().filter(|line| line.starts_with("{\"rule")).map(number).collect();
    assert_eq!(numbers.len() as u64, totals.matches);
    // An auditID is the number that its line had when it was made, from 0.
    assert!(numbers.iter().all(|(line, id)| *line == id + 1), "{numbers:?}");
    let (first, second) = numbers.split_at(numbers.len() / 2);
    assert_eq!(first, second);
    assert!(first.is_sorted());
    let is_malformed = |line: &&str| line.len() == 1 || line.ends_with('x') || line.contains(",,");
    let malformed = text.lines().filter(is_malformed).count() as u64;
    let too_long = text.lines().filter(|line| line.len() > 2000).count() as u64;
    assert!(too_long > 0 && totals.malformed == 2 * (malformed + too_long), "{totals:?}");
    assert_eq!(totals.bytes, 2 * text.len() as u64);
}
