//! One request, one detection.
use super::Context;
use crate::event::{Event, Stage};

/// Whether a match on this event is a detection: a request logs up to three events, and exactly one of them decides.
///
/// A long-running request (exec, watch, …) decides when its response starts, because it ends perhaps hours later; a
/// request that nobody authenticated has no other event; everything else decides at its end. Where the audit policy
/// omits ResponseStarted, long-running requests decide at their end too.
pub fn is_decisive(event: &Event<'_>, context: &Context<'_>) -> bool {
    let Some(stage) = event.stage() else { return true };
    let omitted = context.omitted_stages.contains(&Stage::ResponseStarted);
    decides(stage, !omitted && (event.is_long_running() || is_unauthenticated(event)))
}

/// Whether a request decides at this stage, if it is one that decides when its response starts, or if it is not.
pub(super) fn decides(stage: Stage, starts: bool) -> bool {
    match stage {
        Stage::RequestReceived => false,
        Stage::ResponseStarted => starts,
        Stage::ResponseComplete | Stage::Panic => !starts,
    }
}

fn is_unauthenticated(event: &Event<'_>) -> bool {
    let has_user = event.user().and_then(|user| user.username()).is_some_and(|name| !name.is_empty());
    event.response_code() == Some(401) && !has_user
}
