//! What was found for one alert and is not yet written to the API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::shown_time;
use super::frequent::Frequent;
use super::population::Population;
use crate::api::{Detection, EventTarget, RecordPlace, Sample};

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
    /// Where the rule wants the Kubernetes Event of a new alert, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventTarget>,
    /// Of matches that found no room for an alert of their group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    /// Whether it no longer grows.
    #[serde(skip)]
    pub sealed: bool,
    /// Whether it takes up the place of the alert that it will open.
    #[serde(skip)]
    claims: bool,
    /// What it waits for.
    #[serde(skip)]
    pub(super) hold: Hold,
}

/// What a parcel of several groups' matches says of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overflow {
    /// Who made the requests.
    pub users: Frequent,
    /// What they touched.
    pub targets: Frequent,
}

/// Whether a parcel has to wait for a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// It can be sent at any time.
    #[default]
    Free,
    /// It is in no snapshot yet.
    Unsaved,
    /// It is in the snapshot with this number and all later ones, of which none is known to be on disk.
    In(u64),
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
            events: None,
            overflow: None,
            sealed: false,
            claims: false,
            hold: Hold::Free,
        };
        parcel.add(sample, time);
        parcel
    }

    /// A parcel of one match that found no room. Such an alert takes whatever comes, whenever that was.
    pub(super) fn overflow(opening: Detection, sample: Sample, time: Timestamp) -> Self {
        let mut overflow = Overflow::default();
        overflow.add(&sample);
        Self { overflow: Some(overflow), ..Self::new(opening, i64::MAX, sample, time) }
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
        if let Some(overflow) = &mut self.overflow {
            overflow.add(&sample);
        }
        add_sample(&mut self.samples, sample);
    }

    /// Takes up the place of the alert that it will open.
    pub(super) fn claim(&mut self, population: &mut Population) {
        population.add(&self.opening.rule_name, self.opening.severity);
        self.claims = true;
    }

    /// Gives that place back: the alert is there and takes it up itself, or will never be.
    pub(super) fn give_back(&mut self, population: &mut Population) {
        if std::mem::take(&mut self.claims) {
            population.remove(&self.opening.rule_name, self.opening.severity);
        }
    }

    /// Whether any of it was found in this source.
    pub(super) fn is_partly_of(&self, source: &str) -> bool {
        self.segments.iter().any(|segment| segment.source == source)
    }

    /// Whether all of it was found in this source.
    pub(super) fn is_all_of(&self, source: &str) -> bool {
        self.segments.iter().all(|segment| segment.source == source)
    }

    /// The parcel as a checkpoint held it, made fit to be sent. Its file may have been changed since it was written.
    #[must_use]
    pub(super) fn restored(mut self) -> Self {
        let event = &mut self.opening.event;
        let times = [&mut event.request_received_time, &mut event.stage_time];
        for time in times.into_iter().chain(self.samples.iter_mut().map(|sample| &mut sample.time)) {
            *time = time.take().map(|time| shown_time(time.0));
        }
        self.sealed = true;
        self
    }

    /// Whether a match at `time` belongs to the same incident.
    pub fn holds(&self, time: Timestamp) -> bool {
        within(self.first, self.last, self.window_seconds, time)
    }

    /// How many matches it holds.
    pub fn count(&self) -> i64 {
        self.segments.iter().map(|s| s.count).fold(0, i64::saturating_add)
    }
}

impl Overflow {
    fn add(&mut self, sample: &Sample) {
        self.users.add(sample.user.as_deref().unwrap_or_default(), 1);
        self.targets.add(&sample.target, 1);
    }
}

