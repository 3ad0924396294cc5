//! The fields that queries name, with the values that events have there.
use super::pools::{
    ADDRESSES, AGENTS, CODES, DATES, DECISIONS, GROUPS, IMAGES, LEVELS, NAMES, NAMESPACES, NETWORKS, NUMBERS,
    REASONS, RESOURCES, STAGES, SUBRESOURCES, TIMES, UIDS, URIS, USERS, VERBS, WORDS,
};

/// A field in all its spellings.
#[derive(Debug)]
pub(super) struct Name {
    /// Other than the event's own with `kubernetes.audit.` in front.
    pub(super) spellings: &'static [&'static str],
    pub(super) values: &'static [&'static str],
}

macro_rules! names {
    ($($spellings:tt : $values:expr;)*) => { &[$(Name { spellings: &$spellings, values: &$values }),*] };
}

/// What most rules ask first.
pub(super) const FREQUENT: &[Name] = names! {
    ["verb", "kubernetes.audit.verb", "event.action"]: VERBS;
    ["objectRef.resource", "kubernetes.audit.objectRef.resource", "orchestrator.resource.type"]: RESOURCES;
    ["objectRef.subresource", "kubernetes.audit.objectRef.subresource"]: SUBRESOURCES;
    ["objectRef.namespace", "kubernetes.audit.objectRef.namespace", "orchestrator.namespace"]: NAMESPACES;
    ["user.username", "kubernetes.audit.user.username", "user.name"]: USERS;
    ["user.groups", "kubernetes.audit.user.groups"]: GROUPS;
    ["userAgent", "kubernetes.audit.userAgent", "user_agent.original"]: AGENTS;
    ["responseStatus.code", "kubernetes.audit.responseStatus.code"]: CODES;
    ["annotations.authorization.k8s.io/decision", "kubernetes.audit.annotations.authorization_k8s_io/decision"]: DECISIONS;
    ["sourceIPs", "kubernetes.audit.sourceIPs", "source.ip", "client.ip", "related.ip"]: ADDRESSES;
};

