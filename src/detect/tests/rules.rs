//! What surrounds a match: exceptions, stages, groups, and what compiling refuses.
use std::sync::Arc;

use super::rule;
use crate::detect::{
    Context, ExceptionSource, Finding, GroupValue, Judgement, Matcher, MissingBody, Outcome, Part, Reading,
    Rule, RuleSet, RuleSource,
};
use crate::event::{Event, Stage, Tape};
use crate::query::Severity;

fn judge(rule: Rule, event: &str, omitted_stages: &[Stage]) -> Option<Judgement> {
    let mut tape = Tape::new();
    let event = Event::from_object(event, &mut tape).unwrap();
    let mut outcomes = vec![Outcome { rule: 9, what: Judgement::Passing }];
    RuleSet::new(vec![Arc::new(rule)]).judge(
        &event,
        &Context { cluster: None, omitted_stages },
        &mut outcomes,
    );
    assert!(outcomes.len() <= 1);
    outcomes.first().map(|outcome| outcome.what)
}

fn excepted(query: &str, exceptions: &[(&str, Option<&str>)]) -> Rule {
    let exception = |(at, (query, expire)): (usize, &(&str, Option<&str>))| ExceptionSource {
        name: format!("e{at}"),
        query: (*query).to_owned(),
        expire: expire.map(|time| time.parse().unwrap()),
    };
    let exceptions = exceptions.iter().enumerate().map(exception).collect();
    let source = RuleSource { query: query.to_owned(), exceptions, ..RuleSource::default() };
    Rule::compile(source).unwrap().0
}

#[test]
fn an_exception_covers_only_what_it_surely_matches_and_before_its_end() {
    let event = r#"{"level":"Metadata","verb":"create","stageTimestamp":"2026-03-01T00:00:00Z","user":{"groups":["sre"]}}"#;
    let covered =
        |exceptions: &[(&str, Option<&str>)]| judge(excepted("verb:create", exceptions), event, &[]);
    let suppressed = |exception| Some(Judgement::Suppressed { exception });
    assert_eq!(covered(&[]), Some(Judgement::Detection));
    assert_eq!(covered(&[("user.groups:dev", None), ("user.groups:sre", None)]), suppressed(1));
    assert_eq!(covered(&[("requestObject.a:b", None)]), Some(Judgement::Detection));
    assert_eq!(covered(&[("not requestObject.a:b", None)]), Some(Judgement::Detection));
    assert_eq!(covered(&[("user.groups:sre", Some("2026-03-01T00:00:00.000001Z"))]), suppressed(0));
    assert_eq!(covered(&[("user.groups:sre", Some("2026-03-01T00:00:00Z"))]), Some(Judgement::Detection));
    let named = excepted("verb:create", &[("user.groups:dev", None)]);
    assert_eq!(named.exceptions().iter().map(|e| e.name()).collect::<Vec<_>>(), ["e0"]);
    let timeless = r#"{"verb":"create","user":{"groups":["sre"]}}"#;
    let rule = excepted("verb:create", &[("user.groups:sre", Some("2026-03-01T00:00:00Z"))]);
    assert_eq!(judge(rule, timeless, &[]), Some(Judgement::Detection));
}

