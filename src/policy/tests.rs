//! What a policy logs, and what rules need of one.
use super::*;
use crate::detect::{Level, Rule, RuleSource};
use crate::event::Stage;

fn rule(name: &str, query: &str) -> Rule {
    let source = RuleSource { name: name.to_owned(), query: query.to_owned(), ..RuleSource::default() };
    Rule::compile(source).unwrap().0
}

fn policy(lines: &str) -> Policy {
    Policy::parse(&format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{lines}")).unwrap()
}

fn request(verb: &str, resource: &str) -> Request {
    let (group, resource) = resource.split_once(':').unwrap_or(("", resource));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Request {
        user: Some("alice".to_owned()),
        groups: vec!["developers".to_owned(), "system:authenticated".to_owned()],
        verb: verb.to_owned(),
        target: Target::Resource {
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        },
    }
}

fn level(lines: &str, request: &Request) -> Level {
    policy(&format!("{lines}\n- level: Metadata")).decide(request).level
}

#[test]
fn resources_fit_by_group_name_and_subresource() {
    let none = |resources: &str, of: &str| {
        level(&format!("- {{level: None, resources: [{resources}]}}"), &request("get", of)) == Level::None
    };
    assert!(none(r#"{group: "", resources: [pods]}"#, "pods"));
    assert!(!none(r#"{group: "", resources: [pods]}"#, "pods/exec"));
    assert!(none(r#"{group: "", resources: ["pods/*"]}"#, "pods/exec"));
    assert!(none(r#"{group: "", resources: ["pods/*"]}"#, "pods"), "kube-apiserver takes it for both");
    assert!(none(r#"{group: "", resources: ["*/exec"]}"#, "pods/exec"));
    assert!(!none(r#"{group: "", resources: ["*/exec"]}"#, "pods"));
    assert!(none(r#"{group: "", resources: ["*"]}"#, "pods/exec"));
    assert!(none(r#"{group: ""}"#, "pods/exec"));
    assert!(!none("{group: apps}", "pods"));
    assert!(none("{group: apps}", "apps:deployments"));
    assert!(none(r#"{group: "", resources: [pods], resourceNames: [web]}"#, "pods"));
    assert!(!none(r#"{group: "", resources: [pods], resourceNames: [db]}"#, "pods"));
}

#[test]
fn users_groups_verbs_namespaces_and_paths_narrow() {
    let none =
        |line: &str, request: &Request| level(&format!("- {{level: None, {line}}}"), request) == Level::None;
    let get = request("get", "pods");
    assert!(none("users: [alice]", &get) && !none("users: [bob]", &get));
    assert!(none("userGroups: [developers]", &get) && !none("userGroups: [x]", &get));
    assert!(!none("users: [alice], userGroups: [x]", &get), "both must fit");
    assert!(none("verbs: [get]", &get) && !none("verbs: [list]", &get));
    assert!(none("namespaces: [shop]", &get) && !none("namespaces: [\"\"]", &get));
    assert!(!none("nonResourceURLs: [\"*\"]", &get));
    let path = Request { target: Target::Path("/healthz/etcd".to_owned()), ..get.clone() };
    assert!(none("nonResourceURLs: [\"/healthz*\"]", &path) && !none("nonResourceURLs: [/healthz]", &path));
    assert!(none("verbs: [get]", &path) && !none("namespaces: [shop]", &path));
    let nobody = Request { user: None, groups: Vec::new(), ..get };
    assert!(!none("users: [alice]", &nobody) && none("verbs: [get]", &nobody));
}

#[test]
fn the_first_line_decides_and_stages_add_up() {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n\
                - {level: Request, verbs: [create], omitStages: [ResponseStarted], omitManagedFields: false}\n\
                - {level: Metadata, verbs: [create, get]}\n";
    let policy = Policy::parse(text).unwrap();
    let create = policy.decide(&request("create", "pods"));
    assert_eq!((create.level, create.by, create.omit_managed_fields), (Level::Request, Some(0), false));
    assert!(create.has(Stage::ResponseComplete));
    assert!(!create.has(Stage::ResponseStarted) && !create.has(Stage::RequestReceived));
    let get = policy.decide(&request("get", "pods"));
    assert_eq!((get.level, get.omit_managed_fields), (Level::Metadata, true));
    assert_eq!(policy.decide(&request("list", "pods")).level, Level::None, "what no line fits is not logged");
    assert_eq!(policy.lines[1].number, 7);
    assert_eq!(Policy::parse(&policy.to_yaml("x")).unwrap().decide(&request("create", "pods")), create);
}

#[test]
fn what_kube_apiserver_refuses_is_refused_with_its_line() {
    let error = |lines: &str| {
        let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n{lines}");
        Policy::parse(&text).unwrap_err().to_string()
    };
    assert_eq!(
        error("- level: All"),
        "line 5: there is no level \"All\"; expected None, Metadata, Request or RequestResponse"
    );
    assert!(
        error("- {level: None, namespaces: [a], nonResourceURLs: [/x]}").starts_with("line 5: a rule is for")
    );
    assert!(error("- {level: None, nonResourceURLs: [\"/*/x\"]}").contains("before its end"));
    assert!(error("- {level: None, omitStages: [Done]}").contains("no stage \"Done\""));
    assert!(error("- {level: None, resources: [{group: a/v1}]}").contains("with its version"));
    assert!(
        error("- {level: None, verb: [get]}").contains("verb"),
        "{}",
        error("- {level: None, verb: [get]}")
    );
    assert_eq!(Policy::parse("apiVersion: v1\nkind: Policy").unwrap_err(), PolicyError::OtherKind);
    assert_eq!(Policy::parse("apiVersion: audit.k8s.io/v1\nkind: Policy").unwrap_err(), PolicyError::NoRules);
}

fn lacks(query: &str, lines: &str) -> Vec<String> {
    lacks_of(&rule("a", query), lines, &[])
}

fn lacks_of(rule: &Rule, lines: &str, omitted: &[Stage]) -> Vec<String> {
    let policy = policy(lines);
    words(
        rule,
        &check(rule, &policy, &Kinds::of(&[rule], &[&policy]), omitted, Breadth::Complete),
        Some(&policy),
    )
}

const HOST: &str = "objectRef.resource:pods and verb:create and not objectRef.subresource:* and requestObject.spec.hostPID:true";

#[test]
fn a_rule_that_is_blinded_is_told_by_what_and_where() {
    assert_eq!(
        lacks(HOST, "- level: Metadata\n"),
        ["create pods: `requestObject.spec.hostPID` needs level Request, and the log has Metadata (line 4)"]
    );
    assert!(lacks(HOST, "- {level: Request, resources: [{group: \"\", resources: [pods]}]}\n").is_empty());
    let exec = "objectRef.resource:pods and objectRef.subresource:exec and verb:create";
    assert_eq!(
        lacks(exec, "- {level: Metadata, omitStages: [ResponseStarted]}\n"),
        ["create pods/exec: decided at stage ResponseStarted, which is not logged (line 4)"]
    );
    assert_eq!(
        lacks(exec, "- {level: Metadata, resources: [{group: \"\", resources: [pods]}]}\n"),
        ["create pods/exec: the rule needs level Metadata, and the log has None (no line fits them)"]
    );
    assert_eq!(
        lacks(exec, "- {level: None, users: [root]}\n- level: Metadata\n"),
        ["create pods/exec of root: the rule needs level Metadata, and the log has None (line 4)"]
    );
    assert!(
        lacks(
            &format!("{exec} and not user.username:root"),
            "- {level: None, users: [root]}\n- level: Metadata\n"
        )
        .is_empty()
    );
}

#[test]
fn a_stage_that_a_source_omits_is_not_missed() {
    let exec = "objectRef.subresource:exec and verb:create";
    let without_start = "- {level: Metadata, omitStages: [ResponseStarted]}\n";
    let started = [Stage::ResponseStarted];
    assert!(lacks(exec, without_start)[0].contains("decided at stage ResponseStarted"));
    assert_eq!(lacks_of(&rule("a", exec), without_start, &started), [""; 0]);
    // It must be logged at its end then, and a query that names the stage has no other.
    let without_end = "- {level: Metadata, omitStages: [ResponseStarted, ResponseComplete]}\n";
    assert!(!lacks_of(&rule("a", exec), without_end, &started).is_empty());
    let named = rule("a", &format!("{exec} and stage:ResponseStarted"));
    assert!(!lacks_of(&named, without_start, &started).is_empty());
    let base = policy(without_start);
    assert_eq!(merge(&base, &[&rule("a", exec)], &started), base);
}

#[test]
fn a_generated_policy_has_what_is_needed_and_no_more() {
    let rules = [
        rule("host", HOST),
        rule("bound", "objectRef.resource:rolebindings and verb:patch and responseObject.roleRef.name:admin"),
        rule(
            "probe",
            "objectRef.resource:selfsubjectaccessreviews and verb:create and user.groups:a and requestObject.spec.b:c",
        ),
        rule("read", "objectRef.resource:secrets and verb:get and user.groups:system\\:nodes"),
    ];
    let rules: Vec<&Rule> = rules.iter().collect();
    let made = generate(&rules, Breadth::Complete);
    let text = made.to_yaml("");
    let kinds = Kinds::of(&rules, &[&made]);
    for rule in &rules {
        assert_eq!(check(rule, &made, &kinds, &[], Breadth::Complete), [], "{}\n{text}", rule.name());
    }
    assert_eq!(made.decide(&request("create", "pods")).level, Level::Request, "{text}");
    assert_eq!(made.decide(&request("update", "pods")).level, Level::Metadata);
    assert_eq!(made.decide(&request("create", "pods/exec")).level, Level::Metadata);
    let bindings = "rbac.authorization.k8s.io:rolebindings";
    assert_eq!(made.decide(&request("patch", bindings)).level, Level::RequestResponse);
    let mut probe = request("create", "authorization.k8s.io:selfsubjectaccessreviews");
    assert_eq!(made.decide(&probe).level, Level::Metadata);
    probe.groups.push("a".to_owned());
    assert_eq!(made.decide(&probe).level, Level::Request);
    // The nodes' reads are left out, but for the Secrets that a rule asks about.
    let mut read = request("get", "pods");
    read.groups.push("system:nodes".to_owned());
    assert_eq!(made.decide(&read).level, Level::None, "{text}");
    let secret = Request { groups: read.groups.clone(), ..request("get", "secrets") };
    assert_eq!(made.decide(&secret).level, Level::Metadata, "{text}");
    assert!(made.omit_managed_fields && made.omit_stages.contains(&Stage::RequestReceived));
    assert!(text.contains("# For host.") && text.contains("# For probe."), "{text}");
}

#[test]
fn a_rule_on_all_kinds_leaves_nothing_out_unless_it_shall_be_quiet() {
    let scanner = rule("scanner", "verb:* and userAgent:*scanner*");
    let lease = request("update", "coordination.k8s.io:leases");
    assert_eq!(generate(&[&scanner], Breadth::Complete).decide(&lease).level, Level::Metadata);
    let quiet = generate(&[&scanner], Breadth::Quiet);
    assert_eq!(quiet.decide(&lease).level, Level::None);
    assert!(quiet.to_yaml("").contains("Not seen by scanner."));
    let kinds = Kinds::of(&[&scanner], &[&quiet]);
    assert_ne!(check(&scanner, &quiet, &kinds, &[], Breadth::Complete), []);
    assert_eq!(check(&scanner, &quiet, &kinds, &[], Breadth::Quiet), []);
    // What somebody asks for by name is missed all the same.
    let renewed = rule("renewed", "objectRef.resource:leases and verb:update");
    assert_ne!(check(&renewed, &quiet, &Kinds::of(&[&renewed], &[&quiet]), &[], Breadth::Quiet), []);
    // A controller is in no other group than Kubernetes puts it in, but in all of these.
    let account = rule("account", "user.groups:system\\:serviceaccounts and objectRef.resource:deployments");
    let mut status = request("update", "apps:deployments/status");
    status.groups.push("system:serviceaccounts:kube-system".to_owned());
    assert_eq!(generate(&[&scanner], Breadth::Quiet).decide(&status).level, Level::None);
    assert_eq!(generate(&[&account], Breadth::Quiet).decide(&status).level, Level::Metadata);
    let bootstrap = rule("bootstrap", "user.groups:system\\:bootstrappers and objectRef.resource:secrets");
    let text = generate(&[&bootstrap], Breadth::Complete).to_yaml("");
    assert!(!text.contains("level: Metadata\n    verbs"), "{text}");
}

#[test]
fn bodies_of_every_kind_are_not_those_of_secrets() {
    let wide = rule("wide", "verb:create and requestObject.metadata.name:a");
    let made = generate(&[&wide], Breadth::Complete);
    assert_eq!(made.decide(&request("create", "secrets")).level, Level::Metadata);
    assert_eq!(made.decide(&request("create", "example.com:widgets")).level, Level::Request);
    assert_eq!(check(&wide, &made, &Kinds::of(&[&wide], &[&made]), &[], Breadth::Complete), []);
}

/// A site's policy that leaves much out and logs some things better than rules need.
const SITE: &str = "
- {level: None, users: [\"system:kube-proxy\"], verbs: [watch], resources: [{group: \"\", resources: [endpoints, services]}]}
- {level: None, userGroups: [\"system:nodes\"], verbs: [get], resources: [{group: \"\", resources: [nodes, nodes/status]}]}
- {level: None, namespaces: [kube-system], verbs: [create], resources: [{group: \"\", resources: [pods]}]}
- {level: None, nonResourceURLs: [\"/healthz*\", /version]}
- {level: Metadata, resources: [{group: \"\", resources: [secrets, configmaps]}]}
- {level: Request, verbs: [get, list, watch], resources: [{group: \"\"}, {group: apps}], omitStages: [ResponseStarted]}
- {level: RequestResponse, resources: [{group: apps}, {group: rbac.authorization.k8s.io}]}
";

#[test]
fn a_site_s_policy_is_only_ever_raised() {
    let rules = [
        rule("host", HOST),
        rule("exec", "objectRef.subresource:exec and verb:(create or get)"),
        rule("watch", "objectRef.resource:pods and verb:watch"),
        rule("scanner", "verb:* and userAgent:*scanner*"),
        rule("jobs", "objectRef.resource:jobs and verb:create and requestObject.spec.a:b"),
    ];
    let rules: Vec<&Rule> = rules.iter().collect();
    let base = policy(SITE);
    let merged = merge(&base, &rules, &[]);
    let kinds = Kinds::of(&rules, &[&base, &merged]);
    let text = merged.to_yaml("");
    for kind in kinds.iter() {
        for verb in kind.verbs() {
            for cell in kinds.cells(kind, verb, &kinds::Named::default()) {
                let (was, is) = (base.decide(&cell.request), merged.decide(&cell.request));
                assert!(is.level >= was.level, "{:?}\n{was:?}\n{is:?}\n{text}", cell.request);
                for stage in Stage::ALL {
                    assert!(is.has(stage) || !was.has(stage), "{:?} {stage:?}\n{text}", cell.request);
                }
            }
        }
    }
    for rule in &rules {
        assert_eq!(check(rule, &merged, &kinds, &[], Breadth::Complete), [], "{}\n{text}", rule.name());
    }
    assert_eq!(
        Policy::parse(&text).unwrap().to_yaml(""),
        Policy {
            lines: merged.lines.iter().cloned().map(|line| Line { comment: String::new(), ..line }).collect(),
            ..merged
        }
        .to_yaml("")
    );
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let odd = ["no", "*", "", "a\rb", "a\u{2028}b", "\"\\", "a: b", "~", "1", "system:x", "😀"];
    let line = Line {
        level: Level::Metadata,
        users: odd.iter().map(|text| (*text).to_owned()).collect(),
        comment: "For a\u{85}- level: None\rb.".to_owned(),
        ..Line::default()
    };
    let text = Policy { lines: vec![line.clone()], ..Policy::default() }.to_yaml("x\ny");
    let read = Policy::parse(&text).unwrap();
    assert_eq!((read.lines.len(), &read.lines[0].users), (1, &line.users), "{text}");
}
