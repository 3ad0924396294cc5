//! What Tripline remembers of an alert that exists: enough to decide where a match belongs, and no more.

use jiff::Timestamp;

use super::parcel::{Parcel, Segment, within};
use crate::api::{SecurityAlert, TriageState};

/// An alert that exists, as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownAlert {
    /// The object's name.
    pub name: String,
    /// The number at the end of its name.
    pub ordinal: u32,
    /// Whether it takes no more matches.
    closed: bool,
    first: Timestamp,
    last: Timestamp,
    /// Stream and offset of the match it was opened with.
    opened_at: (String, i64),
    /// Up to where this node's streams are counted in it; empty before its first status.
    counted: Vec<(String, i64)>,
    has_status: bool,
}

impl KnownAlert {
    /// What to remember of `alert`, of whose streams those of `node` matter.
    pub(super) fn of(alert: &SecurityAlert, node: &str) -> Self {
        let name = alert.metadata.name.clone().unwrap_or_default();
        let event = &alert.spec.detection.event;
        let opened = event.stage_time.as_ref().or(event.request_received_time.as_ref()).map(|t| t.0);
        let status = alert.status.as_ref().filter(|s| s.count > 0);
        let seen = |time: fn(&crate::api::SecurityAlertStatus) -> Option<Timestamp>| {
            status.and_then(time).or(opened).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Self {
            ordinal: name.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(1),
            name,
            closed: alert.spec.triage.state == TriageState::Closed,
            first: seen(|s| s.first_seen_time.as_ref().map(|t| t.0)),
            last: seen(|s| s.last_seen_time.as_ref().map(|t| t.0)),
            opened_at: (event.place.stream.clone(), event.place.offset),
            counted: status.map_or_else(Vec::new, |status| {
                let ours = status.sources.iter().filter(|s| s.node == node);
                ours.map(|s| (s.stream.clone(), s.offset)).collect()
            }),
            has_status: status.is_some(),
        }
    }

    /// Whether a record of this node's at `offset` of `stream` is in its count.
    pub(super) fn counts(&self, stream: &str, offset: i64) -> bool {
        self.counted.iter().any(|(s, counted)| s == stream && offset <= *counted)
    }

    fn was_opened_by(&self, segment: &Segment) -> bool {
        !self.has_status && self.opened_at == (segment.stream.clone(), segment.lowest)
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        let window = parcel.window_seconds;
        !self.closed
            && (within(self.first, self.last, window, parcel.first)
                || within(self.first, self.last, window, parcel.last)
                || within(parcel.first, parcel.last, window, self.first))
    }
}

/// Where a parcel goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// Everything in it is counted already.
    Counted,
    /// Into this alert.
    Join(String),
    /// Into a new alert with this ordinal.
    Open(u32),
}

/// Decides where a parcel goes, among the alerts of its group. What is counted already is taken out of it.
///
/// `taken` is the highest ordinal that is in use, be it by alerts of another group with the same short hash.
pub(super) fn destination(parcel: &mut Parcel, known: &[KnownAlert], taken: u32) -> Destination {
    parcel.segments.retain(|s| !known.iter().any(|alert| alert.counts(&s.stream, s.highest)));
    if parcel.segments.is_empty() {
        return Destination::Counted;
    }
    // An alert that was opened with the first match of this parcel just before a crash, and has no status yet: the
    // match is this alert's, even when a person has closed it meanwhile.
    let opened = known.iter().find(|alert| parcel.segments.iter().any(|s| alert.was_opened_by(s)));
    let joined =
        opened.or_else(|| known.iter().filter(|alert| alert.takes(parcel)).max_by_key(|a| a.ordinal));
    match joined {
        Some(alert) => Destination::Join(alert.name.clone()),
        None => Destination::Open(known.iter().map(|a| a.ordinal).max().unwrap_or(0).max(taken) + 1),
    }
}
