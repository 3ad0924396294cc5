//! The smallest policy under which rules can fire.
use std::collections::BTreeSet;

use super::check::need;
use super::decide::Request;
use super::document::{GroupResources, Line, Policy};
use super::kinds::{Kind, Kinds, Named, is_wide};
use super::lines::{ByGroup, Levels, Who, for_rules, group_resources};
use crate::detect::{Asked, Known, Level, Property, Rule};
use crate::event::Stage;

/// What to leave out of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// Only what no rule asks about.
    Complete,
    /// Also what only rules ask about that are on requests of all kinds: the cluster's own heartbeat and reads.
    Quiet,
}

/// Tripline's accounts, as its chart calls them.
const OWN_ACCOUNTS: [&str; 3] = [
    "system:serviceaccount:tripline-system:tripline",
    "system:serviceaccount:tripline-system:tripline-reader",
    "system:serviceaccount:tripline-system:tripline-controller",
];
const OWN_VERBS: [&str; 3] = ["get", "create", "update"];
const OWN_RESOURCES: [(&str, &[&str]); 3] = [
    (
        "tripline.dev",
        &[
            "securityalerts/status",
            "detectionrules/status",
            "detectionexceptions/status",
            "auditsources/status",
        ],
    ),
    ("events.k8s.io", &["events"]),
    ("coordination.k8s.io", &["leases"]),
];

/// Tripline's own bookkeeping, which no rule is asked about.
fn own_line() -> Line {
    Line {
        comment: "Tripline's own bookkeeping. What else its accounts do is logged as anybody's.".to_owned(),
        level: Level::None,
        users: texts(&OWN_ACCOUNTS),
        verbs: texts(&OWN_VERBS),
        resources: OWN_RESOURCES.iter().map(|(group, names)| resources(group, names)).collect(),
        ..Line::default()
    }
}

pub(super) fn is_own(request: &Request) -> bool {
    own_line().fits(request)
}

/// The line by which Tripline knows who changed an alert.
fn alerts_line() -> Line {
    Line {
        comment:
            "For Tripline itself: what people do with alerts, with the answer. It tells whose change it was."
                .to_owned(),
        level: Level::RequestResponse,
        verbs: texts(&["update", "patch"]),
        resources: vec![resources("tripline.dev", &["securityalerts"])],
        ..Line::default()
    }
}

/// The accounts that kube-controller-manager's controllers have, and others of the cluster's own.
const CONTROLLERS: &str = "system:serviceaccounts:kube-system";

/// What a cluster does all day by itself.
fn heartbeat() -> Vec<Line> {
    let line = |comment: &str| Line { comment: comment.to_owned(), ..Line::default() };
    let reads = texts(&["get", "list", "watch"]);
    vec![
        Line {
            verbs: texts(&["get", "create", "update", "patch"]),
            resources: vec![
                resources("coordination.k8s.io", &["leases"]),
                resources("", &["events"]),
                resources("events.k8s.io", &["events"]),
            ],
            ..line("The cluster's heartbeat: leases and Events.")
        },
        Line {
            user_groups: texts(&["system:nodes"]),
            verbs: texts(&["update", "patch"]),
            resources: vec![resources("", &["nodes/status", "pods/status"])],
            ..line("What nodes say of themselves and their pods.")
        },
        Line {
            user_groups: texts(&[CONTROLLERS]),
            verbs: texts(&["update", "patch"]),
            resources: vec![resources("apps", &["*/status"]), resources("batch", &["*/status"])],
            ..line("What controllers say of workloads.")
        },
        Line {
            user_groups: texts(&["system:nodes"]),
            verbs: reads.clone(),
            ..line("What nodes read all day.")
        },
        Line {
            users: texts(&[
                "system:apiserver",
                "system:kube-controller-manager",
                "system:kube-scheduler",
                "system:kube-proxy",
            ]),
            verbs: reads,
            ..line("What the cluster's own parts read all day.")
        },
        Line {
            user_groups: texts(&[CONTROLLERS]),
            verbs: texts(&["get"]),
            non_resource_urls: texts(&["/api", "/api/*", "/apis", "/apis/*"]),
            ..line("Which kinds there are, as controllers ask all day.")
        },
        Line {
            non_resource_urls: texts(&["/healthz*", "/livez*", "/readyz*"]),
            ..line("Whether the API server is well.")
        },
    ]
}

