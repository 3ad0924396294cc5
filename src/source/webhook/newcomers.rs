//! Connections that have not yet shown that they may come in: few, and not for long.
//!
//! Whoever reaches the port can open connections and say nothing. They take each other's places, never that of a
//! sender who has proved himself: of too many newcomers the one that waited longest goes, and whoever is who he should
//! be needs some milliseconds.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How many there are at most.
const MOST: usize = 128;
/// How long one may take to send the head of a first request that is let in.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The newcomers, the one that waited longest first.
#[derive(Debug, Default)]
pub(super) struct Newcomers(Mutex<VecDeque<Arc<Newcomer>>>);

/// A connection that has to prove itself.
#[derive(Debug, Default)]
pub(super) struct Newcomer {
    is_proven: AtomicBool,
    is_put_out: CancellationToken,
}

impl Newcomers {
    /// A new one comes. Says whether another one had to go.
    pub(super) fn enter(&self) -> (Arc<Newcomer>, bool) {
        let newcomer = Arc::new(Newcomer::default());
        let mut all = self.lock();
        all.push_back(Arc::clone(&newcomer));
        let put_out = if all.len() > MOST { all.pop_front() } else { None };
        drop(all);
        if let Some(oldest) = &put_out {
            oldest.is_put_out.cancel();
        }
        (newcomer, put_out.is_some())
    }

    /// It has proved itself, or it is gone.
    pub(super) fn leave(&self, newcomer: &Arc<Newcomer>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, newcomer));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Newcomer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newcomer {
    /// It is who it should be. False when that was known.
    pub(super) fn prove(&self) -> bool {
        !self.is_proven.swap(true, Ordering::AcqRel)
    }

    /// Resolves when the connection has to go.
    pub(super) async fn must_go(&self) {
        tokio::select! {
            () = self.is_put_out.cancelled() => {}
            () = tokio::time::sleep(PATIENCE) => {}
        }
        if self.is_proven.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_too_many_the_oldest_goes_and_one_that_is_proven_stays() {
        let newcomers = Newcomers::default();
        let (proven, _) = newcomers.enter();
        assert!(proven.prove() && !proven.prove());
        newcomers.leave(&proven);
        let (oldest, _) = newcomers.enter();
        for _ in 1..MOST {
            assert!(!newcomers.enter().1);
        }
        assert!(newcomers.enter().1);
        oldest.must_go().await;
        assert!(!proven.is_put_out.is_cancelled());
    }
}
