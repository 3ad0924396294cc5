//! Dates in a query: ISO dates of any precision, milliseconds since 1970, and Elasticsearch's date math, in UTC.
//!
//! A date means its whole unit (`2026-01` is a month), so it has a first and a last instant; `gt` and `lte` go by the
//! last, `gte` and `lt` by the first, as in Elasticsearch.
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, Timestamp, ToSpan};

/// A date as a query writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DateMath {
    anchor: Anchor,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Anchor {
    /// The event's time.
    Now,
    /// The first and the last instant of what was written.
    Unit(Timestamp, Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Add(i64, Unit),
    Round(Unit),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
}

impl DateMath {
    /// `None` if the text is no date.
    pub(super) fn parse(text: &str) -> Option<DateMath> {
        if let Some(steps) = text.strip_prefix("now") {
            return Some(DateMath { anchor: Anchor::Now, steps: parse_steps(steps)? });
        }
        let (written, steps) = text.split_once("||").unwrap_or((text, ""));
        let (first, last) = iso(written).or_else(|| epoch(written))?;
        Some(DateMath { anchor: Anchor::Unit(first, last), steps: parse_steps(steps)? })
    }

    /// The first instant; `None` if it needs a `now` that is not there, or leaves the calendar.
    pub(super) fn first(&self, now: Option<Timestamp>) -> Option<Timestamp> {
        self.resolve(now, false)
    }

    /// The last instant.
    pub(super) fn last(&self, now: Option<Timestamp>) -> Option<Timestamp> {
        self.resolve(now, true)
    }

    fn resolve(&self, now: Option<Timestamp>, last: bool) -> Option<Timestamp> {
        let start = match self.anchor {
            Anchor::Now => now?,
            Anchor::Unit(_, end) if last && self.steps.is_empty() => end,
            Anchor::Unit(first, _) => first,
        };
        let mut at = Offset::UTC.to_datetime(start);
        for step in &self.steps {
            at = match *step {
                Step::Add(count, unit) => at.checked_add(unit.times(count)?).ok()?,
                Step::Round(unit) if last => last_instant(unit.start(at)?, unit)?,
                Step::Round(unit) => unit.start(at)?,
            };
        }
        // A unit at the calendar's end may last longer than timestamps reach.
        Offset::UTC.to_timestamp(at).ok().or(last.then_some(Timestamp::MAX))
    }
}

impl Unit {
    fn of(letter: char) -> Option<Unit> {
        Some(match letter {
            'y' => Unit::Year,
            'M' => Unit::Month,
            'w' => Unit::Week,
            'd' => Unit::Day,
            'h' | 'H' => Unit::Hour,
            'm' => Unit::Minute,
            's' => Unit::Second,
            _ => return None,
        })
    }

    /// `None` for more than a span can hold.
    fn times(self, count: i64) -> Option<Span> {
        let span = Span::new();
        match self {
            Unit::Year => span.try_years(count),
            Unit::Month => span.try_months(count),
            Unit::Week => span.try_weeks(count),
            Unit::Day => span.try_days(count),
            Unit::Hour => span.try_hours(count),
            Unit::Minute => span.try_minutes(count),
            Unit::Second => span.try_seconds(count),
        }
        .ok()
    }

    fn start(self, at: DateTime) -> Option<DateTime> {
        let (day, time) = (at.date(), at.time());
        let at_time =
            |hour, minute, second| Time::new(hour, minute, second, 0).ok().map(|time| day.to_datetime(time));
        let at_day = |day: Date| Some(day.to_datetime(Time::midnight()));
        match self {
            Unit::Year => at_day(day.first_of_year()),
            Unit::Month => at_day(day.first_of_month()),
            Unit::Week => {
                at_day(day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).ok()?)
            }
            Unit::Day => at_day(day),
            Unit::Hour => at_time(time.hour(), 0, 0),
            Unit::Minute => at_time(time.hour(), time.minute(), 0),
            Unit::Second => at_time(time.hour(), time.minute(), time.second()),
        }
    }
}

/// The calendar's last instant where the unit reaches beyond it.
fn last_instant(start: DateTime, unit: Unit) -> Option<DateTime> {
    let next = start.checked_add(unit.times(1)?).unwrap_or(DateTime::MAX);
    next.checked_sub(1.nanoseconds()).ok()
}

