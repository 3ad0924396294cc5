//! One pass over a text: by a matcher, and by what it is measured against.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, ensure};
use memchr::memchr_iter;
use tripline::detect::{Matcher, Reading};

use crate::measure;

/// Judges every line. The matcher comes fresh, so that what it learns on its way is part of the time.
pub(crate) fn judge(mut matcher: Matcher, text: &[u8], reading: Reading) -> Result<(Duration, usize)> {
    let (time, (outcomes, malformed)) = measure::of_thread(|| count(&mut matcher, text, reading))?;
    ensure!(malformed == 0, "{malformed} lines of the log are no events");
    Ok((time, outcomes))
}

/// How many outcomes there are, and how many lines are no event.
pub(crate) fn count(matcher: &mut Matcher, text: &[u8], reading: Reading) -> (usize, usize) {
    let (mut outcomes, mut malformed, mut from) = (0, 0, 0);
    while from < text.len() {
        let (next, judged) = matcher.judge_next(text, from, reading);
        match judged {
            Ok(found) => outcomes += found.len(),
            Err(_) => malformed += 1,
        }
        from = next;
    }
    (outcomes, malformed)
}

/// Finds every newline: what it takes to read the text from memory and see its lines.
pub(crate) fn find_newlines(text: &[u8]) -> Result<Duration> {
    // Not `count()`, which needs no places.
    let (time, _) = measure::of_thread(|| black_box(memchr_iter(b'\n', text).fold(0, |_, at| at)))?;
    Ok(time)
}

/// Skips every line as sonic-rs does: each is validated as JSON, and nothing is taken out of it.
pub(crate) fn skip(text: &[u8]) -> Result<Duration> {
    let (time, broken) = measure::of_thread(|| {
        lines(text).filter(|line| sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(line).is_err()).count()
    })?;
    ensure!(broken == 0, "{broken} lines of the log are no JSON");
    Ok(time)
}

/// The lines of a text without their newlines.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    memchr_iter(b'\n', text).map(move |end| &text[std::mem::replace(&mut from, end + 1)..end])
}
