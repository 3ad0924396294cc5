//! Reading a line in the order in which kube-apiserver writes it.
//!
//! The API server encodes a Go struct, so the keys have a fixed order and no white space. Everything between the
//! values is compared with what it must be, and every value is passed as strictly as by a JSON reader, so what was
//! read of a line is exactly what a JSON reader would have read up to there. The first difference ends it: then the
//! line is to be read by [`Outline::read`] or in full.
use std::ops::ControlFlow;

use super::outline::Outline;
use super::scan::string_end;
use super::skip::value_end;
use super::slot::{Slot, Slots};

/// Whoever wants to know what a line says, and when to stop.
pub trait Visit {
    /// `text` begins with the value of `slot`, of which `start` is a part that tells many of them apart. Who has met
    /// the same bytes as a whole value answers how many they are, and whether to go on.
    fn recall(&mut self, slot: Slot, start: &[u8], text: &[u8]) -> Option<(usize, ControlFlow<()>)>;

    /// The slot's value as the line spells it, and whether to go on. `start` as in [`recall`](Visit::recall), which
    /// did not know the value, or the whole of it.
    fn meet(&mut self, slot: Slot, start: &[u8], value: &[u8]) -> ControlFlow<()>;

    /// The slot has no value. Where `is_certain` is false, it has none in the place where the API server writes it, and
    /// the line was not read to its end to see whether it stands in another.
    fn miss(&mut self, slot: Slot, is_certain: bool) -> ControlFlow<()>;

    /// All that stands before the bodies and the annotations was met or missed, and its places are in `outline`. What
    /// follows begins at `at`; `has_request` says whether it begins with `requestObject`.
    fn before_bodies(
        &mut self,
        text: &[u8],
        outline: &Outline,
        at: usize,
        has_request: bool,
    ) -> ControlFlow<()>;
}

/// How far a line was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// To its end: it is a valid event. The index after it.
    End(usize),
    /// To where the visitor had enough.
    Stopped(usize),
    /// It is written in another way, or is no event.
    Unlike,
}

/// Reads the line that `text` begins with; others may follow it.
#[inline]
pub fn read_canonical(text: &[u8], outline: &mut Outline, visit: &mut impl Visit) -> Reached {
    *outline = Outline::default();
    let mut reader = Reader { text, at: 0, wide: false };
    match reader.event(outline, visit) {
        Some(ControlFlow::Break(())) => Reached::Stopped(reader.at),
        Some(ControlFlow::Continue(())) if reader.is_utf8() => Reached::End(reader.at),
        _ => Reached::Unlike,
    }
}

const REQUEST_OBJECT: &[u8; 17] = b",\"requestObject\":";
const RESPONSE_OBJECT: &[u8; 18] = b",\"responseObject\":";
const RECEIVED_TIME: &[u8; 28] = b",\"requestReceivedTimestamp\":";

/// Tells of the slots that are absent so far, and forgets them.
#[inline]
fn miss_all(absent: &mut Slots, visit: &mut impl Visit) -> ControlFlow<()> {
    std::mem::take(absent).iter().try_for_each(|slot| visit.miss(slot, false))
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    wide: bool,
}

/// Goes on, or answers that the visitor had enough.
macro_rules! go_on {
    ($flow:expr) => {
        if $flow.is_break() {
            return Some(ControlFlow::Break(()));
        }
    };
}

