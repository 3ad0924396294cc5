//! Rules that together use everything the language has, for the lines to be judged by.
use std::sync::Arc;

use tripline::detect::{ExceptionSource, MissingBody, Rule, RuleSet, RuleSource};

/// Queries, each evaluated with both readings of a body that was never logged.
const QUERIES: [&str; 40] = [
    // The event's own paths.
    "verb:create",
    r#"objectRef.resource:"pods" and objectRef.subresource:("exec" or attach) and verb:(create or get)"#,
    "user.username:(system\\:* and not system\\:node\\:*)",
    r#"user.groups:(* and not "system:authenticated")"#,
    r#"user.groups:("system:masters" and "system:authenticated")"#,
    "user.extra.authentication.kubernetes.io/pod-name:*",
    r#"objectRef.apiGroup:"" or objectRef.name:("" or null*)"#,
    "not objectRef:*",
    "annotations.authorization.k8s.io/decision:allow",
    "requestURI:*secret*watch=true*",
    "stage:RequestReceived and not user.username:alice",
    "level:Metadata or not level:*",
    "auditID:a-*1*",
    "impersonatedUser.username:* and not impersonatedUser.groups:dev",
    // Numbers, booleans, addresses, dates.
    "responseStatus.code >= 400 and responseStatus.code < 500",
    "responseStatus.code:0200 or responseStatus.code > 1e3",
    "requestObject.spec.hostPID:true or requestObject.spec.replicas <= -1.5",
    r#"sourceIPs:10.0.0.0/8 and not sourceIPs:"::1""#,
    "source.ip:(10.0.0.0/8 or 127.*) or client.ip > 192.168.0.0",
    "@timestamp:2026-03-01 and stageTimestamp > now-1h and requestReceivedTimestamp <= now/d",
    "verb >= l and verb < q",
    // Elastic's spelling, in which some things are hidden, renamed or pruned.
    "kubernetes.audit.annotations.authorization_k8s_io/decision:forbid",
    "kubernetes.audit.objectRef.apiGroup:* or kubernetes.audit.requestObject.metadata.name:*",
    "kubernetes.audit.user.groups:dev and kubernetes.audit.responseObject.kind:Secret",
    "kubernetes.audit:{ verb:(delete or deletecollection) and not objectRef.name:* }",
    // The Elastic Common Schema.
    "event.outcome:failure or event.action:patch and event.kind:event",
    "user.name:alice and orchestrator.cluster.name:prod and orchestrator.resource.type:secrets",
    "related.user:(alice and u-1) or related.ip:10.0.0.5 or user_agent.original:kubectl*",
    "container.image.name:*/nginx* or user_agent:*",
    // Wildcards in names, and values without one.
    "requestObject.*.image:busybox* or user.*:bob",
    "kubernetes.audit.*_k8s_io/decision:allow and not *:nobody",
    "busybox or 403 or *shadow*",
    // Bodies, and what is made of them.
    "not requestObject.metadata.labels.app:*",
    "requestObject.rules:{ verbs:\"*\" and resources:(\"*\" or secrets) and not resourceNames:* }",
    "podSpec.allContainers:{ securityContext.privileged:true and not image:registry.example.com/* }",
    "podSpec.volumes:{ hostPath.path:(\"/\" or /etc* or /var/run/docker.sock) } or podSpec.*:unconfined",
    // The URI.
    "exec.argv:(sh or bash) and not exec.command:* -c * or exec.command:*/etc/shadow*",
    "csr.subject.organization:\"system:masters\" or csr.subject.commonName:system*",
    "request.fromPublicAddress:true and podSpec.allContainers:{ image.registry:docker.io and not image.tag:latest }",
    "request.dryRun:true and not responseObject.*:x",
];

/// The rules' set. One more rule has exceptions of each kind.
pub(super) fn rules() -> Arc<RuleSet> {
    let both = [MissingBody::Unknown, MissingBody::Absent];
    let queries = QUERIES.iter().flat_map(|query| both.map(|missing_body| (query, missing_body)));
    let mut sources: Vec<_> = queries
        .map(|(query, missing_body)| RuleSource {
            query: (*query).to_owned(),
            missing_body,
            ..RuleSource::default()
        })
        .collect();
    let exception = |name: &str, query: &str, expire: Option<&str>| ExceptionSource {
        name: name.to_owned(),
        query: query.to_owned(),
        expire: expire.and_then(|time| time.parse().ok()),
    };
    sources.push(RuleSource {
        query: "verb:* and not verb:(get or list or watch)".to_owned(),
        exceptions: vec![
            exception("until", "user.groups:dev", Some("2026-03-01T10:00:01Z")),
            exception("body", "requestObject.metadata.namespace:shop or podSpec.hostNetwork:true", None),
            exception("always", r#"user.name:"system:apiserver" and source.ip:"::1""#, None),
        ],
        ..RuleSource::default()
    });
    let compile = |source| match Rule::compile(source) {
        Ok((rule, _)) => Arc::new(rule),
        Err(findings) => panic!("{findings:?}"),
    };
    Arc::new(RuleSet::new(sources.into_iter().map(compile).collect()))
}
