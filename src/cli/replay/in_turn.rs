//! Work that threads share, and that comes out as if one of them had done it all.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Where pieces of work come from.
struct Input<T> {
    take: T,
    taken: u64,
    is_over: bool,
}

/// Where they go to.
struct Turn<G> {
    give: G,
    /// Whose turn it is: the piece of this number.
    next: u64,
    result: anyhow::Result<()>,
}

/// Takes pieces of work one after the other until `take` says false, does each in whichever thread is free, and gives
/// them on in the order in which they were taken. The first error ends it, once all that was taken before is given on.
///
/// The calling thread is one of the `jobs`, so that one job needs no thread. `new` makes what a thread works with; it
/// holds one piece at a time.
pub(super) fn in_turn<P, T, G>(
    jobs: NonZeroUsize,
    new: impl Fn() -> P + Sync,
    take: T,
    work: impl Fn(&mut P) + Sync,
    give: G,
) -> anyhow::Result<()>
where
    T: FnMut(&mut P) -> anyhow::Result<bool> + Send,
    G: FnMut(&mut P) -> anyhow::Result<()> + Send,
{
    let input = Mutex::new(Input { take, taken: 0, is_over: false });
    let turn = Mutex::new(Turn { give, next: 0, result: Ok(()) });
    let stop = Stop { is_stopped: AtomicBool::new(false), turn_passed: Condvar::new() };
    let run = || {
        let _on_panic = OnPanic { stop: &stop, turn: &turn };
        let mut piece = new();
        while !stop.is_stopped() {
            let mut input = lock(&input);
            if input.is_over {
                return;
            }
            let number = input.taken;
            input.taken += 1;
            // Nobody goes on where this panics.
            input.is_over = true;
            let taken = (input.take)(&mut piece);
            input.is_over = !matches!(taken, Ok(true));
            drop(input);
            match taken {
                Ok(true) => work(&mut piece),
                Ok(false) => return,
                Err(_) => {}
            }
            let waiting = |turn: &mut Turn<G>| turn.next != number && !stop.is_stopped();
            // Where a piece that was given on made another thread panic, the wait ends before its time.
            let Ok(mut turn) = stop.turn_passed.wait_while(lock(&turn), waiting) else { return };
            if stop.is_stopped() {
                return;
            }
            turn.result = taken.and_then(|_| (turn.give)(&mut piece));
            turn.next += 1;
            if turn.result.is_err() {
                stop.is_stopped.store(true, Ordering::Relaxed);
            }
            drop(turn);
            stop.turn_passed.notify_all();
        }
    };
    // A panic in one of the threads is this function's, when all have ended.
    thread::scope(|scope| {
        for _ in 1..jobs.get() {
            // With fewer threads than asked for it is slower, and that is all.
            if thread::Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
    turn.into_inner().unwrap_or_else(PoisonError::into_inner).result
}

/// Wakes the threads that wait for their turn.
struct Stop {
    /// Set while the turn is locked, so that no thread misses it between looking and waiting.
    is_stopped: AtomicBool,
    turn_passed: Condvar,
}

impl Stop {
    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

/// Stops the others when a thread panics: its piece is never given on, and their turn would never come.
struct OnPanic<'a, T> {
    stop: &'a Stop,
    turn: &'a Mutex<T>,
}

impl<T> Drop for OnPanic<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            let turn = lock(self.turn);
            self.stop.is_stopped.store(true, Ordering::Relaxed);
            drop(turn);
            self.stop.turn_passed.notify_all();
        }
    }
}

/// A lock, poisoned or not: whoever panicked stops the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::*;

    const JOBS: [usize; 4] = [1, 2, 3, 7];

    /// Squares the numbers below 500, of which some take longer; what was given on, and how it ended.
    fn squares(
        jobs: usize,
        take: impl Fn(u64) -> anyhow::Result<()> + Sync,
        work: impl Fn(u64) + Sync,
        give: impl Fn(u64) -> anyhow::Result<()> + Sync,
    ) -> (Vec<u64>, thread::Result<anyhow::Result<()>>) {
        let (mut numbers, mut given) = (0..500, Vec::new());
        let run = || {
            in_turn(
                NonZeroUsize::new(jobs).unwrap(),
                || (0, 0),
                |piece| {
                    let Some(next) = numbers.next() else { return Ok(false) };
                    piece.0 = next;
                    take(next).map(|()| true)
                },
                |piece| {
                    if piece.0 % 7 == 0 {
                        thread::sleep(Duration::from_micros(100));
                    }
                    work(piece.0);
                    piece.1 = piece.0 * piece.0;
                },
                |piece| {
                    give(piece.0)?;
                    given.push(piece.1);
                    Ok(())
                },
            )
        };
        let ended = catch_unwind(AssertUnwindSafe(run));
        (given, ended)
    }

    fn first_squares(count: u64) -> Vec<u64> {
        (0..count).map(|n| n * n).collect()
    }

    #[test]
    fn pieces_are_given_on_in_the_order_in_which_they_were_taken() {
        for jobs in JOBS {
            let (given, ended) = squares(jobs, |_| Ok(()), |_| (), |_| Ok(()));
            assert_eq!(given, first_squares(500));
            ended.unwrap().unwrap();
        }
    }

    #[test]
    fn an_error_ends_it_after_all_that_came_before() {
        let fails = |n| if n == 123 { Err(anyhow::anyhow!("at {n}")) } else { Ok(()) };
        for jobs in JOBS {
            for (given, ended) in
                [squares(jobs, fails, |_| (), |_| Ok(())), squares(jobs, |_| Ok(()), |_| (), fails)]
            {
                assert_eq!(given, first_squares(123));
                assert_eq!(ended.unwrap().unwrap_err().to_string(), "at 123");
            }
        }
    }

    #[test]
    fn a_panic_ends_all_threads() {
        let panics = |n| assert!(n != 123, "at 123");
        let ok = |n| {
            panics(n);
            Ok(())
        };
        for jobs in JOBS {
            for (given, ended) in [
                squares(jobs, ok, |_| (), |_| Ok(())),
                squares(jobs, |_| Ok(()), panics, |_| Ok(())),
                squares(jobs, |_| Ok(()), |_| (), ok),
            ] {
                assert!(ended.is_err());
                assert_eq!(given, first_squares(given.len() as u64));
                assert!(given.len() <= 123);
            }
        }
    }
}
