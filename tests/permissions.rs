//! What the chart's roles allow is what the operator needs: each permission taken away breaks something, and what is
//! not among them is refused.
mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::helm::alert;
use support::operator::{
    NAMESPACE, Operator, PATIENCE, exception, install_kinds, list, permissions, printed_kinds, rule, source,
};
use support::{ControlPlane, Options, wait_for};

/// One thing that a role allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    group: String,
    /// With its subresource, as a role names it.
    resource: String,
    verb: String,
}

impl Grant {
    fn new(group: &str, resource: &str, verb: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
    }

    /// Whether an audit event is of such a request.
    fn is_of(&self, event: &Value) -> bool {
        let object = &event["objectRef"];
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let resource = match text("subresource") {
            "" => text("resource").to_owned(),
            subresource => format!("{}/{subresource}", text("resource")),
        };
        text("apiGroup") == self.group && resource == self.resource && event["verb"] == *self.verb
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What the roles allow, apart.
fn grants(roles: &[Value]) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    for rule in roles.iter().flat_map(|role| role["rules"].as_array().into_iter().flatten()) {
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                grants.extend(
                    strings(&rule["verbs"]).into_iter().map(|verb| Grant::new(group, resource, verb)),
                );
            }
        }
    }
    grants
}

/// The roles without this.
fn without(roles: &[Value], grant: &Grant) -> Vec<Value> {
    let mut roles = roles.to_vec();
    for role in &mut roles {
        let before = role["rules"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let mut left = Vec::new();
        for rule in before {
            if !strings(&rule["apiGroups"]).contains(&grant.group.as_str()) {
                left.push(rule);
                continue;
            }
            for resource in strings(&rule["resources"]) {
                let mut verbs = strings(&rule["verbs"]);
                verbs.retain(|verb| resource != grant.resource || *verb != grant.verb);
                if verbs.is_empty() {
                    continue;
                }
                let mut one = rule.clone();
                one["resources"] = json!([resource]);
                one["verbs"] = json!(verbs);
                left.push(one);
            }
        }
        role["rules"] = json!(left);
    }
    roles
}

/// A control plane with all that a role's work takes: rules and exceptions of which one each does not fit its kind, a source that asks for
/// the node's labels, and a pod.
fn prepare(plane: &ControlPlane) -> Result<()> {
    install_kinds(plane)?;
    let severity = "\n                - Critical\n";
    let operator = "\n                              - DoesNotExist\n";
    let extended = printed_kinds()?
        .replace(severity, &format!("{severity}                - Extreme\n"))
        .replace(operator, &format!("{operator}                              - Near\n"));
    plane.apply("admin", &extended)?;
    let mut odd = rule("odd", "verb:x");
    odd["spec"]["severity"] = json!("Extreme");
    wait_for("the wider kind", PATIENCE, || plane.apply("admin", &odd.to_string()).ok())?;
    let mut odd = exception("odd", "exec", "user.username:nobody");
    odd["spec"]["rules"]["selector"] = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
    wait_for("the wider kind", PATIENCE, || plane.apply("admin", &odd.to_string()).ok())?;
    plane.apply("admin", &exception("fine", "exec", "user.username:nobody").to_string())?;
    plane.make_pod("shop", "web-0")?;
    plane.run("admin", &["label", "node", "paper", "log=here"])?;
    plane.apply("admin", &rule("exec", "objectRef.subresource:exec").to_string())?;
    let mut source: Value = serde_json::from_str(&source(plane, "kube-apiserver", "End"))?;
    source["spec"]["nodeSelector"] = json!({"log": "here"});
    plane.apply("admin", &source.to_string())?;
    Ok(())
}

/// What was logged since a place in the audit log.
fn events_since(plane: &ControlPlane, offset: u64) -> Result<Vec<Value>> {
    let mut log = File::open(plane.audit_log())?;
    log.seek(SeekFrom::Start(offset))?;
    let mut text = String::new();
    log.read_to_string(&mut text)?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Whether the API server lets the account do this now.
fn can(plane: &ControlPlane, account: &str, grant: &Grant) -> bool {
    let (resource, subresource) = grant.resource.split_once('/').unwrap_or((&grant.resource, ""));
    let named = match grant.resource.as_str() {
        "leases" if !matches!(&*grant.verb, "create" | "list") => "/tripline",
        "customresourcedefinitions" => "/detectionrules.tripline.dev",
        _ => "",
    };
    let typed =
        if grant.group.is_empty() { resource.to_owned() } else { format!("{resource}.{}", grant.group) };
    let (what, sub) = (format!("{typed}{named}"), format!("--subresource={subresource}"));
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    // The API servers' own are elsewhere.
    let namespace = if (resource, &*grant.verb) == ("leases", "list") { "kube-system" } else { NAMESPACE };
    let arguments = ["auth", "can-i", &grant.verb, &what, &sub, &user, "--namespace", namespace];
    plane.kubectl("admin", &arguments).is_ok_and(|output| output.status.success())
}

/// Takes each permission away in turn, runs the operator, and waits until it is refused just that and says so.
fn every_permission_is_needed(role: &str) -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        prepare(plane)?;
        // With an output, for which the controller follows alerts.
        let objects = permissions("mode=split,outputs.stdout.enabled=true")?;
        plane.apply("admin", &list(&objects))?;
        let account = format!("tripline-{role}");
        let kubeconfig = plane.add_service_account(NAMESPACE, &account)?;
        let mine: Vec<_> = objects
            .into_iter()
            .filter(|o| {
                let is_its = |name: &str| name.strip_prefix(&*account).is_some_and(|rest| rest != "-webhook");
                o["kind"].as_str().is_some_and(|k| k.ends_with("Role"))
                    && o["metadata"]["name"].as_str().is_some_and(is_its)
            })
            .collect();
        let all = grants(&mine);
        assert!(all.len() > 8, "{all:?}");
        for (index, grant) in all.iter().enumerate() {
            plane.apply("admin", &list(&without(&mine, grant)))?;
            wait_for("the role to be smaller", PATIENCE, || (!can(plane, &account, grant)).then_some(()))?;
            is_missed(plane, role, &kubeconfig, grant, index)
                .with_context(|| format!("without {grant:?}"))?;
        }
        plane.apply("admin", &list(&mine))?;
        nothing_else_is_allowed(plane, role, &account, &all)
    })
}