impl Reader<'_> {
    /// `None` where the line is unlike what the API server writes.
    #[inline]
    fn event(&mut self, outline: &mut Outline, visit: &mut impl Visit) -> Option<ControlFlow<()>> {
        self.take(b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":")?;
        go_on!(self.text_of(Slot::Level, outline, visit)?);
        self.take(b",\"auditID\":")?;
        self.string()?;
        self.take(b",\"stage\":")?;
        go_on!(self.text_of(Slot::Stage, outline, visit)?);
        self.take(b",\"requestURI\":")?;
        go_on!(self.text_of(Slot::RequestUri, outline, visit)?);
        self.take(b",\"verb\":")?;
        go_on!(self.text_of(Slot::Verb, outline, visit)?);
        self.take(b",\"user\":")?;
        go_on!(self.user(outline, visit)?);
        // What is not here may be absent, or the line may be in another order: the next key must be one that follows.
        let mut absent = Slots::NONE;
        if self.take(b",\"impersonatedUser\":").is_some() {
            go_on!(self.value_of(Slot::ImpersonatedUser, outline, visit)?);
        } else {
            absent = Slot::ImpersonatedUser.into();
        }
        if self.take(b",\"authenticationMetadata\":").is_some() {
            self.value()?;
        }
        if self.take(b",\"sourceIPs\":").is_some() {
            go_on!(miss_all(&mut absent, visit));
            go_on!(self.value_of(Slot::SourceIps, outline, visit)?);
        } else {
            absent = absent.with(Slot::SourceIps.into());
        }
        if self.take(b",\"userAgent\":").is_some() {
            go_on!(miss_all(&mut absent, visit));
            go_on!(self.text_of(Slot::UserAgent, outline, visit)?);
        } else {
            absent = absent.with(Slot::UserAgent.into());
        }
        if self.take(b",\"objectRef\":{").is_some() {
            go_on!(miss_all(&mut absent, visit));
            go_on!(self.object(outline, visit)?);
        } else {
            absent = absent.with(Slots::OBJECT);
        }
        if self.take(b",\"responseStatus\":").is_some() {
            go_on!(miss_all(&mut absent, visit));
            go_on!(self.value_of(Slot::Status, outline, visit)?);
        } else {
            absent = absent.with(Slot::Status.into());
        }
        let rest = &self.text[self.at..];
        let has_request = rest.starts_with(REQUEST_OBJECT);
        if !has_request && !rest.starts_with(RESPONSE_OBJECT) && !rest.starts_with(RECEIVED_TIME) {
            return None;
        }
        go_on!(miss_all(&mut absent, visit));
        let has_request = has_request && !rest[REQUEST_OBJECT.len()..].starts_with(b"null");
        go_on!(visit.before_bodies(self.text, outline, self.at, has_request));
        if self.take(REQUEST_OBJECT).is_some() {
            self.body(Slot::RequestObject, outline)?;
        }
        if self.take(RESPONSE_OBJECT).is_some() {
            self.body(Slot::ResponseObject, outline)?;
        }
        self.take(RECEIVED_TIME)?;
        self.time(Slot::ReceivedTime, outline)?;
        self.take(b",\"stageTimestamp\":")?;
        self.time(Slot::StageTime, outline)?;
        let has_annotations = self.take(b",\"annotations\":").is_some();
        if has_annotations {
            go_on!(self.value_of(Slot::Annotations, outline, visit)?);
        }
        self.take(b"}")?;
        if !matches!(self.text.get(self.at), None | Some(b'\n')) {
            return None;
        }
        if !has_annotations {
            go_on!(visit.miss(Slot::Annotations, true));
        }
        Some(ControlFlow::Continue(()))
    }

    /// `objectRef`, after its brace. The API server leaves out what is empty.
    #[inline]
    fn object(&mut self, outline: &mut Outline, visit: &mut impl Visit) -> Option<ControlFlow<()>> {
        let first = self.at;
        let mut absent = Slots::NONE;
        // A macro, because a key whose length is known is compared without a call.
        macro_rules! member {
            ($key:literal, $slot:expr) => {
                // The first member has no comma.
                let comma = usize::from(self.at != first);
                if (comma == 0 || self.text.get(self.at) == Some(&b','))
                    && self.take_at(comma, $key).is_some()
                {
                    match $slot {
                        Slot::Rest => self.string()?,
                        slot => go_on!(self.text_of(slot, outline, visit)?),
                    }
                } else if $slot != Slot::Rest {
                    absent = absent.with($slot.into());
                }
            };
        }
        member!(b"\"resource\":", Slot::Resource);
        member!(b"\"namespace\":", Slot::Namespace);
        member!(b"\"name\":", Slot::Name);
        member!(b"\"uid\":", Slot::Rest);
        member!(b"\"apiGroup\":", Slot::ApiGroup);
        member!(b"\"apiVersion\":", Slot::Rest);
        member!(b"\"resourceVersion\":", Slot::Rest);
        member!(b"\"subresource\":", Slot::Subresource);
        self.take(b"}")?;
        for slot in absent.iter() {
            go_on!(visit.miss(slot, true));
        }
        Some(ControlFlow::Continue(()))
    }

    /// The user is most of a line without bodies, and the same again and again: it is recalled by its name before it is
    /// read.
    #[inline]
    fn user(&mut self, outline: &mut Outline, visit: &mut impl Visit) -> Option<ControlFlow<()>> {
        let from = self.at;
        let text = &self.text[from..];
        let name = b"{\"username\":\"";
        let start = if text.starts_with(name) {
            &text[name.len()..string_end(text, name.len()).ok()?.quote]
        } else {
            &[]
        };
        if let Some((length, flow)) = visit.recall(Slot::User, start, text) {
            self.at += length;
            self.found(Slot::User, from, outline);
            return Some(flow);
        }
        self.value()?;
        Some(visit.meet(Slot::User, start, self.found(Slot::User, from, outline)))
    }

    #[inline]
    fn text_of(
        &mut self,
        slot: Slot,
        outline: &mut Outline,
        visit: &mut impl Visit,
    ) -> Option<ControlFlow<()>> {
        let from = self.at;
        self.string()?;
        let value = self.found(slot, from, outline);
        Some(visit.meet(slot, value, value))
    }

    #[inline]
    fn value_of(
        &mut self,
        slot: Slot,
        outline: &mut Outline,
        visit: &mut impl Visit,
    ) -> Option<ControlFlow<()>> {
        let from = self.at;
        self.value()?;
        let value = self.found(slot, from, outline);
        Some(visit.meet(slot, value, value))
    }

    fn body(&mut self, slot: Slot, outline: &mut Outline) -> Option<()> {
        let from = self.at;
        self.value()?;
        self.found(slot, from, outline);
        Some(())
    }

    fn time(&mut self, slot: Slot, outline: &mut Outline) -> Option<()> {
        let from = self.at;
        self.string()?;
        self.found(slot, from, outline);
        Some(())
    }

    /// The slot's value, which was passed from there on.
    #[inline]
    fn found(&self, slot: Slot, from: usize, outline: &mut Outline) -> &[u8] {
        outline.set(slot, from, self.at);
        &self.text[from..self.at]
    }

    #[inline]
    fn take<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        self.take_at(0, literal)
    }

    /// Takes the literal that stands `ahead` bytes further on, and what is before it.
    #[inline]
    fn take_at<const N: usize>(&mut self, ahead: usize, literal: &[u8; N]) -> Option<()> {
        let at = self.at + ahead;
        if self.text.get(at..)?.first_chunk()? == literal {
            self.at = at + N;
            Some(())
        } else {
            None
        }
    }

    #[inline]
    fn string(&mut self) -> Option<()> {
        self.take(b"\"")?;
        let end = string_end(self.text, self.at).ok()?;
        self.wide |= end.wide;
        self.at = end.quote + 1;
        Some(())
    }

    fn value(&mut self) -> Option<()> {
        self.at = value_end(self.text, self.at, 1, &mut self.wide).ok()?;
        Some(())
    }

    fn is_utf8(&self) -> bool {
        !self.wide || std::str::from_utf8(&self.text[..self.at]).is_ok()
    }
}
