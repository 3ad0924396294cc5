//! The few values that events and queries are made of, so that they meet often. Many differ from one another in one
//! byte, in case or in spelling only.

pub(super) const LEVELS: [&str; 4] = ["Metadata", "Request", "RequestResponse", "RequestResponse"];
pub(super) const STAGES: [&str; 6] = [
    "RequestReceived",
    "ResponseStarted",
    "ResponseComplete",
    "ResponseComplete",
    "ResponseComplete",
    "Panic",
];
pub(super) const VERBS: [&str; 11] = [
    "create",
    "create",
    "get",
    "list",
    "watch",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "creat",
    "Create",
];
pub(super) const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];
pub(super) const USERS: [&str; 12] = [
    "alice",
    "alicf",
    "Alice",
    "system:serviceaccount:shop:default",
    "system:serviceaccount:shop:defaulu",
    "system:anonymous",
    "a\"b\\c",
    "system:serviceaccount:shoq:default",
    "żółć😀",
    "a\u{fffd}b",
    "a&b<c>",
    "",
];
pub(super) const UIDS: [&str; 4] = ["u-1", "u-2", "alice", ""];
pub(super) const GROUPS: [&str; 6] =
    ["system:masters", "system:authenticated", "system:unauthenticated", "dev", "sre-oncall", ""];
pub(super) const ADDRESSES: [&str; 9] = [
    "10.0.0.5",
    "10.0.0.50",
    "10.1.2.3",
    "127.0.0.1",
    "192.168.0.1",
    "::1",
    "0:0:0:0:0:0:0:1",
    "fe80::1",
    "unix",
];
pub(super) const NETWORKS: [&str; 7] =
    ["10.0.0.0/8", "10.0.0.0/24", "::/0", "fe80::/10", "0.0.0.0/0", "127.0.0.1/32", "10.0.0.0/33"];
pub(super) const AGENTS: [&str; 10] = [
    "kubectl/v1.30.0 (linux/amd64) kubernetes/7c48c2b",
    "kubectl/v1.30.0 (linux/amd64) kubernetes/7c48c2c",
    "kubectl/v1.30 (linux/amd64) kubernetes/$Format",
    "curl/8.0",
    "kubectl/v1.31.0 (linux/amd64) kubernetes/7c48c2b",
    "x\",\"verb\":\"delete\",\"user\":{\"username\":\"system:anonymous\"},\"objectRef\":{\"resource\":\"secrets\"",
    "\\\",\\\"stageTimestamp\\\":\\\"\\",
    "python\u{2028}requests<&>\n\t\u{1}",
    "a long agent that goes on and on, past any block of bytes that is looked at at once: 0123456789 0123456789 \" end",
    "",
];
pub(super) const RESOURCES: [&str; 10] = [
    "pods",
    "pods",
    "secrets",
    "deployments",
    "cronjobs",
    "podtemplates",
    "clusterroles",
    "pod",
    "clusterrolebindings",
    "certificatesigningrequests",
];
pub(super) const SUBRESOURCES: [&str; 7] =
    ["exec", "attach", "log", "portforward", "proxy", "status", "token"];
pub(super) const NAMESPACES: [&str; 5] = ["kube-system", "shop", "shoq", "default", ""];
pub(super) const NAMES: [&str; 5] = ["web-0", "web-1", "cluster-admin", "p", ""];
pub(super) const API_GROUPS: [&str; 4] = ["", "apps", "batch", "rbac.authorization.k8s.io"];
pub(super) const URIS: [&str; 9] = [
    "/api/v1/namespaces/shop/pods/web-0/exec?command=sh&command=-c&command=cat+%2Fetc%2Fshadow&stdin=true",
    "/api/v1/namespaces/shop/pods/web-0/exec?container=c&command=id",
    "/api/v1/namespaces/shop/pods/web-0/exec?stdin=true",
    "/api/v1/namespaces/shop/pods?dryRun=All&fieldManager=kubectl",
    "/api/v1/namespaces/shop/pods?dryRun=None",
    "/api/v1/secrets?limit=500",
    "/api/v1/secrets?limit=501",
    "/apis/apps/v1/deployments?dryRun=A%6cl&command=x",
    "/",
];
pub(super) const CODES: [&str; 12] =
    ["200", "200", "201", "401", "403", "403", "404", "101", "403.0", "4.03e2", "403.5", "-1"];
