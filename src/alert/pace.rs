//! How fast alerts are written: few a second, so that nobody can use them against the API server, and more the more of
//! them wait, so that none waits for long.

use std::time::{Duration, Instant};

/// How many may be written at once after a quiet time.
const BURST: f64 = 100.0;
/// Within how many seconds all that waits is to be written.
const DRAIN_SECONDS: f64 = 25.0;

/// Says how many alerts may be written now.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: f64,
    /// The most that waited since nothing did.
    peak: usize,
    allowance: f64,
    at: Instant,
}

impl Pace {
    /// A pace of so many a second while few wait.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second: f64::from(per_second), peak: 0, allowance: BURST, at: now }
    }

    #[allow(clippy::cast_precision_loss)] // a few thousand
    fn rate(&self) -> f64 {
        self.per_second.max(self.peak as f64 / DRAIN_SECONDS)
    }

    /// How many of the `due` may be written now.
    pub(super) fn allowed(&mut self, now: Instant, due: usize) -> usize {
        // At the pace there was until now.
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.allowance = (self.allowance + passed * self.rate()).min(BURST);
        self.at = now;
        self.peak = if due == 0 { 0 } else { self.peak.max(due) };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the burst
        let allowed = self.allowance as usize;
        allowed.min(due)
    }

    /// Some are being written.
    pub(super) fn spend(&mut self, written: usize) {
        #[allow(clippy::cast_precision_loss)] // a handful
        let written = written as f64;
        self.allowance -= written;
    }

    /// When one may be written.
    pub(super) fn next(&self) -> Instant {
        let missing = (1.0 - self.allowance).max(0.0);
        // A little later than exact: what falls short by a rounding would be asked for again and again.
        self.at + Duration::from_secs_f64(missing / self.rate()) + Duration::from_micros(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds the last of so many that are there at once is written.
    fn drained_after(mut waiting: usize) -> f64 {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(20, start), start);
        while waiting > 0 {
            let allowed = pace.allowed(now, waiting).min(8);
            pace.spend(allowed);
            waiting -= allowed;
            now = if allowed > 0 { now + Duration::from_millis(1) } else { pace.next() };
        }
        (now - start).as_secs_f64()
    }

    #[test]
    fn a_few_are_written_at_once_and_many_within_half_a_minute() {
        assert!(drained_after(100) < 0.2);
        for (waiting, seconds) in [(300, 10.5), (1_000, 25.5), (5_000, 25.5)] {
            let took = drained_after(waiting);
            assert!(took > 5.0 && took < seconds, "{waiting}: {took} s");
        }
    }

    #[test]
    fn what_never_ends_is_written_at_the_usual_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(20, start);
        let mut written = 0;
        for millisecond in 0..60_000 {
            let allowed = pace.allowed(start + Duration::from_millis(millisecond), 10);
            pace.spend(allowed);
            written += allowed;
        }
        assert!((1_295..=1_300).contains(&written), "{written}");
    }
}
