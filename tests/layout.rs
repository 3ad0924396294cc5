//! The house has one way in and one way out: imports go up the list of `architecture` in CONTRIBUTING.md, never back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each folder of `src/` with the folders it may use besides itself.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("api", &[]),
    ("event", &[]),
    ("query", &[]),
    ("telemetry", &[]),
    ("detect", &["event", "query"]),
    ("policy", &["event", "detect"]),
    ("source", &["api", "event", "query", "detect", "telemetry"]),
    ("alert", &["api", "event", "query", "detect", "telemetry"]),
    ("output", &["api", "alert", "telemetry"]),
    ("controller", &["api", "event", "query", "detect", "policy", "source", "alert", "output", "telemetry"]),
    (
        "cli",
        &[
            "api",
            "event",
            "query",
            "detect",
            "policy",
            "source",
            "alert",
            "output",
            "controller",
            "app",
            "telemetry",
        ],
    ),
    ("app", &["api", "event", "query", "detect", "source", "alert", "output", "controller", "telemetry"]),
    ("lib", &[]),
];

/// What judges events works without a cluster.
const PURE: [&str; 4] = ["event", "query", "detect", "policy"];
const CLIENTS: [&str; 5] = ["kube", "k8s_openapi", "tokio", "axum", "futures"];

fn sources() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&src).expect("below src");
                let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = std::fs::read_to_string(&path).expect("a source");
                found.push((room, path, code(&text)));
            }
        }
    }
    assert!(found.len() > 10, "the sources are not where they were");
    found
}

/// The text without comments, so that a link in a doc comment is no import.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names after `crate::`, also of `use crate::{a, b::c}`.
fn used(code: &str) -> BTreeSet<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, true);
            for (index, character) in list.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && depth == 0 && !c.is_whitespace() => {
                        names.insert(name(&list[index..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            names.insert(name(rest));
        }
    }
    names
}

#[test]
fn imports_go_one_way() {
    let rooms: Vec<&str> = MAY_USE.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for (room, path, code) in sources().into_iter().filter(|(room, ..)| room != "main") {
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == room) else {
            wrong.push(format!("{}: `{room}` has no place in the list of this test", path.display()));
            continue;
        };
        for name in used(&code) {
            if rooms.contains(&name.as_str()) && name != room && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: `{room}` may not use `{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_judges_events_knows_no_cluster() {
    let mut wrong = Vec::new();
    for (room, path, code) in sources().into_iter().filter(|(room, ..)| PURE.contains(&room.as_str())) {
        for client in CLIENTS {
            let named = code.match_indices(&format!("{client}::")).any(|(at, _)| {
                !code[..at]
                    .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
            });
            if named || code.contains(&format!("use {client};")) || code.contains(&format!("use {client} as"))
            {
                wrong.push(format!("{}: `{room}` may not use `{client}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_reads_them() {
    let names = used("use crate::{api::{a, b}, detect, event::x};\nfn f() { crate::cli::main() }");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["api", "cli", "detect", "event"]);
}
