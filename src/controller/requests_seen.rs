//! At which level and stages requests of each kind are logged: what the audit policy comes to, as far as the log shows
//! it. By this a rule that needs bodies is told before the first request that it cannot decide.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::api::LoggedRequests;

/// How many kinds are kept. A cluster has some more than are worth a line in a status; the first ones are those that
/// are made all the time.
const MOST: usize = 64;
/// How many API groups of one resource are kept.
const GROUPS: usize = 4;
/// The longest verb or resource that is kept: they are the client's to choose.
const LONGEST: usize = 64;

/// What was seen, by verb and resource, such as `create` and `pods/exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestsSeen(BTreeMap<String, BTreeMap<String, Logged>>);

/// How requests of one kind are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Logged {
    groups: BTreeSet<String>,
    levels: BTreeSet<String>,
    stages: BTreeSet<String>,
}

impl RequestsSeen {
    /// Notes a request for `resource` of an API group, with its subresource after a slash, if it is one of Kubernetes' kind.
    pub(super) fn note(
        &mut self,
        verb: &str,
        (group, resource): (&str, &str),
        level: Option<&str>,
        stage: Option<&str>,
    ) {
        let is_name = |text: &str| {
            let fits =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte);
            !text.is_empty() && text.len() <= LONGEST && text.bytes().all(fits)
        };
        if !is_name(verb) || !is_name(resource) {
            return;
        }
        let known = self.0.get(resource).is_some_and(|verbs| verbs.contains_key(verb));
        if !known && self.len() >= MOST {
            return;
        }
        if !known {
            self.0.entry(resource.to_owned()).or_default().insert(verb.to_owned(), Logged::default());
        }
        let Some(logged) = self.0.get_mut(resource).and_then(|verbs| verbs.get_mut(verb)) else { return };
        if !logged.groups.contains(group)
            && logged.groups.len() < GROUPS
            && (group.is_empty() || is_name(group))
        {
            logged.groups.insert(group.to_owned());
        }
        for (set, word) in [(&mut logged.levels, level), (&mut logged.stages, stage)] {
            if let Some(word) = word.filter(|word| !set.contains(*word)) {
                set.insert(word.to_owned());
            }
        }
    }

    /// Adds what was seen elsewhere.
    pub(super) fn add(&mut self, other: Self) {
        for (resource, verbs) in other.0 {
            for (verb, more) in verbs {
                let known = self.0.get(&resource).is_some_and(|verbs| verbs.contains_key(&verb));
                if known || self.len() < MOST {
                    let logged = self.0.entry(resource.clone()).or_default().entry(verb).or_default();
                    let room = GROUPS.saturating_sub(logged.groups.len());
                    let new: Vec<_> = more.groups.difference(&logged.groups).take(room).cloned().collect();
                    logged.groups.extend(new);
                    logged.levels.extend(more.levels);
                    logged.stages.extend(more.stages);
                }
            }
        }
    }

    /// As a status shows it.
    pub(super) fn as_list(&self) -> Vec<LoggedRequests> {
        let all = self.0.iter().flat_map(|(resource, verbs)| {
            verbs.iter().map(move |(verb, logged)| LoggedRequests {
                resource: resource.clone(),
                api_groups: logged.groups.iter().cloned().collect(),
                verb: verb.clone(),
                levels: logged.levels.iter().cloned().collect(),
                stages: logged.stages.iter().cloned().collect(),
            })
        });
        all.collect()
    }

    fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_holds_no_nonsense() {
        let mut seen = RequestsSeen::default();
        seen.note("create", ("", "pods"), Some("Metadata"), Some("ResponseComplete"));
        seen.note("create", ("", "pods"), Some("Request"), Some("ResponseComplete"));
        for (verb, resource) in [("", "pods"), ("get", ""), ("get", "p\u{1b}ods"), ("get", &"x".repeat(65))] {
            seen.note(verb, ("apps", resource), Some("Metadata"), None);
        }
        let list = seen.as_list();
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].verb.as_str(), list[0].resource.as_str()), ("create", "pods"));
        assert_eq!(list[0].levels, ["Metadata", "Request"]);
        for number in 0..100 {
            seen.note("get", ("", &format!("kind-{number}")), Some("Metadata"), None);
        }
        assert_eq!(seen.len(), MOST);
        let mut more = RequestsSeen::default();
        more.note("create", ("", "pods"), Some("RequestResponse"), Some("Panic"));
        more.note("list", ("", "nodes"), Some("Metadata"), None);
        seen.add(more);
        assert_eq!(seen.len(), MOST);
        assert_eq!(seen.as_list().iter().find(|kind| kind.verb == "create").unwrap().levels.len(), 3);
    }
}