fn is_missed(
    plane: &ControlPlane,
    role: &str,
    kubeconfig: &std::path::Path,
    grant: &Grant,
    index: usize,
) -> Result<()> {
    let (before, said) = (plane.audit_log().metadata()?.len(), plane.folder().join("tripline.log"));
    let said_before = said.metadata().map_or(0, |metadata| metadata.len());
    let lease = format!("{NAMESPACE}/tripline");
    let mut arguments = vec!["--role", role];
    if role == "controller" {
        // Released after each round, so that each has to take it: by then it exists.
        arguments.extend(["--lease", &lease]);
        // One alert whose time is over; or more than are kept, which is told by an Event.
        let too_many = grant.resource == "events";
        arguments.extend(if too_many { ["--max-alerts", "10"] } else { ["--retain-open", "1"] });
        for number in 0..if too_many { 12 } else { 1 } {
            leave_alert(plane, &format!("exec-aaaaaaaaaaaaa-{}", 100 * index + number))?;
        }
        if grant.resource == "leases" && grant.verb == "create" {
            plane.kubectl("admin", &["delete", "lease", "tripline", "--namespace", NAMESPACE])?;
        }
    }
    // Something new to say of the rule and the source.
    let change = format!("{{\"spec\":{{\"cluster\":\"round-{index}\"}}}}");
    plane.run("admin", &["patch", "auditsource", "kube-apiserver", "--type=merge", "--patch", &change])?;
    let change = format!("{{\"spec\":{{\"description\":\"round {index}\"}}}}");
    plane.run("admin", &["patch", "detectionrule", "exec", "--type=merge", "--patch", &change])?;
    let change = format!("{{\"spec\":{{\"reason\":\"round {index}\"}}}}");
    plane.run("admin", &["patch", "detectionexception", "fine", "--type=merge", "--patch", &change])?;
    let operator = Operator::launch_on(plane, kubeconfig, "paper", &arguments)?;
    let user = format!("system:serviceaccount:{NAMESPACE}:tripline-{role}");
    wait_for("the refusal in the audit log", PATIENCE, || {
        // Two requests: one that opens an alert, and one that is counted on it.
        let exec = format!("/api/v1/namespaces/shop/pods/web-{index}/exec?command=id");
        plane.kubectl("alice", &["get", "--raw", &exec]).ok()?;
        let events = events_since(plane, before).ok()?;
        let refused = |e: &Value| {
            e["user"]["username"] == *user && e["responseStatus"]["code"] == 403 && grant.is_of(e)
        };
        events.iter().any(refused).then_some(())
    })?;
    // Without the definitions it falls back to the lists, and cannot tell that they are old: nothing else is said.
    if grant.resource != "customresourcedefinitions" {
        wait_for("the operator to say so", PATIENCE, || {
            let mut log = File::open(&said).ok()?;
            log.seek(SeekFrom::Start(said_before)).ok()?;
            let mut text = String::new();
            log.read_to_string(&mut text).ok()?;
            text.to_lowercase().contains("forbidden").then_some(())
        })?;
    }
    operator.terminate()
}

