//! What is noted of every event, for the status of its source.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::event::{Event, NotPlain, Outline, Slot, Stage};

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
        let text = |slot| Ok(outline.text(slot, line)?.map(Cow::Borrowed));
        Ok(Noted {
            time,
            level: text(Slot::Level)?,
            stage,
            verb: text(Slot::Verb)?,
            group: text(Slot::ApiGroup)?,
            resource: text(Slot::Resource)?,
            subresource: text(Slot::Subresource)?,
        })
    }
}