/// The rest.
pub(super) const OTHERS: &[Name] = names! {
    ["stage", "kubernetes.audit.stage"]: STAGES;
    ["level", "kubernetes.audit.level"]: LEVELS;
    ["kind", "kubernetes.audit.kind", "event.kind"]: ["Event", "event"];
    ["apiVersion", "kubernetes.audit.apiVersion", "orchestrator.api_version"]: ["audit.k8s.io/v1", "audit.k8s.io/v1beta1"];
    ["event.dataset", "data_stream.dataset"]: ["kubernetes.audit_logs", "kubernetes"];
    ["event.module", "orchestrator.type"]: ["kubernetes", "event"];
    ["event.outcome"]: ["success", "failure", "allow"];
    ["orchestrator.cluster.name"]: ["prod", "dev"];
    ["related.user", "user.id", "user.uid", "kubernetes.audit.user.uid"]: UIDS;
    ["related.user", "impersonatedUser.username", "kubernetes.audit.impersonatedUser.username"]: USERS;
    ["impersonatedUser.groups"]: GROUPS;
    ["user.extra.authentication.kubernetes.io/pod-name", "kubernetes.audit.user.extra.authentication.kubernetes.io/pod-name"]: ["p-0", "p-1"];
    ["user.extra.verb", "annotations.verb", "kubernetes.audit.annotations.verb"]: VERBS;
    ["sourceIPs", "kubernetes.audit.sourceIPs", "source.ip", "client.ip", "related.ip"]: NETWORKS;
    ["objectRef.name", "kubernetes.audit.objectRef.name", "orchestrator.resource.name"]: NAMES;
    ["objectRef.apiGroup", "kubernetes.audit.objectRef.apiGroup"]: ["", "apps", "rbac.authorization.k8s.io"];
    ["objectRef.uid", "objectRef.resourceVersion"]: ["u-1", "1024", "7"];
    ["requestURI", "kubernetes.audit.requestURI"]: URIS;
    ["responseStatus.reason", "kubernetes.audit.responseStatus.reason"]: ["Forbidden", "NotFound"];
    ["responseStatus.metadata", "kubernetes.audit.responseStatus.metadata", "responseStatus.details.kind"]: ["pods", "x"];
    ["annotations.authorization.k8s.io/reason", "kubernetes.audit.annotations.authorization_k8s_io/reason"]: REASONS;
    ["kubernetes.audit.annotations.authorization.k8s.io/decision", "annotations.authorization_k8s_io/decision"]: DECISIONS;
    ["annotations.audit.k8s.io/truncated", "kubernetes.audit.annotations.audit_k8s_io/truncated"]: ["true"];
    ["stageTimestamp", "kubernetes.audit.stageTimestamp", "@timestamp", "requestReceivedTimestamp"]: DATES;
    ["stageTimestamp", "@timestamp", "kubernetes.audit.requestReceivedTimestamp", "annotations.stageTimestamp"]: TIMES;
    ["request.dryRun", "request.fromPublicAddress", "requestObject.spec.hostPID", "kubernetes.audit.requestObject.spec.hostPID", "podSpec.hostPID"]: ["true", "false"];
    ["exec.command"]: ["sh -c cat /etc/shadow", "id"];
    ["exec.argv"]: ["sh", "-c", "cat /etc/shadow", "id"];
    ["podSpec.hostNetwork", "requestObject.spec.template.spec.hostPID"]: ["true"];
    ["podSpec.containers.image", "podSpec.allContainers.image", "podSpec.initContainers.image", "container.image.name"]: IMAGES;
    ["podSpec.allContainers.image.registry", "podSpec.containers.image.registry"]: ["docker.io", "r.example.com:5000"];
    ["podSpec.allContainers.image.repository", "podSpec.initContainers.image.repository"]: ["library/nginx", "library/busybox", "a/b"];
    ["podSpec.allContainers.image.tag", "podSpec.containers.image.tag", "podSpec.ephemeralContainers.image.tag"]: ["1.25", "latest", "2"];
    ["podSpec.allContainers.image.digest", "podSpec.containers.image.digest"]: ["sha256:ab"];
    ["csr.subject.organization"]: ["system:masters", "system:nodes", "dev"];
    ["csr.subject.commonName"]: ["alice", "system:node:a"];
    ["requestObject.spec.containers.image", "kubernetes.audit.requestObject.spec.containers.image"]: IMAGES;
    ["podSpec.allContainers.securityContext.privileged", "requestObject.spec.containers.securityContext.privileged"]: ["true", "false"];
    ["podSpec.allContainers.ports.containerPort", "requestObject.spec.containers.ports.containerPort", "kubernetes.audit.requestObject.x"]: NUMBERS;
    ["requestObject.metadata.name", "kubernetes.audit.requestObject.metadata.name", "responseObject.metadata.name"]: NAMES;
    ["requestObject.metadata.labels.app", "requestObject.x", "requestObject.x.y", "kubernetes.audit.requestObject.x.y", "responseObject.y.z"]: WORDS;
    ["requestObject.kind", "kubernetes.audit.requestObject.kind", "responseObject.kind"]: ["Pod", "Deployment", "Event"];
    ["requestObject.rules.verbs", "kubernetes.audit.requestObject.rules.verbs", "responseObject.rules.verbs"]: ["*", "get", "create"];
    ["requestObject.rules.resources"]: ["pods", "secrets", "*"];
    ["requestObject.data.token", "responseObject.data.token", "kubernetes.audit.requestObject.data.token"]: ["c2VjcmV0"];
    ["requestObject.op", "requestObject.value", "kubernetes.audit.requestObject.value"]: ["add", "true", ""];
    ["requestObject.annotations.authorization.k8s.io/decision", "requestObject.verb", "responseObject.stageTimestamp"]: ["allow", "create", "2026-03-15T10:20:30.123456Z"];
    ["requestObject.x.x", "requestObject.y", "requestObject.z", "requestObject.y.z", "requestObject.x.y.z", "requestObject.z.x"]: WORDS;
    ["requestObject.x.x", "requestObject.y", "requestObject.z.y", "requestObject.spec", "kubernetes.audit.requestObject.z"]: NUMBERS;
    ["user", "userAgent", "sourceIPs", "objectRef.name", "impersonatedUser", "annotations", "responseStatus"]: ["4", "40", "403", "4030"];
    ["roleRef.name", "x", "x.y", "kubernetes.audit.x", "source.x", "metadata.x", "client", "user.extra", "Verb"]: WORDS;
};

