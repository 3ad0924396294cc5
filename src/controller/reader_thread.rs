//! A reading thread as its owner sees it: started, looked at, stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tracing::error;

use super::progress::{SharedReport, Trouble};
use super::reader::Reader;
use super::surroundings::{SourceSettings, Surroundings};
use crate::source::{FileSource, Waker, Wakeup};
use crate::telemetry::Chain;

/// A thread that reads one source.
pub(super) struct ReaderThread {
    settings: SourceSettings,
    stop: Arc<AtomicBool>,
    waker: Waker,
    handle: JoinHandle<Reader>,
}

impl ReaderThread {
    /// Starts to read `file`.
    pub(super) fn start(
        settings: SourceSettings,
        around: Surroundings,
        file: FileSource,
        wakeup: Wakeup,
        report: SharedReport,
    ) -> Result<Self, Trouble> {
        let stop = Arc::new(AtomicBool::new(false));
        let waker = wakeup.waker();
        let reader = Reader::new(settings.clone(), around, file, wakeup, Arc::clone(&stop), report);
        let reader = reader.map_err(|error| Trouble::unreadable(Chain(&error).to_string()))?;
        let thread = std::thread::Builder::new().name(format!("read-{}", settings.name));
        let handle = thread.spawn(move || reader.run());
        let handle =
            handle.map_err(|error| Trouble::unreadable(format!("no thread could be started: {error}")))?;
        Ok(Self { settings, stop, waker, handle })
    }

    /// Whether it reads what these settings say.
    pub(super) fn is_for(&self, settings: &SourceSettings) -> bool {
        self.settings == *settings
    }

    /// Whether it ended by itself, which only a panic makes it do.
    pub(super) fn has_ended(&self) -> bool {
        self.handle.is_finished()
    }

    /// Stops it and gives its reader; none if it had panicked.
    pub(super) async fn stop(self) -> Option<Reader> {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        let source = self.settings.name;
        match tokio::task::spawn_blocking(move || self.handle.join()).await {
            Ok(Ok(reader)) => Some(reader),
            _ => {
                error!(source, "the reading thread had panicked");
                None
            }
        }
    }

    /// Stops it, since its source is read differently or not at all from now on, and saves how far it came.
    pub(super) async fn retire(self) {
        let source = self.settings.name.clone();
        if let Some(reader) = self.stop().await
            && let Err(error) = tokio::task::spawn_blocking(move || reader.finish()).await
        {
            error!(source, %error, "the last checkpoint of a source could not be written");
        }
    }
}
