//! Messages as lines on standard output.
//!
//! A thread writes them. Whoever has a detection hands it in and goes on: what finds no room, because nobody reads the
//! other end, is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use super::change::{Change, Origin};
use crate::api::Detection;
use crate::telemetry::{Metrics, OutputFailureLabels, OutputLabels};

/// The word for it in metrics.
const OUTPUT: &str = "stdout";
/// How many messages may wait. One is at most some 10 KiB.
const ROOM: usize = 1_000;
/// How long a change waits for room, unless the one before it waited in vain.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether the last ones are written.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Debug)]
enum Message {
    Change(Box<Change>),
    Detection(Box<Detection>),
}

/// A way to standard output. A copy is another way to the same thread.
#[derive(Clone)]
pub struct Stdout {
    sender: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
    /// Whether the last change found no room for all its patience.
    is_stuck: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl Stdout {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the system has no thread to spare.
    pub fn start(origin: Origin, metrics: Arc<Metrics>) -> io::Result<Self> {
        Self::with(io::stdout(), origin, metrics, ROOM)
    }

    fn with(
        out: impl Write + Send + 'static,
        origin: Origin,
        metrics: Arc<Metrics>,
        room: usize,
    ) -> io::Result<Self> {
        metrics.start_output(OUTPUT, &["io"], &["full", "io"]);
        let (sender, messages) = sync_channel(room);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (left, counted) = (Arc::clone(&waiting), Arc::clone(&metrics));
        let run = move || write_all(out, &messages, &origin, &left, &counted);
        thread::Builder::new().name("stdout".to_owned()).spawn(run)?;
        Ok(Self { sender, waiting, is_stuck: Arc::default(), metrics })
    }

    /// Tells of a change. After a start there may be many at once: there is a moment's patience where lines are taken.
    pub(super) async fn change(&self, change: Change) {
        let began = Instant::now();
        let mut message = Message::Change(Box::new(change));
        while let Some(back) = self.send(message) {
            if self.is_stuck.load(Ordering::Acquire) || began.elapsed() > PATIENCE {
                self.is_stuck.store(true, Ordering::Release);
                return self.count_dropped();
            }
            tokio::time::sleep(LOOK).await;
            message = back;
        }
        self.is_stuck.store(false, Ordering::Release);
    }

    /// Tells of a detection, without ever waiting.
    pub fn detection(&self, detection: Detection) {
        if self.send(Message::Detection(Box::new(detection))).is_some() {
            self.count_dropped();
        }
    }

    /// Hands a message in; gives it back where there is no room.
    fn send(&self, message: Message) -> Option<Message> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let (TrySendError::Full(back) | TrySendError::Disconnected(back)) =
            self.sender.try_send(message).err()?;
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        Some(back)
    }

    fn count_dropped(&self) {
        let labels = OutputFailureLabels { output: OUTPUT, reason: "full" };
        self.metrics.output_dropped.get_or_create(&labels).inc();
    }

    /// Waits until all that was handed in is written, at most for `patience`.
    pub async fn flush(&self, patience: Duration) {
        let flushed = async {
            while self.waiting.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(patience, flushed).await.is_err() {
            warn!("standard output does not take the last lines");
        }
    }
}

fn write_all(
    mut out: impl Write,
    messages: &Receiver<Message>,
    origin: &Origin,
    waiting: &AtomicUsize,
    metrics: &Metrics,
) {
    let mut has_failed = false;
    for message in messages {
        let mut line = match message {
            Message::Change(change) => origin.change(&change),
            Message::Detection(detection) => origin.detection(&detection),
        };
        line.push(b'\n');
        match out.write_all(&line).and_then(|()| out.flush()) {
            Ok(()) => {
                metrics.output_sent.get_or_create(&OutputLabels { output: OUTPUT }).inc();
            }
            Err(error) => {
                let labels = OutputFailureLabels { output: OUTPUT, reason: "io" };
                metrics.output_failures.get_or_create(&labels).inc();
                metrics.output_dropped.get_or_create(&labels).inc();
                if !std::mem::replace(&mut has_failed, true) {
                    warn!(%error, "standard output takes no line; what follows is only counted");
                }
            }
        }
        let left = waiting.fetch_sub(1, Ordering::AcqRel) - 1;
        let labels = OutputLabels { output: OUTPUT };
        metrics.output_pending.get_or_create(&labels).set(i64::try_from(left).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use serde_json::Value;

    use super::super::change::AlertFacts;
    use super::super::change::ChangeKind;
    use super::super::change::tests::alert;
    use super::*;

    fn detection(offset: i64) -> Detection {
        let mut detection = alert("u", "Low", "Open", 1, 1).spec.detection;
        detection.event.place.offset = offset;
        detection
    }

    fn change(number: i64) -> Change {
        let alert = AlertFacts::of(&alert("u", "Low", "Open", 1, number)).unwrap();
        Change { kind: ChangeKind::Counted, time: jiff::Timestamp::UNIX_EPOCH, alert, detection: None }
    }

    /// Where lines go once it is opened.
    #[derive(Default)]
    struct Pipe {
        /// Whether it is open, and what was written.
        state: Mutex<(bool, Vec<u8>)>,
        opened: Condvar,
    }

    impl Write for &'static Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.opened.wait_while(self.state.lock().unwrap(), |state| !state.0).unwrap();
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn who_has_a_message_never_waits_and_what_finds_no_room_is_counted() {
        let (pipe, metrics): (&Pipe, _) = (Box::leak(Box::default()), Arc::new(Metrics::new()));
        let stdout = Stdout::with(pipe, Origin::new(None), Arc::clone(&metrics), 4).unwrap();
        for offset in 1..=20 {
            stdout.detection(detection(offset));
        }
        // Nobody takes a line: one waits in vain, and the others know.
        let began = Instant::now();
        for number in 1..=5 {
            stdout.change(change(number)).await;
        }
        assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
        pipe.state.lock().unwrap().0 = true;
        pipe.opened.notify_all();
        stdout.flush(Duration::from_secs(10)).await;
        let written = String::from_utf8(pipe.state.lock().unwrap().1.clone()).unwrap();
        let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let labels = OutputFailureLabels { output: OUTPUT, reason: "full" };
        let dropped = metrics.output_dropped.get_or_create(&labels).get();
        // One more than there is room for may be in the thread's hands.
        assert!((20..=21).contains(&dropped), "{dropped}");
        assert_eq!(lines.len() as u64, 25 - dropped);
        assert_eq!(lines[0]["id"], "r-t-1");
        assert_eq!(metrics.output_sent.get_or_create(&OutputLabels { output: OUTPUT }).get(), 25 - dropped);
        // Now there is room for more than there is at once.
        for number in 1..=20 {
            stdout.change(change(number)).await;
        }
        assert_eq!(metrics.output_dropped.get_or_create(&labels).get(), dropped);
    }

    #[tokio::test]
    async fn an_output_that_is_gone_is_counted() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let metrics = Arc::new(Metrics::new());
        let stdout = Stdout::with(Gone, Origin::new(None), Arc::clone(&metrics), 4).unwrap();
        stdout.change(change(1)).await;
        stdout.flush(Duration::from_secs(10)).await;
        let labels = OutputFailureLabels { output: OUTPUT, reason: "io" };
        assert_eq!(metrics.output_dropped.get_or_create(&labels).get(), 1);
    }
}
