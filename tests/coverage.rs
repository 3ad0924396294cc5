//! `tripline coverage`, and the pages of the library that it makes.
//!
//! After a change of the rules or of docs/detections.yaml: `UPDATE_COVERAGE=1 cargo test --test coverage`.

mod cli;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cli::{Folder, rule, tripline};
use serde_json::Value;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn path(name: &str) -> String {
    root(name).to_str().expect("UTF-8").to_owned()
}

fn update() -> bool {
    std::env::var_os("UPDATE_COVERAGE").is_some()
}

#[test]
fn the_page_in_the_repository_is_the_printed_one() {
    let list = path("docs/detections.yaml");
    let run = tripline(&["coverage", "--output", "markdown", "--detections", &list, &path("rules")]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(!run.out.contains("not in the list"), "a rule covers a row that docs/detections.yaml lacks");
    let page = root("docs/coverage.md");
    if update() {
        std::fs::write(&page, &run.out).unwrap();
    }
    let found = std::fs::read_to_string(page).unwrap();
    assert!(found == run.out, "docs/coverage.md is another: UPDATE_COVERAGE=1 cargo test --test coverage");
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let text = std::fs::read_to_string(entry.path()).expect("a page");
            (entry.file_name().into_string().expect("UTF-8"), text)
        })
        .collect()
}

#[test]
fn each_rule_of_the_library_has_its_page() {
    let folder = Folder::new(&[]);
    let run = tripline(&["coverage", "--pages", &folder.root(), &path("rules")]);
    assert_eq!(run.code, 0, "{}", run.err);
    let pages = root("docs/rules");
    let printed = files(Path::new(&folder.root()));
    if update() {
        std::fs::remove_dir_all(&pages).ok();
        std::fs::create_dir_all(&pages).unwrap();
        for (name, text) in &printed {
            std::fs::write(pages.join(name), text).unwrap();
        }
    }
    let found = files(&pages);
    assert_eq!(found.keys().collect::<Vec<_>>(), printed.keys().collect::<Vec<_>>());
    for (name, text) in printed {
        assert!(found[&name] == text, "docs/rules/{name}: UPDATE_COVERAGE=1 cargo test --test coverage");
    }
}

/// A rule with this name, query and mode, for one technique.
fn named(name: &str, query: &str, mode: &str) -> String {
    let threat = "  threat:
    - framework: MITRE ATT&CK
      tactic: {id: TA0002, name: Execution}
      techniques: [{id: T1609, name: Container | Command}]
";
    rule(query).replace("name: a-rule", &format!("name: {name}")) + threat + &format!("  mode: {mode}\n")
}

#[test]
fn a_rule_needs_the_level_that_logs_the_bodies_it_names() {
    let folder = Folder::new(&[
        ("a.yaml", &named("a", "verb: create", "Alert")),
        ("b.yaml", &named("b", "verb: create and podSpec.hostPID: true", "DryRun")),
        ("c.yaml", &named("c", "verb: create and responseObject.a: b and requestObject.a: b", "Disabled")),
        ("d.yaml", &rule("verb: create").replace("name: a-rule", "name: d")),
    ]);
    let run = tripline(&["coverage", &folder.root()]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let expected = "\
TACTIC            TECHNIQUE                  RULE  MODE      SEVERITY  LEVEL
TA0002 Execution  T1609 Container | Command  a     Alert     Low       Metadata
TA0002 Execution  T1609 Container | Command  b     DryRun    Low       Request
TA0002 Execution  T1609 Container | Command  c     Disabled  Low       RequestResponse
-                 -                          d     Alert     Low       Metadata
";
    assert_eq!(run.out, expected);

    let run = tripline(&["coverage", "--output", "json", &folder.root()]);
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        (&lines[1]["technique"], &lines[1]["level"]),
        (&Value::from("T1609"), &Value::from("Request"))
    );

    let run = tripline(&["coverage", "--output", "markdown", &folder.root()]);
    assert!(
        run.out.contains("| T1609 Container \\| Command | `a` | Low | Metadata |\n|  | `b` |"),
        "{}",
        run.out
    );
    assert!(run.out.contains("| `c`¹ | Low | RequestResponse |"), "{}", run.out);
}

#[test]
fn the_layer_counts_the_rules_that_are_on() {
    let folder = Folder::new(&[
        ("a.yaml", &named("a", "verb: create", "Alert")),
        ("b.yaml", &named("b", "verb: update", "Disabled")),
    ]);
    let layer = |path: &str| {
        let run = tripline(&["coverage", "--output", "navigator", path]);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        serde_json::from_str::<Value>(&run.out).expect("JSON")
    };
    let small = layer(&folder.root());
    assert_eq!(small["versions"]["layer"], "4.5");
    assert_eq!(small["domain"], "enterprise-attack");
    let technique = &small["techniques"][0];
    assert_eq!(small["techniques"].as_array().unwrap().len(), 1);
    assert_eq!((&technique["techniqueID"], &technique["tactic"]), (&"T1609".into(), &"execution".into()));
    assert_eq!(technique["score"], 1);
    assert_eq!(technique["comment"], "a (Low, Metadata)\nb (Low, Metadata, disabled)");

    let library = layer(&path("rules"));
    let page = std::fs::read_to_string(root("docs/severity.md")).unwrap();
    let version = format!("version {}.", library["versions"]["attack"].as_str().unwrap());
    assert!(page.contains(&version), "the layer and docs/severity.md name the same ATT&CK");
    let mut places: Vec<_> = library["techniques"]
        .as_array()
        .unwrap()
        .iter()
        .map(|technique| format!("{} {}", technique["tactic"], technique["techniqueID"]))
        .collect();
    let all = places.len();
    places.sort();
    places.dedup();
    assert!(all > 20 && places.len() == all, "each technique of a tactic once");
}

#[test]
fn what_a_rule_says_cannot_break_out_of_its_page() {
    let text = named("a", "user.username: \"```\"", "Alert")
        .replace("displayName: A rule", "displayName: \"A <b>|\\e[2J\"")
        .replace("name: a create", "name: \"x | y\"");
    let folder = Folder::new(&[("a.yaml", &text)]);
    let pages = folder.path("pages");
    let run = tripline(&["coverage", "--pages", &pages, &folder.path("a.yaml")]);
    assert_eq!(run.code, 0, "{}", run.err);
    let page = std::fs::read_to_string(format!("{pages}/a.md")).unwrap();
    assert!(page.contains("# A &lt;b>\\|\\u{1b}[2J\n"), "{page}");
    assert!(page.contains("\n````\nuser.username: \"```\"\n````\n"), "{page}");
    assert!(page.contains("| x \\| y | Match |"), "{page}");
}

#[test]
fn a_list_that_cannot_be_read_is_told() {
    let folder = Folder::new(&[("a.yaml", &rule("verb: create")), ("list.txt", "rows: 3\n")]);
    let list = folder.path("list.txt");
    let run = tripline(&["coverage", "--output", "markdown", "--detections", &list, &folder.path("a.yaml")]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("is no list of detections"), "{}", run.err);
}
