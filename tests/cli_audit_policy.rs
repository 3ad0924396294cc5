//! `tripline audit-policy`: what it prints is enough for the rules, and no line of it is for nothing.

mod cli;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cli::{Folder, rule, tripline, tripline_with};
use serde_json::Value;
use tripline::detect::Level;
use tripline::policy::{Policy, Request, Target};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");

fn generated() -> String {
    let run = tripline(&["audit-policy", "--rules", RULES]);
    assert_eq!(run.code, 0, "{}", run.err);
    run.out
}

/// The file of each rule of the library.
fn files() -> BTreeMap<String, String> {
    let inside = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<PathBuf>>()
    };
    let folders = inside(Path::new(RULES)).into_iter().filter(|path| path.is_dir());
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    folders
        .flat_map(|folder| inside(&folder))
        .map(|path| (name(&path), path.to_string_lossy().into_owned()))
        .collect()
}

fn check(policy: &str, rules: &[&str]) -> (i32, String) {
    let folder = Folder::new(&[("policy.yaml", policy)]);
    let path = folder.path("policy.yaml");
    let arguments = [&["audit-policy", "--check", &path, "--rules"], rules].concat();
    let run = tripline(&arguments);
    assert!(run.code < 2, "{}", run.err);
    (run.code, run.out)
}

#[test]
fn the_generated_policy_blinds_no_rule_and_each_line_is_for_one() {
    let text = generated();
    assert_eq!(check(&text, &[RULES]), (0, String::new()));
    let files = files();
    let blocks: Vec<&str> = text.split("\n\n").collect();
    let mut tried = 0;
    for (index, block) in blocks.iter().enumerate() {
        let comment: Vec<&str> =
            block.lines().filter_map(|line| line.trim_start().strip_prefix("# ")).collect();
        let comment = comment.join(" ");
        let names = comment.rsplit("For ").next().unwrap_or_default();
        let rules: Vec<&str> =
            names.split([',', ' ', '.']).filter_map(|name| files.get(name)).map(String::as_str).collect();
        if rules.is_empty() {
            continue;
        }
        tried += 1;
        let rest: Vec<&str> =
            blocks.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, b)| *b).collect();
        let (code, said) = check(&rest.join("\n\n"), &rules);
        assert_eq!(code, 1, "nothing is lost without\n{block}");
        assert!(said.contains("needs level") || said.contains("need level"), "{said}");
    }
    assert!(tried > 4, "{text}");
}

