//! What the linter says.
use crate::detect::{Rule, RuleSource};

/// The remarks on a query, a line each: message, then help.
fn remarks(query: &str) -> Vec<String> {
    let source = RuleSource { query: query.to_owned(), ..RuleSource::default() };
    let findings = match Rule::compile(source) {
        Ok((_, findings)) | Err(findings) => findings,
    };
    let text = |finding: crate::detect::Finding| match finding.diagnostic.help {
        Some(help) => format!("{}; {help}", finding.diagnostic.message),
        None => finding.diagnostic.message,
    };
    findings.into_iter().map(text).collect()
}

#[track_caller]
fn says(query: &str, expected: &str) {
    assert_eq!(remarks(query), [expected], "{query}");
}

#[test]
fn good_rules_pass_in_silence() {
    for query in [
        "verb:(create or update or patch) and objectRef.resource:pods and objectRef.subresource:(exec or attach)",
        "kubernetes.audit.objectRef.resource:nodes and kubernetes.audit.objectRef.subresource:proxy",
        "requestObject.spec.anything.at.all:x and responseObject.x:y and annotations.any/thing:z",
        "user.extra.authentication.kubernetes.io/pod-name:x and impersonatedUser.extra.a:b",
        "user.name:x and user.username:x and user_agent.original:(curl* or *wget*)",
        "source.ip:(10.0.0.0/8 or \"::1\" or 10.*) and @timestamp > now-1h and stageTimestamp:2026-01",
        "responseStatus.code >= 400 and request.dryRun:true and exec.command:*shadow* and podSpec.hostPID:true",
        "verb:(post or impersonate or get*) and stage:Panic and level:Request*",
        "objectRef:* and user:* and kubernetes.audit.user.extra:*",
        "objectRef.resource:widgets and objectRef.subresource:frob",
        "responseStatus.details.kind:x and orchestrator.cluster.name:x and event.outcome:failure",
        "podSpec.allContainers:{ image:x and securityContext.privileged:true }",
        "annotations.authorization.k8s.io/decision:allow",
        "verb:create and *.image:x",
        "requestObject.spec.hostPID:true or requestObject.spec.hostIPC:true",
        "objectRef.resource:pods and not objectRef.subresource:token",
        "requestObject.rules.resources:\"pods/*\" and objectRef.resource:(roles or mything)",
        "requestURI:/healthz/ and user.name:\"*\"",
    ] {
        assert_eq!(remarks(query), [] as [String; 0], "{query}");
    }
}

#[test]
fn unknown_fields() {
    says(
        "objectRef.resourse:pods",
        "no audit event has a field `objectRef.resourse`; did you mean `objectRef.resource`?",
    );
    says(
        "kubernetes.audit.Verb:x",
        "no audit event has a field `kubernetes.audit.Verb`; did you mean `kubernetes.audit.verb`?",
    );
    says("resource:pods", "no audit event has a field `resource`; did you mean `objectRef.resource`?");
    says("apiGroup:apps", "no audit event has a field `apiGroup`; did you mean `objectRef.apiGroup`?");
    says("username:x", "no audit event has a field `username`; did you mean `user.username`?");
    says(
        "process.executable:x",
        "no audit event has a field `process.executable`; bodies are below `requestObject` and `responseObject`",
    );
    says(
        "spec.serviceAccountName:x",
        "no audit event has a field `spec.serviceAccountName`; bodies are below `requestObject` and `responseObject`",
    );
    says(
        "kubernetes.audit.user.name:x",
        "no audit event has a field `kubernetes.audit.user.name`; did you mean `kubernetes.audit.user.username`?",
    );
    says("objectRef:{ nam:x }", "no audit event has a field `objectRef.nam`; did you mean `objectRef.name`?");
    says(
        "-verb:create",
        "`-verb` is a field of its own: `-` and `!` do not negate; to exclude, write `not verb:…`",
    );
    says(
        "!verb:create",
        "`!verb` is a field of its own: `-` and `!` do not negate; to exclude, write `not verb:…`",
    );
}