/// Up to where a source's log will never be judged again, nor anything found in it be written again, by a checkpoint at
/// `offset` of `stream` with these parcels of it: an alert that counts nothing beyond may be deleted. What is pending of
/// an earlier stream has no place in this one: then that is nowhere.
pub fn settled(pending: &[Parcel], stream: &str, offset: i64) -> i64 {
    let segments = pending.iter().flat_map(|parcel| &parcel.segments);
    let before = segments.map(|segment| if segment.stream == stream { segment.lowest - 1 } else { 0 });
    before.fold(offset, i64::min)
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

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sample(stream: &str, offset: i64, time: i64) -> Sample {
        let place = RecordPlace { node: "n".into(), source: "s".into(), stream: stream.into(), offset };
        Sample { time: Some(MicroTime(at(time))), place, ..Sample::default() }
    }

    fn parcel(first: Sample, time: i64) -> Parcel {
        let opening = serde_json::json!({
            "ruleName": "r", "title": "R", "severity": "Low", "riskScore": 1, "groupHash": "", "target": "", "event": {},
        });
        Parcel::new(serde_json::from_value(opening).unwrap(), 60, first, at(time))
    }

    fn offsets(parcel: &Parcel) -> Vec<i64> {
        parcel.samples.iter().map(|sample| sample.place.offset).collect()
    }

    #[test]
    fn a_parcel_counts_each_stream_by_itself() {
        let mut parcel = parcel(sample("a", 10, 1_000), 1_000);
        parcel.add(sample("a", 20, 1_010), at(1_010));
        parcel.add(sample("b", 5, 990), at(990));
        let segment = |stream: &str, count, lowest, highest| Segment {
            source: "s".into(),
            stream: stream.into(),
            count,
            lowest,
            highest,
        };
        assert_eq!(parcel.segments, [segment("a", 2, 10, 20), segment("b", 1, 5, 5)]);
        assert_eq!((parcel.count(), parcel.first, parcel.last), (3, at(990), at(1_010)));
    }

    #[test]
    fn the_window_reaches_from_both_ends() {
        let mut parcel = parcel(sample("a", 10, 1_000), 1_000);
        parcel.add(sample("a", 20, 1_050), at(1_050));
        for (second, holds) in [(939, false), (940, true), (1_020, true), (1_110, true), (1_111, false)] {
            assert_eq!(parcel.holds(at(second)), holds, "{second}");
        }
        assert!(within(Timestamp::MIN, Timestamp::MIN, i64::MAX, Timestamp::MAX));
    }

    #[test]
    fn the_newest_samples_stay_in_the_order_of_their_time() {
        let mut parcel = parcel(sample("a", 1, 100), 100);
        for (offset, second) in [(2, 90), (3, 110), (4, 110), (5, 95), (6, 120), (7, 80)] {
            parcel.add(sample("a", offset, second), at(second));
        }
        // 7 is older than all, 2 made room for 6.
        assert_eq!(offsets(&parcel), [5, 1, 3, 4, 6]);
        assert_eq!(parcel.count(), 7);
    }

    #[test]
    fn what_is_pending_is_not_settled() {
        let at_offset = |stream, offset| parcel(sample(stream, offset, 1_000), 1_000);
        assert_eq!(settled(&[], "a", 100), 100);
        assert_eq!(settled(&[at_offset("a", 60), at_offset("a", 80)], "a", 100), 59);
        assert_eq!(settled(&[at_offset("a", 60), at_offset("b", 80)], "a", 100), 0);
    }

    #[test]
    fn a_record_is_a_sample_once() {
        let mut samples = vec![sample("a", 1, 100)];
        add_sample(&mut samples, sample("a", 1, 100));
        add_sample(&mut samples, sample("b", 1, 100));
        assert_eq!(samples.len(), 2);
    }

    #[test]
    fn a_parcel_that_was_stored_is_the_same_but_for_its_seal() {
        let mut parcel = parcel(sample("a", 10, 1_000), 1_000);
        let text = serde_json::to_string(&parcel).unwrap();
        parcel.sealed = true;
        let mut restored: Parcel = serde_json::from_str(&text).unwrap();
        assert!(!restored.sealed);
        restored.sealed = true;
        assert_eq!(restored, parcel);
    }

    #[test]
    fn times_that_could_not_be_read_again_are_never_kept() {
        // RFC 3339 begins with year 0.
        let time: Timestamp = "-000001-01-01T00:00:00Z".parse().unwrap();
        let hostile = || Some(MicroTime(time));
        let mut parcel = parcel(sample("a", 10, 1_000), 1_000);
        (parcel.first, parcel.samples[0].time) = (time, hostile());
        (parcel.opening.event.stage_time, parcel.opening.event.request_received_time) =
            (hostile(), hostile());
        let text = serde_json::to_string(&parcel.restored()).unwrap();
        let again: Parcel = serde_json::from_str(&text).unwrap();
        assert_eq!((again.first, again.samples[0].time.clone()), (time, again.opening.event.stage_time));
    }
}
