//! The thread that reads one source: it judges what is written and enters what it finds into the ledger. Nothing it
//! does waits for the API server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tracing::{error, info, warn};

use super::judge::{Judge, Tally, Workspace};
use super::progress::{Progress, SharedReport, Trouble};
use super::surroundings::{SourceSettings, Surroundings};
use crate::alert::{Snapshot, settled};
use crate::source::{Checkpoint, CheckpointError, CheckpointWriter, FileSource, SourceError, Wakeup};
use crate::telemetry::{CategoryLabels, Chain, SourceLabels};

/// How often a checkpoint is written at most.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// How many bytes of checkpoints are written a second at most: whoever keeps alerts from being written must not by that
/// wear out the disk, which is often the one of etcd.
const CHECKPOINT_BYTES: u64 = 2 << 20;
/// A checkpoint is written by then, however large.
const LONGEST_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait for the next record before looking whether the log was rotated. Where records come steadily, the
/// next one is there before, and each costs one look at the disk instead of three.
const CAUGHT_UP_WAIT: Duration = Duration::from_millis(5);

/// Reads one source. Owned by its thread.
pub struct Reader {
    settings: SourceSettings,
    around: Surroundings,
    file: FileSource,
    wakeup: Wakeup,
    stop: Arc<AtomicBool>,
    report: SharedReport,
    checkpoints: CheckpointWriter,
    work: Workspace,
    labels: SourceLabels,
    events: Counter,
    saved_at: Option<Instant>,
    /// How long after that the next checkpoint may be written.
    interval: Duration,
    /// Whether the checkpoint on disk is behind.
    unsaved: bool,
    /// The ledger's snapshots that are not known to be on disk, each with a stream and up to where that is settled by it.
    handed_in: VecDeque<(u64, String, i64)>,
    /// How often a checkpoint could not be written.
    failures: u64,
}

impl Reader {
    /// A reader of `file`. `report` holds what was counted up to where it resumes.
    ///
    /// # Errors
    /// When the thread that writes checkpoints cannot be started.
    pub fn new(
        settings: SourceSettings,
        around: Surroundings,
        file: FileSource,
        wakeup: Wakeup,
        stop: Arc<AtomicBool>,
        report: SharedReport,
    ) -> Result<Self, CheckpointError> {
        let labels = SourceLabels { source: settings.name.clone() };
        let checkpoints = CheckpointWriter::start(Arc::clone(&around.state), &settings.name, &settings.path)?;
        let work = Workspace::default();
        let events = around.metrics.start_source(&settings.name);
        Ok(Self {
            settings,
            around,
            file,
            wakeup,
            stop,
            report,
            checkpoints,
            work,
            labels,
            events,
            saved_at: None,
            interval: CHECKPOINT_INTERVAL,
            unsaved: false,
            handed_in: VecDeque::new(),
            failures: 0,
        })
    }

    /// Reads until told to stop, then returns itself for [`finish`](Self::finish).
    #[must_use]
    pub fn run(mut self) -> Self {
        while !self.stop.load(Ordering::Acquire) {
            match self.turn() {
                Ok(Turn::More) => {}
                Ok(Turn::CaughtUp) => {
                    self.wakeup.wait(CAUGHT_UP_WAIT);
                }
                Ok(Turn::Idle) => {
                    self.wakeup.wait(Wakeup::SAFETY_POLL);
                }
                Err(error) => {
                    self.report_trouble(&error);
                    self.wakeup.wait(Wakeup::SAFETY_POLL);
                }
            }
            // Where nothing was read yet is a position too: what comes later is read from its start, also by a process
            // that was started in between.
            self.unsaved |= self.saved_at.is_none() && self.file.position().is_some();
            if self.unsaved && self.saved_at.is_none_or(|at| at.elapsed() >= self.interval) {
                let is_first = self.saved_at.is_none();
                self.save();
                if is_first {
                    self.wait_for_state();
                }
            }
            self.note_saved();
            // Writing happens on a thread of its own: what failed there since the last time is noticed here.
            if self.checkpoints.failures() > self.failures {
                self.wait_for_state();
            }
        }
        self
    }

    /// Makes the last position durable, with what is still to be written.
    pub fn finish(mut self) {
        self.save();
        if let Err(error) = self.checkpoints.flush() {
            self.failed(&error);
        }
        // The process may go on without this source: what waits for its checkpoint would stand in others' way for ever.
        self.note_saved();
    }