fn parse_steps(mut text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    loop {
        let mut chars = text.chars();
        let Some(sign) = chars.next() else {
            return Some(steps);
        };
        text = chars.as_str();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, rest) = text.split_at(digits);
        let mut after = rest.chars();
        let unit = Unit::of(after.next()?)?;
        text = after.as_str();
        let count = if count.is_empty() { Some(1) } else { count.parse::<i64>().ok() };
        steps.push(match sign {
            '/' if digits == 0 => Step::Round(unit),
            '+' => Step::Add(count?, unit),
            '-' => Step::Add(-count?, unit),
            _ => return None,
        });
    }
}

fn epoch(text: &str) -> Option<(Timestamp, Timestamp)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let first = Timestamp::from_millisecond(text.parse().ok()?).ok()?;
    Some((first, first.checked_add(SignedDuration::from_nanos(999_999)).ok()?))
}

/// `2026`, `2026-01`, … `2026-01-02T03:04:05.678+01:00`: first and last instant.
fn iso(text: &str) -> Option<(Timestamp, Timestamp)> {
    let mut rest = Digits(text);
    let year = i16::try_from(rest.number(4)?).ok()?;
    let (mut month, mut day, mut unit) = (1, 1, Unit::Year);
    let mut clock = (Time::midnight(), None);
    let mut offset = Offset::UTC;
    if rest.eat('-') {
        (month, unit) = (rest.small()?, Unit::Month);
        if rest.eat('-') {
            (day, unit) = (rest.small()?, Unit::Day);
            if rest.eat('T') {
                (clock, unit) = time(&mut rest)?;
                offset = zone(&mut rest)?;
            }
        }
    }
    if !rest.0.is_empty() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let first = Date::new(year, month, day).ok()?.to_datetime(clock.0);
    let last = match clock.1 {
        Some(width) => first.checked_add(Span::new().try_nanoseconds(width - 1).ok()?).ok()?,
        None => last_instant(first, unit)?,
    };
    Some((offset.to_timestamp(first).ok()?, offset.to_timestamp(last).unwrap_or(Timestamp::MAX)))
}

/// After the `T`: the time, the nanoseconds that its last digit stands for if it has a fraction, and its unit.
type Clock = ((Time, Option<i64>), Unit);

fn time(rest: &mut Digits<'_>) -> Option<Clock> {
    let hour = rest.small()?;
    let (mut minute, mut second, mut nanosecond, mut width, mut unit) = (0, 0, 0, None, Unit::Hour);
    if rest.eat(':') {
        (minute, unit) = (rest.small()?, Unit::Minute);
        if rest.eat(':') {
            (second, unit) = (rest.small()?, Unit::Second);
            if rest.eat('.') {
                let count = rest.0.bytes().take_while(u8::is_ascii_digit).count();
                if !(1..=9).contains(&count) {
                    return None;
                }
                let scale = 10_i32.pow(9 - u32::try_from(count).ok()?);
                nanosecond = i32::try_from(rest.number(count)?).ok()? * scale;
                width = Some(i64::from(scale));
            }
        }
    }
    Some(((Time::new(hour, minute, second, nanosecond).ok()?, width), unit))
}

fn zone(rest: &mut Digits<'_>) -> Option<Offset> {
    let sign = match rest.0.chars().next() {
        None => return Some(Offset::UTC),
        Some('Z') => {
            rest.eat('Z');
            return Some(Offset::UTC);
        }
        Some('+') => 1,
        Some('-') => -1,
        Some(_) => return None,
    };
    rest.0 = &rest.0[1..];
    let hours = i32::from(rest.small()?);
    rest.eat(':');
    let minutes = if rest.0.is_empty() { 0 } else { i32::from(rest.small()?) };
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// A text read from its front.
struct Digits<'t>(&'t str);

impl Digits<'_> {
    fn eat(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Exactly so many digits.
    fn number(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let is_number = digits.bytes().all(|b| b.is_ascii_digit());
        self.0 = rest;
        if is_number { digits.parse().ok() } else { None }
    }

    fn small(&mut self) -> Option<i8> {
        i8::try_from(self.number(2)?).ok()
    }
}
