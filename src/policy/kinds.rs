//! The kinds of requests that rules and policies are compared on.
use super::decide::{Request, Target};
use super::document::Policy;
use super::served::{SERVED, is_served};
use crate::detect::{Asked, Known, Property, Rule, VERBS};
use crate::event::withholds;

const VERBS_BELOW: [&str; 5] = ["get", "create", "update", "patch", "delete"];
const VERBS_OF_PATHS: [&str; 4] = ["get", "post", "put", "delete"];

/// What is requested.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A resource of a known group, with its subresource or nothing.
    Resource(String, String, String),
    /// A resource that a rule names and nobody knows the group of, with its subresource or nothing.
    Named(String, String),
    /// Any other resource.
    Other,
    /// A path that is no resource's.
    Path(String),
}

impl Kind {
    /// As a message names it, such as `pods/exec`.
    pub fn name(&self) -> String {
        match self {
            Kind::Resource(_, resource, subresource) | Kind::Named(resource, subresource) => {
                if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") }
            }
            Kind::Other => "any other resource".to_owned(),
            Kind::Path(path) => path.clone(),
        }
    }

    /// The verbs that it is requested with.
    pub fn verbs(&self) -> &'static [&'static str] {
        match self {
            Kind::Path(_) => &VERBS_OF_PATHS,
            Kind::Resource(_, _, sub) | Kind::Named(_, sub) if !sub.is_empty() => &VERBS_BELOW,
            _ => &VERBS,
        }
    }

    /// What is known of such a request.
    pub fn asked<'a>(&'a self, verb: &'a str) -> Asked<'a> {
        let some = |text: &'a String| if text.is_empty() { Known::Missing } else { Known::Is(text) };
        let asked = Asked { verb: Known::Is(verb), ..Asked::default() };
        match self {
            Kind::Resource(group, resource, subresource) => Asked {
                api_group: some(group),
                resource: Known::Is(resource),
                subresource: some(subresource),
                ..asked
            },
            Kind::Named(resource, subresource) => {
                Asked { resource: Known::Is(resource), subresource: some(subresource), ..asked }
            }
            Kind::Other => Asked { resource: Known::Other, ..asked },
            Kind::Path(_) => Asked {
                api_group: Known::Missing,
                resource: Known::Missing,
                subresource: Known::Missing,
                namespace: Known::Missing,
                name: Known::Missing,
                ..asked
            },
        }
    }

    /// Whether bodies of it may hold what nobody should find in a log.
    pub fn is_secret(&self) -> bool {
        match self {
            Kind::Resource(_, resource, subresource) | Kind::Named(resource, subresource) => {
                let subresource = (!subresource.is_empty()).then_some(subresource.as_str());
                resource == "configmaps" || withholds(resource, subresource)
            }
            _ => false,
        }
    }
}

/// Whether a rule names the subresource to ask about it, and not to leave it out.
fn is_asked(rule: &Rule, resource: &str, subresource: &str) -> bool {
    let asks = |subresource| {
        let asked = Asked { resource: Known::Is(resource), subresource, ..Asked::default() };
        rule.need(&asked).is_some()
    };
    asks(Known::Is(subresource)) && !asks(Known::Other)
}

/// Whether a rule asks about such requests without naming the resource.
pub(super) fn is_wide(rule: &Rule, asked: &Asked<'_>) -> bool {
    let any = Asked {
        verb: asked.verb,
        user: asked.user,
        group: asked.group,
        resource: Known::Other,
        ..Asked::default()
    };
    rule.need(&any).is_some()
}

/// A request that tells policies apart, and what a rule may know of it.
#[derive(Debug, Clone)]
pub(super) struct Cell<'a> {
    asked: Asked<'a>,
    by_user: bool,
    pub(super) request: Request,
    /// Whose it is, where that matters.
    pub(super) who: String,
}

