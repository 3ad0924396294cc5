//! Writing checkpoints off the thread that reads: an fsync may take long, and reading does not wait for it.
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::checkpoint::{CheckpointError, StateFolder};

/// A thread that writes the checkpoints of one source. One snapshot waits at most: a newer one takes its place.
#[derive(Debug)]
pub struct CheckpointWriter {
    shared: Arc<Shared>,
    file: PathBuf,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Vec<u8>>,
    writing: bool,
    stopping: bool,
    stopped: bool,
    /// How the last write failed, until somebody asks.
    error: Option<CheckpointError>,
    failures: u64,
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        // Nothing panics while it holds the lock, and a slot is consistent after every statement.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl FnMut(&mut Slot) -> bool) -> MutexGuard<'_, Slot> {
        self.changed
            .wait_while(self.slot(), condition)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointWriter {
    /// Starts the thread, for the checkpoints of this source and path.
    pub fn start(folder: Arc<StateFolder>, source: &str, path: &str) -> Result<Self, CheckpointError> {
        let file = folder.file_of(source, path);
        let target = file.clone();
        Self::with(file, move |bytes| folder.replace(&target, bytes))
    }

    fn with(
        file: PathBuf,
        write: impl Fn(&[u8]) -> Result<(), CheckpointError> + Send + 'static,
    ) -> Result<Self, CheckpointError> {
        let shared = Arc::new(Shared::default());
        let stopped = Stopped(Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || run(&stopped.0, write));
        match thread {
            Ok(thread) => Ok(Self {
                shared,
                file,
                thread: Some(thread),
            }),
            Err(source) => Err(CheckpointError::Io {
                action: "start the thread that writes",
                path: file,
                source,
            }),
        }
    }

    /// Hands in the newest snapshot and returns at once. One that still waited is dropped: it is older.
    pub fn submit(&self, snapshot: Vec<u8>) {
        self.shared.slot().waiting = Some(snapshot);
        self.shared.changed.notify_all();
    }

    /// Waits until all that was handed in is durable, or tells why it is not.
    ///
    /// A snapshot that could not be written is not tried again: the next one holds more.
    pub fn flush(&self) -> Result<(), CheckpointError> {
        let mut slot = self
            .shared
            .wait_while(|slot| !slot.stopped && (slot.writing || slot.waiting.is_some()));
        match slot.error.take() {
            Some(error) => Err(error),
            None if slot.stopped => Err(CheckpointError::WriterGone {
                path: self.file.clone(),
            }),
            None => Ok(()),
        }
    }

    /// How many writes have failed.
    pub fn failures(&self) -> u64 {
        self.shared.slot().failures
    }

    /// Whether the thread is there. It stops by itself only by a panic.
    pub fn is_running(&self) -> bool {
        !self.shared.slot().stopped
    }
}

impl Drop for CheckpointWriter {
    /// Writes what still waits.
    fn drop(&mut self) {
        self.shared.slot().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was on standard error, and `flush` has told of it.
            drop(thread.join());
        }
    }
}

/// Says so when the thread ends, also by a panic: nobody may wait for it then.
struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.slot().stopped = true;
        self.0.changed.notify_all();
    }
}

fn run(shared: &Shared, write: impl Fn(&[u8]) -> Result<(), CheckpointError>) {
    loop {
        let mut slot = shared.wait_while(|slot| slot.waiting.is_none() && !slot.stopping);
        let Some(snapshot) = slot.waiting.take() else {
            return;
        };
        slot.writing = true;
        drop(slot);
        let result = write(&snapshot);
        let mut slot = shared.slot();
        slot.writing = false;
        slot.failures += u64::from(result.is_err());
        slot.error = result.err();
        drop(slot);
        shared.changed.notify_all();
    }
}
