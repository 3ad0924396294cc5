//! A policy, read from its text.
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_saphyr::Spanned;
use thiserror::Error;

use crate::detect::Level;
use crate::event::Stage;

/// Why a text is no audit policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// It is not YAML, or has what no policy has.
    #[error("not an audit policy: {0}")]
    Unreadable(String),
    /// It is a document of another kind.
    #[error("expected `apiVersion: audit.k8s.io/v1` and `kind: Policy`")]
    OtherKind,
    /// kube-apiserver refuses a policy without rules.
    #[error("the policy has no rules")]
    NoRules,
    /// One of its rules says something that kube-apiserver refuses.
    #[error("line {line}: {what}")]
    Refused {
        /// The line of the rule, from 1; 0 where it is not known.
        line: u64,
        /// What is refused.
        what: String,
    },
}

/// A policy: the first line that fits a request decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Stages that no request is logged at.
    pub omit_stages: BTreeSet<Stage>,
    /// Whether bodies are logged without `managedFields`, where a line says nothing of it.
    pub omit_managed_fields: bool,
    /// What it calls its rules.
    pub lines: Vec<Line>,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// Where it stands in its text, from 1; 0 for one that was made.
    pub number: u64,
    /// What to say above it.
    pub comment: String,
    /// At which level requests are logged.
    pub level: Level,
    /// Whose; of anybody where this and the groups are empty.
    pub users: Vec<String>,
    /// Of members of which groups.
    pub user_groups: Vec<String>,
    /// With which verbs; with any where it is empty.
    pub verbs: Vec<String>,
    /// For which resources.
    pub resources: Vec<GroupResources>,
    /// In which namespaces; `""` is none.
    pub namespaces: Vec<String>,
    /// For which other paths.
    pub non_resource_urls: Vec<String>,
    /// At which stages not.
    pub omit_stages: BTreeSet<Stage>,
    /// Whether without `managedFields`.
    pub omit_managed_fields: Option<bool>,
}

/// Resources of one API group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupResources {
    /// The group; `""` is the first one.
    pub group: String,
    /// `pods`, `pods/log`, `pods/*`, `*/scale` or `*`; all where it is empty.
    pub resources: Vec<String>,
    /// The names of the objects; all where it is empty.
    pub resource_names: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    api_version: String,
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)] // the first three have been looked at, or say nothing
struct RawPolicy {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: Option<serde_json::Value>,
    #[serde(default)]
    omit_stages: Vec<String>,
    #[serde(default)]
    omit_managed_fields: bool,
    #[serde(default)]
    rules: Vec<Spanned<RawLine>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawLine {
    level: String,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<String>,
    #[serde(default)]
    omit_managed_fields: Option<bool>,
}

impl Policy {
    /// Reads a policy, and refuses what kube-apiserver refuses.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        // First what it is: of another kind's fields there is nothing to say.
        let head: Head = serde_saphyr::from_str(text).map_err(|error| unreadable(&error))?;
        if head.api_version != "audit.k8s.io/v1" || head.kind != "Policy" {
            return Err(PolicyError::OtherKind);
        }
        let raw: RawPolicy = serde_saphyr::from_str(text).map_err(|error| unreadable(&error))?;
        if raw.rules.is_empty() {
            return Err(PolicyError::NoRules);
        }
        Ok(Policy {
            omit_stages: stages(&raw.omit_stages, 0)?,
            omit_managed_fields: raw.omit_managed_fields,
            lines: raw.rules.into_iter().map(line).collect::<Result<_, _>>()?,
        })
    }
}

/// The place and the message, without the lines of the text that the library puts below.
fn unreadable(error: &serde_saphyr::Error) -> PolicyError {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    PolicyError::Unreadable(first.trim_start_matches("error: ").to_owned())
}

fn stages(names: &[String], line: u64) -> Result<BTreeSet<Stage>, PolicyError> {
    let stage = |name: &String| {
        let what = || format!("there is no stage {name:?}");
        Stage::from_name(name).ok_or_else(|| PolicyError::Refused { line, what: what() })
    };
    names.iter().map(stage).collect()
}

fn line(raw: Spanned<RawLine>) -> Result<Line, PolicyError> {
    let number = raw.referenced.line();
    let raw = raw.value;
    let refuse = |what: String| Err(PolicyError::Refused { line: number, what });
    let Some(level) = Level::from_name(&raw.level) else {
        return refuse(format!(
            "there is no level {:?}; expected None, Metadata, Request or RequestResponse",
            raw.level
        ));
    };
    let is_for_resources = !raw.resources.is_empty() || !raw.namespaces.is_empty();
    if is_for_resources && !raw.non_resource_urls.is_empty() {
        return refuse("a rule is for resources or for nonResourceURLs, not for both".to_owned());
    }
    for url in &raw.non_resource_urls {
        let inner = url.strip_suffix('*').unwrap_or(url);
        if url != "*" && (!url.starts_with('/') || inner.contains('*')) {
            return refuse(format!("the path {url:?} does not begin with `/`, or has a `*` before its end"));
        }
    }
    for resources in &raw.resources {
        if !resources.resource_names.is_empty() && resources.resources.is_empty() {
            return refuse("resourceNames stand without resources".to_owned());
        }
        if resources.group.contains('/') {
            return refuse(format!("the group {:?} is written with its version", resources.group));
        }
    }
    Ok(Line {
        number,
        comment: String::new(),
        level,
        users: raw.users,
        user_groups: raw.user_groups,
        verbs: raw.verbs,
        resources: raw.resources,
        namespaces: raw.namespaces,
        non_resource_urls: raw.non_resource_urls,
        omit_stages: stages(&raw.omit_stages, number)?,
        omit_managed_fields: raw.omit_managed_fields,
    })
}
