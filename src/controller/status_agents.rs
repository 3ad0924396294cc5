//! The entries of processes in a status: which are those of processes at work, and that there are not too many.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use crate::api::{MOST_AGENTS, SourceAgent};

/// How long after its last report a process counts as at work. It reports each minute.
const REPORTING_SECONDS: i64 = 300;

/// Whether the entry is of a process at work. Nodes come and go, and their entries stay.
pub(super) fn reports(agent: &SourceAgent, now: Timestamp) -> bool {
    // A process of an older version does not say when.
    let last = agent.last_report_time.as_ref().or(agent.last_event_time.as_ref());
    is_recent(last, REPORTING_SECONDS, now)
}

/// Whether that was at most so many seconds ago.
pub(super) fn is_recent(time: Option<&MicroTime>, seconds: i64, now: Timestamp) -> bool {
    time.is_some_and(|time| now.as_second() - time.0.as_second() <= seconds)
}

/// Makes room for one more entry: that of the process that has had nothing to say for longest goes, and with it what it
/// counted. Nodes come and go, and nobody else takes their entries away; one too many and the API server would refuse
/// the whole status.
pub(super) fn make_room<T>(agents: &mut Vec<T>, last: impl Fn(&T) -> Option<Timestamp>) {
    while agents.len() >= MOST_AGENTS {
        // Of several the first, which has been there for longest.
        let oldest = agents.iter().enumerate().min_by_key(|(index, agent)| (last(agent), *index));
        let Some((index, _)) = oldest else { return };
        agents.remove(index);
    }
}

/// Whether a process that was killed is not yet where its entry in a status says that it was, each a stream and an offset.
/// What the entry counts it will count again: until then its figures would only go down and up.
pub(super) fn is_behind(now: (&str, i64), said: (&str, i64)) -> bool {
    now.0 == said.0 && now.1 < said.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_that_was_silent_longest_makes_room() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let mut few = vec![at(1)];
        make_room(&mut few, |time| *time);
        assert_eq!(few.len(), 1);

        let mut agents: Vec<_> = (0..64).map(|n| at(100 - n)).collect();
        make_room(&mut agents, |time| *time);
        assert!(agents.len() == 63 && !agents.contains(&at(37)), "{agents:?}");
        agents.push(None);
        make_room(&mut agents, |time| *time);
        assert!(agents.len() == 63 && !agents.contains(&None), "{agents:?}");
        agents.extend([at(200), at(201), at(202)]);
        make_room(&mut agents, |time| *time);
        assert_eq!((agents.len(), agents[62]), (63, at(202)));
    }
}
