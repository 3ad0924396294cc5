//! What runs in an ordinary cluster, and the requests that this makes.
use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::ControlPlane;
use super::node::images::BUSYBOX;
use super::operator::list;

/// The usual objects of an application, by somebody who may edit in its namespace, and what an administrator adds.
#[allow(clippy::too_many_lines, reason = "a list of objects")]
pub(crate) fn roll_out(plane: &ControlPlane) -> Result<()> {
    plane.make_namespace("shop")?;
    let named = |api: &str, kind: &str, name: &str, spec: Value| {
        let mut object = json!({
            "apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"},
        });
        for (key, value) in spec.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        object
    };
    let labels = |name: &str| json!({"app": name});
    let pod = |name: &str, command: &str, restart: &str| {
        json!({
            "metadata": {"labels": labels(name)},
            "spec": {
                "tolerations": [{"operator": "Exists"}], "restartPolicy": restart,
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never",
                    "command": ["sh", "-c", command],
                    "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        })
    };
    let workload = |name: &str| {
        json!({"spec": {
            "selector": {"matchLabels": labels(name)}, "template": pod(name, "sleep 3600", "Always"),
        }})
    };
    let job = json!({"template": pod("job", "true", "Never"), "backoffLimit": 1});
    let mut stateful = workload("db");
    stateful["spec"]["serviceName"] = "db".into();
    let ports = json!([{"port": 80, "targetPort": 8080}]);
    let path = json!({"path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": "web", "port": {"number": 80}}}});
    let objects = [
        named("v1", "ConfigMap", "settings", json!({"data": {"COLOUR": "green"}})),
        named("v1", "Secret", "keys", json!({"stringData": {"KEY": "of-the-test"}})),
        named("v1", "ServiceAccount", "web", json!({})),
        named("apps/v1", "Deployment", "web", workload("web")),
        named("apps/v1", "StatefulSet", "db", stateful),
        named("apps/v1", "DaemonSet", "agent", workload("agent")),
        named("apps/v1", "ReplicaSet", "old", workload("old")),
        named("batch/v1", "Job", "once", json!({"spec": job})),
        named(
            "batch/v1",
            "CronJob",
            "often",
            json!({"spec": {
                "schedule": "* * * * *", "successfulJobsHistoryLimit": 0, "jobTemplate": {"spec": job},
            }}),
        ),
        named("v1", "Pod", "alone", json!({"spec": pod("alone", "sleep 3600", "Always")["spec"]})),
        named("v1", "Service", "web", json!({"spec": {"selector": labels("web"), "ports": ports}})),
        named(
            "v1",
            "Service",
            "db",
            json!({"spec": {"clusterIP": "None", "selector": labels("db"), "ports": ports}}),
        ),
        named(
            "networking.k8s.io/v1",
            "Ingress",
            "web",
            json!({"spec": {"rules": [{"host": "shop.example.com", "http": {"paths": [path]}}]}}),
        ),
        named(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "inner",
            json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
        ),
        named(
            "policy/v1",
            "PodDisruptionBudget",
            "web",
            json!({"spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels("web")}}}),
        ),
        named(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "web",
            json!({"spec": {
                "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            }}),
        ),
        named(
            "v1",
            "PersistentVolumeClaim",
            "data",
            json!({"spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            }}),
        ),
    ];
    let of_admin = [
        named("v1", "ResourceQuota", "most", json!({"spec": {"hard": {"pods": "50"}}})),
        named(
            "v1",
            "LimitRange",
            "each",
            json!({"spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "1m"}}]}}),
        ),
        named(
            "rbac.authorization.k8s.io/v1",
            "Role",
            "looks",
            json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]}),
        ),
        named(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "web-looks",
            json!({
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looks"},
                "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
            }),
        ),
    ];
    ensure!(objects.len() + of_admin.len() > 20, "too few objects");
    plane.apply("admin", &list(&of_admin))?;
    plane.apply("alice", &list(&objects))?;
    for workload in ["deployment/web", "statefulset/db", "daemonset/agent"] {
        plane.run("alice", &["rollout", "status", workload, "--namespace=shop", "--timeout=2m"])?;
    }
    plane
        .run("alice", &["wait", "--for=condition=Complete", "job/once", "--namespace=shop", "--timeout=2m"])
        .map(drop)
}

/// A kind of requests: who, the verb, the resource with its subresource, or the path where it is none.
pub(crate) type Kind = (String, String, String);

/// How often each kind of requests is in the log. One that is not finished counts as well.
pub(crate) fn kinds(events: &[Value]) -> BTreeMap<Kind, u64> {
    let mut kinds = BTreeMap::new();
    let text =
        |event: &Value, pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    for event in events.iter().filter(|event| event["stage"] == "RequestReceived") {
        let resource = text(event, "/objectRef/resource").map_or_else(
            || {
                let uri = text(event, "/requestURI").unwrap_or_default();
                uri.split('?').next().unwrap_or_default().to_owned()
            },
            |resource| {
                let subresource = text(event, "/objectRef/subresource");
                subresource.map_or_else(|| resource.clone(), |sub| format!("{resource}/{sub}"))
            },
        );
        let kind = (
            text(event, "/user/username").unwrap_or_default(),
            text(event, "/verb").unwrap_or_default(),
            resource,
        );
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}
