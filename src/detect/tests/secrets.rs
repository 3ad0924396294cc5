//! A query tells nothing of what is in a Secret or a token, however it is spelt.
use std::sync::Arc;

use serde_json::json;

use crate::detect::{
    Context, ExceptionSource, Finding, Matcher, MissingBody, Outcome, Part, Reading, Rule, RuleSet,
    RuleSource,
};

fn compile(query: &str, exception: &str, group_by: &[&str]) -> (bool, Vec<Finding>) {
    let exception = (!exception.is_empty()).then(|| ExceptionSource {
        name: "e".to_owned(),
        query: exception.to_owned(),
        ..ExceptionSource::default()
    });
    let source = RuleSource {
        query: query.to_owned(),
        exceptions: exception.into_iter().collect(),
        group_by: group_by.iter().map(|&name| name.to_owned()).collect(),
        ..RuleSource::default()
    };
    match Rule::compile(source) {
        Ok((_, findings)) => (true, findings),
        Err(findings) => (false, findings),
    }
}

#[test]
fn a_path_into_a_secret_is_refused_or_warned_of() {
    const SECRETS: &str = "objectRef.resource:secrets and ";
    let told = |query: &str| {
        let (is_accepted, findings) = compile(query, "", &[]);
        let mut said = findings.iter().filter(|finding| {
            let message = &finding.diagnostic.message;
            message.contains("is never read in events of") || message.contains("is taken for missing")
        });
        match (is_accepted, said.next(), said.next()) {
            (false, Some(_), None) => "refused",
            (true, Some(_), None) => "warned",
            (true, None, None) => "nothing",
            _ => panic!("{query}: {findings:?}"),
        }
    };
    for (query, expected) in [
        (format!("{SECRETS}requestObject.data.password:a*"), "refused"),
        (format!("{SECRETS}requestObject.data:*"), "refused"),
        (format!("{SECRETS}kubernetes.audit.responseObject.items.data.x:*"), "refused"),
        (format!("{SECRETS}responseObject.stringData.*:a"), "refused"),
        (format!("{SECRETS}requestObject:{{ data.password:a }}"), "refused"),
        (format!("{SECRETS}requestObject.data:{{ password:a }}"), "refused"),
        (format!("{SECRETS}not requestObject.data.password:a"), "refused"),
        (format!("{SECRETS}requestObject.metadata.name:a"), "nothing"),
        (format!("{SECRETS}requestObject.*:a"), "nothing"),
        (
            "objectRef.resource:serviceaccounts and objectRef.subresource:token and responseObject.status.token:*"
                .to_owned(),
            "refused",
        ),
        ("objectRef.resource:tokenreviews and requestObject.spec.token:*".to_owned(), "refused"),
        ("objectRef.resource:serviceaccounts and responseObject.status.token:*".to_owned(), "warned"),
        ("objectRef.resource:(secrets or configmaps) and requestObject.data.a:*".to_owned(), "warned"),
        ("verb:create and requestObject.data.a:*".to_owned(), "warned"),
        ("objectRef.resource:configmaps and requestObject.data.a:*".to_owned(), "nothing"),
    ] {
        assert_eq!(told(&query), expected, "{query}");
    }
    // What an exception or a grouping concerns follows from the rule's query as well.
    let (is_accepted, findings) = compile("objectRef.resource:secrets", "requestObject.data.a:b", &[]);
    assert!(!is_accepted && findings[0].part == Part::Exception("e".to_owned()), "{findings:?}");
    let (is_accepted, findings) =
        compile("objectRef.resource:secrets", "", &["user.username", "requestObject.data"]);
    assert!(!is_accepted && findings[0].part == Part::GroupBy(1), "{findings:?}");
    let (is_accepted, findings) = compile("verb:create", "", &["requestObject.data"]);
    assert!(is_accepted && findings.len() == 1, "{findings:?}");
}