#[test]
fn names_that_one_spelling_hides() {
    says(
        "kubernetes.audit.annotations.authorization.k8s.io/decision:allow",
        "under `kubernetes.audit.annotations` every dot of a key is an underscore; write `kubernetes.audit.annotations.authorization_k8s_io/decision`, or the event's own `annotations.authorization.k8s.io/decision`",
    );
    says(
        "annotations.authorization_k8s_io/decision:allow",
        "the event's own annotations have dots where Elastic's have underscores; write `annotations.authorization.k8s.io/decision`, or `kubernetes.audit.annotations.authorization_k8s_io/decision`",
    );
    says(
        "kubernetes.audit.requestObject.metadata.name:x",
        "under `kubernetes.audit` a body has no `metadata`: `kubernetes.audit.requestObject.metadata.name`; write the event's own `requestObject.metadata.name`",
    );
    says(
        "kubernetes.audit.objectRef.apiGroup:\"\"",
        "under `kubernetes.audit` empty values do not exist; write the event's own `objectRef.apiGroup:\"\"`",
    );
}

#[test]
fn impossible_values() {
    says("verb:Create", "`verb` is never `Create`; values are case-sensitive: write `create`");
    says("verb:creat", "`verb` is never `creat`; did you mean `create`?");
    says("verb:replace", "`verb` is never `replace`; a replacement is logged as `update`");
    says(
        "event.action:exec",
        "`event.action` is never `exec`; exec is a subresource: `objectRef.subresource:exec`, with verb `get` or `create`",
    );
    says(
        "verb:(create or frobnicate)",
        "`verb` is never `frobnicate`; verbs are get, list, watch, create, update, patch, delete, deletecollection",
    );
    says("verb:x*", "no value of `verb` fits `x*`");
    says(
        "stage:responseComplete",
        "`stage` is never `responseComplete`; values are case-sensitive: write `ResponseComplete`",
    );
    says(
        "level:Everything",
        "`level` is never `Everything`; it is one of None, Metadata, Request, RequestResponse",
    );
    says("event.outcome:allow", "`event.outcome` is never `allow`; it is one of success, failure");
    says(
        "annotations.authorization.k8s.io/decision:deny",
        "`annotations.authorization.k8s.io/decision` is never `deny`; it is one of allow, forbid",
    );
    says("responseStatus.code:forbidden", "`forbidden` is no number, and the field holds one");
    says("responseStatus.code > x", "`x` is no number, and the field holds one");
    says(
        "responseStatus.code:4*",
        "a pattern never matches a number: `4*`; use a range: `field >= 400 and field < 500`",
    );
    says("request.dryRun:All", "`All` is neither `true` nor `false`, and the field is one of them");
    says("request.dryRun:t*", "a pattern never matches a boolean: `t*`");
    says("source.ip:localhost", "`localhost` is neither an address nor a network such as `10.0.0.0/8`");
    says(
        "@timestamp > yesterday",
        "`yesterday` is no date; write `2026-01-31`, `2026-01-31T12:00:00Z`, or date math such as `now-15m`",
    );
    says("verb:'create'", "single quotes are part of the value; write `\"create\"`");
}

#[test]
fn spellings_of_other_languages() {
    says(
        "user.username:\"system:*\"",
        "in quotes a star is only a star: `system:*`; for any text write it without quotes: `system\\:*`",
    );
    says(
        "objectRef.resource:pod",
        "`objectRef.resource` is never `pod`; resources are named as in the URL: write `pods`",
    );
    for (written, plural) in
        [("Secret", "secrets"), ("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies")]
    {
        let help = format!("resources are named as in the URL: write `{plural}`");
        says(
            &format!("objectRef.resource:{written}"),
            &format!("`objectRef.resource` is never `{written}`; {help}"),
        );
    }
    says(
        "objectRef.resource:pods/exec",
        "`objectRef.resource` is never `pods/exec`; write `objectRef.resource:pods and objectRef.subresource:exec`",
    );
    says(
        "verb:(create, update)",
        "`verb` is never `create, update`; alternatives are joined by `or`: write `(create or update)`",
    );
    says(
        "verb:[get, list]",
        "`verb` is never `[get, list]`; alternatives are joined by `or`: write `(get or list)`",
    );
    says(
        "requestObject.spec.containers[0].image:nginx",
        "`requestObject.spec.containers[0].image` is never there: lists are not numbered; write `requestObject.spec.containers.image`, which any entry may meet",
    );
    says(
        "userAgent:/kube.*/ and verb:get",
        "`/kube.*/` is one value: KQL has no regular expressions; write alternatives as `(this or that)`, and `*` for any text",
    );
    says(
        "# note\nverb:get",
        "`# note\\nverb` is the name of a field: KQL has no comments; put notes into the rule's description",
    );
    says(
        "and verb:get",
        "no audit event has a field `and verb`; nothing stands before the `and` or `or`: remove it",
    );
    says(
        "verb == create and user.name:x",
        "`verb == create` has no field: any field of the event may have it; `==` is no KQL: write `verb:value`",
    );
    says(
        "verb=create and user.name:x",
        "`verb=create` has no field: any field of the event may have it; `=` is no KQL: write `verb:value`",
    );
    says(
        "user.name contains admin and verb:get",
        "`user.name contains admin` has no field: any field of the event may have it; `contains` is no KQL: write `user.name:*text*`",
    );
    says(
        "request.dryRun:True",
        "`True` is neither `true` nor `false`, and the field is one of them; write `true`",
    );
}

