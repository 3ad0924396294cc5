//! Which events no rule is asked about: Tripline's own requests, and those of users it was told to ignore.
//!
//! Tripline's writes are in the log that it reads; judged like any other they could raise alerts, whose writes would
//! be in the log in turn. Only what Tripline itself does is passed over: whoever uses its account for anything else is
//! judged.

use memchr::memmem;

use crate::event::{Event, User};

/// What a process of Tripline's asks of the API server: API group, resource with its subresource, and the verbs.
const OWN_REQUESTS: &[(&str, &str, &str, &[&str])] = &[
    ("tripline.dev", "detectionrules", "", &["list", "watch"]),
    ("tripline.dev", "detectionrules", "status", &["update", "patch"]),
    ("tripline.dev", "detectionexceptions", "", &["list", "watch"]),
    ("tripline.dev", "detectionexceptions", "status", &["update", "patch"]),
    ("tripline.dev", "auditsources", "", &["list", "watch"]),
    ("tripline.dev", "auditsources", "status", &["update"]),
    ("tripline.dev", "securityalerts", "", &["get", "list", "watch", "create", "delete"]),
    ("tripline.dev", "securityalerts", "status", &["update"]),
    ("events.k8s.io", "events", "", &["create"]),
    ("coordination.k8s.io", "leases", "", &["get", "list", "create", "update"]),
    ("apiextensions.k8s.io", "customresourcedefinitions", "", &["get"]),
    ("authentication.k8s.io", "selfsubjectreviews", "", &["create"]),
    ("", "pods", "", &["get"]),
    ("", "nodes", "", &["get"]),
];

/// Why an event is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// A request of Tripline's own.
    Own,
    /// A request of a user it was told to ignore.
    User,
}

impl Ignored {
    /// A fixed word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::User => "user",
        }
    }
}

/// Whose requests are passed over.
#[derive(Clone, Debug, Default)]
pub struct IgnoredUsers {
    /// The accounts that Tripline's processes write with: this one's, and those of its other roles.
    pub own_accounts: Vec<String>,
    /// What the names of its pods begin with; empty where it runs in none.
    pub own_pods: Vec<String>,
    /// Users whose every request is passed over.
    pub users: Vec<String>,
}

impl IgnoredUsers {
    /// Whether [`ignores`](Self::ignores) may say so of an event whose `user` is spelt like this. To tell those of
    /// anybody else takes no reading.
    pub fn may_ignore(&self, user: &[u8]) -> bool {
        let Some(rest) = user.strip_prefix(b"{\"username\":\"") else { return true };
        // Another key of that name would count instead.
        let is_plain = memchr::memchr(b'\\', rest).is_none() && memmem::find(rest, b"username\"").is_none();
        let is_it =
            |name: &String| rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.starts_with(b"\""));
        !is_plain || self.users.iter().chain(&self.own_accounts).any(is_it)
    }

    /// Whether and why no rule is asked about `event`.
    pub fn ignores(&self, event: &Event<'_>) -> Option<Ignored> {
        let user = event.user()?;
        let username = user.username()?;
        if self.users.iter().any(|ignored| *ignored == username) {
            return Some(Ignored::User);
        }
        let own = self.own_accounts.iter().any(|account| *account == username);
        (own && event.impersonated_user().is_none() && self.is_of_own_pod(&user) && is_own_request(event))
            .then_some(Ignored::Own)
    }

    /// A token that a pod has says so by the API server's own word; one that somebody else asked for does not.
    fn is_of_own_pod(&self, user: &User<'_>) -> bool {
        let pod = user.extra("authentication.kubernetes.io/pod-name");
        self.own_pods.is_empty()
            || pod.is_some_and(|pod| self.own_pods.iter().any(|own| pod.starts_with(own.as_str())))
    }
}