impl Cell<'_> {
    /// What is known of it.
    pub(super) fn asked(&self) -> Asked<'_> {
        match (self.by_user, self.request.user.is_some()) {
            (false, _) => self.asked,
            (true, false) => Asked { user: Known::Missing, group: Known::Missing, ..self.asked },
            (true, true) => Asked { group: Known::Are(&self.request.groups), ..self.asked },
        }
    }
}

/// Users and groups that a rule names.
#[derive(Debug, Default)]
pub(super) struct Named {
    users: Vec<String>,
    groups: Vec<String>,
}

impl Named {
    pub(super) fn by(rule: &Rule) -> Named {
        Named { users: rule.named(Property::User), groups: rule.named(Property::Group) }
    }
}

/// Everything that requests may be told apart by.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    all: Vec<Kind>,
    users: Vec<String>,
    groups: Vec<String>,
    namespaces: Vec<String>,
    names: Vec<String>,
    by_user: bool,
    by_namespace: bool,
}

impl Kinds {
    /// What Kubernetes, these rules and these policies tell apart.
    pub fn of(rules: &[&Rule], policies: &[&Policy]) -> Kinds {
        let mut kinds = Kinds::default();
        for (group, names) in SERVED {
            for name in names {
                let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
                add(&mut kinds.all, Kind::Resource(group.into(), resource.into(), subresource.into()));
            }
        }
        for rule in rules {
            kinds.add_named(rule);
        }
        add(&mut kinds.all, Kind::Other);
        add(&mut kinds.all, Kind::Path("/version".to_owned()));
        for line in policies.iter().flat_map(|policy| &policy.lines) {
            kinds.by_user |= !line.users.is_empty() || !line.user_groups.is_empty();
            kinds.by_namespace |= !line.namespaces.is_empty();
            line.users.iter().for_each(|user| add(&mut kinds.users, user.clone()));
            line.user_groups.iter().for_each(|group| add(&mut kinds.groups, group.clone()));
            line.namespaces.iter().for_each(|name| add(&mut kinds.namespaces, name.clone()));
            for url in &line.non_resource_urls {
                let path = url.trim_end_matches('*');
                add(&mut kinds.all, Kind::Path(if path.is_empty() { "/" } else { path }.to_owned()));
            }
            for resources in &line.resources {
                resources.resource_names.iter().for_each(|name| add(&mut kinds.names, name.clone()));
                for name in resources.resources.iter().filter(|name| !name.contains('*')) {
                    let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
                    let kind = Kind::Resource(resources.group.clone(), resource.into(), subresource.into());
                    add(&mut kinds.all, kind);
                }
            }
        }
        kinds
    }

    fn add_named(&mut self, rule: &Rule) {
        let groups = rule.named(Property::ApiGroup);
        let mut subresources = rule.named(Property::Subresource);
        subresources.push(String::new());
        for resource in rule.named(Property::Resource) {
            let served = SERVED.iter().filter(|(_, names)| names.contains(&resource.as_str()));
            let served: Vec<String> = served.map(|(group, _)| (*group).to_owned()).collect();
            let groups = if served.is_empty() { &groups } else { &served };
            for subresource in &subresources {
                if !served.is_empty() && (is_served(subresource) || !is_asked(rule, &resource, subresource)) {
                    continue;
                }
                if groups.is_empty() {
                    add(&mut self.all, Kind::Named(resource.clone(), subresource.clone()));
                }
                for group in groups {
                    let kind = Kind::Resource(group.clone(), resource.clone(), subresource.clone());
                    add(&mut self.all, kind);
                }
            }
        }
    }

