//! What exceptions let pass, as a rule's status says it.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::binding::origin_of;
use super::progress::{RuleCounts, exception_key};
use crate::api::{AgentException, ExceptionStatus, RuleAgent};
use crate::detect::Exception;

/// What each exception let pass here, of those that let anything pass.
pub(super) fn counted(exceptions: &[Arc<Exception>], counts: &RuleCounts) -> Vec<AgentException> {
    let counted = |exception: &Arc<Exception>| {
        let counts = counts.exceptions.get(&exception_key(exception))?;
        Some(AgentException {
            name: exception.name().to_owned(),
            origin: origin_of(exception),
            suppressed: counts.suppressed,
            last_suppressed_time: counts.last_suppressed_time.map(MicroTime),
        })
    };
    exceptions.iter().filter_map(counted).collect()
}

/// The exceptions that apply, with what each let pass everywhere.
pub(super) fn summed(
    exceptions: &[Arc<Exception>],
    agents: &[RuleAgent],
    now: Timestamp,
) -> Vec<ExceptionStatus> {
    let summed = |exception: &Arc<Exception>| {
        let (name, origin) = (exception.name(), origin_of(exception));
        let mine = agents.iter().flat_map(|agent| &agent.exceptions);
        let mine: Vec<_> = mine.filter(|e| e.origin == origin && e.name == name).collect();
        ExceptionStatus {
            name: name.to_owned(),
            origin,
            suppressed: mine.iter().map(|e| e.suppressed).sum(),
            last_suppressed_time: mine
                .iter()
                .filter_map(|e| e.last_suppressed_time.clone())
                .max_by_key(|time| time.0),
            expired: exception.expire().is_some_and(|end| end <= now),
        }
    };
    exceptions.iter().map(summed).collect()
}