fn is_own_request(event: &Event<'_>) -> bool {
    let (Some(object), Some(verb)) = (event.object_ref(), event.verb()) else {
        return false;
    };
    let group = object.api_group().unwrap_or_default();
    let resource = object.resource().unwrap_or_default();
    let subresource = object.subresource().unwrap_or_default();
    // Only one role may delete alerts: who tries with the account of another is not Tripline.
    if verb == "delete" && event.response_code() == Some(403) {
        return false;
    }
    OWN_REQUESTS
        .iter()
        .any(|(g, r, s, verbs)| *g == group && *r == resource && *s == subresource && verbs.contains(&&*verb))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::Tape;

    const ACCOUNT: &str = "system:serviceaccount:tripline-system:tripline";

    /// What becomes of a request of `user`'s for `resource`, written `group/resource/subresource`, with `more` at the
    /// top level of its event.
    fn judged(user: &str, verb: &str, resource: &str, more: &Value) -> Option<Ignored> {
        let mut parts = resource.split('/');
        let mut part = || parts.next().unwrap_or_default();
        let mut event = json!({
            "verb": verb, "user": {"username": user},
            "objectRef": {"apiGroup": part(), "resource": part(), "subresource": part(), "name": "x"},
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (text, mut tape) = (event.to_string(), Tape::default());
        let ignored = IgnoredUsers {
            own_accounts: vec![ACCOUNT.to_owned()],
            own_pods: Vec::new(),
            users: vec!["system:apiserver".to_owned()],
        };
        ignored.ignores(&Event::from_object(&text, &mut tape).unwrap())
    }

    fn of_own_account(verb: &str, resource: &str) -> Option<Ignored> {
        judged(ACCOUNT, verb, resource, &json!({}))
    }

    #[test]
    fn what_the_operator_asks_for_is_passed_over() {
        for (verb, resource) in [
            ("watch", "tripline.dev/detectionrules"),
            ("list", "tripline.dev/auditsources"),
            ("update", "tripline.dev/detectionrules/status"),
            ("patch", "tripline.dev/detectionrules/status"),
            ("watch", "tripline.dev/detectionexceptions"),
            ("update", "tripline.dev/detectionexceptions/status"),
            ("update", "tripline.dev/auditsources/status"),
            ("create", "tripline.dev/securityalerts"),
            ("get", "tripline.dev/securityalerts"),
            ("watch", "tripline.dev/securityalerts"),
            ("delete", "tripline.dev/securityalerts"),
            ("update", "tripline.dev/securityalerts/status"),
            ("create", "events.k8s.io/events"),
            ("get", "/pods"),
            ("get", "/nodes"),
            ("get", "apiextensions.k8s.io/customresourcedefinitions"),
            ("create", "authentication.k8s.io/selfsubjectreviews"),
            ("update", "coordination.k8s.io/leases"),
            ("list", "coordination.k8s.io/leases"),
        ] {
            assert_eq!(of_own_account(verb, resource), Some(Ignored::Own), "{verb} {resource}");
        }
        // In the log the core group is a missing field.
        let object = json!({"objectRef": {"resource": "pods", "namespace": "shop", "name": "web-0"}});
        assert_eq!(judged(ACCOUNT, "get", "", &object), Some(Ignored::Own));
    }

    #[test]
    fn the_same_account_used_for_anything_else_is_judged() {
        for (verb, resource) in [
            ("list", "/pods"),
            ("get", "/secrets"),
            ("list", "/secrets"),
            ("create", "/pods/exec"),
            ("get", "/pods/exec"),
            ("get", "/pods/log"),
            ("create", "/serviceaccounts/token"),
            ("get", "apps/pods"),
            ("deletecollection", "tripline.dev/securityalerts"),
            ("patch", "tripline.dev/securityalerts/status"),
            ("update", "tripline.dev/securityalerts"),
            ("update", "tripline.dev/detectionrules"),
            ("patch", "tripline.dev/auditsources"),
            ("create", "tripline.dev/securityalerts/status"),
            ("create", "tripline.dev/detectionrules"),
            ("delete", "tripline.dev/detectionrules"),
            ("create", "tripline.dev/detectionexceptions"),
            ("update", "tripline.dev/detectionexceptions"),
            ("delete", "coordination.k8s.io/leases"),
            ("delete", "apiextensions.k8s.io/customresourcedefinitions"),
            ("create", "authorization.k8s.io/selfsubjectrulesreviews"),
            ("create", "rbac.authorization.k8s.io/clusterrolebindings"),
        ] {
            assert_eq!(of_own_account(verb, resource), None, "{verb} {resource}");
        }
        let refused = json!({"responseStatus": {"code": 403}});
        assert_eq!(judged(ACCOUNT, "delete", "tripline.dev/securityalerts", &refused), None);
        // A request that names no object, such as one for the API server's metrics.
        assert_eq!(judged(ACCOUNT, "get", "", &json!({"objectRef": null})), None);
        assert_eq!(judged(ACCOUNT, "get", "/pods", &json!({"verb": null})), None);
    }

    #[test]
    fn impersonation_hides_nothing() {
        let acting = json!({"impersonatedUser": {"username": "system:admin"}});
        assert_eq!(judged(ACCOUNT, "get", "/pods", &acting), None);
        // Somebody else who acts as the operator is that somebody.
        let acting = json!({"impersonatedUser": {"username": ACCOUNT}});
        assert_eq!(judged("alice", "get", "/pods", &acting), None);
        let acting = json!({"impersonatedUser": {"username": "system:apiserver"}});
        assert_eq!(judged("alice", "get", "/pods", &acting), None);
    }

    #[test]
    fn a_token_that_is_no_pods_of_its_own_is_somebody_elses() {
        let ignored = IgnoredUsers {
            own_accounts: vec![ACCOUNT.to_owned()],
            own_pods: vec!["tripline-reader-".to_owned(), "tripline-controller-".to_owned()],
            users: Vec::new(),
        };
        for (extra, wanted) in [
            (json!({"authentication.kubernetes.io/pod-name": ["tripline-reader-x7z2p"]}), Some(Ignored::Own)),
            (
                json!({"authentication.kubernetes.io/pod-name": ["tripline-controller-5b-c"]}),
                Some(Ignored::Own),
            ),
            (json!({"authentication.kubernetes.io/pod-name": ["evil"]}), None),
            (json!({"authentication.kubernetes.io/pod-name": []}), None),
            (json!({"authentication.kubernetes.io/credential-id": ["JTI=x"]}), None),
            (Value::Null, None),
        ] {
            let event = json!({
                "verb": "get", "user": {"username": ACCOUNT, "extra": extra},
                "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-0"},
            });
            let (text, mut tape) = (event.to_string(), Tape::default());
            assert_eq!(ignored.ignores(&Event::from_object(&text, &mut tape).unwrap()), wanted, "{extra}");
        }
    }

    #[test]
    fn other_users_are_judged() {
        for user in
            ["alice", "", "system:serviceaccount:tripline-system:other", "system:serviceaccount:x:tripline"]
        {
            assert_eq!(judged(user, "get", "/pods", &json!({})), None, "{user}");
        }
        assert_eq!(judged(ACCOUNT, "get", "/pods", &json!({"user": null})), None);
        assert_eq!(judged(ACCOUNT, "get", "/pods", &json!({"user": {}})), None);
        let nobody = IgnoredUsers::default();
        let mut tape = Tape::default();
        assert_eq!(
            nobody.ignores(&Event::from_object("{\"user\":{\"username\":\"\"}}", &mut tape).unwrap()),
            None
        );
    }

    #[test]
    fn a_user_that_is_to_be_ignored_is_for_every_request() {
        assert_eq!(judged("system:apiserver", "delete", "/secrets", &json!({})), Some(Ignored::User));
        assert_eq!(judged("system:apiserver:x", "delete", "/secrets", &json!({})), None);
        assert_eq!((Ignored::Own.as_str(), Ignored::User.as_str()), ("own", "user"));
    }
}