    /// Reads and judges what is there now.
    fn turn(&mut self) -> Result<Turn, SourceError> {
        let rules = self.around.rules.load_full();
        let not_before = self.file.not_before();
        let batch = self.file.read()?;
        let mut judge = Judge {
            settings: &self.settings,
            around: &self.around,
            rules: &rules,
            labels: &self.labels,
            unended: batch.unended(),
            not_before,
            tally: Tally::default(),
            events: &self.events,
        };
        for (long, position) in batch.long_lines() {
            judge.long_line(&mut self.work, long, *position);
        }
        for (line, position) in batch.lines() {
            judge.line(&mut self.work, &line, position);
        }
        let tally = judge.tally;
        let (new_file, unfinished) = (batch.identified_new_file(), batch.unfinished());
        let idle = batch.is_idle();
        let gap = batch.gap().map(ToString::to_string);
        let (bytes, rotations) = (batch.len(), batch.rotations());
        let lag = unfinished.or_else(|| self.file.lag_bytes()).unwrap_or_default();
        self.count_read(bytes, rotations);
        let last_write = self.file.last_write();
        self.report(tally, gap, lag, last_write);
        if new_file {
            // No record of a file may be judged before a checkpoint names the file: after a crash its positions could
            // not be told from those of another.
            self.save();
            self.wait_for_state();
        }
        Ok(match (idle, unfinished) {
            (true, _) => Turn::Idle,
            (false, Some(_)) => Turn::CaughtUp,
            (false, None) => Turn::More,
        })
    }

    fn count_read(&self, bytes: usize, rotations: u32) {
        if bytes == 0 && rotations == 0 {
            return;
        }
        let counts = &mut self.report.lock().counts;
        counts.bytes = counts.bytes.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        counts.rotations += i64::from(rotations);
        self.around.metrics.source_bytes.get_or_create(&self.labels).inc_by(bytes as u64);
        self.around.metrics.source_rotations.get_or_create(&self.labels).inc_by(rotations.into());
    }

    /// Adds what a batch came to, together with the position it came to it at.
    fn report(&mut self, tally: Tally, gap: Option<String>, lag: u64, last_write: Option<Timestamp>) {
        let mut report = self.report.lock();
        self.unsaved |= !tally.is_empty() || gap.is_some();
        tally.add_to(&mut report.counts);
        if let Some(what) = gap {
            warn!(source = self.settings.name, what, "a part of the log could not be read");
            self.around.metrics.source_gaps.get_or_create(&self.labels).inc();
            report.counts.count_gap(what, Timestamp::now());
        }
        // Whoever finds a stream in the status and no checkpoint takes it for a gap: so the checkpoint comes first.
        if let Some(position) = self.file.position().filter(|_| self.saved_at.is_some()) {
            let stream = position.stream.to_string();
            if report.stream != stream {
                report.settled_offset = 0;
                report.stream = stream;
            }
            report.offset = i64::try_from(position.offset).unwrap_or(i64::MAX);
        }
        if report.trouble.take().is_some() {
            info!(source = self.settings.name, "the log is read");
        }
        report.lag_bytes = i64::try_from(lag).unwrap_or(i64::MAX);
        report.last_write_time = last_write.or(report.last_write_time);
        let newest = report.counts.last_event_time.filter(|_| lag > 0);
        let age = newest.map_or(0.0, |time| Timestamp::now().duration_since(time).as_secs_f64().max(0.0));
        #[allow(clippy::cast_possible_truncation)] // whole seconds are wanted, and an age fits
        let seconds = age as i64;
        report.lag_seconds = seconds;
        drop(report);
        self.around
            .metrics
            .source_lag_bytes
            .get_or_create(&self.labels)
            .set(i64::try_from(lag).unwrap_or(i64::MAX));
        self.around.metrics.source_lag_seconds.get_or_create(&self.labels).set(age);
    }

    fn report_trouble(&self, error: &SourceError) {
        if self.say(Trouble::of(error)) {
            let category = error.category();
            self.around.metrics.source_read_errors.get_or_create(&CategoryLabels { category }).inc();
        }
    }

    /// Says why the log is not read. It is tried again several times a second; what counts is that it began: then the
    /// answer is yes.
    fn say(&self, trouble: Trouble) -> bool {
        let mut report = self.report.lock();
        let is_new = report.trouble.as_ref() != Some(&trouble);
        if is_new {
            let (reason, message) = (trouble.reason, &trouble.message);
            warn!(source = self.settings.name, reason, message, "the log is not read");
            report.trouble = Some(trouble);
        }
        is_new
    }

