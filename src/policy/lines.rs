//! Lines of a policy for what is needed.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::document::{GroupResources, Line};
use super::kinds::Kind;
use crate::detect::Level;

/// Whose requests a line is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Users(Vec<String>),
    Groups(Vec<String>),
    Anybody,
}

/// Levels by whose requests, kind and verb, with the rules that need them.
#[derive(Debug, Default)]
pub(super) struct Levels(BTreeMap<(Who, Kind), ByVerb>);

/// Resources by their group.
pub(super) type ByGroup = BTreeMap<String, BTreeSet<String>>;

/// The level of each verb, and the rules that need it.
type ByVerb = BTreeMap<String, (Level, BTreeSet<String>)>;

impl Levels {
    pub(super) fn raise(&mut self, who: Who, kind: &Kind, verb: &str, level: Level, rule: &str) {
        let verbs = self.0.entry((who, kind.clone())).or_default();
        let (known, rules) = verbs.entry(verb.to_owned()).or_default();
        *known = level.max(*known);
        rules.insert(rule.to_owned());
    }

    /// The level for anybody.
    pub(super) fn of_all(&self, kind: &Kind, verb: &str) -> Level {
        let verbs = self.0.get(&(Who::Anybody, kind.clone()));
        verbs.and_then(|verbs| verbs.get(verb)).map_or(Level::None, |(level, _)| *level)
    }

    /// Leaves out what is needed of some and of all alike.
    pub(super) fn without_repeats(mut self) -> Levels {
        let of_all = self.0.iter().filter(|((who, _), _)| *who == Who::Anybody);
        let all = Levels(of_all.map(|(key, verbs)| (key.clone(), verbs.clone())).collect());
        for ((who, kind), verbs) in &mut self.0 {
            if *who != Who::Anybody {
                verbs.retain(|verb, (level, _)| *level > all.of_all(kind, verb));
            }
        }
        self.0.retain(|_, verbs| !verbs.is_empty());
        self
    }

    /// The fewest lines, the highest levels first. Those without resources come last.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut grouped: BTreeMap<_, (ByGroup, BTreeSet<String>)> = BTreeMap::new();
        for ((who, kind), verbs) in &self.0 {
            let levels: BTreeSet<Level> = verbs.values().map(|(level, _)| *level).collect();
            for level in levels {
                let of_level = || verbs.iter().filter(|(_, (found, _))| *found == level);
                let mut named: Vec<String> = of_level().map(|(verb, _)| verb.clone()).collect();
                named.sort_by_key(|verb| kind.verbs().iter().position(|known| known == verb));
                let is_unknown = !matches!(kind, Kind::Resource(..));
                let (resources, rules) =
                    grouped.entry((is_unknown, Reverse(level), who.clone(), named)).or_default();
                if let Kind::Resource(group, ..) = kind {
                    resources.entry(group.clone()).or_default().insert(kind.name());
                }
                rules.extend(of_level().flat_map(|(_, (_, rules))| rules.iter().cloned()));
            }
        }
        let line =
            |((_, Reverse(level), who, verbs), (by_group, rules)): (_, (ByGroup, BTreeSet<String>))| {
                let line = Line {
                    level,
                    verbs,
                    resources: group_resources(by_group),
                    comment: for_rules(rules),
                    ..Line::default()
                };
                match who {
                    Who::Anybody => line,
                    Who::Users(users) => Line { users, ..line },
                    Who::Groups(user_groups) => Line { user_groups, ..line },
                }
            };
        grouped.into_iter().map(line).collect()
    }
}

/// Resources as a line has them.
pub(super) fn group_resources(groups: ByGroup) -> Vec<GroupResources> {
    let one = |(group, names): (String, BTreeSet<String>)| GroupResources {
        group,
        resources: names.into_iter().collect(),
        resource_names: Vec::new(),
    };
    groups.into_iter().map(one).collect()
}

/// What to say above a line that is there for these rules.
pub(super) fn for_rules(rules: impl IntoIterator<Item = String>) -> String {
    let rules: Vec<String> = rules.into_iter().collect();
    if rules.is_empty() { String::new() } else { format!("For {}.", rules.join(", ")) }
}