/// An alert as readers left it a while ago.
fn leave_alert(plane: &ControlPlane, name: &str) -> Result<()> {
    plane.create("admin", &alert(name))?;
    let mut stored = plane.get(&["securityalert", name])?;
    let time = format!("{:.6}", Timestamp::now() - SignedDuration::from_secs(60));
    stored["status"] = json!({"count": 1, "firstSeenTime": time, "lastSeenTime": time});
    let output = plane.kubectl_file("admin", &["replace", "--subresource=status"], &stored)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What an intruder would want of the account.
fn nothing_else_is_allowed(
    plane: &ControlPlane,
    role: &str,
    account: &str,
    granted: &BTreeSet<Grant>,
) -> Result<()> {
    let mut wanted = vec![
        Grant::new("", "secrets", "get"),
        Grant::new("", "secrets", "list"),
        Grant::new("", "configmaps", "get"),
        Grant::new("", "pods", "list"),
        Grant::new("", "pods", "create"),
        Grant::new("", "pods/exec", "create"),
        Grant::new("", "pods/exec", "get"),
        Grant::new("", "pods/log", "get"),
        Grant::new("", "nodes/proxy", "get"),
        Grant::new("", "nodes", "patch"),
        Grant::new("", "serviceaccounts/token", "create"),
        Grant::new("", "users", "impersonate"),
        Grant::new("apps", "deployments", "create"),
        Grant::new("apps", "daemonsets", "patch"),
        Grant::new("rbac.authorization.k8s.io", "clusterroles", "escalate"),
        Grant::new("rbac.authorization.k8s.io", "clusterrolebindings", "create"),
        Grant::new("apiextensions.k8s.io", "customresourcedefinitions", "update"),
        Grant::new("admissionregistration.k8s.io", "validatingadmissionpolicies", "delete"),
        Grant::new("events.k8s.io", "events", "delete"),
        Grant::new("coordination.k8s.io", "leases", "delete"),
    ];
    for kind in ["detectionrules", "auditsources", "securityalerts"] {
        for verb in ["update", "patch", "delete", "deletecollection"] {
            wanted.push(Grant::new("tripline.dev", kind, verb));
        }
    }
    wanted.push(Grant::new("tripline.dev", "detectionrules", "create"));
    wanted.push(Grant::new("tripline.dev", "auditsources", "create"));
    if role == "controller" {
        // It deletes alerts, each by name.
        wanted.retain(|grant| *grant != Grant::new("tripline.dev", "securityalerts", "delete"));
        wanted.push(Grant::new("tripline.dev", "securityalerts", "create"));
        wanted.push(Grant::new("tripline.dev", "securityalerts/status", "patch"));
        wanted.push(Grant::new("", "pods", "get"));
    }
    for grant in &wanted {
        assert!(!can(plane, account, grant), "{account} may {grant:?}");
    }
    // That the question is asked rightly: what is granted, it may.
    for grant in granted {
        assert!(can(plane, account, grant), "{account} may not {grant:?}");
    }
    // And tried: what the server says is what it does.
    for refused in [
        &["get", "secrets", "--namespace", NAMESPACE][..],
        // By what kubectl does, a deletion of each.
        &["delete", "--raw", "/apis/tripline.dev/v1alpha1/securityalerts"],
        &["delete", "detectionrule", "exec"],
        &["exec", "--namespace", "shop", "web-0", "--", "id"],
        &["get", "namespaces", "--as", "admin"],
    ] {
        let output = plane.kubectl(account, refused)?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!output.status.success() && said.contains("forbidden"), "{refused:?}: {said}");
    }
    Ok(())
}

/// Whether the API server lets the account do this with a Secret.
fn can_with_secret(
    plane: &ControlPlane,
    account: &str,
    verb: &str,
    secret: &str,
    namespace: &str,
) -> Result<bool> {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    let arguments = ["auth", "can-i", verb, secret, &user, "--namespace", namespace];
    Ok(plane.kubectl("admin", &arguments)?.status.success())
}

