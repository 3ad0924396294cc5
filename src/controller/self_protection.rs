//! Rules of Tripline's own, which watch over Tripline: its accounts used by others, its configuration changed.
//!
//! They are in the program and not in the cluster, so that who may write rules or exceptions cannot silence them.

use std::sync::Arc;

use kube::api::ObjectMeta;

use super::compile::{compile, describe};
use super::loaded_rules::LoadedRule;
use crate::alert::RuleFacts;
use crate::api::{DetectionRule, Mode};

/// The names of the rules, which no `DetectionRule` may have.
pub const BUILT_IN: [&str; 2] = ["tripline-account-misuse", "tripline-tampering"];

/// Controllers of Kubernetes that change what is in a namespace as part of their work.
const KUBERNETES: &[&str] = &[
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:serviceaccount:kube-system:daemon-set-controller",
    "system:serviceaccount:kube-system:deployment-controller",
    "system:serviceaccount:kube-system:disruption-controller",
    "system:serviceaccount:kube-system:endpoint-controller",
    "system:serviceaccount:kube-system:endpointslice-controller",
    "system:serviceaccount:kube-system:endpointslicemirroring-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:job-controller",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:node-controller",
    "system:serviceaccount:kube-system:pod-garbage-collector",
    "system:serviceaccount:kube-system:replicaset-controller",
    "system:serviceaccount:kube-system:root-ca-cert-publisher",
    "system:serviceaccount:kube-system:service-account-controller",
    "system:serviceaccount:kube-system:taint-eviction-controller",
    "system:serviceaccount:kube-system:ttl-after-finished-controller",
];

/// What Tripline is in a cluster, to be watched over.
#[derive(Clone, Debug, Default)]
pub struct SelfProtection {
    /// Where its workloads are.
    pub namespace: String,
    /// What the names of its cluster-wide objects begin with.
    pub name: String,
    /// The accounts of its processes.
    pub accounts: Vec<String>,
    /// Users who may change its configuration: whoever deploys it.
    pub deployers: Vec<String>,
}

impl SelfProtection {
    /// The rules.
    ///
    /// # Errors
    /// When a name among these cannot stand in a query.
    pub fn rules(&self) -> Result<Vec<LoadedRule>, String> {
        [self.account_misuse(), self.tampering()].iter().map(load).collect()
    }

    fn account_misuse(&self) -> DetectionRule {
        let accounts = any_of(&self.accounts);
        let query = format!(
            "objectRef.resource:* and (user.username:{accounts} or impersonatedUser.username:{accounts})"
        );
        rule(
            BUILT_IN[0],
            "Tripline's own account was used by somebody else",
            &query,
            "High",
            73,
            &["user.username", "sourceIPs", "verb", "objectRef.resource"],
        )
    }

    fn tampering(&self) -> DetectionRule {
        let Self { namespace, name, accounts, deployers } = self;
        let its = any_of(accounts.iter().chain(deployers));
        let (namespace, name) = (quoted(namespace), escaped(name));
        let kubernetes = any_of(KUBERNETES.iter().map(|&user| user.to_owned()).collect::<Vec<_>>().iter());
        // A person's part of an alert is there to be written.
        let triage =
            "objectRef.resource:securityalerts and not objectRef.subresource:* and verb:(update or patch)";
        // What a dry run would change stays as it is. A session has none, nor a token, whatever their URI claims.
        let dry = "request.dryRun:true and not objectRef.subresource:*";
        let query = format!(
            "(verb:(create or update or patch or delete or deletecollection) \
             or objectRef.subresource:(exec or attach or portforward or proxy)) and not ({dry}) and \
             kubernetes.audit.annotations.authorization_k8s_io/decision:allow and not user.username:{its} and (\
             (objectRef.apiGroup:tripline.dev and not ({triage})) \
             or (objectRef.namespace:{namespace} and not objectRef.resource:(events or leases) \
             and not user.username:{kubernetes} and not user.groups:\"system:nodes\") \
             or (objectRef.resource:(clusterroles or clusterrolebindings or validatingadmissionpolicies or \
             validatingadmissionpolicybindings) and objectRef.name:{name}*) \
             or (objectRef.resource:customresourcedefinitions and objectRef.name:*.tripline.dev \
             and not user.username:{kubernetes}))"
        );
        rule(
            BUILT_IN[1],
            "Tripline or its configuration was changed",
            &query,
            "Medium",
            47,
            &["user.username"],
        )
    }
}

