//! How long alerts are kept.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::TriageState;

/// How long and how many alerts are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long a closed alert is kept, from when it was closed.
    pub closed: Duration,
    /// How long another is kept, from its last match.
    pub open: Duration,
    /// How many are kept that are not closed, and how many that are.
    pub most: usize,
}

impl Retention {
    /// When an alert goes; of a closed one nothing, as long as it is not noted when it was closed.
    pub(super) fn expiry(
        &self,
        state: TriageState,
        closed: Option<Timestamp>,
        kept_from: Timestamp,
    ) -> Option<Timestamp> {
        let (from, kept) = match state {
            TriageState::Closed => (closed?, self.closed),
            TriageState::Open | TriageState::Acknowledged => (kept_from, self.open),
        };
        // Times that others write can be at the end of all times.
        from.checked_add(SignedDuration::try_from(kept).ok()?).ok()
    }
}

/// How old a match may be when its alert is opened, so that the alert's time counts from the match.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// From when an alert is kept that is not closed: its last match, or where that is of an old log, when it was opened.
/// Otherwise it would be gone before anybody has seen it.
pub(super) fn kept_from(last_seen: Timestamp, created: Option<Timestamp>) -> Timestamp {
    created.filter(|created| created.duration_since(last_seen) > OLD).unwrap_or(last_seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_expires_after_its_closing_or_its_last_match() {
        let retention = Retention { closed: Duration::from_secs(7), open: Duration::from_secs(90), most: 1 };
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(retention.expiry(TriageState::Closed, Some(at(100)), at(50)), Some(at(107)));
        assert_eq!(retention.expiry(TriageState::Closed, None, at(50)), None);
        for state in [TriageState::Open, TriageState::Acknowledged] {
            assert_eq!(retention.expiry(state, Some(at(100)), at(50)), Some(at(140)));
        }
        assert_eq!(retention.expiry(TriageState::Open, None, Timestamp::MAX), None);
    }

    #[test]
    fn an_alert_of_an_old_log_is_kept_from_when_it_was_opened() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(kept_from(at(100), Some(at(105))), at(100));
        assert_eq!(kept_from(at(100), Some(at(90))), at(100));
        assert_eq!(kept_from(at(100), Some(at(1_000_000))), at(1_000_000));
        assert_eq!(kept_from(at(100), None), at(100));
    }
}
