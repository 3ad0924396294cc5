//! `event-fields.md`: the three spellings, and what we derive.
use super::check;

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","stage":"ResponseComplete",
"auditID":"a-1","requestURI":"/api/v1/namespaces/shop/pods?dryRun=All&fieldManager=kubectl","verb":"create",
"user":{"username":"alice","uid":"u-1","groups":["dev",""],"extra":{"authentication.kubernetes.io/pod-name":["p-1"]}},
"impersonatedUser":{"username":"root"},
"sourceIPs":["10.0.0.5","fe80::1"],"userAgent":"kubectl/v1.30",
"objectRef":{"resource":"pods","namespace":"shop","name":"web-0","apiGroup":"","apiVersion":"v1"},
"responseStatus":{"metadata":{},"code":201},
"requestObject":{"kind":"Pod","metadata":{"name":"web-0","labels":{"app":"web"}},
"spec":{"hostPID":false,"containers":[{"name":"c","image":"nginx:1","securityContext":{"privileged":true}}],
"initContainers":[{"name":"i","image":"busybox:2"}]}},
"responseObject":[{"op":"add","metadata":{"name":"listed"}}],
"requestReceivedTimestamp":"2026-03-01T10:00:00.000001Z","stageTimestamp":"2026-03-01T10:00:01.500000Z",
"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"","plain":"x"}}"#;

