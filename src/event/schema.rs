//! The names that an event can have, for the linter: a rule on any other can never match.
use super::{derived, ecs};

/// The event's own names. One that ends in `.` may have anything below it.
const OWN: [&str; 38] = [
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user.username",
    "user.uid",
    "user.groups",
    "user.extra.",
    "impersonatedUser.username",
    "impersonatedUser.uid",
    "impersonatedUser.groups",
    "impersonatedUser.extra.",
    "authenticationMetadata.impersonationConstraint",
    "sourceIPs",
    "userAgent",
    "objectRef.resource",
    "objectRef.namespace",
    "objectRef.name",
    "objectRef.uid",
    "objectRef.apiGroup",
    "objectRef.apiVersion",
    "objectRef.resourceVersion",
    "objectRef.subresource",
    "responseStatus.metadata.",
    "responseStatus.status",
    "responseStatus.message",
    "responseStatus.reason",
    "responseStatus.details.",
    "responseStatus.code",
    "requestObject.",
    "responseObject.",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations.",
    // v1beta1 wrote these of v1's ObjectMeta.
    "metadata.",
];

/// What we derive anything of a pod's specification below.
const POD_SPEC: &str = "podSpec.";

/// All names; under `kubernetes.audit` only the event's own.
fn names(is_view: bool) -> impl Iterator<Item = &'static str> {
    let others = ecs::TABLE
        .iter()
        .map(|(known, _)| *known)
        .chain(derived::TABLE.iter().map(|(known, _)| *known))
        .chain([POD_SPEC])
        .filter(move |_| !is_view);
    OWN.into_iter().chain(others)
}

/// Whether an event can have a value at, above or below this plain name (with or without `kubernetes.audit.`).
pub fn is_known(name: &str) -> bool {
    if matches!(name, "kubernetes" | "kubernetes.audit") {
        return true;
    }
    let (own, is_view) = match name.strip_prefix("kubernetes.audit.") {
        Some(own) => (own, true),
        None => (name, false),
    };
    names(is_view).any(|known| {
        known == own
            || (known.ends_with('.') && own.starts_with(known))
            || known.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The known name most like this one, spelled as it is (with `kubernetes.audit.` where it has that), if one is near.
pub fn nearest(name: &str) -> Option<String> {
    let (own, shift) = match name.strip_prefix("kubernetes.audit.") {
        Some(own) => (own, "kubernetes.audit."),
        None => (name, ""),
    };
    // Long names are nobody's typing mistake, and the distance costs their square.
    if own.len() > 100 {
        return None;
    }
    let own_lower = own.to_lowercase();
    let candidates = names(!shift.is_empty())
        .filter(|known| *known != "event.ingested")
        .map(|known| known.trim_end_matches('.'));
    let scored = candidates.map(|known| {
        let last = known.rsplit('.').next().unwrap_or(known);
        let whole = strsim::damerau_levenshtein(&own_lower, &known.to_lowercase());
        // `resource` for `objectRef.resource`, `username` for `user.username`
        let tail = strsim::damerau_levenshtein(&own_lower, &last.to_lowercase()) + 1;
        (whole.min(tail), known)
    });
    let (distance, known) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + own.len() / 4).then(|| format!("{shift}{known}"))
}

/// Whether the plain name holds a number in every event.
pub fn is_numeric(name: &str) -> bool {
    name.strip_prefix("kubernetes.audit.").unwrap_or(name) == "responseStatus.code"
}