/// Two events that differ in the payload only: no rule tells them apart, by its outcome or its group.
#[test]
fn no_query_tells_one_payload_from_another() {
    let event = |resource: &str, subresource: &str, body: serde_json::Value| {
        let object =
            json!({"resource": resource, "namespace": "shop", "name": "db", "subresource": subresource});
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "1",
            "stage": "ResponseComplete", "requestURI": "/x", "verb": "create",
            "user": {"username": "alice"}, "sourceIPs": ["10.0.0.1"], "objectRef": object,
            "responseStatus": {"code": 201}, "requestObject": body, "responseObject": body,
            "requestReceivedTimestamp": "2026-03-01T00:00:00.000000Z",
            "stageTimestamp": "2026-03-01T00:00:00.000000Z",
        })
        .to_string()
    };
    let secret = |payload: &str| {
        let applied = format!("{{\"data\":{{\"password\":\"{payload}\"}}}}");
        json!({
            "kind": "Secret", "apiVersion": "v1", "type": "Opaque",
            "metadata": {"name": "db", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}},
            "data": {"password": payload}, "stringData": {"password": payload, "other": [payload]},
        })
    };
    let patch = |payload: &str| json!([{"op": "add", "path": "/data/password", "value": payload}]);
    let token = |payload: &str| json!({"kind": "TokenRequest", "status": {"token": payload}});
    let pairs = [("aHVudGVyMg==", "Zm9v"), ("aHVudGVyMg==", "")].map(|(a, b)| {
        [
            [event("secrets", "", secret(a)), event("secrets", "", secret(b))],
            [event("secrets", "", patch(a)), event("secrets", "", patch(b))],
            [event("serviceaccounts", "token", token(a)), event("serviceaccounts", "token", token(b))],
        ]
    });
    for query in [
        "requestObject.data.password:aHVudGVyMg==",
        "not requestObject.data.password:aHVudGVyMg==",
        "requestObject.data.*:aHV*",
        "requestObject.*:*HVud*",
        "*password:aHV*",
        "*:aHVudGVyMg==",
        "aHVudGVyMg==",
        "*HVud*",
        "not *HVud*",
        "requestObject.stringData.other:aHV*",
        "requestObject:{ data:* and data.password:aHVudGVyMg== }",
        "requestObject.data:{ password:aHVudGVyMg== }",
        "kubernetes.audit.requestObject.data.password:a*",
        "kubernetes.audit.*.password:a*",
        "responseObject.data.password > a",
        "requestObject.value:a*",
        "requestObject:{ value:aHV* }",
        "responseObject.status.token:a*",
        "responseObject.status.token >= b",
        "*token:aHV*",
        "requestObject.metadata.annotations.kubectl.kubernetes.io/last-applied-configuration:*HVud*",
        "requestObject.metadata.annotations.*:*HVud*",
    ] {
        let query = format!("verb:create and (user.username:nobody or {query})");
        for missing_body in [MissingBody::Unknown, MissingBody::Absent] {
            let source = RuleSource {
                query: query.clone(),
                missing_body,
                exceptions: vec![ExceptionSource {
                    name: "e".to_owned(),
                    query: "responseObject.data.password:aHV*".to_owned(),
                    expire: None,
                }],
                group_by: vec!["requestObject.data.password".to_owned(), "objectRef.name".to_owned()],
                ..RuleSource::default()
            };
            let rule = Arc::new(Rule::compile(source).unwrap_or_else(|found| panic!("{query}: {found:?}")).0);
            let set = Arc::new(RuleSet::new(vec![Arc::clone(&rule)]));
            let context = Context::default();
            for reading in [Reading::Whole, Reading::Enough] {
                let judged = |line: &str| {
                    let mut matcher = Matcher::new(Arc::clone(&set), &context);
                    let outcomes: Vec<Outcome> = matcher.judge(line.as_bytes(), reading).unwrap().to_vec();
                    let event = matcher.read(line.as_bytes()).unwrap();
                    (outcomes, rule.group(&event, &context), rule.verdict(&event, &context))
                };
                for [one, other] in pairs.iter().flatten() {
                    assert_eq!(judged(one), judged(other), "{query}");
                }
            }
        }
    }
}