    /// What is requested.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.all.iter()
    }

    /// The requests of a kind and verb that differ in what policies look at, and in these names where they look at users.
    pub(super) fn cells<'a>(&'a self, kind: &'a Kind, verb: &'a str, named: &'a Named) -> Vec<Cell<'a>> {
        let mut users = vec![Known::Other];
        let mut groups = vec![None];
        if self.by_user {
            let others = named.users.iter().filter(|user| !self.users.contains(user));
            users.extend(self.users.iter().chain(others).map(|user| Known::Is(user.as_str())));
            users.push(Known::Missing);
            let others = named.groups.iter().filter(|group| !self.groups.contains(group));
            groups.extend(self.groups.iter().chain(others).map(Some));
        }
        let asked = kind.asked(verb);
        let places: Vec<Asked<'a>> = match kind {
            Kind::Path(_) => vec![asked],
            _ => values(&self.namespaces, self.by_namespace)
                .into_iter()
                .flat_map(|namespace| {
                    let objects = values(&self.names, !self.names.is_empty());
                    objects.into_iter().map(move |name| Asked { namespace, name, ..asked })
                })
                .collect(),
        };
        let mut cells = Vec::new();
        for user in users {
            // Nobody known is in no group, and Kubernetes' own users are in none but its own.
            let is_alone = match user {
                Known::Missing => true,
                Known::Is(name) => name.starts_with("system:"),
                _ => false,
            };
            let groups = groups.iter().filter(|group| !is_alone || group.is_none());
            for group in groups {
                let whose = |asked: &Asked<'a>| {
                    let asked = if self.by_user { Asked { user, ..*asked } } else { *asked };
                    cell(kind, verb, asked, group.map(String::as_str), self.by_user)
                };
                cells.extend(places.iter().map(whose));
            }
        }
        cells
    }
}

fn values(texts: &[String], differ: bool) -> Vec<Known<'_>> {
    let other = if differ { Known::Other } else { Known::Any };
    std::iter::once(other)
        .chain(texts.iter().map(|text| if text.is_empty() { Known::Missing } else { Known::Is(text) }))
        .collect()
}

fn cell<'a>(kind: &Kind, verb: &str, asked: Asked<'a>, group: Option<&str>, by_user: bool) -> Cell<'a> {
    let text = |known: Known<'_>, other: &str| match known {
        Known::Missing => String::new(),
        Known::Is(text) => text.to_owned(),
        Known::Any | Known::Other | Known::Are(_) => other.to_owned(),
    };
    let resource = |group: &str, resource: &str, subresource: &str| Target::Resource {
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: text(asked.namespace, "a-namespace"),
        name: text(asked.name, "a-name"),
    };
    let target = match kind {
        Kind::Resource(group, name, subresource) => resource(group, name, subresource),
        Kind::Named(name, subresource) => resource("a-group.example", name, subresource),
        Kind::Other => resource("a-group.example", "a-resource", ""),
        Kind::Path(path) => Target::Path(path.clone()),
    };
    let user = (asked.user != Known::Missing).then(|| text(asked.user, "somebody"));
    let mut groups = user.as_deref().map(groups_of).unwrap_or_default();
    let mut who = match asked.user {
        Known::Is(user) => user.to_owned(),
        Known::Missing => "nobody known".to_owned(),
        _ => String::new(),
    };
    if let Some(group) = group.filter(|group| !groups.iter().any(|known| known == group)) {
        groups.push(group.to_owned());
        if group.starts_with("system:serviceaccounts:") {
            groups.push("system:serviceaccounts".to_owned());
        }
        who = if who.is_empty() { group.to_owned() } else { format!("{who} in {group}") };
    }
    Cell { asked, by_user, request: Request { user, groups, verb: verb.to_owned(), target }, who }
}

/// The groups that the API server puts a user in by the name.
fn groups_of(user: &str) -> Vec<String> {
    let mut groups = vec!["system:authenticated".to_owned()];
    if let Some(account) = user.strip_prefix("system:serviceaccount:") {
        let namespace = account.split(':').next().unwrap_or_default();
        groups.extend(["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]);
    } else if user.starts_with("system:node:") {
        groups.push("system:nodes".to_owned());
    } else if user.starts_with("system:bootstrap:") {
        groups.push("system:bootstrappers".to_owned());
    } else if user == "system:apiserver" {
        groups.push("system:masters".to_owned());
    } else if user == "system:anonymous" {
        groups = vec!["system:unauthenticated".to_owned()];
    }
    groups
}

fn add<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}
