//! Messages as lines on standard output.
//!
//! A thread writes them. Whoever has a message hands it in and goes on: what finds no room, because nobody reads the
//! other end, is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::warn;

use super::change::{Change, Origin};
use crate::api::Detection;
use crate::telemetry::{Metrics, OutputFailureLabels, OutputLabels};

/// The word for it in metrics.
const OUTPUT: &str = "stdout";
/// How many messages may wait. One is at most some 10 KiB.
const ROOM: usize = 1_000;
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
        Ok(Self { sender, waiting, metrics })
    }

    /// Tells of a change.
    pub fn change(&self, change: Change) {
        self.send(Message::Change(Box::new(change)));
    }

    /// Tells of a detection.
    pub fn detection(&self, detection: Detection) {
        self.send(Message::Detection(Box::new(detection)));
    }

    fn send(&self, message: Message) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if self.sender.try_send(message).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            let labels = OutputFailureLabels { output: OUTPUT, reason: "full" };
            self.metrics.output_dropped.get_or_create(&labels).inc();
        }
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
        for number in 0..20 {
            stdout.change(change(number + 1));
        }
        pipe.state.lock().unwrap().0 = true;
        pipe.opened.notify_all();
        stdout.flush(Duration::from_secs(10)).await;
        let written = String::from_utf8(pipe.state.lock().unwrap().1.clone()).unwrap();
        let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let labels = OutputFailureLabels { output: OUTPUT, reason: "full" };
        let dropped = metrics.output_dropped.get_or_create(&labels).get();
        // One more than there is room for may be in the thread's hands.
        assert!((15..=16).contains(&dropped), "{dropped}");
        assert_eq!(lines.len() as u64, 20 - dropped);
        assert_eq!(lines[0]["id"], "u-counted-1");
        assert_eq!(metrics.output_sent.get_or_create(&OutputLabels { output: OUTPUT }).get(), 20 - dropped);
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
        stdout.change(change(1));
        stdout.flush(Duration::from_secs(10)).await;
        let labels = OutputFailureLabels { output: OUTPUT, reason: "io" };
        assert_eq!(metrics.output_dropped.get_or_create(&labels).get(), 1);
    }
}