#[test]
fn a_match_is_a_detection_at_one_stage_only() {
    use Judgement::{Detection, Passing, Undecidable};
    let event = |stage: &str, what: &str| format!(r#"{{"level":"Metadata","stage":"{stage}",{what}}}"#);
    let get = r#""verb":"get""#;
    let watch = r#""verb":"watch""#;
    let exec = r#""verb":"get","objectRef":{"subresource":"exec"}"#;
    let nobody = r#""verb":"get","responseStatus":{"code":401}"#;
    let rejected = r#""verb":"get","user":{"username":"x"},"responseStatus":{"code":401}"#;
    let started = &[Stage::ResponseStarted][..];
    for (what, omitted, expected) in [
        (get, &[][..], [Passing, Passing, Detection, Detection]),
        (watch, &[], [Passing, Detection, Passing, Passing]),
        (exec, &[], [Passing, Detection, Passing, Passing]),
        (exec, started, [Passing, Passing, Detection, Detection]),
        (exec, &[Stage::RequestReceived], [Passing, Detection, Passing, Passing]),
        (nobody, &[], [Passing, Detection, Passing, Passing]),
        (rejected, &[], [Passing, Passing, Detection, Detection]),
    ] {
        for (stage, expected) in Stage::ALL.into_iter().zip(expected) {
            let event = event(stage.as_str(), what);
            assert_eq!(
                judge(rule("verb:(get or watch)"), &event, omitted),
                Some(expected),
                "{event} {omitted:?}"
            );
        }
    }
    for subresource in ["attach", "portforward", "proxy", "log"] {
        let event = event("ResponseStarted", &format!(r#""objectRef":{{"subresource":"{subresource}"}}"#));
        assert_eq!(judge(rule("level:Metadata"), &event, &[]), Some(Detection));
    }
    assert_eq!(judge(rule("verb:get"), r#"{"verb":"get"}"#, &[]), Some(Detection));
    let body = "requestObject.a:b";
    assert_eq!(judge(rule(body), &event("ResponseComplete", get), &[]), Some(Undecidable));
    assert_eq!(judge(rule(body), &event("RequestReceived", get), &[]), None);
    assert_eq!(judge(rule("verb:list"), &event("ResponseComplete", get), &[]), None);
}

#[test]
fn a_rule_that_names_the_stage_detects_there() {
    let event = r#"{"stage":"RequestReceived","verb":"get"}"#;
    for query in [
        "stage:RequestReceived",
        "\"stage\":RequestReceived and verb:get",
        "kubernetes.audit.stage:RequestReceived",
        "not stage:Panic",
        "kubernetes.audit:{ stage:RequestReceived }",
        "stage >= R",
    ] {
        assert!(rule(query).names_stage());
        assert_eq!(judge(rule(query), event, &[]), Some(Judgement::Detection), "{query}");
    }
    assert_eq!(judge(rule("stag*:RequestReceived"), event, &[]), Some(Judgement::Passing));
}

#[test]
fn outcomes_name_their_rule() {
    let mut tape = Tape::new();
    let event = Event::from_object(r#"{"verb":"get"}"#, &mut tape).unwrap();
    let rules = ["verb:list", "verb:get", "verb:watch", "verb:g*"].map(|query| Arc::new(rule(query)));
    let set = RuleSet::new(rules.to_vec());
    let mut outcomes = Vec::new();
    set.judge(&event, &Context::default(), &mut outcomes);
    let what = Judgement::Detection;
    assert_eq!(outcomes, [Outcome { rule: 1, what }, Outcome { rule: 3, what }]);
    assert_eq!(set.rules().len(), 4);
}

#[test]
fn groups_tell_missing_from_empty() {
    let names = [
        "user.username",
        "kubernetes.audit.user.groups",
        "objectRef.name",
        "responseStatus.code",
        "user.uid",
    ];
    let source = RuleSource {
        name: "r".to_owned(),
        uid: "u".to_owned(),
        generation: 3,
        query: "verb:get".to_owned(),
        group_by: names.map(str::to_owned).to_vec(),
        ..RuleSource::default()
    };
    let (rule, findings) = Rule::compile(source).unwrap();
    assert_eq!((rule.name(), rule.uid(), rule.generation(), findings.len()), ("r", "u", 3, 0));
    let mut tape = Tape::new();
    let text = r#"{"user":{"username":"a","uid":"","groups":["b","c"]},"responseStatus":{"code":200}}"#;
    let event = Event::from_object(text, &mut tape).unwrap();
    let group = rule.group(&event, &Context::default());
    let values = |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
    let expected = [values(&["a"]), values(&["b", "c"]), None, values(&["200"]), values(&[""])];
    let expected: Vec<GroupValue> = names
        .iter()
        .zip(expected)
        .map(|(name, values)| GroupValue { field: (*name).to_owned(), values })
        .collect();
    assert_eq!(group, expected);
}

#[test]
fn rules_that_need_a_body() {
    for (query, needs) in [
        ("verb:create", false),
        ("requestObject.spec.hostPID:true", true),
        ("not podSpec.hostPID:true", true),
        ("container.image.name:x", true),
        ("kubernetes.audit.responseObject.a:b", true),
        ("requestObject.spec.containers:{ image:x }", true),
        ("requestObject.*:x", true),
        ("*:x", false),
        ("something", false),
        ("annotations.a:b", false),
    ] {
        assert_eq!(rule(query).needs_body(), needs, "{query}");
    }
}

fn errors(source: RuleSource) -> Vec<(Part, String)> {
    let findings = Rule::compile(source).map(|_| ()).unwrap_err();
    let is_error = |finding: &Finding| finding.diagnostic.severity == Severity::Error;
    findings.into_iter().filter(is_error).map(|finding| (finding.part, finding.diagnostic.message)).collect()
}

#[test]
fn a_query_for_every_event_is_refused() {
    for query in ["", "  \n", "*", "*:*", "(*)", "( (*:*) )"] {
        let found = errors(RuleSource { query: query.to_owned(), ..RuleSource::default() });
        assert_eq!(found.len(), 1, "{query:?}: {found:?}");
        let exceptions =
            vec![ExceptionSource { name: "all".to_owned(), query: query.to_owned(), expire: None }];
        let found = errors(RuleSource { query: "verb:get".to_owned(), exceptions, ..RuleSource::default() });
        assert_eq!(found[0].0, Part::Exception("all".to_owned()), "{query:?}");
    }
    assert_eq!(judge(rule("* and verb:get"), r#"{"verb":"get"}"#, &[]), Some(Judgement::Detection));
    assert_eq!(judge(rule("verb:get and *:*"), r#"{"verb":"get"}"#, &[]), Some(Judgement::Detection));
}

#[test]
fn every_broken_part_is_reported() {
    let found = errors(RuleSource {
        query: "event.ingested:x and user_agent*:{ a:b } and event.ingested > now".to_owned(),
        exceptions: vec![ExceptionSource { name: "e".to_owned(), query: "a:".to_owned(), expire: None }],
        group_by: ["user.*", "", "event.ingested", "verb"].map(str::to_owned).to_vec(),
        missing_body: MissingBody::Absent,
        ..RuleSource::default()
    });
    let parts: Vec<Part> = found.into_iter().map(|(part, _)| part).collect();
    let exception = Part::Exception("e".to_owned());
    let group = Part::GroupBy;
    assert_eq!(parts, [Part::Query, Part::Query, Part::Query, exception, group(0), group(1), group(2)]);
}

#[test]
fn the_exec_rules() {
    let query = |verbs: &str| {
        format!(
            r#"event.dataset : "kubernetes.audit_logs" and
kubernetes.audit.annotations.authorization_k8s_io/decision:"allow" and
kubernetes.audit.verb:{verbs} and
kubernetes.audit.objectRef.resource:"pods" and
kubernetes.audit.objectRef.subresource:"exec""#
        )
    };
    let event = |verb: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseStarted","verb":"{verb}","objectRef":{{"resource":"pods","namespace":"n","name":"p","apiVersion":"v1","subresource":"exec"}},"annotations":{{"authorization.k8s.io/decision":"allow"}}}}"#
        )
    };
    let (first, second) = (query("\"create\""), query("(\"create\" or \"get\")"));
    for (query, verb, expected) in [
        (&first, "create", Some(Judgement::Detection)),
        (&first, "get", None),
        (&second, "create", Some(Judgement::Detection)),
        (&second, "get", Some(Judgement::Detection)),
    ] {
        assert_eq!(judge(rule(query), &event(verb), &[]), expected, "{query} on {verb}");
    }
    let source = RuleSource { query: second, ..RuleSource::default() };
    assert_eq!(Rule::compile(source).unwrap().1, []);
}

#[test]
fn a_matcher_knows_what_is_the_same_for_every_event() {
    let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/","verb":"get","user":{"username":"alice"},"objectRef":{"resource":"pods"},"requestReceivedTimestamp":"2026-03-01T10:00:00.000001Z","stageTimestamp":"2026-03-01T10:00:00.000002Z"}"#;
    for (query, matches) in [
        ("not (orchestrator.type:* and objectRef.resource:po*)", false),
        ("not (orchestrator.type:none and objectRef.resource:po*)", true),
        ("event.kind:none or verb:get", true),
        ("event.kind:event and verb:get", true),
        ("event.kind:none or verb:list", false),
        ("orchestrator.cluster.name:prod", true),
        ("orchestrator.cluster.name:dev or verb:list", false),
        ("orchestrator.cluster.name:prod or verb:list", true),
        ("not (orchestrator.cluster:* and verb:get)", false),
        ("orchestrator.cluster.name:dev and verb:get", false),
    ] {
        let set = Arc::new(RuleSet::new(vec![Arc::new(rule(query))]));
        let context = Context { cluster: Some("prod"), omitted_stages: &[] };
        let mut matcher = Matcher::new(set, &context);
        assert_eq!(!matcher.judge(line.as_bytes(), Reading::Enough).unwrap().is_empty(), matches, "{query}");
    }
}

#[test]
fn a_missing_body_leaves_what_holds_without_it() {
    let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/","verb":"get","user":{"username":"alice"},"requestReceivedTimestamp":"2026-03-01T10:00:00.000001Z","stageTimestamp":"2026-03-01T10:00:00.000002Z"}"#;
    for (query, matches) in [
        ("event.kind:event or requestObject.spec.hostPID:true", true),
        ("event.kind:none or requestObject.spec.hostPID:true", false),
        ("not (event.kind:event and requestObject.spec.hostPID:true)", true),
        ("not (event.kind:event or requestObject.spec.hostPID:true)", false),
        ("orchestrator.cluster.name:prod or requestObject.spec.hostPID:true", true),
    ] {
        let source = RuleSource {
            query: query.to_owned(),
            missing_body: MissingBody::Absent,
            ..RuleSource::default()
        };
        let set = Arc::new(RuleSet::new(vec![Arc::new(Rule::compile(source).unwrap().0)]));
        let context = Context { cluster: Some("prod"), omitted_stages: &[] };
        let mut matcher = Matcher::new(set, &context);
        assert_eq!(!matcher.judge(line.as_bytes(), Reading::Enough).unwrap().is_empty(), matches, "{query}");
    }
}

#[test]
fn a_key_that_stands_elsewhere_is_found_also_where_reading_stops_early() {
    let members = [
        (r#""impersonatedUser":{"username":"bob"}"#, "impersonatedUser.username:bob"),
        (r#""sourceIPs":["10.0.0.5"]"#, "sourceIPs:10.0.0.0/8"),
        (r#""userAgent":"curl/8""#, "userAgent:curl*"),
        (r#""objectRef":{"resource":"pods","name":"web-0"}"#, "objectRef.resource:pods"),
        (r#""objectRef":{"resource":"pods","name":"web-0"}"#, "objectRef.name:web-0 and verb:get"),
        (r#""responseStatus":{"metadata":{},"code":403}"#, "responseStatus.code:403"),
        (r#""annotations":{"authorization.k8s.io/decision":"allow"}"#, "event.outcome:success"),
    ];
    let parts = [
        r#""sourceIPs":["::1"]"#,
        r#""userAgent":"kubectl""#,
        r#""objectRef":{"resource":"secrets","name":"x"}"#,
        r#""responseStatus":{"metadata":{},"code":200}"#,
        r#""requestObject":{"a":1}"#,
        r#""requestReceivedTimestamp":"2026-03-01T10:00:00.000001Z","stageTimestamp":"2026-03-01T10:00:00.000002Z""#,
        r#""annotations":{"a":"b"}"#,
    ];
    for (member, query) in members {
        let key = member.split(':').next().unwrap();
        let set = Arc::new(RuleSet::new(vec![Arc::new(rule(query))]));
        // After each of the others, the member itself left out of its place; and not there at all.
        let others: Vec<_> = parts.into_iter().filter(|part| !part.starts_with(key)).collect();
        for place in 0..=others.len() + 1 {
            let mut line = vec![
                r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/","verb":"get","user":{"username":"alice"}"#,
            ];
            line.extend(&others);
            let is_there = place <= others.len();
            if is_there {
                line.insert(place + 1, member);
            }
            let line = line.join(",") + "}";
            for reading in [Reading::Enough, Reading::Whole] {
                let mut matcher = Matcher::new(Arc::clone(&set), &Context::default());
                let is_found = !matcher.judge(line.as_bytes(), reading).unwrap().is_empty();
                assert_eq!(is_found, is_there, "{query} {reading:?}: {line}");
            }
        }
    }
}

#[test]
fn what_a_rule_reads_of_a_body_is_kept_for_it() {
    let deployment = r#""requestObject":{"kind":"Deployment","spec":{"template":{"spec":{"hostPID":true}}}}"#;
    let pod = r#""requestObject":{"a":{"b.c":[{"d":"needle"}]},"spec":{"containers":[{"name":"x","image":"evil"}]}}"#;
    for (query, body) in [
        // Without a resource it is the kind that says where the pod spec is.
        ("verb:create and podSpec.hostPID:true", deployment),
        ("verb:create and container.image.name:evil", pod),
        ("verb:create and container.image*:evil", pod),
        ("verb:create and requestObj*.d:needle", pod),
        ("verb:create and requestObject.a.b*:needle", pod),
        ("verb:create and requestObject.a.b.c.*d:needle", pod),
        ("verb:create and kubernetes.audit.requestObject.a.*:needle", pod),
        ("verb:create and requestObject.a.b.c:{ d:needle }", pod),
        ("verb:create and kubernetes.audit.requestObject.a.b.c:{ need* }", pod),
        ("verb:create and kubernetes.audit:{ requestObject.a.b.c.d:needle }", pod),
        ("verb:create and needle", pod),
        ("verb:create and requestObject.a:*", pod),
        ("verb:create and not requestObject.a.b:{ c.d:other }", pod),
    ] {
        let line = format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a","stage":"ResponseComplete","requestURI":"/","verb":"create","user":{{"username":"alice"}},{body},"requestReceivedTimestamp":"2026-03-01T10:00:00.000001Z","stageTimestamp":"2026-03-01T10:00:00.000002Z"}}"#
        );
        let set = Arc::new(RuleSet::new(vec![Arc::new(rule(query))]));
        let mut matcher = Matcher::new(Arc::clone(&set), &Context::default());
        let found = matcher.judge(line.as_bytes(), Reading::Whole).unwrap().to_vec();
        assert_eq!(found.len(), 1, "{query}");
        let (mut tape, mut plain) = (Tape::new(), Vec::new());
        set.judge(&Event::decode(line.as_bytes(), &mut tape).unwrap(), &Context::default(), &mut plain);
        assert_eq!(found, plain, "{query}");
    }
}

#[test]
fn two_patterns_that_are_written_alike_are_told_apart() {
    let rules = ["user.extra.v*b*:x", r"user.extra.v\*b*:x"].map(|query| Arc::new(rule(query)));
    let mut matcher = Matcher::new(Arc::new(RuleSet::new(rules.to_vec())), &Context::default());
    let line =
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","stage":"ResponseComplete",
        "requestURI":"/","verb":"get","user":{"username":"a","extra":{"verb":["x"]}}}"#
            .replace('\n', " ");
    let outcomes = matcher.judge(line.as_bytes(), Reading::Whole).unwrap();
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
}