#[test]
fn every_ecs_field() {
    check(
        EVENT,
        &[
            (r#"event.dataset : "kubernetes.audit_logs""#, true),
            (r#"data_stream.dataset : "kubernetes.audit_logs""#, true),
            ("event.kind:event", true),
            ("event.module:kubernetes", true),
            ("event.action:create", true),
            ("event.outcome:success", true),
            ("event.outcome:failure", false),
            ("@timestamp:2026-03-01", true),
            ("@timestamp < now/d", false),
            ("user.name:alice", true),
            ("user.id:u-1", true),
            ("user.username:alice", true),
            ("user_agent.original:kubectl*", true),
            ("source.ip:10.0.0.0/8", true),
            ("client.ip:\"10.0.0.5\"", true),
            ("source.ip:\"fe80:0::1\"", true),
            ("related.user:(alice and u-1)", true),
            ("related.user:root", false),
            ("related.ip:10.0.0.0/8", true),
            ("orchestrator.type:kubernetes", true),
            ("orchestrator.api_version:audit.k8s.io/v1", true),
            ("orchestrator.resource.type:pods", true),
            ("orchestrator.resource.name:web-0", true),
            ("orchestrator.namespace:shop", true),
            ("orchestrator.cluster.name:prod", true),
            ("orchestrator.cluster.name:dev", false),
            ("container.image.name:nginx*", true),
            ("container.image.name:busybox*", false),
            ("user_agent:*", true),
            ("event:*", true),
            ("client:*", true),
            ("user:*", true),
            ("user_agent:kubectl*", false),
        ],
    );
    check(
        r#"{"verb":"","user":{"username":"x","uid":"x"},"sourceIPs":["10.0.0.1","unix"],"annotations":{"authorization.k8s.io/decision":"forbid"}}"#,
        &[
            ("event.action:*", false),
            ("event.outcome:failure", true),
            ("source.ip:*", false),
            ("client.ip:*", false),
            ("related.ip:\"10.0.0.1\"", true),
            ("related.ip:unix", false),
            ("sourceIPs:unix", true),
            ("sourceIPs:10.0.0.0/24", true),
            ("related.user:x", true),
            ("source:*", false),
            ("orchestrator.namespace:*", false),
        ],
    );
}

#[test]
fn the_elastic_view_hides_renames_and_prunes() {
    check(
        EVENT,
        &[
            ("kubernetes.audit.verb:create", true),
            ("kubernetes.audit.annotations.authorization_k8s_io/decision:allow", true),
            ("kubernetes.audit.annotations.authorization.k8s.io/decision:allow", false),
            ("kubernetes.audit.annotations.plain:x", true),
            ("annotations.authorization.k8s.io/decision:allow", true),
            ("annotations.authorization_k8s_io/decision:allow", false),
            ("kubernetes.audit.user.extra.authentication.kubernetes.io/pod-name:p-1", true),
            ("kubernetes.audit.requestObject.metadata.name:*", false),
            ("kubernetes.audit.requestObject.metadata:*", false),
            ("requestObject.metadata.name:web-0", true),
            ("requestObject.metadata.labels.app:web", true),
            ("kubernetes.audit.responseObject.metadata.name:listed", true),
            ("kubernetes.audit.objectRef.apiGroup:*", false),
            ("kubernetes.audit.objectRef.apiGroup:\"\"", false),
            ("objectRef.apiGroup:\"\"", true),
            ("objectRef.apiGroup:*", true),
            ("kubernetes.audit.user.groups:\"\"", false),
            ("user.groups:\"\"", true),
            ("kubernetes.audit.requestObject.spec.hostPID:false", true),
            ("kubernetes.audit.responseStatus.metadata:*", false),
            ("kubernetes.audit.annotations.authorization_k8s_io/reason:*", false),
            ("kubernetes.audit.responseStatus.code >= 200", true),
            ("kubernetes.audit.sourceIPs:10.0.0.0/8", true),
            ("kubernetes.audit.stageTimestamp:2026-03", true),
            ("kubernetes.audit:*", true),
            ("kubernetes.audit:{ verb:create and objectRef.name:web-0 }", true),
            ("kubernetes.audit:{ requestObject.metadata.name:web-0 }", false),
            ("kubernetes.audit.annotations:{ authorization_k8s_io/decision:allow }", true),
            ("kubernetes.audit.requestObject:{ kind:Pod and not metadata:* }", true),
            ("requestObject:{ metadata.name:web-0 }", true),
        ],
    );
}

#[test]
fn wildcards_in_names() {
    check(
        EVENT,
        &[
            ("requestObject.*.image:nginx*", true),
            ("kubernetes.audit.requestObject.*:web-0", false),
            ("kubernetes.audit.*decision:allow", true),
            ("kubernetes.audit.annotations.*_k8s_io/decision:allow", true),
            ("*.k8s.io/decision:allow", true),
            ("*_k8s_io/decision:allow", false),
            ("source.*:10.0.0.0/8", true),
            ("sourceI*:10.0.0.0/8", true),
            ("kubernetes.audit.source*:10.0.0.0/8", true),
            ("user.*:alice", true),
            ("user.n*:alice", true),
            ("event.*:success", true),
            ("e*:success", false),
            ("podSpec.*:busybox*", true),
            ("podSpec.allContainers.*:busybox*", true),
            ("request.*:true", true),
            ("not user.*:bob", true),
            ("*:alice", true),
            ("*:nobody", false),
        ],
    );
}

#[test]
fn dry_runs_and_commands() {
    check(EVENT, &[("request.dryRun:true", true), ("exec.command:*", false)]);
    check(
        r#"{"requestURI":"/api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&command=cat+%2Fetc%2Fshadow+%26%26%20id&stdin=true"}"#,
        &[
            (r#"exec.command:"sh -c cat /etc/shadow && id""#, true),
            ("exec.command:*/etc/shadow*", true),
            ("exec.argv:sh", true),
            (r#"exec.argv:"-c""#, true),
            ("exec.argv:cat", false),
            ("request.dryRun:true", false),
            ("request.dryRun:false", true),
        ],
    );
    check(
        r#"{"requestURI":"/api/v1/pods?command=sh&dryRun=None"}"#,
        &[("exec.argv:*", false), ("request.dryRun:true", false)],
    );
    // The name of the subresource is not hidden by how it is written.
    for path in ["ex%65c", "%65%78%65%63", "exec/"] {
        let uri = format!(r#"{{"requestURI":"/api/v1/namespaces/a/pods/b/{path}?command=sh"}}"#);
        check(&uri, &[("exec.command:sh", true), ("exec.argv:sh", true)]);
    }
    check("{}", &[("request.dryRun:*", false), ("exec.command:*", false)]);
}

#[test]
fn a_deletion_follows_its_body_and_not_its_uri() {
    let deletion = |rest: &str| {
        format!(r#"{{"requestURI":"/api/v1/namespaces/n/pods/p?dryRun=All","verb":"delete",{rest}}}"#)
    };
    let says = |rest: &str, value: Option<bool>| {
        let text = deletion(rest);
        check(
            &text,
            &[("request.dryRun:true", value == Some(true)), ("request.dryRun:false", value == Some(false))],
        );
    };
    says(r#""level":"Request","requestObject":{"kind":"DeleteOptions","dryRun":["All"]}"#, Some(true));
    says(r#""level":"Request","requestObject":{"kind":"DeleteOptions"}"#, Some(false));
    // Without a body the URI counts, and where it was not logged nobody knows.
    says(r#""level":"Request""#, Some(true));
    says(r#""level":"Metadata""#, None);
    says(r#""level":"Request","annotations":{"audit.k8s.io/truncated":"true"}"#, None);
    check(
        r#"{"requestURI":"/api/v1/pods","verb":"deletecollection","requestObject":{"dryRun":["All"]}}"#,
        &[("request.dryRun:true", true)],
    );
    // Elsewhere such a member is the object's own.
    check(
        r#"{"requestURI":"/apis/a/v1/b","verb":"create","requestObject":{"dryRun":["All"]}}"#,
        &[("request.dryRun:true", false)],
    );
}

#[test]
fn the_pod_spec_wherever_it_stands() {
    let pod_spec = r#"{"hostPID":true,"containers":[{"image":"a"}],"ephemeralContainers":[{"image":"e","securityContext":{"privileged":true}}]}"#;
    for (resource, body) in [
        ("pods", format!(r#"{{"spec":{pod_spec}}}"#)),
        ("deployments", format!(r#"{{"spec":{{"template":{{"spec":{pod_spec}}}}}}}"#)),
        (
            "cronjobs",
            format!(r#"{{"spec":{{"jobTemplate":{{"spec":{{"template":{{"spec":{pod_spec}}}}}}}}}}}"#),
        ),
        ("podtemplates", format!(r#"{{"template":{{"spec":{pod_spec}}}}}"#)),
    ] {
        let event = format!(r#"{{"objectRef":{{"resource":"{resource}"}},"requestObject":{body}}}"#);
        check(
            &event,
            &[
                ("podSpec.hostPID:true", true),
                ("podSpec.containers.image:a", true),
                ("podSpec.containers.image:e", false),
                ("podSpec.allContainers.image:(a and e)", true),
                ("podSpec.allContainers:{ image:e and securityContext.privileged:true }", true),
                ("podSpec.allContainers:{ image:a and securityContext.privileged:true }", false),
                ("podSpec:*", true),
                ("podSpec:{ hostPID:true }", true),
                ("podSpec.allContainersX:*", false),
                ("podSpec.*:e", true),
            ],
        );
    }
    check(r#"{"requestObject":{"kind":"Pod","spec":{"hostPID":true}}}"#, &[("podSpec.hostPID:true", true)]);
    check(
        r#"{"objectRef":{"resource":"services"},"requestObject":{"spec":{"type":"NodePort"}}}"#,
        &[("podSpec.type:*", false)],
    );
}

#[test]
fn keys_with_dots_equal_nested_objects() {
    for object in [
        r#"{"a":{"b":{"c":1}}}"#,
        r#"{"a.b":{"c":1}}"#,
        r#"{"a":{"b.c":1}}"#,
        r#"{"a.b.c":1}"#,
        r#"[[{"a":[[{"b.c":[1]}]]}]]"#,
    ] {
        let event = format!(r#"{{"top":{object}}}"#);
        check(
            &event,
            &[
                ("top.a.b.c:1", true),
                ("top.a.b:*", true),
                ("top.a:*", true),
                ("top.a.b:1", false),
                ("top.*.c:1", true),
            ],
        );
    }
    check(r#"{"a":{"b":1},"a.b":2}"#, &[("a.b:(1 and 2)", true)]);
    check(r#"{"a":1,"a":{"b":2},"\u0061":3}"#, &[("a:3", true), ("a:1", false), ("a.b:2", false)]);
}

#[test]
fn null_and_wrong_types_are_missing() {
    check(
        r#"{"verb":7,"user":"alice","objectRef":null,"annotations":[],"sourceIPs":"10.0.0.1","requestURI":{}}"#,
        &[
            ("objectRef:*", false),
            ("user.name:*", false),
            ("event.outcome:*", false),
            ("source.ip:10.0.0.0/8", false),
            ("sourceIPs:10.0.0.0/8", true),
            ("exec.argv:*", false),
        ],
    );
}

#[test]
fn an_image_has_parts_that_a_nested_group_takes_from_one_container() {
    let event = r#"{"verb":"create","objectRef":{"resource":"pods"},"requestObject":{"spec":{
        "containers":[{"name":"a","image":"nginx"},{"name":"b","image":"r.example.com:5000/x/y:1@sha256:ab"}],
        "initContainers":[{"name":"c","image":7},{"name":"d"}]}}}"#;
    check(
        event,
        &[
            ("podSpec.allContainers.image.registry:docker.io", true),
            ("podSpec.allContainers.image.registry:\"r.example.com:5000\"", true),
            ("podSpec.containers.image.repository:(library/nginx and x/y)", true),
            ("podSpec.containers.image.tag:(latest and 1)", true),
            ("podSpec.containers.image.digest:sha256*", true),
            ("podSpec.initContainers.image.registry:*", false),
            ("podSpec.allContainers:{ image.registry:docker.io and name:a }", true),
            ("podSpec.allContainers:{ image.registry:docker.io and name:b }", false),
            ("podSpec.allContainers:{ image.digest:* and name:a }", false),
            ("podSpec:{ containers.image.tag:latest }", true),
            ("podSpec.containers.image:nginx", true),
            ("podSpec.volumes.image.registry:*", false),
        ],
    );
}

#[test]
fn a_json_patch_of_a_pod_spec_is_judged_by_what_came_of_it() {
    let event = |resource: &str, patch: &str, spec: &str| {
        format!(
            r#"{{"verb":"patch","objectRef":{{"resource":"{resource}"}},"requestObject":{patch},"responseObject":{spec}}}"#
        )
    };
    let deployment = r#"{"spec":{"template":{"spec":{"hostPID":true,"containers":[{"image":"a/b:1"}]}}}}"#;
    let pod = r#"{"spec":{"hostPID":true}}"#;
    let sees = |event: &str, expected| check(event, &[("podSpec.hostPID:true", expected)]);
    for (path, expected) in [
        ("/spec/template/spec/hostPID", true),
        ("/spec/template/spec", true),
        ("/spec/template", true),
        ("", true),
        ("/spec/replicas", false),
        ("/metadata/labels/spec", false),
        ("/spec/template/specs", false),
    ] {
        let patch = format!(r#"[{{"op":"add","path":"{path}","value":true}}]"#);
        sees(&event("deployments", &patch, deployment), expected);
    }
    sees(&event("pods", r#"[{"op":"replace","path":"/spec/hostPID","value":true}]"#, pod), true);
    sees(&event("pods", r#"[{"op":"test","path":"/spec/hostPID","value":true}]"#, pod), false);
    // Other patches say what they change: the rest was there before.
    sees(&event("deployments", r#"{"spec":{"template":{"spec":{"hostNetwork":false}}}}"#, deployment), false);
    sees(&event("deployments", r#"{"spec":{"replicas":1}}"#, deployment), false);
    let patch = r#"[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]"#;
    check(
        &event("deployments", patch, deployment),
        &[
            ("podSpec.allContainers:{ image.repository:a/b }", true),
            ("podSpec.*:\"a/b:1\"", true),
            ("podSpec.containers:*", true),
        ],
    );
}

#[test]
fn a_request_tells_whether_it_comes_from_the_internet() {
    for (addresses, expected) in [
        (r#"["8.8.8.8"]"#, Some(true)),
        (r#"["10.0.0.5"]"#, Some(false)),
        // A proxy inside names its client outside, or the other way round.
        (r#"["8.8.8.8","10.0.0.5"]"#, Some(true)),
        (r#"["10.0.0.5","2606:4700::1"]"#, Some(true)),
        (r#"["unix","::1"]"#, Some(false)),
        (r#"["unix"]"#, None),
        ("[]", None),
        ("null", None),
    ] {
        let event = format!(r#"{{"verb":"get","sourceIPs":{addresses}}}"#);
        check(
            &event,
            &[
                ("request.fromPublicAddress:true", expected == Some(true)),
                ("request.fromPublicAddress:false", expected == Some(false)),
                ("request.fromPublicAddress:*", expected.is_some()),
                ("request.from*:true", expected == Some(true)),
            ],
        );
    }
}
