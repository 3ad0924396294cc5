//! Which parts of an event were not logged, as opposed to empty.
//!
//! At level Metadata no event carries a body; a rule that says `not requestObject.spec.tls:*` must not match all of
//! them. So a part that the event's level and stage do not log is *unknown*, and only a part missing where it would
//! have been logged is missing.
use super::audit::{Event, Stage};

/// A set of the parts of an event that may not have been logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u8);

impl Parts {
    /// No part.
    pub const NONE: Parts = Parts(0);
    /// `requestObject`
    pub const REQUEST: Parts = Parts(1);
    /// `responseObject`
    pub const RESPONSE: Parts = Parts(2);
    /// `annotations`, and `event.outcome` which is read from one
    pub const ANNOTATIONS: Parts = Parts(4);
    /// `responseStatus`
    pub const STATUS: Parts = Parts(8);
    /// `impersonatedUser`
    pub const IMPERSONATED: Parts = Parts(16);
    /// Both bodies.
    pub const BODIES: Parts = Parts(3);

    const NAMES: [(&'static str, Parts); 5] = [
        ("requestObject", Parts::REQUEST),
        ("responseObject", Parts::RESPONSE),
        ("annotations", Parts::ANNOTATIONS),
        ("responseStatus", Parts::STATUS),
        ("impersonatedUser", Parts::IMPERSONATED),
    ];

    /// The part that an own path lies in.
    pub(super) fn of_path(path: &str) -> Parts {
        let first = path.split('.').next().unwrap_or_default();
        Parts::NAMES.iter().find(|(name, _)| *name == first).map_or(Parts::NONE, |(_, part)| *part)
    }

    /// The parts for whose name (with its dot) `can_hold` says so.
    pub(super) fn all_that(can_hold: impl Fn(&str) -> bool) -> Parts {
        let reached = Parts::NAMES.iter().filter(|(name, _)| can_hold(&format!("{name}.")));
        reached.fold(Parts::NONE, |all, (_, part)| all.with(*part))
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Parts) -> Parts {
        Parts(self.0 | other.0)
    }

    /// Whether they have a part in common.
    pub fn meets(self, other: Parts) -> bool {
        self.0 & other.0 != 0
    }

    fn without(self, other: Parts) -> Parts {
        Parts(self.0 & !other.0)
    }
}

impl Event<'_> {
    /// The parts of this event that are absent because they were not logged.
    ///
    /// An event without a level was written by hand (a rule's test): its bodies are plainly missing.
    pub fn unlogged(&self) -> Parts {
        let mut parts = self.unlogged_bodies();
        if self.stage() == Some(Stage::RequestReceived) {
            parts = parts.with(Parts::ANNOTATIONS).with(Parts::STATUS).with(Parts::IMPERSONATED);
        }
        for (name, part) in Parts::NAMES {
            if parts.meets(part) && self.root().get(name).is_some() {
                parts = parts.without(part);
            }
        }
        parts
    }

    fn unlogged_bodies(&self) -> Parts {
        let by_level = match self.level().as_deref() {
            None => return Parts::NONE,
            Some("Metadata" | "None") => Parts::BODIES,
            Some("Request") => Parts::RESPONSE,
            Some(_) => Parts::NONE,
        };
        let by_stage = match self.stage() {
            Some(Stage::RequestReceived) => Parts::BODIES,
            Some(Stage::ResponseStarted) => Parts::RESPONSE,
            _ => Parts::NONE,
        };
        let cut = self.annotation("audit.k8s.io/truncated").is_some() || self.was_refused_unread();
        by_level.with(by_stage).with(if cut { Parts::BODIES } else { Parts::NONE })
    }

    /// A write that was refused before its body was read.
    fn was_refused_unread(&self) -> bool {
        matches!(self.response_code(), Some(401 | 403))
            && matches!(self.verb().as_deref(), Some("create" | "update" | "patch"))
            && self.root().get("requestObject").is_none()
    }
}