/// Fields whose existence is asked for besides.
pub(super) const ABOVE: &[&str] = &[
    "user",
    "objectRef",
    "annotations",
    "responseStatus",
    "impersonatedUser",
    "requestObject",
    "responseObject",
    "requestObject.metadata",
    "kubernetes.audit",
    "kubernetes.audit.user",
    "kubernetes.audit.requestObject",
    "kubernetes.audit.requestObject.metadata",
    "kubernetes.audit.responseObject",
    "kubernetes.audit.responseStatus.metadata",
    "kubernetes.audit.annotations",
    "podSpec",
    "podSpec.allContainers",
    "podSpec.securityContext",
    "requestObject.spec",
    "requestObject.data",
    "container",
    "container.image",
    "event",
    "source",
    "related",
    "client",
    "orchestrator.cluster",
    "user_agent",
    "exec",
    "csr",
    "podSpec.containers.image",
];

/// Patterns of names.
pub(super) const PATTERNS: &[&str] = &[
    "*",
    "*.name",
    "*name",
    "user.*",
    "user*",
    "u*e",
    "objectRef.*",
    "objectRef.sub*",
    "o*resource",
    "kubernetes.audit.*",
    "kubernetes.audit.objectRef.*",
    "kubernetes.audit.annotations.*decision",
    "kubernetes.audit.requestObject.*",
    "kubernetes.audit.*.name",
    "annotations.*",
    "*decision",
    "*k8s.io/decision",
    "*k8s_io/decision",
    "requestObject.*",
    "requestObject*",
    "re*",
    "requestObject.da*",
    "requestObject.*.image",
    "requestObject.spec.*.image",
    "requestObject.*y*",
    "responseObject.*",
    "responseStatus.*",
    "podSpec.*",
    "podSpec.*.image",
    "podSpec.allContainers.*",
    "event.*",
    "event.out*",
    "source*",
    "source.*",
    "sourceI*",
    "related.*",
    "orchestrator.*name",
    "container.*",
    "container.image.na*",
    "request.*",
    "exec.*",
    "csr.*",
    "podSpec.*.registry",
    "*Timestamp",
    "stage*",
    "imp*",
    "requestObject.x*",
    "requestObject.x.*",
    "requestObject.value*",
    "kubernetes.audit.requestObject.x.*",
    "responseObject.y.*z",
    "kubernetes.audit.responseObject.y*",
    "requestObject.*.z",
    "requestObject*y*",
    "requestObject.*.",
    "user.extra.v*b",
    "user.extra.v\\*b",
    "user.extra.v*b*",
    "user.extra.v\\*b*",
    "v*",
];

/// Fields that hold objects, with names below them.
pub(super) const NESTED: &[(&str, &[&str])] = &[
    (
        "requestObject.spec.containers",
        &["image", "name", "securityContext.privileged", "ports.containerPort"],
    ),
    (
        "kubernetes.audit.requestObject.spec.containers",
        &["image", "name", "securityContext.privileged", "security*"],
    ),
    (
        "podSpec.allContainers",
        &["image", "securityContext.privileged", "im*", "ports.containerPort", "image.registry", "image.tag"],
    ),
    ("podSpec", &["hostPID", "containers.image", "*image", "hostNetwork", "containers.image.digest"]),
    ("podSpec.containers", &["image", "name", "*", "image.repository", "image.registry"]),
    ("requestObject.rules", &["verbs", "resources", "*"]),
    ("kubernetes.audit.requestObject.rules", &["verbs", "resources"]),
    ("requestObject", &["kind", "metadata.name", "x", "x.y", "spec.hostPID", "value", "*"]),
    ("kubernetes.audit.requestObject", &["kind", "metadata.name", "x", "x.y", "spec.hostPID", "value", "y*"]),
    ("responseObject", &["kind", "x", "x.y", "stageTimestamp"]),
    ("requestObject.x", &["x", "y", "x.y", "z", "z*"]),
    ("requestObject.x.y", &["x", "y", "z"]),
    ("objectRef", &["resource", "name", "subresource", "sub*"]),
    ("user", &["username", "groups", "extra.verb", "name"]),
    ("annotations", &["authorization.k8s.io/decision", "*decision"]),
    ("kubernetes.audit.annotations", &["authorization_k8s_io/decision", "authorization.k8s.io/decision"]),
    (
        "kubernetes.audit",
        &[
            "verb",
            "user.username",
            "user.name",
            "requestObject.spec.hostPID",
            "stage",
            "sourceIPs",
            "annotations.authorization_k8s_io/decision",
            "stageTimestamp",
        ],
    ),
    ("sourceIPs", &["x", "*"]),
];