fn rule(name: &str, title: &str, query: &str, severity: &str, score: i32, by: &[&str]) -> DetectionRule {
    let spec = serde_json::json!({
        "displayName": title, "severity": severity, "riskScore": score, "query": query,
        "grouping": {"by": by},
        "threat": [{
            "framework": "MITRE ATT&CK",
            "tactic": {"id": "TA0005", "name": "Defense Evasion",
                "reference": "https://attack.mitre.org/tactics/TA0005/"},
            "techniques": [{"id": "T1562", "name": "Impair Defenses",
                "reference": "https://attack.mitre.org/techniques/T1562/"}],
        }],
    });
    DetectionRule {
        // Counts are kept by uid.
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            uid: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        #[allow(
            clippy::expect_used,
            reason = "it stands a few lines above, and every rule is made by a test"
        )]
        spec: serde_json::from_value(spec).expect("the spec of a built-in rule fits its kind"),
        status: None,
    }
}

fn load(rule: &DetectionRule) -> Result<LoadedRule, String> {
    let compiled = compile(rule).map_err(|findings| describe(&findings))?;
    let facts = Arc::new(RuleFacts::from(rule));
    Ok(LoadedRule { rule: Arc::new(compiled.rule), facts, mode: Mode::Alert })
}

/// Values of which one has to be met.
fn any_of<'a>(values: impl IntoIterator<Item = &'a String>) -> String {
    let values: Vec<_> = values.into_iter().map(|value| quoted(value)).collect();
    format!("({})", values.join(" or "))
}

