//! Conditions that do not go together: a resource and a subresource, two values of a field that has one.
use crate::query::{Diagnostic, Expr, Literal, Values, shown};

/// The subresources of Kubernetes' own kinds. What is not listed may have any.
const SUBRESOURCES: [(&str, &[&str]); 41] = [
    (
        "pods",
        &[
            "attach",
            "binding",
            "ephemeralcontainers",
            "eviction",
            "exec",
            "log",
            "portforward",
            "proxy",
            "resize",
            "status",
        ],
    ),
    ("nodes", &["proxy", "status"]),
    ("services", &["proxy", "status"]),
    ("serviceaccounts", &["token"]),
    ("namespaces", &["finalize", "status"]),
    ("secrets", &[]),
    ("configmaps", &[]),
    ("endpoints", &[]),
    ("limitranges", &[]),
    ("podtemplates", &[]),
    ("bindings", &[]),
    ("resourcequotas", &["status"]),
    ("persistentvolumes", &["status"]),
    ("persistentvolumeclaims", &["status"]),
    ("replicationcontrollers", &["scale", "status"]),
    ("deployments", &["scale", "status"]),
    ("replicasets", &["scale", "status"]),
    ("statefulsets", &["scale", "status"]),
    ("daemonsets", &["status"]),
    ("controllerrevisions", &[]),
    ("jobs", &["status"]),
    ("cronjobs", &["status"]),
    ("roles", &[]),
    ("rolebindings", &[]),
    ("clusterroles", &[]),
    ("clusterrolebindings", &[]),
    ("certificatesigningrequests", &["approval", "status"]),
    ("mutatingwebhookconfigurations", &[]),
    ("validatingwebhookconfigurations", &[]),
    ("customresourcedefinitions", &["status"]),
    ("apiservices", &["status"]),
    ("leases", &[]),
    ("endpointslices", &[]),
    ("storageclasses", &[]),
    ("priorityclasses", &[]),
    ("poddisruptionbudgets", &["status"]),
    ("events", &[]),
    ("ingresses", &["status"]),
    ("networkpolicies", &[]),
    ("horizontalpodautoscalers", &["status"]),
    ("validatingadmissionpolicies", &["status"]),
];

/// The resource that was meant by a kind's name or another case, where it is none itself.
pub(super) fn known_plural(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let singular = lower.strip_suffix('y').map(|stem| format!("{stem}ies"));
    let known = |name: &str| SUBRESOURCES.iter().find(|(known, _)| *known == name).map(|(known, _)| *known);
    if known(text).is_some() {
        return None;
    }
    [Some(format!("{lower}s")), Some(format!("{lower}es")), singular, Some(lower)]
        .into_iter()
        .flatten()
        .find_map(|name| known(&name))
}

pub(super) const RESOURCE: [&str; 3] =
    ["objectRef.resource", "kubernetes.audit.objectRef.resource", "orchestrator.resource.type"];
pub(super) const SUBRESOURCE: [&str; 2] = ["objectRef.subresource", "kubernetes.audit.objectRef.subresource"];

/// Adds a warning for each `and` that asks for a resource and a subresource that it does not have.
pub(super) fn check(expr: &Expr, warnings: &mut Vec<Diagnostic>) {
    match expr {
        Expr::And(_) => {
            let mut conjuncts = Vec::new();
            flatten(expr, &mut conjuncts);
            let resources = conjuncts.iter().find_map(|part| alternatives(part, &RESOURCE));
            let subresources = conjuncts.iter().find_map(|part| alternatives(part, &SUBRESOURCE));
            if let (Some(resources), Some(subresources)) = (resources, subresources) {
                warnings.extend(remark(&resources, &subresources));
            }
            for name in SINGLE {
                let asked = conjuncts.iter().filter_map(|part| alternatives(part, &[name]));
                warnings.extend(contradiction(name, &asked.collect::<Vec<_>>()));
            }
            for part in conjuncts {
                check(part, warnings);
            }
        }
        Expr::Or(parts) => parts.iter().for_each(|part| check(part, warnings)),
        Expr::Not(inner) => check(inner, warnings),
        Expr::Field { field, values: Values::And(parts) } => {
            let name = field.plain().and_then(|name| SINGLE.into_iter().find(|single| *single == name));
            let one = |part: &'_ Values| matches!(part, Values::One(value) if value.plain().is_some());
            if let Some(name) = name.filter(|_| parts.iter().all(one)) {
                let values = parts.iter().filter_map(|part| match part {
                    Values::One(value) => Some(vec![value]),
                    _ => None,
                });
                warnings.extend(contradiction(name, &values.collect::<Vec<_>>()));
            }
        }
        _ => {}
    }
}

