//! `tripline replay` with several threads: what it prints is what one thread prints. And how much of a line is read.

mod cli;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use cli::{Folder, Run, peak, rule, tripline, tripline_with};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A line as the API server writes it.
fn event(id: usize, verb: &str, user: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods","verb":"{verb}","user":{{"username":"{user}"}},"sourceIPs":["10.0.0.5"],"objectRef":{{"resource":"pods","namespace":"shop","name":"web-0","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":201}},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.000000Z"}}"#
    )
}

/// A log of several megabytes, with matches and malformed lines all over it.
fn log() -> String {
    let line = |n: usize| match n % 997 {
        5 => event(n, "create", &format!("user-{}", n % 13)),
        600 => "{".to_owned(),
        700 => "{\"kind\"".to_owned(),
        n => event(n, "get", "bob"),
    };
    (0..12_000).map(|n| line(n) + "\n").collect()
}

fn by_user() -> String {
    rule("verb: create").replace("  riskScore", "  grouping: {by: [user.username]}\n  riskScore")
}

/// All that was printed but how long it took.
fn printed(run: &Run) -> (i32, &str, &str) {
    (run.code, &run.out, run.err.rsplit_once("; ").expect("a summary").0)
}

#[test]
fn any_number_of_jobs_prints_the_same() {
    let text = log();
    assert!(text.len() > 4 << 20);
    let folder = Folder::new(&[("rule.yaml", &by_user()), ("audit.log", &text)]);
    let (rules, log) = (folder.path("rule.yaml"), folder.path("audit.log"));
    for form in [&["--matches"][..], &["-o", "json"], &["--matches", "--strict"]] {
        let replay = |jobs: &str| {
            tripline(&[&["replay", "--rules", &rules, &log, &log, "--jobs", jobs], form].concat())
        };
        let one = replay("1");
        assert!(one.err.contains("audit.log:601: ") && one.err.contains("audit.log:701: not json"));
        assert!(one.err.contains("23952 events, 48 malformed lines, 26 matches"), "{}", one.err);
        assert_eq!(one.err.lines().count(), 6, "{}", one.err);
        for jobs in ["2", "7"] {
            assert_eq!(printed(&replay(jobs)), printed(&one), "{jobs} jobs, {form:?}");
        }
    }
}

#[test]
fn compressed_and_from_standard_input_it_is_the_same_log() {
    let text = log();
    let folder = Folder::new(&[("rule.yaml", &by_user()), ("audit.log", &text)]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory");
    std::fs::write(folder.path("audit.log.gz"), gzip.finish().expect("memory")).expect("a file");
    let rules = folder.path("rule.yaml");
    let replay = |log: &str, input: &str| {
        let jobs = [("TRIPLINE_JOBS", "2")];
        let mut run = tripline_with(&["replay", "--rules", &rules, "--matches", log], &jobs, input);
        (run.out, run.err) = (run.out.replace(log, "LOG"), run.err.replace(&format!("{log}:"), "LOG:"));
        run
    };
    let plain = replay(&folder.path("audit.log"), "");
    assert!(plain.err.contains("11976 events, 24 malformed lines, 13 matches"), "{}", plain.err);
    assert_eq!(plain.out.lines().count(), 13);
    for found in [replay(&folder.path("audit.log.gz"), ""), replay("-", &text)] {
        // The name `-` is also in other places, but every line has its number.
        let lines = |run: &Run| -> Vec<String> {
            run.out.lines().map(|line| line[line.find("\"line\"").expect("a number")..].to_owned()).collect()
        };
        assert_eq!(lines(&found), lines(&plain));
        assert_eq!(printed(&found).2, printed(&plain).2);
    }
}

#[test]
fn without_strict_a_line_that_no_rule_matches_is_not_read_to_its_end() {
    let cut = event(1, "get", "bob");
    let cut = &cut[..cut.len() - 20];
    let matching = event(2, "create", "bob") + "}";
    let text = format!("{}\n{cut}\n{matching}\n", event(0, "create", "bob"));
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create")), ("audit.log", &text)]);
    let (rules, log) = (folder.path("rule.yaml"), folder.path("audit.log"));
    let arguments = ["replay", "--rules", &rules, "--matches", &log];
    let run = tripline(&arguments);
    // What a rule has a say on is read whole.
    assert!(run.err.contains("audit.log:3: not json"), "{}", run.err);
    assert!(run.err.contains("2 events, 1 malformed lines, 1 matches"), "{}", run.err);
    for run in [
        tripline(&[&arguments[..], &["--strict"]].concat()),
        tripline_with(&arguments, &[("TRIPLINE_STRICT", "true")], ""),
    ] {
        assert!(run.err.contains("audit.log:2: not json"), "{}", run.err);
        assert!(run.err.contains("1 events, 2 malformed lines, 1 matches"), "{}", run.err);
    }
}

#[test]
fn no_job_at_all_is_refused() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create")), ("audit.log", "")]);
    let (rules, log) = (folder.path("rule.yaml"), folder.path("audit.log"));
    for jobs in ["0", "-1", "many"] {
        let run = tripline(&["replay", "--rules", &rules, &log, &format!("--jobs={jobs}")]);
        assert!(run.code == 2 && run.err.contains("--jobs"), "{run:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_all_jobs() {
    let all: String = (0..20_000).map(|n| event(n, "create", "alice") + "\n").collect();
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create")), ("audit.log", &all)]);
    for jobs in ["1", "2", "7"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tripline"))
            .args(["replay", "--matches", "--jobs", jobs, "--rules", &folder.path("rule.yaml")])
            .arg(folder.path("audit.log"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut first).expect("a line");
        assert!(first.contains("\"line\":1,"), "{first}");
        drop(out);
        let output = child.wait_with_output().expect("the binary ends");
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{jobs} jobs");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn long_lines_take_little_memory() {
    let folder = Folder::new(&[("rule.yaml", &rule("verb: create"))]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tripline"))
        .args(["replay", "--jobs", "2", "--rules", &folder.path("rule.yaml"), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = child.stdin.take().expect("piped");
    for n in 0..60 {
        let long = event(n, if n % 3 == 0 { "create" } else { "get" }, "alice").replace(
            "\"responseStatus\"",
            &format!("\"userAgent\":\"{}\",\"responseStatus\"", "x".repeat(1_500_000)),
        );
        input.write_all((long + "\n").as_bytes()).expect("it reads");
    }
    let peak = peak(child.id());
    drop(input);
    let output = child.wait_with_output().expect("the binary ends");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(err.contains("60 events, 0 malformed lines, 20 matches"), "{err}");
    assert!(peak < 64 << 10, "a peak of {peak} KiB");
    println!("a peak of {peak} KiB");
}
