//! kube-apiserver logs what the policy says that it logs.
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use support::operator::{PATIENCE, made_policy};
use support::{ControlPlane, Options, wait_for};
use tripline::detect::Level;
use tripline::event::Stage;
use tripline::policy::{Policy, Request, Target};

/// One line for each way in which a line can fit.
const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
  - {level: None, users: [bob], verbs: [list], resources: [{group: "", resources: [pods]}]}
  - {level: None, userGroups: ["system:nodes"], nonResourceURLs: [/version]}
  - {level: Request, users: [alice], userGroups: [auditors]}
  - {level: RequestResponse, users: [alice], userGroups: [developers], verbs: [create], omitStages: [RequestReceived]}
  - {level: None, nonResourceURLs: ["/healthz*", /version]}
  - {level: Request, nonResourceURLs: ["/livez*"], omitStages: [RequestReceived]}
  - {level: None, resources: [{group: "", resources: [configmaps], resourceNames: [quiet]}]}
  - {level: Request, namespaces: [shop], resources: [{group: "", resources: [configmaps]}]}
  - {level: Metadata, resources: [{group: "", resources: [secrets]}], omitStages: [RequestReceived]}
  - {level: RequestResponse, resources: [{group: "", resources: ["*/status"]}]}
  - {level: Request, resources: [{group: "", resources: ["services/*"]}]}
  - {level: RequestResponse, resources: [{group: apps}]}
  - {level: None, resources: [{group: batch, resources: ["*"]}]}
  - {level: Request, namespaces: [""], verbs: [list]}
  - {level: None, namespaces: [other]}
  - {level: Metadata, verbs: [get, list, create, update, delete]}
"#;

/// Who asks, how, for which path, and what that is: group, resource, subresource, namespace, name.
type Case = (&'static str, &'static str, &'static str, Option<[&'static str; 5]>);

const CASES: [Case; 32] = [
    ("bob", "list", "/api/v1/namespaces/shop/pods", Some(["", "pods", "", "shop", ""])),
    ("admin", "list", "/api/v1/namespaces/shop/pods", Some(["", "pods", "", "shop", ""])),
    ("alice", "list", "/api/v1/namespaces/shop/pods", Some(["", "pods", "", "shop", ""])),
    ("admin", "list", "/api/v1/pods", Some(["", "pods", "", "", ""])),
    ("admin", "get", "/api/v1/namespaces/shop/pods/web-0", Some(["", "pods", "", "shop", "web-0"])),
    ("kubelet", "get", "/version", None),
    ("bob", "get", "/version", None),
    ("admin", "get", "/healthz", None),
    ("admin", "get", "/healthz/ping", None),
    ("admin", "get", "/livez/ping", None),
    ("admin", "get", "/readyz", None),
    ("alice", "get", "/livez", None),
    ("nobody", "get", "/version", None),
    ("nobody", "get", "/api/v1/namespaces/shop/secrets/a", Some(["", "secrets", "", "shop", "a"])),
    ("alice", "create", "/api/v1/namespaces/shop/configmaps", Some(["", "configmaps", "", "shop", ""])),
    ("alice", "create", "/apis/batch/v1/namespaces/shop/jobs", Some(["batch", "jobs", "", "shop", ""])),
    ("bob", "create", "/apis/batch/v1/namespaces/shop/jobs", Some(["batch", "jobs", "", "shop", ""])),
    ("bob", "get", "/api/v1/namespaces/shop/configmaps/quiet", Some(["", "configmaps", "", "shop", "quiet"])),
    ("bob", "get", "/api/v1/namespaces/shop/configmaps/loud", Some(["", "configmaps", "", "shop", "loud"])),
    ("bob", "get", "/api/v1/namespaces/other/configmaps/loud", Some(["", "configmaps", "", "other", "loud"])),
    ("bob", "list", "/api/v1/configmaps", Some(["", "configmaps", "", "", ""])),
    ("bob", "list", "/api/v1/namespaces/shop/secrets", Some(["", "secrets", "", "shop", ""])),
    ("bob", "list", "/api/v1/namespaces/other/pods", Some(["", "pods", "", "other", ""])),
    ("admin", "list", "/api/v1/namespaces/other/services", Some(["", "services", "", "other", ""])),
    ("admin", "get", "/api/v1/namespaces/other/services/a", Some(["", "services", "", "other", "a"])),
    (
        "admin",
        "get",
        "/api/v1/namespaces/shop/services/a/status",
        Some(["", "services", "status", "shop", "a"]),
    ),
    (
        "admin",
        "get",
        "/api/v1/namespaces/shop/pods/web-0/status",
        Some(["", "pods", "status", "shop", "web-0"]),
    ),
    (
        "admin",
        "list",
        "/apis/apps/v1/namespaces/shop/deployments",
        Some(["apps", "deployments", "", "shop", ""]),
    ),
    (
        "admin",
        "get",
        "/apis/apps/v1/namespaces/shop/deployments/a/scale",
        Some(["apps", "deployments", "scale", "shop", "a"]),
    ),
    (
        "admin",
        "delete",
        "/apis/batch/v1/namespaces/shop/cronjobs/a",
        Some(["batch", "cronjobs", "", "shop", "a"]),
    ),
    (
        "admin",
        "list",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        Some(["rbac.authorization.k8s.io", "clusterroles", "", "", ""]),
    ),
    ("admin", "delete", "/api/v1/namespaces/shop/limitranges/a", Some(["", "limitranges", "", "shop", "a"])),
];

