//! At which level and stages requests of each kind are logged: what the audit policy comes to, as far as the log shows
//! it. By this a rule that needs bodies is told before the first request that it cannot decide.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::alert::text;
use crate::api::LoggedRequests;
use crate::policy::Kind;

/// How many kinds are kept: more than clusters have, unless somebody makes them up.
const MOST: usize = 256;
/// The longest verb, resource or group that is kept: they are the client's to choose.
const LONGEST: usize = 64;

/// What was seen, by API group, resource and verb, such as an empty one, `pods/exec` and `create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestsSeen(BTreeMap<String, BTreeMap<String, BTreeMap<String, Logged>>>);

/// How requests of one kind are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Logged {
    /// Whether the authorizer let one pass. Anybody can ask for what does not exist, and is refused.
    allowed: bool,
    levels: BTreeSet<String>,
    stages: BTreeSet<String>,
}

impl RequestsSeen {
    /// Notes a request for `resource` of an API group, with its subresource after a slash, if it is one of Kubernetes'
    /// kind. Where all places are taken, one that was `allowed` takes that of one that never was.
    pub(super) fn note(
        &mut self,
        verb: &str,
        (group, resource): (&str, &str),
        level: Option<&str>,
        stage: Option<&str>,
        allowed: bool,
    ) {
        if !self.knows(verb, (group, resource)) {
            let is_kind = is_name(verb) && is_name(resource) && (group.is_empty() || is_name(group));
            if !is_kind || !self.has_room(allowed) {
                return;
            }
            self.entry(verb, (group, resource));
        }
        let resources = self.0.get_mut(group).and_then(|resources| resources.get_mut(resource));
        let Some(logged) = resources.and_then(|verbs| verbs.get_mut(verb)) else { return };
        logged.allowed |= allowed;
        for (set, word) in [(&mut logged.levels, level), (&mut logged.stages, stage)] {
            if let Some(word) = word.filter(|word| !set.contains(*word)) {
                set.insert(word.to_owned());
            }
        }
    }

    /// Adds what was seen elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        for (group, resources) in other.0 {
            for (resource, verbs) in resources {
                for (verb, more) in verbs {
                    let kind = (&*group, &*resource);
                    if self.knows(&verb, kind) || self.has_room(more.allowed) {
                        let logged = self.entry(&verb, kind);
                        logged.allowed |= more.allowed;
                        logged.levels.extend(more.levels);
                        logged.stages.extend(more.stages);
                    }
                }
            }
        }
    }

    /// As a status shows it: what is logged alike together, and the verbs of a resource in one line.
    pub(super) fn as_list(&self) -> Vec<LoggedRequests> {
        let mut alike: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (group, resources) in &self.0 {
            for (resource, verbs) in resources {
                let mut by_logged: BTreeMap<_, Vec<&str>> = BTreeMap::new();
                for (verb, logged) in verbs {
                    by_logged.entry((&logged.levels, &logged.stages)).or_default().push(verb);
                }
                let dot = if group.is_empty() { "" } else { "." };
                for (logged, verbs) in by_logged {
                    let line = format!("{resource}{dot}{group}: {}", verbs.join(", "));
                    alike.entry(logged).or_default().push(text::cut(&line, 2048));
                }
            }
        }
        let texts = |texts: &BTreeSet<String>| texts.iter().cloned().collect();
        let listed = alike.into_iter().map(|((levels, stages), kinds)| LoggedRequests {
            kinds,
            levels: texts(levels),
            stages: texts(stages),
        });
        listed.collect()
    }

    fn knows(&self, verb: &str, (group, resource): (&str, &str)) -> bool {
        let verbs = self.0.get(group).and_then(|resources| resources.get(resource));
        verbs.is_some_and(|verbs| verbs.contains_key(verb))
    }

    fn entry(&mut self, verb: &str, (group, resource): (&str, &str)) -> &mut Logged {
        let resources = self.0.entry(group.to_owned()).or_default();
        resources.entry(resource.to_owned()).or_default().entry(verb.to_owned()).or_default()
    }

    /// Whether there is room for one more, which is made for one that was allowed.
    fn has_room(&mut self, allowed: bool) -> bool {
        self.len() < MOST || (allowed && self.remove_refused())
    }

    /// Takes away a kind that was never allowed, if there is one.
    fn remove_refused(&mut self) -> bool {
        self.0.values_mut().flat_map(BTreeMap::values_mut).any(|verbs| {
            let refused = verbs.iter().find(|(_, logged)| !logged.allowed).map(|(verb, _)| verb.clone());
            refused.is_some_and(|verb| verbs.remove(&verb).is_some())
        })
    }

    fn len(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }
}

