//! When to look at a log again.
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, ReadFlags};
use rustix::time::Timespec;
use smallvec::SmallVec;

/// Wakes a waiting thread when something happens in a log's folder, or when a [`Waker`] says so.
///
/// It is a hint and no more: watches fail on some file systems, and queues overflow. So no wait is longer than
/// [`SAFETY_POLL`](Self::SAFETY_POLL), and whoever waits looks at the log either way. The thread waits for the kernel
/// itself: a library that calls back from a thread of its own would wake two threads for every record.
pub struct Wakeup {
    folder: PathBuf,
    waker: Waker,
    watch: Option<Watch>,
    /// When the folder was last compared with the watched one.
    compared: Instant,
}

/// A watch holds as long as the folder is the same one.
struct Watch {
    device: u64,
    inode: u64,
    /// Watching ends when it is closed.
    events: OwnedFd,
}

/// Ends a wait from another thread, or the next one if there is none now.
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Ends the wait.
    pub fn wake(&self) {
        // It fails only when woken 2^64 times without a wait, and then there is nothing to add.
        rustix::io::write(&*self.0, &1_u64.to_ne_bytes()).ok();
    }

    fn clear(&self) {
        // It fails only when nobody woke.
        rustix::io::read(&*self.0, &mut [0_u8; 8]).ok();
    }
}

impl Watch {
    /// Takes what happened, of which what one read leaves ends the next wait. Says whether the folder is not watched
    /// any more: another one in its place may well have its inode.
    fn ends(&self) -> bool {
        let mut room = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.events, &mut room);
        let last = ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        let mut ends = false;
        while let Ok(event) = events.next() {
            ends |= event.events().intersects(last);
            if events.is_buffer_empty() {
                break;
            }
        }
        ends
    }
}

impl Wakeup {
    /// The longest wait.
    pub const SAFETY_POLL: Duration = Duration::from_millis(250);

    /// Watches a folder, which need not exist yet.
    ///
    /// # Errors
    /// When the system gives no file descriptor to be woken by.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let waker = Waker(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        let mut wakeup = Self { folder: folder.into(), waker, watch: None, compared: Instant::now() };
        wakeup.arm();
        Ok(wakeup)
    }

    /// What ends a wait from outside.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits until something happened since the last wait, at most `longest` or [`SAFETY_POLL`](Self::SAFETY_POLL).
    /// Says whether something did.
    pub fn wait(&mut self, longest: Duration) -> bool {
        if self.watch.is_none() || self.compared.elapsed() >= Self::SAFETY_POLL {
            self.arm();
        }
        let longest = longest.min(Self::SAFETY_POLL);
        let timeout = Timespec { tv_sec: 0, tv_nsec: longest.subsec_nanos().into() };
        let sources = [Some(self.waker.0.as_fd()), self.watch.as_ref().map(|watch| watch.events.as_fd())];
        let mut waited: SmallVec<[PollFd<'_>; 2]> = sources
            .into_iter()
            .flatten()
            .map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN))
            .collect();
        if poll(&mut waited, Some(&timeout)).is_err() {
            // A signal ended it early, which is as good as the end of the wait.
            return false;
        }
        let is_ready =
            |source: Option<&PollFd<'_>>| source.is_some_and(|source| !source.revents().is_empty());
        let (is_woken, has_changed) = (is_ready(waited.first()), is_ready(waited.get(1)));
        drop(waited);
        if is_woken {
            self.waker.clear();
        }
        if has_changed && self.watch.as_ref().is_some_and(Watch::ends) {
            self.watch = None;
        }
        is_woken || has_changed
    }

    /// Whether the folder is watched, not only polled.
    pub fn is_armed(&self) -> bool {
        self.watch.is_some()
    }

    fn arm(&mut self) {
        self.compared = Instant::now();
        let folder = std::fs::metadata(&self.folder).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let present = self.watch.as_ref().map(|watch| (watch.device, watch.inode));
        if folder == present {
            return;
        }
        self.watch = folder.and_then(|(device, inode)| {
            // Our own opening and closing of files is none of these.
            let changes = inotify::WatchFlags::MODIFY
                | inotify::WatchFlags::CREATE
                | inotify::WatchFlags::DELETE
                | inotify::WatchFlags::MOVED_FROM
                | inotify::WatchFlags::MOVED_TO
                | inotify::WatchFlags::DELETE_SELF
                | inotify::WatchFlags::MOVE_SELF;
            let events =
                inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
            inotify::add_watch(&events, &self.folder, changes | inotify::WatchFlags::ONLYDIR).ok()?;
            // What happened before the watch was set is not lost: look once more.
            self.waker.wake();
            Some(Watch { device, inode, events })
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
        let mut wakeup = Wakeup::new(folder.path()).unwrap();
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
        let mut wakeup = Wakeup::new(&folder).unwrap();
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
        let mut wakeup = Wakeup::new("/does/not/exist").unwrap();
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