/// A value as it is, whatever characters it has.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value for a place where wildcards are meant.
fn escaped(value: &str) -> String {
    const SPECIAL: &str = "\\():<>\"*{}";
    value.chars().flat_map(|c| SPECIAL.contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::detect::{Context, Judgement, Matcher, Reading, RuleSet};

    const READER: &str = "system:serviceaccount:tripline-system:tripline-reader";

    /// The names of the rules that detect an event.
    fn detected(event: &Value) -> Vec<&'static str> {
        let protection = SelfProtection {
            namespace: "tripline-system".to_owned(),
            name: "tripline-x.y".to_owned(),
            accounts: vec![READER.to_owned()],
            deployers: vec!["ci \"bot\"".to_owned()],
        };
        let rules = protection.rules().unwrap().into_iter().map(|loaded| loaded.rule).collect();
        let mut matcher = Matcher::new(Arc::new(RuleSet::new(rules)), &Context::default());
        let outcomes = matcher.judge(event.to_string().as_bytes(), Reading::Whole).unwrap().to_vec();
        let detections = outcomes.iter().filter(|outcome| outcome.what == Judgement::Detection);
        detections.map(|outcome| BUILT_IN[outcome.rule]).collect()
    }

    /// A request for `group/resource/subresource`, and a name or a namespace and a name.
    fn request(user: &str, verb: &str, resource: &str, name: &str) -> Value {
        let parts: Vec<_> = resource.split('/').collect();
        let mut object = json!({"resource": parts[1], "name": name.rsplit('/').next()});
        for (field, part) in [("apiGroup", parts[0]), ("subresource", parts.get(2).copied().unwrap_or(""))] {
            if !part.is_empty() {
                object[field] = part.into();
            }
        }
        if let Some((namespace, _)) = name.split_once('/') {
            object["namespace"] = namespace.into();
        }
        let stage = if resource.ends_with("/exec") { "ResponseStarted" } else { "ResponseComplete" };
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": stage, "verb": verb,
            "user": {"username": user, "groups": ["system:authenticated"]}, "objectRef": object,
            "annotations": {"authorization.k8s.io/decision": "allow"},
        })
    }

    #[test]
    fn changes_by_others_are_detected() {
        for (verb, resource, name) in [
            ("patch", "tripline.dev/detectionrules", "r"),
            ("delete", "tripline.dev/auditsources", "s"),
            ("delete", "tripline.dev/securityalerts", "a"),
            ("deletecollection", "tripline.dev/securityalerts", ""),
            ("create", "tripline.dev/securityalerts", "a"),
            ("patch", "tripline.dev/securityalerts/status", "a"),
            ("delete", "apps/daemonsets", "tripline-system/tripline-reader"),
            ("create", "/pods", "tripline-system/evil"),
            ("create", "/pods/exec", "tripline-system/tripline-reader-x"),
            // As kubectl does it through a WebSocket.
            ("get", "/pods/exec", "tripline-system/tripline-reader-x"),
            ("patch", "/secrets", "tripline-system/tripline-webhook"),
            ("delete", "rbac.authorization.k8s.io/clusterrolebindings", "tripline-x.y-reader"),
            ("patch", "admissionregistration.k8s.io/validatingadmissionpolicies", "tripline-x.y-alerts"),
            ("delete", "apiextensions.k8s.io/customresourcedefinitions", "securityalerts.tripline.dev"),
        ] {
            let by_alice = request("alice", verb, resource, name);
            assert_eq!(detected(&by_alice), [BUILT_IN[1]], "{verb} {resource} {name}");
            let denied = {
                let mut denied = by_alice.clone();
                denied["annotations"]["authorization.k8s.io/decision"] = "forbid".into();
                denied
            };
            assert!(detected(&denied).is_empty());
            assert!(detected(&request("ci \"bot\"", verb, resource, name)).is_empty());
        }
    }

    #[test]
    fn a_dry_run_changes_nothing_but_a_session_is_none() {
        let with_uri = |resource: &str, name: &str, uri: &str| {
            let mut request = request("alice", "create", resource, name);
            request["requestURI"] = uri.into();
            detected(&request)
        };
        let rules = "/apis/tripline.dev/v1alpha1/detectionrules";
        assert_eq!(with_uri("tripline.dev/detectionrules", "r", rules), [BUILT_IN[1]]);
        assert!(with_uri("tripline.dev/detectionrules", "r", &format!("{rules}?dryRun=All")).is_empty());
        let exec = "/api/v1/namespaces/tripline-system/pods/tripline-reader-x/exec?command=sh&dryRun=All";
        assert_eq!(with_uri("/pods/exec", "tripline-system/tripline-reader-x", exec), [BUILT_IN[1]]);
    }

    #[test]
    fn daily_life_is_not() {
        let daemon_sets = "system:serviceaccount:kube-system:daemon-set-controller";
        for (user, verb, resource, name) in [
            ("alice", "get", "tripline.dev/securityalerts", "a"),
            ("alice", "patch", "tripline.dev/securityalerts", "a"),
            ("alice", "watch", "tripline.dev/detectionrules", ""),
            ("alice", "create", "/pods", "shop/web-0"),
            ("alice", "delete", "rbac.authorization.k8s.io/clusterroles", "triplinezxzy-reader"),
            ("alice", "create", "apiextensions.k8s.io/customresourcedefinitions", "widgets.example.com"),
            (daemon_sets, "create", "/pods", "tripline-system/tripline-reader-x"),
            (
                "system:apiserver",
                "update",
                "apiextensions.k8s.io/customresourcedefinitions",
                "a.tripline.dev",
            ),
        ] {
            assert!(
                detected(&request(user, verb, resource, name)).is_empty(),
                "{user} {verb} {resource} {name}"
            );
        }
        let mut kubelet =
            request("system:node:cp-1", "patch", "/pods/status", "tripline-system/tripline-reader-x");
        kubelet["user"]["groups"] = json!(["system:nodes"]);
        assert!(detected(&kubelet).is_empty());
    }

    #[test]
    fn the_account_used_by_others_is_detected_also_through_impersonation() {
        assert_eq!(detected(&request(READER, "list", "/secrets", "")), [BUILT_IN[0]]);
        let mut acting = request("alice", "list", "/secrets", "");
        acting["impersonatedUser"] = json!({"username": READER});
        assert_eq!(detected(&acting), [BUILT_IN[0]]);
        let mut version = request(READER, "get", "/pods", "x");
        version["objectRef"] = Value::Null;
        assert!(detected(&version).is_empty());
    }
}