fn request(case: &Case) -> Request {
    let (user, verb, path, resource) = case;
    let groups: &[&str] = match *user {
        "admin" => &["system:masters"],
        "alice" => &["developers"],
        "bob" => &["auditors"],
        "kubelet" => &["system:nodes"],
        _ => &[],
    };
    let name = match *user {
        "nobody" => None,
        "kubelet" => Some("system:node:control-plane-1".to_owned()),
        user => Some(user.to_owned()),
    };
    Request {
        user: name,
        groups: groups.iter().copied().chain(["system:authenticated"]).map(str::to_owned).collect(),
        verb: (*verb).to_owned(),
        target: match resource {
            None => Target::Path((*path).to_owned()),
            Some(parts) => {
                let [group, resource, subresource, namespace, name] = parts.map(str::to_owned);
                Target::Resource { group, resource, subresource, namespace, name }
            }
        },
    }
}

/// The level and the stages of the events of these.
fn logged(events: &[Value], is_it: impl Fn(&Value) -> bool) -> (Level, BTreeSet<Stage>) {
    let found = || events.iter().filter(|event| is_it(event));
    let level = found().filter_map(|event| Level::from_name(event["level"].as_str()?)).max();
    let stages = found().filter_map(|event| Stage::from_name(event["stage"].as_str()?)).collect();
    (level.unwrap_or_default(), stages)
}

#[test]
fn a_policy_is_read_as_kube_apiserver_reads_it() -> Result<()> {
    let policy = Policy::parse(POLICY)?;
    let options = Options { audit_policy: Some(POLICY.to_owned()), ..Options::default() };
    ControlPlane::with(options, |plane| {
        plane.make_pod("shop", "web-0")?;
        plane.add_user("nobody", "a-token-that-nobody-has")?;
        let body = plane.folder().join("body.json");
        std::fs::write(&body, "{}")?;
        let body = body.to_str().context("a path of UTF-8")?.to_owned();
        for (number, (user, verb, path, _)) in CASES.iter().enumerate() {
            let path = format!("{path}?marker=m{number}m");
            match *verb {
                "create" => plane.kubectl(user, &["create", "--raw", &path, "--filename", &body])?,
                "delete" => plane.kubectl(user, &["delete", "--raw", &path])?,
                _ => plane.kubectl(user, &["get", "--raw", &path])?,
            };
        }
        for (number, case) in CASES.iter().enumerate() {
            let decision = policy.decide(&request(case));
            let marker = format!("marker=m{number}m");
            let is_it = |event: &Value| event["requestURI"].as_str().is_some_and(|uri| uri.contains(&marker));
            // A request of nobody has no other stage.
            let is_nobody = case.0 == "nobody";
            let last = if is_nobody { Stage::ResponseStarted } else { Stage::ResponseComplete };
            let mut seen = (Level::None, BTreeSet::new());
            let ended = wait_for("the end of the request", PATIENCE, || {
                seen = logged(&plane.audit_events().ok()?, is_it);
                (seen.1.contains(&last) || decision.level == Level::None).then_some(())
            });
            ended.with_context(|| format!("{case:?}: {decision:?}, {seen:?}"))?;
            ensure!(seen.0 == decision.level, "{case:?}: {decision:?}, but it is logged at {:?}", seen.0);
            let is_received = decision.has(Stage::RequestReceived) && !is_nobody;
            ensure!(
                is_received == seen.1.contains(&Stage::RequestReceived) || is_nobody,
                "{case:?}: {seen:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_generated_policy_is_taken_and_logs_as_it_says() -> Result<()> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let text = made_policy(&rules, &["--quiet"])?;
    let policy = Policy::parse(&text)?;
    let options = Options { audit_policy: Some(text), ..Options::default() };
    ControlPlane::with(options, |plane| {
        plane.make_pod("shop", "web-0")?;
        plane.kubectl("alice", &["exec", "--namespace=shop", "web-0", "--", "id"])?;
        plane.kubectl("admin", &["get", "--namespace=shop", "secret", "a"])?;
        for (user, verb, resource, subresource, name) in [
            ("admin", "create", "pods", "", "web-0"),
            ("alice", "get", "pods", "exec", "web-0"),
            ("admin", "get", "secrets", "", "a"),
        ] {
            let target = Target::Resource {
                group: String::new(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                namespace: "shop".to_owned(),
                name: name.to_owned(),
            };
            let groups = vec!["system:authenticated".to_owned()];
            let request = Request { user: Some(user.to_owned()), groups, verb: verb.to_owned(), target };
            let decision = policy.decide(&request);
            let is_it = |event: &Value| {
                let object = &event["objectRef"];
                event["user"]["username"] == user
                    && (event["verb"] == verb || subresource == "exec")
                    && object["resource"] == resource
                    && object["subresource"].as_str().unwrap_or_default() == subresource
            };
            let event = plane.wait_for_event(&format!("{verb} {resource}/{subresource}"), is_it)?;
            let (level, stages) = logged(&plane.audit_events()?, is_it);
            ensure!(
                level == decision.level && !stages.contains(&Stage::RequestReceived),
                "{decision:?}: {event:#}"
            );
            ensure!(
                event.get("requestObject").is_some() == (resource == "pods" && subresource.is_empty()),
                "{event:#}"
            );
        }
        Ok(())
    })
}
