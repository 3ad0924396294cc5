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
        last_seen: Timestamp,
    ) -> Option<Timestamp> {
        let (from, kept) = match state {
            TriageState::Closed => (closed?, self.closed),
            TriageState::Open | TriageState::Acknowledged => (last_seen, self.open),
        };
        // Times that others write can be at the end of all times.
        from.checked_add(SignedDuration::try_from(kept).ok()?).ok()
    }
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
}
