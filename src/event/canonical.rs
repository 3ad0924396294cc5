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
use super::slot::Slot;

/// Whoever wants to know what a line says, and when to stop.
pub trait Visit {
    /// `text` begins with the value of `slot`, of which `start` is a part that tells many of them apart. Who has met
    /// the same bytes as a whole value answers how many they are, and whether to go on.
    fn recall(&mut self, slot: Slot, start: &[u8], text: &[u8]) -> Option<(usize, ControlFlow<()>)>;

    /// The slot's value as the line spells it, and whether to go on. `start` as in [`recall`](Visit::recall), which
    /// did not know the value, or the whole of it.
    fn meet(&mut self, slot: Slot, start: &[u8], value: &[u8]) -> ControlFlow<()>;

    /// The line has no value in this slot.
    fn miss(&mut self, slot: Slot) -> ControlFlow<()>;

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
        if self.take(b",\"impersonatedUser\":").is_some() {
            go_on!(self.value_of(Slot::ImpersonatedUser, outline, visit)?);
        } else {
            go_on!(visit.miss(Slot::ImpersonatedUser));
        }
        if self.take(b",\"authenticationMetadata\":").is_some() {
            self.value()?;
        }
        if self.take(b",\"sourceIPs\":").is_some() {
            go_on!(self.value_of(Slot::SourceIps, outline, visit)?);
        } else {
            go_on!(visit.miss(Slot::SourceIps));
        }
        if self.take(b",\"userAgent\":").is_some() {
            go_on!(self.text_of(Slot::UserAgent, outline, visit)?);
        } else {
            go_on!(visit.miss(Slot::UserAgent));
        }
        if self.take(b",\"objectRef\":{").is_some() {
            go_on!(self.object(outline, visit)?);
        } else {
            for slot in [Slot::Resource, Slot::Namespace, Slot::Name, Slot::ApiGroup, Slot::Subresource] {
                go_on!(visit.miss(slot));
            }
        }
        if self.take(b",\"responseStatus\":").is_some() {
            go_on!(self.value_of(Slot::Status, outline, visit)?);
        } else {
            go_on!(visit.miss(Slot::Status));
        }
        let rest = &self.text[self.at..];
        let has_request =
            rest.starts_with(b",\"requestObject\":") && !rest.starts_with(b",\"requestObject\":null");
        go_on!(visit.before_bodies(self.text, outline, self.at, has_request));
        if self.take(b",\"requestObject\":").is_some() {
            self.body(Slot::RequestObject, outline)?;
        }
        if self.take(b",\"responseObject\":").is_some() {
            self.body(Slot::ResponseObject, outline)?;
        }
        self.take(b",\"requestReceivedTimestamp\":")?;
        self.string()?;
        self.take(b",\"stageTimestamp\":")?;
        self.string()?;
        if self.take(b",\"annotations\":").is_some() {
            go_on!(self.value_of(Slot::Annotations, outline, visit)?);
        } else {
            go_on!(visit.miss(Slot::Annotations));
        }
        self.take(b"}")?;
        matches!(self.text.get(self.at), None | Some(b'\n')).then_some(ControlFlow::Continue(()))
    }

    /// `objectRef`, after its brace. The API server leaves out what is empty.
    #[inline]
    fn object(&mut self, outline: &mut Outline, visit: &mut impl Visit) -> Option<ControlFlow<()>> {
        let first = self.at;
        for (key, slot) in [
            (&b",\"resource\":"[..], Slot::Resource),
            (b",\"namespace\":", Slot::Namespace),
            (b",\"name\":", Slot::Name),
            (b",\"uid\":", Slot::Rest),
            (b",\"apiGroup\":", Slot::ApiGroup),
            (b",\"apiVersion\":", Slot::Rest),
            (b",\"resourceVersion\":", Slot::Rest),
            (b",\"subresource\":", Slot::Subresource),
        ] {
            // The first member has no comma.
            let key = if self.at == first { &key[1..] } else { key };
            let has = self.take(key).is_some();
            match (slot, has) {
                (Slot::Rest, true) => {
                    self.string()?;
                }
                (Slot::Rest, false) => {}
                (_, true) => go_on!(self.text_of(slot, outline, visit)?),
                (_, false) => go_on!(visit.miss(slot)),
            }
        }
        self.take(b"}")?;
        Some(ControlFlow::Continue(()))
    }

    /// The user is most of a line without bodies, and the same again and again: it is recalled by its name before it is
    /// read.
    #[inline]
    fn user(&mut self, outline: &mut Outline, visit: &mut impl Visit) -> Option<ControlFlow<()>> {
        let from = self.at;
        let text = &self.text[from..];
        let name = b"{\"username\":\"";
        let start = match text.starts_with(name) {
            true => &text[name.len()..string_end(text, name.len()).ok()?.quote],
            false => &[],
        };
        if let Some((length, flow)) = visit.recall(Slot::User, start, text) {
            self.at += length;
            outline.set(Slot::User, from, self.at);
            return Some(flow);
        }
        self.value()?;
        outline.set(Slot::User, from, self.at);
        Some(visit.meet(Slot::User, start, &self.text[from..self.at]))
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
        outline.set(slot, from, self.at);
        let value = &self.text[from..self.at];
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
        outline.set(slot, from, self.at);
        let value = &self.text[from..self.at];
        Some(visit.meet(slot, value, value))
    }

    fn body(&mut self, slot: Slot, outline: &mut Outline) -> Option<()> {
        let from = self.at;
        self.value()?;
        outline.set(slot, from, self.at);
        Some(())
    }

    #[inline(always)]
    fn take(&mut self, literal: &[u8]) -> Option<()> {
        let end = self.at + literal.len();
        if self.text.get(self.at..end)? == literal {
            self.at = end;
            Some(())
        } else {
            None
        }
    }

    #[inline(always)]
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