#[test]
fn a_quiet_policy_says_which_rules_pay_for_it() {
    let run = tripline(&["audit-policy", "--rules", RULES, "--quiet"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("Not seen by") && run.out.contains("- level: None"), "{}", run.out);
    // Only rules on requests of all kinds do.
    let (code, said) = check(&run.out, &[RULES]);
    assert_eq!(code, 1);
    for line in said.lines() {
        assert!(line.contains("and the log has None"), "{line}");
        let rule = line.split(": ").nth(1).unwrap();
        assert!(run.out.contains(rule), "{line}");
    }
    assert!(!said.contains("secret-") && !said.contains("exec-"), "{said}");
    assert_eq!(check(&run.out, &[RULES, "--quiet"]), (0, String::new()));
}

#[test]
fn the_policy_of_the_documentation_lacks_the_heartbeat_only() {
    let policy = include_str!("../docs/audit-policy.yaml");
    let (_, said) = check(policy, &[RULES]);
    for line in said.lines() {
        assert!(line.contains("the rule needs level Metadata, and the log has None"), "{line}");
    }
    assert_eq!(check(policy, &[RULES, "--quiet"]), (0, String::new()));
}

/// In the manner of what cluster scripts write: noise left out by user, bodies for a few groups, no line at the end.
const SITE: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: None
    users: ["system:kube-proxy"]
    verbs: [watch]
    resources: [{group: "", resources: [endpoints, services]}]
  - level: None
    userGroups: ["system:nodes"]
    verbs: [get]
    resources: [{group: "", resources: [nodes, nodes/status]}]
  - level: None
    nonResourceURLs: ["/healthz*", /version]
  - level: None
    resources: [{group: "", resources: [events, pods/exec]}]
  - level: Metadata
    resources: [{group: "", resources: [secrets, configmaps]}, {group: authentication.k8s.io, resources: [tokenreviews]}]
  - level: Request
    verbs: [get, list, watch]
    resources: [{group: ""}, {group: apps}, {group: rbac.authorization.k8s.io}]
  - level: RequestResponse
    resources: [{group: apps}, {group: rbac.authorization.k8s.io}]
"#;

#[test]
fn a_site_s_policy_is_merged_and_never_lowered() {
    let folder = Folder::new(&[("site.yaml", SITE)]);
    let run = tripline(&["audit-policy", "--rules", RULES, "--base", &folder.path("site.yaml")]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(check(&run.out, &[RULES]), (0, String::new()), "{}", run.out);
    assert_eq!(check(SITE, &[RULES]).0, 1);
    let (site, merged) = (Policy::parse(SITE).unwrap(), Policy::parse(&run.out).unwrap());
    let mut compared = 0;
    for user in [None, Some("alice"), Some("system:kube-proxy"), Some("system:node:a")] {
        for verb in ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"] {
            for (group, resource, subresource) in [
                ("", "pods", ""),
                ("", "pods", "exec"),
                ("", "secrets", ""),
                ("", "configmaps", ""),
                ("", "events", ""),
                ("", "endpoints", ""),
                ("", "nodes", "status"),
                ("apps", "deployments", ""),
                ("apps", "deployments", "scale"),
                ("rbac.authorization.k8s.io", "rolebindings", ""),
                ("example.com", "widgets", ""),
            ] {
                let groups =
                    if user == Some("system:node:a") { vec!["system:nodes".to_owned()] } else { Vec::new() };
                let target = Target::Resource {
                    group: group.to_owned(),
                    resource: resource.to_owned(),
                    subresource: subresource.to_owned(),
                    namespace: "shop".to_owned(),
                    name: String::new(),
                };
                let request =
                    Request { user: user.map(str::to_owned), groups, verb: verb.to_owned(), target };
                let (was, is) = (site.decide(&request), merged.decide(&request));
                assert!(is.level >= was.level, "{request:?}: {was:?}, {is:?}\n{}", run.out);
                let kept = was.level == Level::None || is.omit_stages.is_subset(&was.omit_stages);
                assert!(kept, "{request:?}: {was:?}, {is:?}\n{}", run.out);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 4 * 8 * 11);
}

#[test]
fn a_blinded_rule_is_named_with_field_level_and_line() {
    let query = "objectRef.resource:pods and verb:create and not objectRef.subresource:* and requestObject.spec.hostPID:true";
    let folder = Folder::new(&[
        ("rule.yaml", &rule(query)),
        ("policy.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"),
    ]);
    let path = folder.path("policy.yaml");
    let run = tripline(&["audit-policy", "--rules", &folder.path("rule.yaml"), "--check", &path]);
    let reason =
        "create pods: `requestObject.spec.hostPID` needs level Request, and the log has Metadata (line 4)";
    assert_eq!((run.code, run.out), (1, format!("{path}: a-rule: {reason}\n")));
    assert_eq!(run.err, "1 rule in 1 file: 1 rule blinded\n");
    let input = rule(query);
    let json = ["audit-policy", "--rules", "-", "--check", &path, "--output", "json"];
    let run = tripline_with(&json, &[], &input);
    let line: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((line["rule"].as_str(), line["reasons"][0].as_str()), (Some("a-rule"), Some(reason)));
    // Disabled rules need nothing, unless they are counted in.
    let disabled = input.replace("  displayName", "  mode: Disabled\n  displayName");
    let run = tripline_with(&json, &[], &disabled);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
    assert_eq!(tripline_with(&[&json[..], &["--all"]].concat(), &[], &disabled).code, 1);
}

#[test]
fn a_stage_that_the_source_omits_is_not_missed_and_exceptions_need_nothing() {
    let exec = rule("objectRef.subresource:exec and verb:create and user.name:alice");
    let exception = "apiVersion: tripline.dev/v1alpha1\nkind: DetectionException\nmetadata: {name: known}\n\
                     spec:\n  rules: {names: [a-rule]}\n  query: 'requestObject.a: b'\n  reason: it is known\n";
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [ResponseStarted]\nrules:\n- level: Metadata\n";
    let folder = Folder::new(&[("exec.yaml", &exec), ("policy.yaml", policy)]);
    let (rule, policy) = (folder.path("exec.yaml"), folder.path("policy.yaml"));
    let check = ["audit-policy", "--rules", &rule, "--check", &policy];
    assert_eq!(tripline(&check).code, 1);
    let run = tripline(&[&check[..], &["--omit-stage", "ResponseStarted"]].concat());
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
    let merge = ["audit-policy", "--rules", &rule, "--base", &policy, "--omit-stage", "ResponseStarted"];
    let merged = Policy::parse(&tripline(&merge).out).unwrap();
    assert_eq!(
        merged.omit_stages,
        Policy::parse(&std::fs::read_to_string(&policy).unwrap()).unwrap().omit_stages
    );
    assert_eq!(tripline(&[&check[..], &["--omit-stage", "Started"]].concat()).code, 2);

    let with = Folder::new(&[("exec.yaml", &exec), ("exception.yaml", exception)]);
    let (with, without) = (with.path(""), folder.path("exec.yaml"));
    let [with, without] =
        [with, without].map(|path| tripline(&["audit-policy", "--quiet", "--rules", &path]));
    assert_eq!((with.code, &with.out), (0, &without.out), "{}", with.err);
}

#[test]
fn a_file_that_is_no_policy_is_refused() {
    let folder = Folder::new(&[
        ("rule.yaml", &rule("verb:create")),
        (
            "policy.yaml",
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n- level: Everything\n",
        ),
    ]);
    let rule = folder.path("rule.yaml");
    let run = tripline(&["audit-policy", "--rules", &rule, "--check", &folder.path("policy.yaml")]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("policy.yaml: line 5: there is no level \"Everything\""), "{}", run.err);
    let run = tripline(&["audit-policy", "--rules", &rule, "--check", &rule]);
    assert!(run.err.contains("rule.yaml: expected `apiVersion: audit.k8s.io/v1`"), "{}", run.err);
    let folder = Folder::new(&[(
        "policy.yaml",
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, resource: []}\n",
    )]);
    let run = tripline(&["audit-policy", "--rules", &rule, "--check", &folder.path("policy.yaml")]);
    assert!(
        run.err.contains("not an audit policy: line 4 column ")
            && run.err.trim_end().ends_with("omitManagedFields"),
        "{}",
        run.err
    );
    let run = tripline(&["audit-policy", "--rules", &rule, "--base", &folder.path("none.yaml")]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("failed to read"), "{}", run.err);
}
