//! What no query may ask: the payloads of Secrets, and tokens.
//!
//! Whoever may write a rule may not therefore read Secrets. A rule that could ask whether a password begins with `a`
//! would tell by its matches, so in events of these resources the members below are as if they had not been logged, for
//! every field, pattern, bare value and group alike: they are passed over where an event is read.
use super::json::{Kind, Node};
use super::value::node_text;

/// A resource, its subresource where only that is meant, and the names that are passed over anywhere in its bodies.
struct Withheld {
    resource: &'static str,
    subresource: Option<&'static str>,
    names: &'static [&'static str],
}

const WITHHELD: [Withheld; 3] = [
    Withheld {
        resource: "secrets",
        subresource: None,
        // The value of a JSON patch, and what kubectl keeps of the whole object in an annotation, hold them as well; `Raw`
        // is a body in another encoding than JSON.
        names: &["data", "stringData", "value", "io/last-applied-configuration", "Raw"],
    },
    Withheld { resource: "serviceaccounts", subresource: Some("token"), names: &["token"] },
    Withheld { resource: "tokenreviews", subresource: None, names: &["token"] },
];

const BODIES: [&str; 2] = ["requestObject", "responseObject"];

/// The names that are passed over in the bodies of a resource's events.
pub(super) fn names_of(resource: &str, subresource: Option<&str>) -> &'static [&'static str] {
    let is_of = |withheld: &&Withheld| {
        withheld.resource == resource && withheld.subresource.is_none_or(|wanted| subresource == Some(wanted))
    };
    WITHHELD.iter().find(is_of).map_or(&[], |withheld| withheld.names)
}

/// Whether the bodies of a resource's events hold payloads that are withheld.
pub fn withholds(resource: &str, subresource: Option<&str>) -> bool {
    !names_of(resource, subresource).is_empty()
}

/// The resource and subresource, if the path (own or under `kubernetes.audit`, perhaps only its plain beginning) names
/// something that is withheld in events of those.
pub fn withheld_at(path: &str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let own = path.strip_prefix("kubernetes.audit.").unwrap_or(path);
    let rest = BODIES.iter().find_map(|body| own.strip_prefix(body)?.strip_prefix('.')).unwrap_or_default();
    let is_in = |withheld: &&Withheld| rest.split('.').any(|name| withheld.names.contains(&name));
    let found: Vec<_> = WITHHELD.iter().filter(is_in).map(|w| (w.resource, w.subresource)).collect();
    found.into_iter()
}

/// Hides on a tape what is withheld: like a member that a later one with an equal key replaces.
pub(super) fn withhold(text: &str, nodes: &mut [Node]) {
    let is_body = |key: &str| BODIES.contains(&key.split('.').next().unwrap_or_default());
    let bodies: Vec<usize> =
        members(nodes, 0).filter(|key| is_body(&node_text(text, &nodes[*key]))).collect();
    if bodies.is_empty() {
        return;
    }
    let names = names_of_event(text, nodes);
    if names.is_empty() {
        return;
    }
    for key in bodies {
        match nodes[key + 1].kind {
            _ if is_hidden(&node_text(text, &nodes[key]), names) => nodes[key].shadowed = true,
            Kind::Object | Kind::Array => hide_inside(text, nodes, key + 1, names),
            Kind::Null => {}
            // A body that is no object is all payload. That there is one is known, as of every other body.
            _ => nodes[key + 1].kind = Kind::Object,
        }
    }
}

fn names_of_event(text: &str, nodes: &[Node]) -> &'static [&'static str] {
    let named = |object: usize, name: &str| {
        let mut keys = members(nodes, object);
        keys.find(|key| node_text(text, &nodes[*key]) == name).map(|key| key + 1)
    };
    let Some(object) = named(0, "objectRef") else { return &[] };
    let word = |name| {
        let value = named(object, name).map(|at| &nodes[at])?;
        matches!(value.kind, Kind::Text | Kind::EscapedText).then(|| node_text(text, value))
    };
    word("resource").map_or(&[], |resource| names_of(&resource, word("subresource").as_deref()))
}

/// A key that holds dots spells several names.
fn is_hidden(key: &str, names: &[&str]) -> bool {
    key.split('.').any(|name| names.contains(&name))
}

fn hide_inside(text: &str, nodes: &mut [Node], container: usize, names: &[&str]) {
    let end = nodes[container].next as usize;
    // The containers around, innermost last: where each ends, and whether it is an object.
    let mut open = vec![(end, nodes[container].kind == Kind::Object)];
    let mut at = container + 1;
    while at < end {
        while open.last().is_some_and(|(end, _)| *end <= at) {
            open.pop();
        }
        if open.last().is_some_and(|(_, is_object)| *is_object) {
            if is_hidden(&node_text(text, &nodes[at]), names) {
                nodes[at].shadowed = true;
                at = nodes[at].next as usize;
                continue;
            }
            at += 1;
        }
        let Node { kind, next, .. } = nodes[at];
        if matches!(kind, Kind::Object | Kind::Array) {
            open.push((next as usize, kind == Kind::Object));
        }
        at += 1;
    }
}

