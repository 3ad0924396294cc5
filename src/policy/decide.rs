//! What a policy logs of a request, as kube-apiserver decides it.
//!
//! <https://github.com/kubernetes/kubernetes/blob/v1.33.0/staging/src/k8s.io/apiserver/pkg/audit/policy/checker.go>
use std::collections::BTreeSet;

use super::document::{GroupResources, Line, Policy};
use crate::detect::Level;
use crate::event::Stage;

/// A request, as far as a policy looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who makes it; nobody, where nobody could be authenticated.
    pub user: Option<String>,
    /// The groups that the user is in.
    pub groups: Vec<String>,
    /// The verb.
    pub verb: String,
    /// What it is for.
    pub target: Target,
}

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Objects of the API.
    Resource {
        /// The API group.
        group: String,
        /// The resource.
        resource: String,
        /// The subresource, or nothing.
        subresource: String,
        /// The namespace, or nothing.
        namespace: String,
        /// The object's name, or nothing.
        name: String,
    },
    /// Another path, without its query.
    Path(String),
}

/// How a request is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The level.
    pub level: Level,
    /// The stages it is not logged at.
    pub omit_stages: BTreeSet<Stage>,
    /// Whether without `managedFields`.
    pub omit_managed_fields: bool,
    /// The line that decides, by its index; none where no line fits.
    pub by: Option<usize>,
}

impl Decision {
    /// Whether the request is logged at a stage.
    pub fn has(&self, stage: Stage) -> bool {
        self.level > Level::None && !self.omit_stages.contains(&stage)
    }
}

impl Policy {
    /// How it has a request logged. What no line fits is not logged.
    pub fn decide(&self, request: &Request) -> Decision {
        let found = self.lines.iter().enumerate().find(|(_, line)| line.fits(request));
        match found {
            None => Decision {
                level: Level::None,
                omit_stages: self.omit_stages.clone(),
                omit_managed_fields: self.omit_managed_fields,
                by: None,
            },
            Some((index, line)) => Decision {
                level: line.level,
                omit_stages: line.omit_stages.union(&self.omit_stages).copied().collect(),
                omit_managed_fields: line.omit_managed_fields.unwrap_or(self.omit_managed_fields),
                by: Some(index),
            },
        }
    }
}

impl Line {
    /// Whether it decides on a request that reaches it.
    pub fn fits(&self, request: &Request) -> bool {
        let is_of_user = |user: &String| self.users.contains(user);
        if !self.users.is_empty() && !request.user.as_ref().is_some_and(is_of_user)
            || !self.user_groups.is_empty() && !request.groups.iter().any(|g| self.user_groups.contains(g))
            || !self.verbs.is_empty() && !self.verbs.contains(&request.verb)
        {
            return false;
        }
        match &request.target {
            Target::Resource { group, resource, subresource, namespace, name } => {
                let fits = |resources: &GroupResources| {
                    resources.group == *group && resources.fit(resource, subresource, name)
                };
                let is_any = self.namespaces.is_empty() && self.resources.is_empty();
                (!is_any || self.non_resource_urls.is_empty())
                    && (self.namespaces.is_empty() || self.namespaces.contains(namespace))
                    && (self.resources.is_empty() || self.resources.iter().any(fits))
            }
            Target::Path(path) => {
                self.namespaces.is_empty()
                    && self.resources.is_empty()
                    && (self.non_resource_urls.is_empty()
                        || self.non_resource_urls.iter().any(|url| fits_path(url, path)))
            }
        }
    }
}

impl GroupResources {
    fn fit(&self, resource: &str, subresource: &str, name: &str) -> bool {
        if self.resources.is_empty() {
            return true;
        }
        if !self.resource_names.is_empty() && !self.resource_names.iter().any(|known| known == name) {
            return false;
        }
        let whole =
            if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        self.resources.iter().any(|pattern| {
            *pattern == whole
                || pattern == "*"
                || !subresource.is_empty() && pattern.strip_prefix("*/") == Some(subresource)
                || pattern.strip_suffix("/*") == Some(resource)
        })
    }
}

fn fits_path(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}
