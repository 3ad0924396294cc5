//! The thread that writes the spool. What arrives while it writes shares the next write and its fsync, and waits.
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use super::super::position::Stamp;
use super::spool::{Spool, Stored};

/// How often parts are freed and hashes forgotten.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);
/// How many senders may wait: more than may be connected.
const QUEUE: usize = 1024;
/// How much is written at once.
const GROUP: usize = 8 << 20;

/// Lines of one sender, who waits for the answer.
struct Lines {
    lines: Vec<u8>,
    answer: oneshot::Sender<Stored>,
}

/// Up to which part of the spool a durable position is past.
pub(super) type Durable = Box<dyn Fn() -> Option<Stamp> + Send>;

/// Stores lines durably.
#[derive(Clone)]
pub(super) struct Store(SyncSender<Lines>);

/// The thread behind a [`Store`]. It ends when the last of those is dropped.
#[derive(Debug)]
pub(super) struct StoreThread(JoinHandle<()>);

impl Store {
    /// Starts the thread over a spool.
    pub(super) fn start(spool: Spool, durable: Durable, used: Gauge) -> io::Result<(Self, StoreThread)> {
        let (sender, receiver) = sync_channel(QUEUE);
        used.set(i64::try_from(spool.used()).unwrap_or(i64::MAX));
        let thread = thread::Builder::new().name("spool".to_owned());
        let thread =
            thread.spawn(move || Storing { spool, durable, used, tidied: Instant::now() }.run(&receiver))?;
        Ok((Self(sender), StoreThread(thread)))
    }

    /// Stores lines, each ended by a newline. They are durable on return, where it says so.
    pub(super) async fn store(&self, lines: Vec<u8>) -> Stored {
        let (answer, answered) = oneshot::channel();
        if self.0.try_send(Lines { lines, answer }).is_err() {
            return Stored::Failed;
        }
        // Without an answer the thread is gone.
        answered.await.unwrap_or(Stored::Failed)
    }
}

impl StoreThread {
    /// Whether it ended.
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for its end. False if it panicked.
    pub(super) fn join(self) -> bool {
        self.0.join().is_ok()
    }
}

struct Storing {
    spool: Spool,
    durable: Durable,
    used: Gauge,
    tidied: Instant,
}

impl Storing {
    fn run(mut self, receiver: &Receiver<Lines>) {
        loop {
            match receiver.recv_timeout(TIDY_INTERVAL) {
                Ok(first) => self.store(first, receiver),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.tidied.elapsed() >= TIDY_INTERVAL {
                self.tidy();
            }
        }
    }

    fn store(&mut self, first: Lines, receiver: &Receiver<Lines>) {
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        let mut size = 0;
        let mut next = Some(first);
        while let Some(Lines { lines, answer }) = next {
            size += lines.len();
            group.push(lines);
            answers.push(answer);
            next = if size < GROUP { receiver.try_recv().ok() } else { None };
        }
        let mut stored = self.spool.append(&group);
        if stored.contains(&Stored::Full) && self.tidy() {
            // What was refused has left nothing behind.
            for (lines, stored) in group.iter().zip(&mut stored) {
                if *stored == Stored::Full {
                    *stored = self.spool.append(std::slice::from_ref(lines))[0];
                }
            }
        }
        for (answer, stored) in answers.into_iter().zip(stored) {
            // A sender that is gone sends again, and is told then.
            answer.send(stored).ok();
        }
        let rotated = self.spool.rotate();
        self.note(rotated);
        self.used.set(i64::try_from(self.spool.used()).unwrap_or(i64::MAX));
    }

    /// Frees what is judged. Says whether that made room.
    fn tidy(&mut self) -> bool {
        self.tidied = Instant::now();
        let (before, now) = (self.spool.used(), SystemTime::now());
        if self.spool.has_closed()
            && let Some(past) = (self.durable)()
        {
            let freed = self.spool.free(&past, now);
            self.note(freed);
        }
        self.spool.expire(now);
        self.used.set(i64::try_from(self.spool.used()).unwrap_or(i64::MAX));
        self.spool.used() < before
    }

    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::error!(spool = %self.spool.folder().display(), %error, "the spool could not be tidied; it is tried again");
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