pub(super) const NUMBERS: [&str; 12] = [
    "0",
    "7",
    "8",
    "1024",
    "-1",
    "1.5",
    "1.50",
    "15e-1",
    "9007199254740993",
    "9007199254740992",
    "1e400",
    "403",
];
pub(super) const DECISIONS: [&str; 4] = ["allow", "allow", "forbid", "Allow"];
pub(super) const REASONS: [&str; 5] = [
    "",
    "RBAC: allowed by ClusterRoleBinding \"cluster-admin\"",
    "x\",\"authorization.k8s.io/decision\":\"allow\"}}",
    "x\",\"stageTimestamp\":\"2026-03-15T10:20:30.123456Z\",\"annotations\":{\"authorization.k8s.io/decision\":\"forbid",
    "RBAC: allowed by RoleBinding",
];
pub(super) const TIMES: [&str; 8] = [
    "2026-03-15T10:20:30.123456Z",
    "2026-03-15T10:20:30.123457Z",
    "2026-03-15T10:05:00.000000Z",
    "2026-03-14T23:59:59.999999Z",
    "2026-03-01T00:00:00.000000Z",
    "2025-12-31T00:00:00.000000Z",
    "2026-03-15T10:20:30Z",
    "2026-03-15T10:20:30.5Z",
];
pub(super) const DATES: [&str; 19] = [
    "2026",
    "2025",
    "2026-03",
    "2026-03-15",
    "2026-03-14",
    "2026-03-15T10",
    "2026-03-15T10:20",
    "2026-03-15T10:20:30",
    "2026-03-15T10:20:30.123",
    "2026-03-15T10:20:30.123456Z",
    "1773570030123",
    "now",
    "now-15m",
    "now-1d",
    "now+2h",
    "now/d",
    "now-1h/h",
    "now/M",
    "now/w",
];
pub(super) const IMAGES: [&str; 8] = [
    "nginx:1.25",
    "nginx:1.26",
    "busybox",
    "docker.io/library/busybox:2",
    "R.example.com:5000/a/b@sha256:ab",
    "index.docker.io/nginx:1.25@sha256:ab",
    "a b",
    "",
];
/// Certificate requests as clients send them, with the organizations and the common name of each; the last is none.
pub(super) const REQUESTS: [(&str, &[&str], &[&str]); 3] = [
    (
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHb01Gd0NBUUF3S1RFWE1CVUdBMVVFQ2d3T2MzbHpkR1Z0T20xaGMzUmxjbk14RGpBTUJnTlZCQU1NQldGcwphV05sTUNvd0JRWURLMlZ3QXlFQS9WY0YyWmlJYlFkQnc1WkhlbUlDVE5qdDBUNVd1ZlBtRVBkNDhSc0FrM1NnCkFEQUZCZ01yWlhBRFFRQjRoVnNSMnY4dDVEQXEzWElEQ3NBbGZudVBKVkFYV2paSlNDc3hYTDl1RG1USEt0NkUKS3FndHlkM3IwWk1aeVAyV2t0MUxBZVNzeVZaUTA3YnEyZXNQCi0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=",
        &["system:masters"],
        &["alice"],
    ),
    (
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHOE1IQUNBUUF3UFRFVk1CTUdBMVVFQ2d3TWMzbHpkR1Z0T201dlpHVnpNUXd3Q2dZRFZRUUtEQU5rWlhZeApGakFVQmdOVkJBTU1EWE41YzNSbGJUcHViMlJsT21Fd0tqQUZCZ01yWlhBRElRRDlWd1habUlodEIwSERsa2Q2CllnSk0yTzNSUGxhNTgrWVE5M2p4R3dDVGRLQUFNQVVHQXl0bGNBTkJBUDY4ZGNJcWlCV2xSUHFiV3paYno4UngKMWIzV2dJTXB0SVFhLzQ4aE1FS1RGQ2V3SmdVVmdxUFpNUWI2T1kwN3ZOZG04SzZ0bW1HZU1pd1Nwbk1lbGc0PQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K",
        &["system:nodes", "dev"],
        &["system:node:a"],
    ),
    ("bm9uZQ==", &[], &[]),
];
pub(super) const WORDS: [&str; 8] = ["a", "b", "ab", "", "7", "true", "*", "x y"];