    /// Hands the present state to the thread that writes checkpoints.
    fn save(&mut self) {
        let name = &self.settings.name;
        // In this order: a match entered between the two would be in the counts and not in what is pending. There is
        // none, since this thread is the only one that enters matches of this source.
        let rules = self.around.rules.load();
        let mut report = self.report.lock();
        report.counts.rules.retain(|uid, _| rules.uids.contains(uid));
        for rule in rules.set.rules() {
            if let Some(counts) = report.counts.rules.get_mut(rule.uid()) {
                counts.keep_exceptions_of(rule);
            }
        }
        let counts = report.counts.clone();
        drop(report);
        let Snapshot { pending, number } = self.around.ledger.snapshot(name);
        // What is pending now is delivered later, and then the checkpoint is behind.
        self.unsaved = !pending.is_empty();
        self.saved_at = Some(Instant::now());
        let position = self.file.position();
        if let Some(position) = &position {
            let (stream, offset) =
                (position.stream.to_string(), i64::try_from(position.offset).unwrap_or(i64::MAX));
            let settled = settled(&pending, &stream, offset);
            self.handed_in.push_back((number, stream, settled));
        }
        let found = Progress { pending, counts };
        let checkpoint = Checkpoint::new(name, &self.settings.path, position, found);
        match checkpoint.encode() {
            Ok(snapshot) => {
                self.interval = interval_after(snapshot.len());
                self.checkpoints.submit(snapshot, number);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Tells of the checkpoints that have reached the disk.
    fn note_saved(&mut self) {
        let durable = self.checkpoints.durable();
        let mut newest = None;
        while let Some((_, stream, offset)) = self.handed_in.pop_front_if(|(number, ..)| *number <= durable) {
            newest = Some((stream, offset));
        }
        let Some((stream, settled)) = newest else { return };
        let mut report = self.report.lock();
        if report.stream == stream {
            report.settled_offset = settled;
        }
        drop(report);
        self.around.ledger.saved(&self.settings.name, durable);
    }

    /// Waits until what was handed over is on disk, however often that takes writing it again. Reading goes no further
    /// meanwhile: the log is the queue.
    fn wait_for_state(&mut self) {
        while let Err(error) = self.checkpoints.flush() {
            self.failed(&error);
            self.failures = self.checkpoints.failures();
            // None of them will be on disk any more.
            self.handed_in.clear();
            self.say(Trouble::of_state(&error));
            while self.saved_at.is_some_and(|at| at.elapsed() < CHECKPOINT_INTERVAL) {
                if self.stop.load(Ordering::Acquire) {
                    return;
                }
                self.wakeup.wait(Wakeup::SAFETY_POLL);
            }
            if matches!(error, CheckpointError::WriterGone { .. }) {
                self.restart_writer();
            }
            self.save();
        }
        self.failures = self.checkpoints.failures();
    }

    /// Another thread to write checkpoints, where the one there was has panicked.
    fn restart_writer(&mut self) {
        let state = Arc::clone(&self.around.state);
        match CheckpointWriter::start(state, &self.settings.name, &self.settings.path) {
            Ok(writer) => self.checkpoints = writer,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &CheckpointError) {
        self.around.metrics.checkpoint_errors.inc();
        self.unsaved = true;
        error!(source = self.settings.name, error = %Chain(error), "a checkpoint could not be written");
    }
}

/// How long after a checkpoint of this many bytes the next one may be written.
fn interval_after(bytes: usize) -> Duration {
    let micros = (bytes as u64).saturating_mul(1_000_000) / CHECKPOINT_BYTES;
    Duration::from_micros(micros).clamp(CHECKPOINT_INTERVAL, LONGEST_CHECKPOINT_INTERVAL)
}

/// How a turn ended.
enum Turn {
    /// There may be more to read.
    More,
    /// The file was read to its end; whether it is the last one was not looked at.
    CaughtUp,
    /// All is read.
    Idle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_checkpoints_are_written_less_often() {
        let seconds = |bytes| interval_after(bytes).as_secs_f64();
        let near = |bytes, wanted: f64| {
            assert!((seconds(bytes) - wanted).abs() < 0.001, "{bytes}: {}", seconds(bytes))
        };
        near(10_000, 1.0);
        near(2 << 20, 1.0);
        near(9 << 20, 4.5);
        near(usize::MAX, 10.0);
    }
}
