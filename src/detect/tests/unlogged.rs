//! `kql.md`, section 4: what was never logged is unknown.
use super::{MissingBody, Verdict, verdict, verdict_with};
use Verdict::{Match, NoMatch, Unknown};

fn event(level: &str, stage: &str, rest: &str) -> String {
    format!(
        r#"{{"level":"{level}","stage":"{stage}","verb":"create","objectRef":{{"resource":"pods"}}{rest}}}"#
    )
}

#[test]
fn bodies_are_known_where_level_and_stage_log_them() {
    for (level, stage, request, response) in [
        ("Metadata", "ResponseComplete", Unknown, Unknown),
        ("Request", "ResponseComplete", NoMatch, Unknown),
        ("RequestResponse", "ResponseComplete", NoMatch, NoMatch),
        ("RequestResponse", "Panic", NoMatch, NoMatch),
        ("RequestResponse", "RequestReceived", Unknown, Unknown),
        ("RequestResponse", "ResponseStarted", NoMatch, Unknown),
        ("Request", "ResponseStarted", NoMatch, Unknown),
    ] {
        let event = event(level, stage, "");
        for (query, expected) in [
            ("requestObject.spec.hostPID:true", request),
            ("podSpec.hostPID:true", request),
            ("container.image.name:x", request),
            ("kubernetes.audit.requestObject.spec.hostPID:true", request),
            ("requestObject.*:x", request),
            ("requestObject.spec.containers:{ image:x }", request),
            ("kubernetes.audit:{ requestObject.spec.hostPID:true }", request),
            ("responseObject.kind:x", response),
            ("responseObject.code > 5", response),
        ] {
            assert_eq!(verdict(query, &event), expected, "{query} on {event}");
        }
    }
}

#[test]
fn three_valued_logic() {
    let event = event("Metadata", "ResponseComplete", "");
    for (query, expected) in [
        ("not requestObject.spec.tls:*", Unknown),
        ("verb:create and not requestObject.spec.tls:*", Unknown),
        ("verb:delete and requestObject.a:b", NoMatch),
        ("requestObject.a:b and verb:delete", NoMatch),
        ("verb:create or requestObject.a:b", Match),
        ("requestObject.a:b or verb:create", Match),
        ("requestObject.a:b or verb:delete", Unknown),
        ("requestObject.a:(x or not y)", Unknown),
        ("not (requestObject.a:b and verb:delete)", Match),
        ("not requestObject.spec.rules:{ host:x }", Unknown),
        ("*:create", Match),
        ("*:nothing", Unknown),
        ("nothing", Unknown),
        ("create", Match),
        ("objectRef.*:nothing", NoMatch),
    ] {
        assert_eq!(verdict(query, &event), expected, "{query}");
        let absent = verdict_with(query, &event, MissingBody::Absent);
        assert_ne!(absent, Unknown, "{query} where an absent body is missing");
    }
    let absent = verdict_with("verb:create and not requestObject.spec.tls:*", &event, MissingBody::Absent);
    assert_eq!(absent, Match);
}

#[test]
fn only_a_whole_body_is_unknown() {
    let there = event("Metadata", "ResponseComplete", r#","requestObject":{"spec":{}}"#);
    assert_eq!(verdict("requestObject.spec.hostPID:true", &there), NoMatch);
    let null = event("Metadata", "ResponseComplete", r#","requestObject":null"#);
    assert_eq!(verdict("requestObject.spec.hostPID:true", &null), Unknown);
}

#[test]
fn what_is_not_decided_yet_when_a_request_is_received() {
    let received = event("Metadata", "RequestReceived", "");
    let complete = event("Metadata", "ResponseComplete", "");
    for query in [
        "annotations.authorization.k8s.io/decision:allow",
        "kubernetes.audit.annotations.authorization_k8s_io/decision:allow",
        "responseStatus.code:403",
        "impersonatedUser.username:x",
        "impersonatedUser.groups:x",
        "event.outcome:success",
        "event.*:success",
    ] {
        assert_eq!(verdict(query, &received), Unknown, "{query}");
        assert_eq!(verdict(query, &complete), NoMatch, "{query}");
    }
    assert_eq!(verdict("user.username:x", &received), NoMatch);
}

#[test]
fn truncated_and_refused_events() {
    let query = "requestObject.spec.hostPID:true";
    let truncated =
        event("RequestResponse", "ResponseComplete", r#","annotations":{"audit.k8s.io/truncated":"true"}"#);
    assert_eq!(verdict(query, &truncated), Unknown);
    assert_eq!(verdict("responseObject.a:b", &truncated), Unknown);
    for (code, expected) in [(401, Unknown), (403, Unknown), (409, NoMatch), (201, NoMatch)] {
        let refused =
            event("RequestResponse", "ResponseComplete", &format!(r#","responseStatus":{{"code":{code}}}"#));
        assert_eq!(verdict(query, &refused), expected, "{code}");
    }
    let get = r#"{"level":"Request","stage":"ResponseComplete","verb":"get","responseStatus":{"code":403}}"#;
    assert_eq!(verdict(query, get), NoMatch);
    let read =
        event("Request", "ResponseComplete", r#","responseStatus":{"code":403},"requestObject":{"spec":{}}"#);
    assert_eq!(verdict(query, &read), NoMatch);
}

#[test]
fn without_a_level_bodies_are_missing() {
    assert_eq!(verdict("not requestObject.spec.tls:*", r#"{"verb":"create"}"#), Match);
    assert_eq!(verdict("requestObject.a:b", r#"{"verb":"create","stage":"RequestReceived"}"#), NoMatch);
}