/// Whether a quiet policy leaves it out, unless a rule names it.
pub(super) fn is_heartbeat(request: &Request) -> bool {
    heartbeat().iter().any(|line| line.fits(request))
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn resources(group: &str, names: &[&str]) -> GroupResources {
    GroupResources { group: group.to_owned(), resources: texts(names), resource_names: Vec::new() }
}

/// The policy that logs what these rules need and leaves out what none of them asks about.
pub fn generate(rules: &[&Rule], breadth: Breadth) -> Policy {
    let kinds = Kinds::of(rules, &[]);
    let mut lines = vec![own_line(), alerts_line()];
    let levels = levels(rules, &kinds);
    let (wide, named): (Vec<Line>, Vec<Line>) =
        levels.lines().into_iter().partition(|line| line.resources.is_empty());
    lines.extend(named);
    for candidate in heartbeat() {
        lines.extend(left_out(candidate, rules, breadth, &lines));
    }
    if !wide.is_empty() {
        // Bodies of every kind are needed, but none that may hold a secret.
        let secret = kinds.iter().filter(|kind| kind.is_secret()).fold(ByGroup::new(), |mut all, kind| {
            if let Kind::Resource(group, ..) = kind {
                all.entry(group.clone()).or_default().insert(kind.name());
            }
            all
        });
        lines.push(Line {
            comment: "What may hold a secret: never the body.".to_owned(),
            level: Level::Metadata,
            resources: group_resources(secret),
            ..Line::default()
        });
        lines.extend(wide);
    }
    lines.push(Line {
        comment: format!(
            "Everything else: who, what, from where, and whether it was allowed; also what a policy cannot tell apart, such \
             as the answer's code, or a request of nobody known. {}",
            for_rules(metadata_rules(rules, &kinds))
        )
        .trim_end()
        .to_owned(),
        level: Level::Metadata,
        ..Line::default()
    });
    let needs_first_stage = rules.iter().any(|rule| {
        kinds.iter().any(|kind| {
            kind.verbs().iter().any(|verb| {
                rule.need(&kind.asked(verb)).is_some_and(|need| need.stages == [Stage::RequestReceived])
            })
        })
    });
    Policy {
        omit_stages: if needs_first_stage { BTreeSet::new() } else { [Stage::RequestReceived].into() },
        omit_managed_fields: !rules.iter().any(|rule| {
            rule.fields_above(Level::Metadata).iter().any(|field| field.contains("managedFields"))
        }),
        lines,
    }
}

/// Rules that need no body of something.
fn metadata_rules(rules: &[&Rule], kinds: &Kinds) -> Vec<String> {
    let is_one = |rule: &&&Rule| {
        kinds.iter().any(|kind| {
            kind.verbs().iter().any(|verb| {
                need(rule, kind, &kind.asked(verb)).is_some_and(|need| need.level == Level::Metadata)
            })
        })
    };
    rules.iter().filter(is_one).map(|rule| rule.name().to_owned()).collect()
}

/// Which bodies are needed, of whose requests.
fn levels(rules: &[&Rule], kinds: &Kinds) -> Levels {
    let mut levels = Levels::default();
    for rule in rules {
        let (users, groups) = (rule.named(Property::User), rule.named(Property::Group));
        for kind in kinds.iter() {
            for verb in kind.verbs() {
                let level = |user, group| {
                    let asked = Asked { user, group, ..kind.asked(verb) };
                    need(rule, kind, &asked).map_or(Level::None, |need| need.level)
                };
                if level(Known::Any, Known::Any) <= Level::Metadata {
                    continue;
                }
                let mut raise = |who, level| {
                    if level > Level::Metadata {
                        levels.raise(who, kind, verb, level, rule.name());
                    }
                };
                let anybody = level(Known::Other, Known::Other).max(level(Known::Missing, Known::Missing));
                raise(Who::Anybody, anybody);
                if anybody > Level::Metadata {
                    continue;
                }
                // Who is asked about is named.
                let of_users = users.iter().map(|name| (name, level(Known::Is(name), Known::Any)));
                let of_groups = groups.iter().map(|name| (name, level(Known::Other, Known::Is(name))));
                let (found, most) = named(of_users);
                raise(Who::Users(found), most);
                let (found, most) = named(of_groups);
                raise(Who::Groups(found), most);
            }
        }
    }
    levels.without_repeats()
}

/// Those whose bodies are needed, and the highest level of them.
fn named<'a>(levels: impl Iterator<Item = (&'a String, Level)>) -> (Vec<String>, Level) {
    levels.filter(|(_, level)| *level > Level::Metadata).fold(
        Default::default(),
        |(mut names, most), (name, level)| {
            names.push(name.clone());
            (names, level.max(most))
        },
    )
}

/// The lines that leave out what this one says, but for what a rule needs of it. None where rules on all kinds of
/// requests need it, unless it shall be quiet.
fn left_out(candidate: Line, rules: &[&Rule], breadth: Breadth, before: &[Line]) -> Vec<Line> {
    let policy = Policy { lines: vec![candidate.clone()], ..Policy::default() };
    let kinds = Kinds::of(rules, &[&policy]);
    let mut kept = Levels::default();
    let mut blind: BTreeSet<String> = BTreeSet::new();
    let earlier = Policy { lines: before.to_vec(), ..Policy::default() };
    for rule in rules {
        let named = Named::by(rule);
        for kind in kinds.iter() {
            for verb in kind.verbs() {
                let is_apart = !candidate.verbs.is_empty() && !candidate.verbs.iter().any(|v| v == verb);
                if is_apart || rule.need(&kind.asked(verb)).is_none() {
                    continue;
                }
                let cells = kinds.cells(kind, verb, &named);
                let needed = cells.iter().find(|cell| {
                    policy.decide(&cell.request).by.is_some()
                        && earlier.decide(&cell.request).level == Level::None
                        && need(rule, kind, &cell.asked()).is_some()
                });
                let Some(cell) = needed else { continue };
                if !is_wide(rule, &cell.asked()) && !matches!(kind, Kind::Path(_)) {
                    kept.raise(Who::Anybody, kind, verb, Level::Metadata, rule.name());
                } else if breadth == Breadth::Complete {
                    return Vec::new();
                } else {
                    blind.insert(rule.name().to_owned());
                }
            }
        }
    }
    let mut lines = kept.lines();
    let blind: Vec<String> = blind.into_iter().collect();
    let not_seen =
        if blind.is_empty() { String::new() } else { format!(" Not seen by {}.", blind.join(", ")) };
    lines.push(Line { comment: candidate.comment.clone() + &not_seen, ..candidate });
    lines
}
