//! Time: of this thread, of child processes; rounds and their medians.

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::ClockId;

/// A row that has taken this long begins no further round.
const LONGEST_ROW: Duration = Duration::from_secs(20);

/// How often everything is measured.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) most: usize,
}

impl Rounds {
    /// The median of each candidate's times, which are taken in turn, so that what disturbs a round disturbs all of
    /// them. A candidate says itself how long it took: what it must prepare first is not part of that.
    pub(crate) fn in_turn<const N: usize>(
        self,
        mut candidates: [&mut dyn FnMut() -> Result<Duration>; N],
    ) -> Result<[f64; N]> {
        let started = Instant::now();
        let mut times: [Vec<f64>; N] = [const { Vec::new() }; N];
        while times[0].is_empty() || (times[0].len() < self.most && started.elapsed() < LONGEST_ROW) {
            for (candidate, times) in candidates.iter_mut().zip(&mut times) {
                times.push(candidate()?.as_secs_f64());
            }
        }
        Ok(times.map(|times| median(&times)))
    }
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The CPU time that `work` takes of this thread. Not by `getrusage`, which on some kernels counts ticks of four
/// milliseconds.
pub(crate) fn of_thread<T>(work: impl FnOnce() -> T) -> Result<(Duration, T)> {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    let before = clock.now()?;
    let result = work();
    Ok((Duration::from(clock.now()? - before), result))
}

/// The CPU time that this process has had, user and system.
pub(crate) fn of_process() -> Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into())
}

/// The CPU time that the main thread of another process has had.
pub(crate) fn of_other(process: u32) -> Result<Duration> {
    let spent = std::fs::read_to_string(format!("/proc/{process}/schedstat"))?;
    Ok(Duration::from_nanos(spent.split(' ').next().unwrap_or_default().parse()?))
}

/// The CPU time, user and system, of the child processes that `work` starts and waits for.
pub(crate) fn of_children<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let before = cpu(UsageWho::RUSAGE_CHILDREN)?;
    let result = work()?;
    Ok((cpu(UsageWho::RUSAGE_CHILDREN)?.saturating_sub(before), result))
}

/// The peak of the child processes that this one waited for, in kilobytes. A child's also counts what its parent had
/// when it was started.
pub(crate) fn peak_of_children() -> Result<i64> {
    Ok(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss())
}

fn cpu(whose: UsageWho) -> Result<Duration> {
    let usage: Usage = getrusage(whose)?;
    let duration = |time: TimeVal| -> Result<Duration> {
        Ok(Duration::new(time.tv_sec().try_into()?, 1_000 * u32::try_from(time.tv_usec())?))
    };
    Ok(duration(usage.user_time())? + duration(usage.system_time())?)
}

/// How fast that many bytes in that many seconds are, in MB/s.
#[allow(clippy::cast_precision_loss, reason = "a speed is read to three digits")]
pub(crate) fn speed(bytes: usize, seconds: f64) -> f64 {
    bytes as f64 / 1e6 / seconds
}

/// A number as the table shows it: what is small keeps its digits.
pub(crate) fn shown(number: f64, unit: &str) -> String {
    let digits = match number {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{number:.digits$} {unit}")
}
