//! What was found for one alert and is not yet written to the API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{Detection, RecordPlace, Sample};

/// How many of the newest matches an alert shows.
pub(super) const SAMPLES: usize = 5;

/// Matches of one stream within a [`Parcel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// The `AuditSource`.
    pub source: String,
    /// The stream.
    pub stream: String,
    /// How many matches.
    pub count: i64,
    /// The offset of the first.
    pub lowest: i64,
    /// The offset of the last.
    pub highest: i64,
}

/// Matches of one group that go to the API in one write, counted wholly or not at all.
///
/// A parcel may have arrived just before a crash. So one that was sent never grows, and one that was restored from a
/// checkpoint is compared, segment by segment, with what the alert already counts before it is sent again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// How long a group may be quiet within one alert.
    pub window_seconds: i64,
    /// The alert to open, should none take these matches: the evidence of the first of them.
    pub opening: Detection,
    /// The oldest match's own time.
    pub first: Timestamp,
    /// The newest match's own time.
    pub last: Timestamp,
    /// One a stream.
    pub segments: Vec<Segment>,
    /// The newest matches, oldest first.
    pub samples: Vec<Sample>,
    /// Whether it may still grow.
    #[serde(skip)]
    pub sealed: bool,
}

impl Parcel {
    /// A parcel of one match.
    pub fn new(opening: Detection, window_seconds: i64, sample: Sample, time: Timestamp) -> Self {
        let mut parcel = Self {
            window_seconds,
            opening,
            first: time,
            last: time,
            segments: Vec::with_capacity(1),
            samples: Vec::with_capacity(1),
            sealed: false,
        };
        parcel.add(sample, time);
        parcel
    }

    /// Takes one more match.
    pub fn add(&mut self, sample: Sample, time: Timestamp) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        let RecordPlace { source, stream, offset, .. } = &sample.place;
        match self.segments.iter_mut().find(|s| s.stream == *stream && s.source == *source) {
            Some(segment) => {
                segment.count += 1;
                segment.highest = *offset;
            }
            None => self.segments.push(Segment {
                source: source.clone(),
                stream: stream.clone(),
                count: 1,
                lowest: *offset,
                highest: *offset,
            }),
        }
        add_sample(&mut self.samples, sample);
    }

    /// Whether a match at `time` belongs to the same incident.
    pub fn holds(&self, time: Timestamp) -> bool {
        within(self.first, self.last, self.window_seconds, time)
    }

    /// How many matches it holds.
    pub fn count(&self) -> i64 {
        self.segments.iter().map(|s| s.count).sum()
    }
}

/// Whether `time` is at most `window` seconds away from the span.
pub(super) fn within(first: Timestamp, last: Timestamp, window: i64, time: Timestamp) -> bool {
    let seconds = |t: Timestamp| t.as_second();
    seconds(time).saturating_sub(seconds(last)) <= window
        && seconds(first).saturating_sub(seconds(time)) <= window
}

/// Keeps the newest few samples, oldest first.
pub(super) fn add_sample(samples: &mut Vec<Sample>, sample: Sample) {
    if samples.iter().any(|s| s.place == sample.place) {
        return;
    }
    let time = |s: &Sample| s.time.as_ref().map(|t| t.0);
    let at = samples.partition_point(|s| time(s) <= time(&sample));
    samples.insert(at, sample);
    if samples.len() > SAMPLES {
        samples.remove(0);
    }
}
