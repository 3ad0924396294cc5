//! The control plane of the tests is a real one, and what kubectl does to it is in its audit log.
mod support;

use anyhow::Result;
use serde_json::Value;
use support::{ControlPlane, Options, all_at};

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether this is an exec with this verb, where a rule sees it first.
fn is_exec(event: &Value, verb: &str) -> bool {
    (text(event, "/objectRef/subresource"), text(event, "/stage")) == ("exec", "ResponseStarted")
        && text(event, "/verb") == verb
}

#[test]
fn an_exec_is_audited_with_the_verb_of_its_protocol() -> Result<()> {
    ControlPlane::with(Options::default(), |plane| exec(plane))
}

fn exec(plane: &ControlPlane) -> Result<()> {
    plane.make_pod("shop", "web-0")?;

    let arguments = ["exec", "--namespace", "shop", "web-0", "--", "id"];
    // Without a kubelet the exec itself fails.
    assert!(!plane.kubectl("alice", &arguments)?.status.success());
    let get = plane.wait_for_event("an exec over WebSocket", |event| is_exec(event, "get"))?;
    let mut spdy = plane.kubectl_command("alice");
    assert!(
        !spdy.args(arguments).env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false").output()?.status.success()
    );
    let create = plane.wait_for_event("an exec over SPDY", |event| is_exec(event, "create"))?;

    for event in [get, create] {
        assert_eq!(text(&event, "/user/username"), "alice");
        assert_eq!(text(&event, "/objectRef/namespace"), "shop");
        assert_eq!(text(&event, "/objectRef/name"), "web-0");
        assert_eq!(text(&event, "/annotations/authorization.k8s.io~1decision"), "allow");
        assert_eq!(event.pointer("/responseStatus/code"), Some(&500.into()));
    }
    let events = plane.audit_events()?;
    assert!(events.iter().any(|event| text(event, "/stage") == "RequestReceived"));
    Ok(())
}

#[test]
fn users_may_do_what_they_are_for_and_bodies_are_logged_where_the_policy_says() -> Result<()> {
    let options = Options { omit_stages: vec!["RequestReceived".to_owned()], ..Options::default() };
    ControlPlane::with(options, use_and_restart)
}

fn use_and_restart(plane: &mut ControlPlane) -> Result<()> {
    plane.run("alice", &["create", "configmap", "a", "--from-literal=secret=x"])?;
    plane.run("bob", &["get", "configmap", "a"])?;
    assert!(!plane.kubectl("bob", &["delete", "configmap", "a"])?.status.success());
    assert!(!plane.kubectl("alice", &["get", "nodes"])?.status.success());
    let whoami = ["auth", "whoami", "--output", "jsonpath={.status.userInfo.username}"];
    let account = "system:serviceaccount:tripline-system:tripline";
    assert_eq!(plane.run("tripline", &whoami)?, account);
    plane.add_service_account("tripline-system", "tripline")?;
    assert_eq!(plane.run("tripline", &whoami)?, account);

    // What is stored survives a crash of the server, and the log goes on.
    let before = plane.audit_events()?.len();
    plane.restart_api_server()?;
    plane.run("bob", &["get", "configmap", "a"])?;
    let events = plane.audit_events()?;
    assert!(events.len() > before);

    assert!(!events.iter().any(|event| text(event, "/stage") == "RequestReceived"));
    let body = |resource: &str, verb: &str| {
        let is =
            |event: &&Value| (text(event, "/objectRef/resource"), text(event, "/verb")) == (resource, verb);
        events.iter().find(is).map(|event| event.get("requestObject").is_some())
    };
    assert_eq!(body("configmaps", "create"), Some(false));
    assert_eq!(body("clusterrolebindings", "create"), Some(true));
    let denied = |event: &&Value| {
        (text(event, "/user/username"), text(event, "/verb")) == ("bob", "delete")
            && text(event, "/objectRef/name") == "a"
    };
    let code = events.iter().find(denied).and_then(|event| event.pointer("/responseStatus/code"));
    assert_eq!(code, Some(&403.into()));
    Ok(())
}

#[test]
fn a_pod_that_asks_for_much_needs_a_namespace_that_says_so() -> Result<()> {
    let audit_policy = Some(all_at("Metadata"));
    let options = Options { controllers: true, audit_policy, ..Options::default() };
    ControlPlane::with(options, |plane| {
        let run = ["run", "shell", "--image=none", "--privileged"];
        let refused = plane.run("admin", &run).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(refused.contains("violates PodSecurity \"baseline:latest\""), "{refused}");
        plane.run(
            "admin",
            &["label", "namespace", "default", "pod-security.kubernetes.io/enforce=privileged"],
        )?;
        plane.run("admin", &run)?;
        let created = plane.wait_for_event("the pod", |event| {
            (text(event, "/objectRef/resource"), text(event, "/verb")) == ("pods", "create")
                && event.pointer("/responseStatus/code") == Some(&201.into())
        })?;
        assert_eq!(text(&created, "/level"), "Metadata", "as this policy says, not the default one");
        Ok(())
    })
}

#[test]
fn a_server_that_does_not_start_says_why() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = Options {
        folder: Some(folder.path().to_owned()),
        api_server_arguments: vec!["--no-such-flag".to_owned()],
        ..Options::default()
    };
    let error = ControlPlane::start(options).err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(error.contains("kube-apiserver ended with exit status: 1 before it was ready"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
    Ok(())
}
