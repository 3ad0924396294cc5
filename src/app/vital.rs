//! The parts that last as long as the process. One that ends before, which only a panic makes it do, takes the process
//! with it, so that it starts anew and whole: going on without it would look well and do half of the work.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use anyhow::bail;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// What ends with any of its parts.
#[derive(Clone)]
pub(super) struct Vital {
    stop: CancellationToken,
    failed: Arc<OnceLock<&'static str>>,
}

impl Vital {
    /// Whatever `stop` stops.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stop, failed: Arc::default() }
    }

    /// The same part, whose panic stops everything.
    pub(super) fn part<F: Future>(
        &self,
        name: &'static str,
        part: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let guard = Guard { name, vital: self.clone() };
        async move {
            let outcome = part.await;
            drop(guard);
            outcome
        }
    }

    /// How it ended.
    ///
    /// # Errors
    /// When a part had panicked.
    pub(super) fn outcome(&self) -> anyhow::Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(part) => bail!("{part} panicked"),
        }
    }
}

struct Guard {
    name: &'static str,
    vital: Vital,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(part = self.name, "a part of the operator panicked: it ends, to be started anew");
            self.vital.failed.get_or_init(|| self.name);
            self.vital.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_stops_everything_and_one_that_ends_does_not() {
        let stop = CancellationToken::new();
        let vital = Vital::new(stop.clone());
        assert_eq!(tokio::spawn(vital.part("this", async { 7 })).await.unwrap(), 7);
        assert!(!stop.is_cancelled() && vital.outcome().is_ok());
        let stopped = tokio::spawn(vital.part("that", stop.clone().cancelled_owned()));
        let panics = tokio::spawn(vital.part("the other", async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        }));
        assert!(panics.await.is_err());
        stopped.await.unwrap();
        assert_eq!(vital.outcome().unwrap_err().to_string(), "the other panicked");
    }
}
