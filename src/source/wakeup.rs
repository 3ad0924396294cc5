//! When to look at a log again.
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Wakes a waiting thread when something happens in a log's folder, or when a [`Waker`] says so.
///
/// It is a hint and no more: watches fail on some file systems, and queues overflow. So no wait is longer than
/// [`SAFETY_POLL`](Self::SAFETY_POLL), and whoever waits looks at the log either way.
pub struct Wakeup {
    folder: PathBuf,
    signal: Waker,
    watch: Option<Watch>,
}

/// A watch holds as long as the folder is the same one.
struct Watch {
    device: u64,
    inode: u64,
    /// Watching ends when it is dropped.
    _watcher: RecommendedWatcher,
}

/// Ends a wait from another thread, or the next one if there is none now.
#[derive(Clone, Default)]
pub struct Waker(Arc<Signal>);

#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Waker {
    /// Ends the wait.
    pub fn wake(&self) {
        *self.0.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }

    fn wait(&self, longest: Duration) -> bool {
        let raised = self.0.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.changed.wait_timeout_while(raised, longest, |raised| !*raised);
        let (mut raised, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut raised)
    }
}

impl Wakeup {
    /// The longest wait.
    pub const SAFETY_POLL: Duration = Duration::from_millis(250);

    /// Watches a folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let mut wakeup = Self { folder: folder.into(), signal: Waker::default(), watch: None };
        wakeup.arm();
        wakeup
    }

    /// What ends a wait from outside.
    pub fn waker(&self) -> Waker {
        self.signal.clone()
    }

    /// Waits until something happened since the last wait, at most `longest` or [`SAFETY_POLL`](Self::SAFETY_POLL).
    /// Says whether something did.
    pub fn wait(&mut self, longest: Duration) -> bool {
        self.arm();
        self.signal.wait(longest.min(Self::SAFETY_POLL))
    }

    /// Whether the folder is watched, not only polled.
    pub fn is_armed(&self) -> bool {
        self.watch.is_some()
    }

    fn arm(&mut self) {
        let folder = std::fs::metadata(&self.folder).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let present = self.watch.as_ref().map(|watch| (watch.device, watch.inode));
        if folder == present {
            return;
        }
        self.watch = folder.and_then(|(device, inode)| {
            let signal = self.signal.clone();
            let woken = move |event: notify::Result<Event>| {
                // Our own opening and closing of files is an event as well.
                if !matches!(event, Ok(Event { kind: EventKind::Access(_), .. })) {
                    signal.wake();
                }
            };
            let mut watcher = notify::recommended_watcher(woken).ok()?;
            watcher.watch(&self.folder, RecursiveMode::NonRecursive).ok()?;
            // What happened before the watch was set is not lost: look once more.
            self.signal.wake();
            Some(Watch { device, inode, _watcher: watcher })
        });
    }
}

impl fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakeup")
            .field("folder", &self.folder)
            .field("armed", &self.is_armed())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Waits until something happened. A test fails by its own limit, so that a slow machine does not fail it.
    fn is_woken(wakeup: &mut Wakeup) -> bool {
        let limit = Instant::now() + Duration::from_secs(10);
        while Instant::now() < limit {
            if wakeup.wait(Duration::from_secs(1)) {
                return true;
            }
        }
        false
    }

    fn quiet(wakeup: &mut Wakeup) {
        while wakeup.wait(Wakeup::SAFETY_POLL) {}
    }

    #[test]
    fn a_write_ends_the_wait_and_reading_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.log");
        let mut wakeup = Wakeup::new(folder.path());
        assert!(wakeup.is_armed());
        quiet(&mut wakeup);
        std::fs::write(&file, "one").unwrap();
        assert!(is_woken(&mut wakeup));
        quiet(&mut wakeup);
        std::fs::read(&file).unwrap();
        assert!(!wakeup.wait(Duration::from_millis(50)));
        std::fs::rename(&file, folder.path().join("other")).unwrap();
        assert!(is_woken(&mut wakeup));
    }

    #[test]
    fn a_folder_that_appears_or_is_replaced_is_watched() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("log");
        let mut wakeup = Wakeup::new(&folder);
        assert!(!wakeup.is_armed());
        for _ in 0..2 {
            std::fs::create_dir(&folder).unwrap();
            assert!(is_woken(&mut wakeup));
            assert!(wakeup.is_armed());
            quiet(&mut wakeup);
            std::fs::write(folder.join("audit.log"), "one").unwrap();
            assert!(is_woken(&mut wakeup));
            std::fs::rename(&folder, parent.path().join("old")).unwrap();
            quiet(&mut wakeup);
            std::fs::remove_dir_all(parent.path().join("old")).unwrap();
        }
    }

    #[test]
    fn a_waker_ends_the_wait_also_when_it_comes_first() {
        let mut wakeup = Wakeup::new("/does/not/exist");
        let waker = wakeup.waker();
        waker.wake();
        assert!(wakeup.wait(Duration::ZERO));
        assert!(!wakeup.wait(Duration::ZERO));
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            assert!(is_woken(&mut wakeup));
        });
    }
}
