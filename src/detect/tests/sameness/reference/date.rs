//! Dates as a query writes them, for the forms that are generated: parts of an ISO date, milliseconds, and `now`.
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// A time in the log.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The first and the last instant that a text means.
pub(super) fn unit(text: &str, now: Option<Timestamp>) -> Option<(Timestamp, Timestamp)> {
    if let Some(steps) = text.strip_prefix("now") {
        return relative(steps, now?);
    }
    if text.len() != 4 && text.bytes().all(|b| b.is_ascii_digit()) {
        let first = Timestamp::from_millisecond(text.parse().ok()?).ok()?;
        return Some((first, first.checked_add(999_999.nanoseconds()).ok()?));
    }
    // As in Elasticsearch, where a library that reads dates is more lenient: no `t`, no blank.
    if text.chars().nth(10).is_some_and(|c| c != 'T') {
        return None;
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let length = match text.len() {
        4 => 1.year(),
        7 => 1.month(),
        10 => 1.day(),
        13 => 1.hour(),
        16 => 1.minute(),
        19 => 1.second(),
        // A fraction means as much as its last digit.
        length @ 21..=29 => 10_i64.pow(29 - u32::try_from(length).ok()?).nanoseconds(),
        _ => return None,
    };
    let rest = "0000-01-01T00:00:00.000000000".get(text.len()..)?;
    let first: DateTime = format!("{text}{rest}").parse().ok()?;
    whole(first, length)
}

/// From an instant for so long.
fn whole(first: DateTime, length: Span) -> Option<(Timestamp, Timestamp)> {
    let last = first.checked_add(length).ok()?.checked_sub(1.nanosecond()).ok()?;
    Some((utc(first)?, utc(last)?))
}

fn utc(at: DateTime) -> Option<Timestamp> {
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// `-15m`, `/d`, `-1h/h`: at most one step of each.
fn relative(steps: &str, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let (shift, rounding) = steps.split_once('/').map_or((steps, None), |(shift, unit)| (shift, Some(unit)));
    let mut at = now.to_zoned(TimeZone::UTC).datetime();
    if !shift.is_empty() {
        let (count, unit) = shift.split_at_checked(shift.len() - 1)?;
        let length = length_of(unit)?;
        at = at.checked_add(length.checked_mul(count.parse().ok()?).ok()?).ok()?;
    }
    let Some(unit) = rounding else {
        let at = utc(at)?;
        return Some((at, at));
    };
    let midnight = at.date().to_datetime(jiff::civil::Time::midnight());
    let first = match unit {
        "M" => midnight.first_of_month(),
        "w" => midnight.checked_sub(i64::from(at.weekday().to_monday_zero_offset()).days()).ok()?,
        "d" => midnight,
        "h" => midnight.checked_add(i64::from(at.hour()).hours()).ok()?,
        "m" => midnight.checked_add(i64::from(at.hour()).hours().minutes(i64::from(at.minute()))).ok()?,
        _ => return None,
    };
    whole(first, length_of(unit)?)
}

fn length_of(unit: &str) -> Option<Span> {
    Some(match unit {
        "M" => 1.month(),
        "w" => 1.week(),
        "d" => 1.day(),
        "h" => 1.hour(),
        "m" => 1.minute(),
        "s" => 1.second(),
        _ => return None,
    })
}
