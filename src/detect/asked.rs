//! A request that is known in part: what a rule is asked about before there is an event.
use crate::event::Field;

/// The verbs of requests for objects.
pub const VERBS: [&str; 8] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// What is known of one property of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Known<'a> {
    /// Nothing: it may have any value, or none.
    #[default]
    Any,
    /// It has none.
    Missing,
    /// It has one that no query names.
    Other,
    /// It has this one; of groups it is one of them.
    Is(&'a str),
    /// It has these and no others: groups.
    Are(&'a [String]),
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The verb.
    pub verb: Known<'a>,
    /// The user's name.
    pub user: Known<'a>,
    /// The user's groups.
    pub group: Known<'a>,
    /// The API group.
    pub api_group: Known<'a>,
    /// The resource.
    pub resource: Known<'a>,
    /// The subresource.
    pub subresource: Known<'a>,
    /// The namespace.
    pub namespace: Known<'a>,
    /// The object's name.
    pub name: Known<'a>,
}

/// A property of a request by which an audit policy may tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// `verb`
    Verb,
    /// `user.username`
    User,
    /// `user.groups`
    Group,
    /// `objectRef.apiGroup`
    ApiGroup,
    /// `objectRef.resource`
    Resource,
    /// `objectRef.subresource`
    Subresource,
    /// `objectRef.namespace`
    Namespace,
    /// `objectRef.name`
    Name,
}

impl Property {
    pub(super) fn of(field: &Field) -> Option<Property> {
        let name = field.name();
        Some(match name.strip_prefix("kubernetes.audit.").unwrap_or(name) {
            _ if !field.is_plain() => return None,
            "verb" | "event.action" => Property::Verb,
            "user.username" | "user.name" => Property::User,
            "user.groups" => Property::Group,
            "objectRef.apiGroup" => Property::ApiGroup,
            "objectRef.resource" | "orchestrator.resource.type" => Property::Resource,
            "objectRef.subresource" => Property::Subresource,
            "objectRef.namespace" | "orchestrator.namespace" => Property::Namespace,
            "objectRef.name" | "orchestrator.resource.name" => Property::Name,
            _ => return None,
        })
    }
}
