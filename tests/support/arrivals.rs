//! When alerts arrive at a watch, and how long that took.
use std::time::Duration;

use anyhow::Result;
use futures::{Stream, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::WatchEvent;
use tripline::api::SecurityAlert;

/// The next alert that a watch brings, and when.
pub(crate) async fn added(
    watch: &mut (impl Stream<Item = kube::Result<WatchEvent<SecurityAlert>>> + Unpin),
) -> Result<(SecurityAlert, Timestamp)> {
    while let Some(event) = watch.try_next().await? {
        if let WatchEvent::Added(alert) = event {
            return Ok((alert, Timestamp::now()));
        }
    }
    anyhow::bail!("the watch ended")
}

/// From one time to another; nothing where clocks disagree.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The distribution of times, in words.
pub(crate) fn distribution(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        times.get((times.len() * percent / 100).min(times.len() - 1)).copied().unwrap_or_default()
    };
    format!(
        "p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, max {:.1?} of {}",
        at(50),
        at(90),
        at(99),
        at(100),
        times.len()
    )
}