#[test]
fn impossible_pairs() {
    says(
        "objectRef.resource:pods and verb:get and objectRef.subresource:token",
        "`pods` has no subresource `token`: this never matches; it has attach, binding, ephemeralcontainers, eviction, exec, log, portforward, proxy, resize, status",
    );
    says(
        "objectRef.resource:secrets and (verb:get and objectRef.subresource:(status or scale))",
        "`secrets` has no subresource `status`: this never matches; `secrets` has no subresources",
    );
    assert!(
        remarks("objectRef.resource:(pods or nodes) and objectRef.subresource:(token or proxy)").is_empty()
    );
    let both = "`verb` has one value, which is not both `get` and `list`: this never matches; for either of them write `verb:(get or list)`";
    says("verb:get and user.username:x and verb:list", both);
    says("verb:(get and list)", both);
    assert!(
        remarks("verb:(get or list) and verb:(list or watch) and user.groups:a and user.groups:b").is_empty()
    );
    assert!(remarks("verb:get or verb:list").is_empty());
    assert!(remarks("objectRef.resource:(pods or widgets) and objectRef.subresource:token").is_empty());
}

#[test]
fn texts_that_parse_otherwise_than_meant() {
    says(
        "user.name:create and",
        "`create and` is one value: nothing follows its `and`; remove `and`, or put the value in double quotes",
    );
    says(
        "user.name:create # note",
        "`create # note` is one value: KQL has no comments; put notes into the rule's description",
    );
    says(
        "user.name:create // note",
        "`create // note` is one value: KQL has no comments; put notes into the rule's description",
    );
    says(
        "requestURI:http://x#y and user.name:a//b",
        "expected `and`, `or` or the end of the query; a colon in a value is written `\\:`, as in `http\\:…`, or in double quotes; two conditions are joined by `and`",
    );
    assert!(remarks("requestURI:/x#y and user.name:a//b").is_empty());
    says("user.name > a*", "a range takes a plain value: with a wildcard it matches nothing");
    says(
        "event.ingested > now-1d",
        "`event.ingested` is when a log was read, which tells nothing of the event; use `@timestamp`, the time of the event",
    );
}

#[test]
fn what_makes_every_event_be_read_whole() {
    const COSTLY: &str = "every event is read whole for this rule: no one field decides against it; \
        join a condition on one field, such as `verb` or `objectRef.resource`, with `and`";
    let no_field = "has no field: any field of the event may have it";
    assert_eq!(
        remarks("verb:create or delete"),
        [&format!("`delete` {no_field}; write `verb:(create or delete)`"), COSTLY]
    );
    assert_eq!(
        remarks("something"),
        [&format!("`something` {no_field}; name the field: `field:value`"), COSTLY]
    );
    says(
        "verb:create and something",
        &format!("`something` {no_field}; write `verb:(create and something)`"),
    );
    says("*.image:x", COSTLY);
    says("user.name:x or userAgent:y", COSTLY);
    says("not requestObject.spec.hostPID:true", COSTLY);
}

#[test]
fn unknown_grouping_is_a_warning() {
    let group_by = ["objectRef.nmae", "requestObject.a"].map(str::to_owned).to_vec();
    let source = RuleSource { query: "verb:get".to_owned(), group_by, ..RuleSource::default() };
    let (_, findings) = Rule::compile(source).unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].diagnostic.help.as_deref(), Some("did you mean `objectRef.name`?"));
}