/// Fields that have one value in an event, in the spelling that most write.
const SINGLE: [&str; 8] = [
    "verb",
    "stage",
    "level",
    "user.username",
    "objectRef.resource",
    "objectRef.subresource",
    "objectRef.namespace",
    "objectRef.name",
];

/// A warning where a field must have one of these values, and one of those, and none is among both.
fn contradiction(name: &str, asked: &[Vec<&Literal>]) -> Option<Diagnostic> {
    let (first, others) = asked.split_first()?;
    let is_in = |value: &Literal, all: &[&Literal]| all.iter().any(|known| known.plain() == value.plain());
    let other = others.iter().find(|other| !first.iter().any(|value| is_in(value, other)))?;
    let (one, two) = (first.first()?, other.first()?);
    let (one_shown, two_shown) = (shown(one.plain()?, 40), shown(two.plain()?, 40));
    let message = format!(
        "`{name}` has one value, which is not both `{one_shown}` and `{two_shown}`: this never matches"
    );
    Some(
        Diagnostic::warning(two.span.clone(), message)
            .help(format!("for either of them write `{name}:({one_shown} or {two_shown})`")),
    )
}

/// The parts of an `and` and of those inside it.
pub(super) fn flatten<'q>(expr: &'q Expr, conjuncts: &mut Vec<&'q Expr>) {
    match expr {
        Expr::And(parts) => parts.iter().for_each(|part| flatten(part, conjuncts)),
        other => conjuncts.push(other),
    }
}

/// The plain values of which a field of these names has to have one.
pub(super) fn alternatives<'q>(expr: &'q Expr, names: &[&str]) -> Option<Vec<&'q Literal>> {
    let Expr::Field { field, values } = expr else {
        return None;
    };
    if !field.plain().is_some_and(|name| names.contains(&name)) {
        return None;
    }
    let one = |values: &'q Values| match values {
        Values::One(value) if value.plain().is_some() => Some(value),
        _ => None,
    };
    match values {
        Values::Or(parts) => parts.iter().map(one).collect(),
        values => one(values).map(|value| vec![value]),
    }
}

fn remark(resources: &[&Literal], subresources: &[&Literal]) -> Option<Diagnostic> {
    let (first, wrong) = (resources.first()?.plain()?, subresources.first()?);
    let mut known = Vec::new();
    for resource in resources {
        let (_, has) = SUBRESOURCES.iter().find(|(name, _)| Some(*name) == resource.plain())?;
        // A list of the same resource over and over is not looked through as often.
        if !known.ends_with(has) {
            known.extend_from_slice(has);
        }
    }
    if subresources.iter().any(|sub| sub.plain().is_some_and(|sub| known.contains(&sub))) {
        return None;
    }
    let written = shown(wrong.plain()?, 60);
    let warning = Diagnostic::warning(
        wrong.span.clone(),
        format!("`{first}` has no subresource `{written}`: this never matches"),
    );
    Some(if known.is_empty() {
        warning.help(format!("`{first}` has no subresources"))
    } else {
        warning.help(format!("it has {}", known.join(", ")))
    })
}