/// Whether this can be a verb, a resource or a group of Kubernetes.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte);
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(fits)
}

/// The kinds of requests in a line of a status, such as `deployments/scale.apps: get, update`, with their verbs.
pub(super) fn kinds(line: &str) -> impl Iterator<Item = (Kind, &str)> {
    let (kind, verbs) = line.split_once(": ").unwrap_or((line, ""));
    let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let kind = Kind::Resource(group.to_owned(), resource.to_owned(), subresource.to_owned());
    verbs.split(", ").filter(|verb| !verb.is_empty()).map(move |verb| (kind.clone(), verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_holds_no_nonsense() {
        let mut seen = RequestsSeen::default();
        seen.note("create", ("", "pods"), Some("Metadata"), Some("ResponseComplete"), true);
        seen.note("create", ("", "pods"), Some("Request"), Some("ResponseComplete"), true);
        let long = "x".repeat(65);
        for (verb, group, resource) in [
            ("", "apps", "pods"),
            ("get", "apps", ""),
            ("get", "apps", "p\u{1b}ods"),
            ("get", "apps", &*long),
            ("get", &*long, "pods"),
            ("get", "a: b", "pods"),
        ] {
            seen.note(verb, (group, resource), Some("Metadata"), None, true);
        }
        let list = seen.as_list();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].kinds, ["pods: create"]);
        assert_eq!(list[0].levels, ["Metadata", "Request"]);
        for number in 0..300 {
            seen.note("get", ("", &format!("kind-{number}")), Some("Metadata"), None, true);
        }
        assert_eq!(seen.len(), MOST);
        let mut more = RequestsSeen::default();
        more.note("create", ("", "pods"), Some("RequestResponse"), Some("Panic"), true);
        more.note("list", ("", "nodes"), Some("Metadata"), None, true);
        seen.add(more);
        assert_eq!(seen.len(), MOST);
        let list = seen.as_list();
        let pods = list.iter().find(|logged| logged.kinds.contains(&"pods: create".to_owned())).unwrap();
        assert_eq!(pods.levels.len(), 3);
    }

    #[test]
    fn what_nobody_may_ask_for_takes_no_place_from_what_somebody_may() {
        let mut seen = RequestsSeen::default();
        seen.note("get", ("", "pods"), Some("Metadata"), None, true);
        for number in 0..300 {
            seen.note("get", ("", &format!("made-up-{number}")), Some("Metadata"), None, false);
        }
        seen.note("create", ("", "pods/exec"), Some("Metadata"), None, true);
        let mut more = RequestsSeen::default();
        more.note("list", ("", "secrets"), Some("Metadata"), None, true);
        more.note("list", ("", "made-up"), Some("Metadata"), None, false);
        seen.add(more);
        assert_eq!(seen.len(), MOST);
        let kinds: Vec<_> = seen.as_list().into_iter().flat_map(|logged| logged.kinds).collect();
        for kind in ["pods: get", "pods/exec: create", "secrets: list"] {
            assert!(kinds.contains(&kind.to_owned()), "{kind}: {kinds:?}");
        }
        assert!(!kinds.contains(&"made-up: list".to_owned()));
    }

    #[test]
    fn what_is_logged_alike_stands_together_and_can_be_read_again() {
        let mut seen = RequestsSeen::default();
        for verb in ["update", "get"] {
            seen.note(verb, ("apps", "deployments/scale"), Some("Metadata"), Some("ResponseComplete"), true);
        }
        seen.note("list", ("", "pods"), Some("Metadata"), Some("ResponseComplete"), true);
        seen.note("patch", ("apps", "deployments/scale"), Some("Request"), Some("ResponseComplete"), true);
        let list = seen.as_list();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].kinds, ["pods: list", "deployments/scale.apps: get, update"]);
        assert_eq!(list[1].kinds, ["deployments/scale.apps: patch"]);
        let kind = |group: &str, resource: &str, subresource: &str| {
            Kind::Resource(group.to_owned(), resource.to_owned(), subresource.to_owned())
        };
        let read: Vec<_> = list[0].kinds.iter().flat_map(|line| kinds(line)).collect();
        let scale = kind("apps", "deployments", "scale");
        assert_eq!(read, [(kind("", "pods", ""), "list"), (scale.clone(), "get"), (scale, "update")]);
    }
}
