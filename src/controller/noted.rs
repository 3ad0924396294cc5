//! What is noted of every event, for the status of its source.

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::memmem;

use crate::event::{Event, NotPlain, Outline, Slot, Stage};

/// The authorizer's word for yes, as kube-apiserver spells it among the annotations.
const ALLOWED: &[u8] = br#""authorization.k8s.io/decision":"allow""#;

/// What is noted of every event.
pub(super) struct Noted<'a> {
    /// Its own time.
    pub(super) time: Option<Timestamp>,
    pub(super) level: Option<Cow<'a, str>>,
    pub(super) stage: Option<Stage>,
    pub(super) verb: Option<Cow<'a, str>>,
    pub(super) group: Option<Cow<'a, str>>,
    pub(super) resource: Option<Cow<'a, str>>,
    pub(super) subresource: Option<Cow<'a, str>>,
    /// Whether the authorizer let the request pass. It says so at the end of a request.
    pub(super) allowed: bool,
}

impl<'a> Noted<'a> {
    /// Of an event that was read.
    pub(super) fn of(event: &Event<'a>) -> Noted<'a> {
        let time = event.stage_time().or_else(|| event.request_received_time());
        let object = event.object_ref();
        Noted {
            time,
            level: event.level(),
            stage: event.stage(),
            verb: event.verb(),
            group: object.and_then(|object| object.api_group()),
            resource: object.and_then(|object| object.resource()),
            subresource: object.and_then(|object| object.subresource()),
            allowed: event.decision().as_deref() == Some("allow"),
        }
    }

    /// The same without reading the event, where its values are spelt as usual.
    pub(super) fn in_line(line: &'a [u8], outline: &Outline) -> Result<Noted<'a>, NotPlain> {
        let time = |slot| Ok(outline.text(slot, line)?.and_then(|time| time.parse().ok()));
        let time = match time(Slot::StageTime)? {
            Some(time) => Some(time),
            None => time(Slot::ReceivedTime)?,
        };
        let stage = outline.text(Slot::Stage, line)?.and_then(Stage::from_name);
        // Inside a text its quotes would be escaped.
        let allows = |annotations| memmem::find(annotations, ALLOWED).is_some();
        let text = |slot| Ok(outline.text(slot, line)?.map(Cow::Borrowed));
        Ok(Noted {
            time,
            level: text(Slot::Level)?,
            stage,
            verb: text(Slot::Verb)?,
            group: text(Slot::ApiGroup)?,
            resource: text(Slot::Resource)?,
            subresource: text(Slot::Subresource)?,
            allowed: outline.value(Slot::Annotations, line).is_some_and(allows),
        })
    }
}
