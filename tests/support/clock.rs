//! How long the parts of a long test take, for whoever wonders.
use std::time::Instant;

/// Runs from its start, and from each time it was read.
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Says how long this took.
    pub(crate) fn took(&mut self, what: &str) {
        eprintln!("{:>8.1} s {what}", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}
