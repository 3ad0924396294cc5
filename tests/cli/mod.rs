//! Runs the built binary on files of a test's own folder.

#![allow(dead_code)] // each test file uses its part

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the binary came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `tripline` with these arguments, without the environment's settings.
pub(crate) fn tripline(arguments: &[&str]) -> Run {
    tripline_with(arguments, &[], "")
}

/// The same with environment variables and standard input.
pub(crate) fn tripline_with(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tripline"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRIPLINE_")) {
        command.env_remove(name);
    }
    let mut child = command
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the binary reads");
    let output = child.wait_with_output().expect("the binary ends");
    Run {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A folder with files, removed at the end of the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        for (name, text) in files {
            let path = folder.path(name);
            std::fs::create_dir_all(Path::new(&path).parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        folder
    }

    pub(crate) fn root(&self) -> String {
        self.0.path().to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.root())
    }
}

/// A whole rule with this text for its query, which stands on line 8, or begins there.
pub(crate) fn rule(query: &str) -> String {
    let query =
        if query.starts_with(['|', '>', '"', '\'']) { query.to_owned() } else { format!("'{query}'") };
    format!(
        "apiVersion: tripline.dev/v1alpha1
kind: DetectionRule
metadata:
  name: a-rule
spec:
  displayName: A rule
  riskScore: 21
  query: {query}
  severity: Low
  tests:
    - name: a create
      event: {{verb: create, stage: ResponseComplete}}
      expect: Match
    - name: a get
      event: {{verb: get}}
      expect: NoMatch
"
    )
}

/// A line of the audit log, without its newline: an allowed request of alice's, with `changes` to its top level.
pub(crate) fn event(changes: serde_json::Value) -> String {
    let mut event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "id-1",
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/pods", "verb": "create",
        "user": {"username": "alice"}, "sourceIPs": ["10.0.0.5"],
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-0", "apiVersion": "v1"},
        "responseStatus": {"code": 201}, "stageTimestamp": "2026-01-01T00:00:00.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    if let (Some(event), serde_json::Value::Object(changes)) = (event.as_object_mut(), changes) {
        event.extend(changes);
    }
    event.to_string()
}

/// Whether a terminal would do anything but show `text` from left to right.
pub(crate) fn is_plain(text: &str) -> bool {
    let reorders =
        |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().all(|c| (c == '\n' || !c.is_control()) && !reorders(c))
}

/// The peak of a process's memory in KiB.
#[cfg(target_os = "linux")]
pub(crate) fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}
