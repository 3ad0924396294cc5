//! Which events no rule is asked about: Tripline's own requests, and those of users it was told to ignore.
//!
//! Tripline's writes are in the log that it reads; judged like any other they could raise alerts, whose writes would
//! be in the log in turn. Only what Tripline itself does is passed over: whoever uses its account for anything else is
//! judged.

use crate::event::Event;

/// What a process of Tripline's asks of the API server: API group, resource, and the verbs.
const OWN_REQUESTS: &[(&str, &str, &[&str])] = &[
    ("tripline.dev", "detectionrules", &["get", "list", "watch", "update", "patch"]),
    ("tripline.dev", "auditsources", &["get", "list", "watch", "update", "patch"]),
    ("tripline.dev", "securityalerts", &["get", "list", "create", "update"]),
    ("events.k8s.io", "events", &["create"]),
    ("apiextensions.k8s.io", "customresourcedefinitions", &["get"]),
    ("authentication.k8s.io", "selfsubjectreviews", &["create"]),
    ("", "pods", &["get"]),
    ("", "nodes", &["get"]),
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
    /// The account this process writes with.
    pub own_account: Option<String>,
    /// Users whose every request is passed over.
    pub users: Vec<String>,
}

impl IgnoredUsers {
    /// Whether and why no rule is asked about `event`.
    pub fn ignores(&self, event: &Event<'_>) -> Option<Ignored> {
        let username = event.user()?.username()?;
        if self.users.iter().any(|ignored| *ignored == username) {
            return Some(Ignored::User);
        }
        let own = self.own_account.as_deref() == Some(&*username);
        (own && event.impersonated_user().is_none() && is_own_request(event)).then_some(Ignored::Own)
    }
}

fn is_own_request(event: &Event<'_>) -> bool {
    let (Some(object), Some(verb)) = (event.object_ref(), event.verb()) else {
        return false;
    };
    let group = object.api_group().unwrap_or_default();
    let resource = object.resource().unwrap_or_default();
    let subresource = object.subresource().unwrap_or_default();
    matches!(&*subresource, "" | "status")
        && OWN_REQUESTS.iter().any(|(g, r, verbs)| *g == group && *r == resource && verbs.contains(&&*verb))
}