#[test]
fn with_a_webhook_whoever_leads_keeps_one_secret_and_sees_no_other() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        for (mode, leader, others) in
            [("split", "tripline-controller", &["tripline-reader"][..]), ("all", "tripline", &[])]
        {
            let values = format!("mode={mode},source.webhook.enabled=true");
            plane.apply("admin", &list(&permissions(&values)?))?;
            let can = |verb, secret, namespace| can_with_secret(plane, leader, verb, secret, namespace);
            let its = "secrets/tripline-webhook";
            wait_for("the role to be at work", PATIENCE, || can("get", its, NAMESPACE).ok()?.then_some(()))?;
            assert!(can("update", its, NAMESPACE)?);
            for verb in ["list", "watch", "create", "patch", "delete", "deletecollection"] {
                assert!(!can(verb, its, NAMESPACE)?, "{leader} may {verb} its Secret");
                assert!(!can(verb, "secrets", NAMESPACE)?, "{leader} may {verb} Secrets");
            }
            for verb in ["get", "update"] {
                assert!(!can(verb, "secrets/another", NAMESPACE)?, "{leader} may {verb} another Secret");
                assert!(!can(verb, "secrets", NAMESPACE)?, "{leader} may {verb} any Secret");
                assert!(!can(verb, its, "shop")?, "{leader} may {verb} one elsewhere");
                for other in others {
                    assert!(!can_with_secret(plane, other, verb, its, NAMESPACE)?, "{other} may {verb} it");
                }
            }
        }
        Ok(())
    })
}

#[test]
fn a_webhooks_secret_is_filled_with_its_permissions_and_without_either_is_not() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| {
        install_kinds(plane)?;
        let objects = permissions("mode=split,source.webhook.enabled=true")?;
        plane.apply("admin", &list(&objects))?;
        let secret = ["secret", "tripline-webhook", "--namespace", NAMESPACE];
        plane.run("admin", &["create", "secret", "generic", "tripline-webhook", "--namespace", NAMESPACE])?;
        let kubeconfig = plane.add_service_account(NAMESPACE, "tripline-controller")?;
        let is_its = |object: &Value| {
            object["kind"] == "Role" && object["metadata"]["name"] == "tripline-controller-webhook"
        };
        let role: Vec<_> = objects.into_iter().filter(is_its).collect();
        let all = grants(&role);
        assert_eq!(all, ["get", "update"].map(|verb| Grant::new("", "secrets", verb)).into());
        let keys = || -> Result<Option<usize>> {
            Ok(plane.get(&secret)?["data"].as_object().map(serde_json::Map::len))
        };

        let (lease, its) = (format!("{NAMESPACE}/tripline"), format!("{NAMESPACE}/tripline-webhook"));
        let arguments = ["--role", "controller", "--lease", &lease, "--webhook-secret", &its];
        let can = |verb: &str| {
            let named = "secrets/tripline-webhook";
            can_with_secret(plane, "tripline-controller", verb, named, NAMESPACE).unwrap_or_default()
        };
        for grant in &all {
            plane.apply("admin", &list(&without(&role, grant)))?;
            wait_for("the role to be smaller", PATIENCE, || (!can(&grant.verb)).then_some(()))?;
            let before = plane.audit_log().metadata()?.len();
            let operator = Operator::launch_on(plane, &kubeconfig, "paper", &arguments)?;
            let waited = wait_for("the refusal in the audit log", PATIENCE, || {
                let user = format!("system:serviceaccount:{NAMESPACE}:tripline-controller");
                let events = events_since(plane, before).ok()?;
                let refused = |e: &Value| {
                    e["user"]["username"] == *user && e["responseStatus"]["code"] == 403 && grant.is_of(e)
                };
                events.iter().any(refused).then_some(())
            });
            waited.with_context(|| format!("without {grant:?}"))?;
            operator.terminate()?;
            assert_eq!(keys()?, None, "filled without {grant:?}");
        }
        plane.apply("admin", &list(&role))?;
        wait_for("the role to be whole", PATIENCE, || {
            all.iter().all(|grant| can(&grant.verb)).then_some(())
        })?;
        let operator = Operator::launch_on(plane, &kubeconfig, "paper", &arguments)?;
        wait_for("the Secret to be filled", PATIENCE, || keys().ok()?.filter(|keys| *keys == 5))?;
        operator.terminate()
    })
}

#[test]
fn a_reader_needs_what_it_may_and_may_nothing_else() -> Result<()> {
    every_permission_is_needed("reader")
}

#[test]
fn a_controller_needs_what_it_may_and_may_nothing_else() -> Result<()> {
    every_permission_is_needed("controller")
}
