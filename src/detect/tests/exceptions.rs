//! Exceptions that leave nothing of a rule, and those that stand for themselves.
use std::sync::Arc;

use super::rule;
use crate::detect::{
    Context, Exception, ExceptionSource, Finding, Judgement, MissingBody, Origin, Part, Rule, RuleSet,
    RuleSource,
};
use crate::event::{Event, Tape};

fn shared(query: &str) -> Result<Exception, Vec<String>> {
    let source = ExceptionSource { name: "shared".to_owned(), query: query.to_owned(), expire: None };
    match Exception::compile(source) {
        Ok((exception, _)) => Ok(exception),
        Err(remarks) => Err(remarks.into_iter().map(|remark| remark.message).collect()),
    }
}

fn compiled(query: &str, exception: &str) -> Result<Rule, Vec<Finding>> {
    let exceptions = vec![ExceptionSource {
        name: "e".to_owned(),
        query: exception.to_owned(),
        ..ExceptionSource::default()
    }];
    let source = RuleSource { query: query.to_owned(), exceptions, ..RuleSource::default() };
    Rule::compile(source).map(|(rule, _)| rule)
}

#[test]
fn an_exception_for_every_event_is_refused() {
    for query in [
        "",
        "*",
        "*:*",
        "verb:*",
        "kubernetes.audit.verb:*",
        "v*:*",
        "user.username:*",
        "not verb:nothing",
        "not (stage:Never or level:Nothing)",
        "verb:* and requestURI:*",
        "verb:get or not verb:get",
        "objectRef.name:a or not (objectRef.name:a and user.groups:b)",
        "event.kind:event",
        "user.groups:x or event.dataset:kubernetes.audit_logs",
        "objectRef.name:a or not objectRef.name:a or x:y",
        "not (verb:get and verb:list)",
        "objectRef.name:* or not objectRef.name:a",
    ] {
        let remarks = shared(query).expect_err(query);
        let refused = "expected a condition: an exception for every event is refused";
        assert!(remarks.iter().any(|remark| remark == refused), "{query}: {remarks:?}");
        let findings = compiled("verb:create", query).expect_err(query);
        assert!(
            findings.iter().any(|finding| finding.diagnostic.message == refused
                && finding.part == Part::Exception("e".to_owned())),
            "{query}"
        );
    }
    for query in [
        "not verb:delete",
        "user.username:a",
        "objectRef.name:*",
        "user.groups:*",
        "verb:(get or list or watch)",
        "objectRef.name:a or not objectRef.name:b",
        "user.groups:a or not user.groups:b",
        "not (user.groups:a and user.groups:b)",
        "impersonatedUser.username:*",
        "stage:RequestReceived",
        "a:1 or b:1 or c:1 or d:1 or e:1 or f:1 or g:1 or h:1 or i:1 or not a:1",
    ] {
        assert!(shared(query).is_ok(), "{query}");
    }
}

#[test]
fn an_exception_that_every_match_meets_is_refused() {
    let pods = "verb:create and objectRef.resource:pods and user.groups:(dev or ops)";
    for query in [
        "verb:create",
        "objectRef.resource:*",
        "verb:create or user.username:alice",
        "not verb:delete",
        "not objectRef.resource:(secrets or configmaps)",
        "user.groups:(ops or dev) and verb:create",
        "verb:create or verb:get",
    ] {
        let findings = compiled(pods, query).expect_err(query);
        let message = &findings.last().unwrap().diagnostic;
        assert!(message.message.starts_with("every match of the rule meets this exception"), "{query}");
        assert!(message.help.as_deref().unwrap().contains("`mode` to DryRun"), "{message:?}");
        assert!(rule(pods).is_silenced_by(&shared(query).unwrap()), "{query}");
    }
    for query in [
        "user.username:alice",
        "user.groups:dev",
        "verb:create and user.username:alice",
        "objectRef.name:*",
        "not user.username:alice",
        "verb:get",
        "kubernetes.audit.verb:create",
    ] {
        assert!(compiled(pods, query).is_ok(), "{query}");
        assert!(!rule(pods).is_silenced_by(&shared(query).unwrap()), "{query}");
    }
}

#[test]
fn one_that_stands_for_itself_comes_after_the_rule_s_own() {
    let own = compiled("verb:create", "user.groups:sre").unwrap();
    let bound = own.excepting([Arc::new(shared("user.groups:(sre or dev)").unwrap())]);
    let names =
        |rule: &Rule| rule.exceptions().iter().map(|e| (e.origin(), e.name().to_owned())).collect::<Vec<_>>();
    assert_eq!(names(&bound), [(Origin::Rule, "e".to_owned()), (Origin::Shared, "shared".to_owned())]);
    assert_eq!(names(&bound.excepting([])), names(&own));
    let judged = |group: &str| {
        let event = format!(r#"{{"verb":"create","user":{{"groups":["{group}"]}}}}"#);
        let (mut tape, mut outcomes) = (Tape::new(), Vec::new());
        let event = Event::from_object(&event, &mut tape).unwrap();
        RuleSet::new(vec![Arc::new(bound.clone())]).judge(&event, &Context::default(), &mut outcomes);
        outcomes[0].what
    };
    assert_eq!(judged("sre"), Judgement::Suppressed { exception: 0 });
    assert_eq!(judged("dev"), Judgement::Suppressed { exception: 1 });
    assert_eq!(judged("ops"), Judgement::Detection);
}

/// A rule may take a missing body for an absent one; an exception of somebody else does not follow it there.
#[test]
fn an_unknown_exception_never_suppresses() {
    let source = RuleSource {
        query: "verb:create".to_owned(),
        missing_body: MissingBody::Absent,
        ..RuleSource::default()
    };
    let rule = Rule::compile(source).unwrap().0;
    let event = r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"pods"}}"#;
    for (query, expected) in [
        ("not requestObject.spec.hostPID:true", Judgement::Detection),
        ("requestObject.spec.hostPID:true", Judgement::Detection),
        (
            "objectRef.resource:pods or requestObject.spec.hostPID:true",
            Judgement::Suppressed { exception: 0 },
        ),
    ] {
        let (mut tape, mut outcomes) = (Tape::new(), Vec::new());
        let event = Event::from_object(event, &mut tape).unwrap();
        let bound = rule.excepting([Arc::new(shared(query).unwrap())]);
        RuleSet::new(vec![Arc::new(bound)]).judge(&event, &Context::default(), &mut outcomes);
        assert_eq!(outcomes[0].what, expected, "{query}");
    }
}
