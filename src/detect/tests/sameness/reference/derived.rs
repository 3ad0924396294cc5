//! Fields that no log holds, computed from what it holds.
use std::net::IpAddr;

use serde_json::Value;

use super::super::pools::REQUESTS;
use super::document::Node;
use super::unlogged::unlogged_parts;

/// The derived fields of an event, apart from those of its pod spec.
pub(super) fn derived(event: &Value) -> Vec<(&'static str, Value)> {
    let sources = event["sourceIPs"].as_array().map_or(&[][..], |list| list);
    let mut sources = sources.iter().filter_map(|source| source.as_str()?.parse::<IpAddr>().ok()).peekable();
    let mut values = Vec::new();
    if sources.peek().is_some() {
        values.push(("request.fromPublicAddress", Value::from(sources.any(is_outside))));
    }
    for (name, value) in Node::of(event).leaves() {
        let known =
            REQUESTS.iter().find(|(request, ..)| name == "requestObject.spec.request" && value == request);
        let Some((_, organizations, names)) = known else { continue };
        values.extend(organizations.iter().map(|o| ("csr.subject.organization", Value::from(*o))));
        values.extend(names.iter().map(|name| ("csr.subject.commonName", Value::from(*name))));
    }
    let Some(uri) = event["requestURI"].as_str() else {
        values.extend(dry_run(event, None).map(|is_dry| ("request.dryRun", Value::from(is_dry))));
        return values;
    };
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    let is_dry = pairs.iter().any(|(name, value)| name == "dryRun" && value == "All");
    values.extend(dry_run(event, Some(is_dry)).map(|is_dry| ("request.dryRun", Value::from(is_dry))));
    let argv: Vec<String> =
        pairs.into_iter().filter(|(name, _)| name == "command").map(|(_, value)| value).collect();
    if decoded(path).trim_end_matches('/').ends_with("/exec") && !argv.is_empty() {
        values.push(("exec.command", argv.join(" ").into()));
        values.extend(argv.into_iter().map(|arg| ("exec.argv", arg.into())));
    }
    values
}

/// What the body of a deletion says, and otherwise the URI; of a deletion whose body was not logged nothing.
fn dry_run(event: &Value, by_uri: Option<bool>) -> Option<bool> {
    if !matches!(event["verb"].as_str(), Some("delete" | "deletecollection")) {
        return by_uri;
    }
    if !event["requestObject"].is_null() {
        let own = Node::of(event);
        let mut leaves = own.leaves().into_iter();
        return Some(leaves.any(|(name, value)| name == "requestObject.dryRun" && value == "All"));
    }
    if unlogged_parts(event).contains(&"requestObject") { None } else { by_uri }
}

/// A name or value of a URI's query as it was meant.
fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether an address of those that the tests' events have is public.
fn is_outside(address: IpAddr) -> bool {
    let text = address.to_canonical().to_string();
    ![
        "10.",
        "127.",
        "172.16.",
        "192.168.",
        "203.0.113.",
        "198.51.100.",
        "192.0.2.",
        "0.",
        "169.254.",
        "fe80:",
        "fd",
        "2001:db8:",
        ":",
    ]
    .iter()
    .any(|start| text.starts_with(start))
}
