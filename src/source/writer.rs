//! Writing checkpoints off the thread that reads: an fsync may take long, and reading does not wait for it.
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::checkpoint::StateFolder;
use super::error::CheckpointError;
use super::position::Position;
use super::webhook::{SPOOL_LOG, WEBHOOK_PATH};

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
    waiting: Option<(Vec<u8>, Option<Position>)>,
    /// What the newest durable snapshot was handed in with.
    settled: Option<Position>,
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
        self.changed.wait_while(self.slot(), condition).unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointWriter {
    /// Starts the thread, for the checkpoints of this source and path.
    pub fn start(folder: Arc<StateFolder>, source: &str, path: &str) -> Result<Self, CheckpointError> {
        let file = folder.file_of(source, path);
        let target = file.clone();
        // A spool is read before what was written to it last is durable. A position must not be past what a power cut
        // would leave; closed parts are durable.
        let spool = (path == WEBHOOK_PATH).then(|| folder.spool_of(source).join(SPOOL_LOG));
        Self::with(file, move |bytes| {
            if let Some(spool) = &spool {
                let synced = File::open(spool).and_then(|log| log.sync_data());
                synced.map_err(|source| CheckpointError::Io {
                    action: "sync",
                    path: spool.clone(),
                    source,
                })?;
            }
            folder.replace(&target, bytes)
        })
    }

    fn with(
        file: PathBuf,
        write: impl Fn(&[u8]) -> Result<(), CheckpointError> + Send + 'static,
    ) -> Result<Self, CheckpointError> {
        let shared = Arc::new(Shared::default());
        let stopped = Stopped(Arc::clone(&shared));
        let thread =
            thread::Builder::new().name("checkpoint".to_owned()).spawn(move || run(&stopped.0, write));
        match thread {
            Ok(thread) => Ok(Self { shared, file, thread: Some(thread) }),
            Err(source) => {
                Err(CheckpointError::Io { action: "start the thread that writes", path: file, source })
            }
        }
    }

    /// Hands in the newest snapshot and returns at once. One that still waited is dropped: it is older. `settled` is up
    /// to where, by this snapshot, nothing that was found is left to be delivered.
    pub fn submit(&self, snapshot: Vec<u8>, settled: Option<Position>) {
        self.shared.slot().waiting = Some((snapshot, settled));
        self.shared.changed.notify_all();
    }

    /// Waits until all that was handed in is durable, or tells why it is not.
    ///
    /// A snapshot that could not be written is not tried again: the next one holds more.
    pub fn flush(&self) -> Result<(), CheckpointError> {
        let mut slot =
            self.shared.wait_while(|slot| !slot.stopped && (slot.writing || slot.waiting.is_some()));
        match slot.error.take() {
            Some(error) => Err(error),
            None if slot.stopped => Err(CheckpointError::WriterGone { path: self.file.clone() }),
            None => Ok(()),
        }
    }

    /// Up to where nothing that was found is left to be delivered, by the newest snapshot that is durable.
    pub fn settled(&self) -> Option<Position> {
        self.shared.slot().settled
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
        let Some((snapshot, settled)) = slot.waiting.take() else {
            return;
        };
        slot.writing = true;
        drop(slot);
        let result = write(&snapshot);
        let mut slot = shared.slot();
        slot.writing = false;
        if result.is_ok() {
            slot.settled = settled;
        }
        slot.failures += u64::from(result.is_err());
        slot.error = result.err();
        drop(slot);
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::super::checkpoint::{Checkpoint, Loaded};
    use super::super::position::StreamId;
    use super::*;

    /// A writer whose writes wait to be let go, and what was written.
    fn gated() -> (CheckpointWriter, SyncSender<bool>, Receiver<Vec<u8>>) {
        let (go, gate) = sync_channel(100);
        let (wrote, written) = sync_channel(100);
        let writer = CheckpointWriter::with("checkpoint".into(), move |bytes| {
            wrote.send(bytes.to_vec()).unwrap();
            if gate.recv().unwrap() {
                return Ok(());
            }
            Err(CheckpointError::WriterGone { path: "a test's error".into() })
        });
        (writer.unwrap(), go, written)
    }

    #[test]
    fn what_was_flushed_is_on_disk() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Arc::new(StateFolder::open(temp.path()).unwrap());
        let writer = CheckpointWriter::start(Arc::clone(&folder), "node", "audit.log").unwrap();
        writer.flush().unwrap();
        for number in 0..100 {
            writer.submit(Checkpoint::new("node", "audit.log", None, number).encode().unwrap(), None);
        }
        writer.flush().unwrap();
        let loaded = folder.load::<u32>("node", "audit.log").unwrap();
        assert_eq!(loaded, Loaded::Found(Box::new(Checkpoint::new("node", "audit.log", None, 99))));
        drop(writer);
        assert_eq!(Arc::strong_count(&folder), 1);
    }

    #[test]
    fn the_newest_snapshot_takes_the_place_of_one_that_waits() {
        let (writer, go, written) = gated();
        writer.submit(vec![1], None);
        assert_eq!(written.recv().unwrap(), [1]);
        writer.submit(vec![2], None);
        writer.submit(vec![3], None);
        go.send(true).unwrap();
        go.send(true).unwrap();
        writer.flush().unwrap();
        assert_eq!(written.try_iter().collect::<Vec<_>>(), [[3]]);
    }

    #[test]
    fn a_failure_is_told_once_and_counted() {
        let (writer, go, _written) = gated();
        writer.submit(vec![1], None);
        go.send(false).unwrap();
        assert!(writer.flush().unwrap_err().to_string().contains("a test's error"));
        writer.flush().unwrap();
        assert_eq!(writer.failures(), 1);
        go.send(true).unwrap();
        writer.submit(vec![2], None);
        writer.flush().unwrap();
        assert!(writer.is_running());
    }

    #[test]
    fn what_waits_is_written_before_the_end() {
        let (writer, go, written) = gated();
        go.send(true).unwrap();
        writer.submit(vec![1], None);
        drop(writer);
        assert_eq!(written.try_iter().collect::<Vec<_>>(), [[1]]);
    }

    #[test]
    fn what_is_settled_is_told_once_it_is_durable() {
        let (writer, go, written) = gated();
        let place = |offset| Position { stream: StreamId::from_bytes([7; 16]), offset };
        writer.submit(vec![1], Some(place(10)));
        written.recv().unwrap();
        assert_eq!(writer.settled(), None);
        go.send(true).unwrap();
        writer.flush().unwrap();
        assert_eq!(writer.settled(), Some(place(10)));
        go.send(false).unwrap();
        writer.submit(vec![2], Some(place(20)));
        writer.flush().unwrap_err();
        assert_eq!(writer.settled(), Some(place(10)));
    }

    #[test]
    fn a_panic_is_noticed() {
        let writer = CheckpointWriter::with("checkpoint".into(), |_| panic!("on purpose")).unwrap();
        writer.submit(vec![1], None);
        assert_eq!(writer.flush().unwrap_err().category(), "writer_gone");
        assert!(!writer.is_running());
        writer.submit(vec![2], None);
        assert_eq!(writer.flush().unwrap_err().category(), "writer_gone");
    }
}