/// The keys of an object that count; of anything else, none.
fn members(nodes: &[Node], object: usize) -> impl Iterator<Item = usize> {
    let whole = nodes[object];
    let end = if whole.kind == Kind::Object { whole.next as usize } else { 0 };
    let mut at = object + 1;
    std::iter::from_fn(move || {
        while at < end {
            let key = at;
            at = nodes[key].next as usize;
            if !nodes[key].shadowed {
                return Some(key);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Field, Look, Tape};
    use super::*;
    use serde_json::{Value, json};

    /// Every value that anything could read of an event.
    fn texts(event: &Value) -> Vec<String> {
        let (text, mut tape) = (event.to_string(), Tape::new());
        let event = Event::from_object(&text, &mut tape).unwrap();
        let look = Look { event, cluster: None, element: None };
        Field::any().values(&look).into_iter().map(|value| value.into_text().into_owned()).collect()
    }

    #[test]
    fn what_is_withheld_is_nowhere() {
        let secret = |body: Value| ("secrets", None, body);
        let manifest = json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"HIDDEN\"}"});
        for (resource, subresource, body) in [
            secret(
                json!({"kind": "Secret", "data": {"password": "HIDDEN", "k": ["HIDDEN"]}, "type": "SEEN"}),
            ),
            secret(json!({"stringData": {"a": {"b": "HIDDEN"}}, "metadata": {"name": "SEEN"}})),
            secret(json!({"items": [{"data": {"a": "HIDDEN"}, "metadata": {"name": "SEEN"}}]})),
            secret(json!({"rows": [{"object": {"data": {"a": "HIDDEN"}}, "cells": ["SEEN"]}]})),
            secret(json!({"metadata": {"annotations": manifest, "labels": {"a": "SEEN"}}})),
            secret(json!([{"op": "SEEN", "path": "/data/a", "value": "HIDDEN"}])),
            secret(json!([[1, {"data": "HIDDEN"}], "SEEN"])),
            secret(json!({"data.a": "HIDDEN", "x.data.a": "HIDDEN", "b": "SEEN"})),
            secret(json!({"data": 1, "data": {"a": "HIDDEN"}, "b": "SEEN", "Raw": "HIDDEN"})),
            ("serviceaccounts", Some("token"), json!({"status": {"token": "HIDDEN"}, "spec": {"a": "SEEN"}})),
            ("tokenreviews", None, json!({"spec": {"token": "HIDDEN", "audiences": ["SEEN"]}})),
            // Not of these resources.
            ("configmaps", None, json!({"data": {"a": "SEEN"}})),
            ("serviceaccounts", None, json!({"token": "SEEN"})),
        ] {
            for place in ["requestObject", "responseObject"] {
                let mut event = json!({"objectRef": {"resource": resource}, "verb": "x"});
                if let Some(subresource) = subresource {
                    event["objectRef"]["subresource"] = json!(subresource);
                }
                event[place] = body.clone();
                let texts = texts(&event);
                assert!(texts.iter().all(|text| !text.contains("HIDDEN")), "{event}: {texts:?}");
                assert!(texts.iter().any(|text| text.contains("SEEN")), "{event}: {texts:?}");
            }
        }
        let event = json!({"objectRef": {"resource": "secrets"}, "requestObject": "HIDDEN", "requestObject.data": "HIDDEN",
            "requestObject.data.a": "HIDDEN", "responseObject.x": {"data": "HIDDEN"}, "verb": "x"});
        assert!(texts(&event).iter().all(|text| text != "HIDDEN"), "{:?}", texts(&event));
    }

    #[test]
    fn a_path_says_whether_it_leads_there() {
        let at = |path: &str| withheld_at(path).map(|(resource, _)| resource).collect::<Vec<_>>();
        assert_eq!(at("requestObject.data.password"), ["secrets"]);
        assert_eq!(at("kubernetes.audit.responseObject.items.data"), ["secrets"]);
        assert_eq!(at("responseObject.status.token"), ["serviceaccounts", "tokenreviews"]);
        let annotation =
            "requestObject.metadata.annotations.kubectl.kubernetes.io/last-applied-configuration";
        assert_eq!(at(annotation), ["secrets"]);
        for path in ["data.password", "requestObject.metadata.name", "requestObject", "user.extra.data"] {
            assert!(at(path).is_empty(), "{path}");
        }
    }
}
