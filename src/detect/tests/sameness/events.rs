//! Events as kube-apiserver writes them: the order of keys is that of a Go struct, and what is empty is left out.
use super::bodies::body;
use super::dice::Dice;
use super::json::{Json, Member, member, object, text, word};
use super::pools::{
    ADDRESSES, AGENTS, API_GROUPS, CODES, DECISIONS, GROUPS, LEVELS, NAMES, NAMESPACES, REASONS, RESOURCES,
    STAGES, SUBRESOURCES, TIMES, UIDS, URIS, USERS, VERBS, WRITES,
};

/// The members of an event.
pub(super) fn event(dice: &mut Dice) -> Vec<Member> {
    let level = dice.one_of(&LEVELS);
    let stage = dice.one_of(&STAGES);
    let resource = dice.one_of(&RESOURCES);
    let verbs = if level != "Metadata" && dice.chance(70) { &WRITES[..] } else { &VERBS };
    let verb = dice.one_of(verbs);
    let is_received = stage == "RequestReceived";
    let uri = dice.one_of(&URIS);

    let mut members = vec![
        member("kind", text(if dice.chance(98) { "Event" } else { "EventList" })),
        member("apiVersion", text(api_version(dice))),
        member("level", text(if dice.chance(97) { level } else { dice.one_of(&["None", "Other"]) })),
        member("auditID", text(&audit_id(dice))),
        member("stage", text(if dice.chance(98) { stage } else { "ResponseComplet" })),
        member("requestURI", text(uri)),
        member("verb", text(verb)),
        member("user", user(dice)),
    ];
    if dice.chance(12) && !is_received {
        members.push(member("impersonatedUser", user(dice)));
    }
    if dice.chance(4) {
        let constraint = text("impersonate:user-info");
        members.push(member("authenticationMetadata", object([("impersonationConstraint", constraint)])));
    }
    let addresses = (0..=dice.below(3)).map(|_| text(dice.one_of(&ADDRESSES))).collect();
    members.push(member("sourceIPs", Json::List(addresses)));
    push_text(&mut members, "userAgent", &agent(dice));
    if dice.chance(92) {
        members.push(member("objectRef", object_ref(resource, uri, dice)));
    }
    if !is_received || dice.chance(4) {
        members.push(member("responseStatus", response_status(dice)));
    }
    if (level != "Metadata" && !is_received && dice.chance(80)) || dice.chance(4) {
        members.push(member("requestObject", body(verb, resource, dice)));
    }
    if (level == "RequestResponse" && stage == "ResponseComplete" && dice.chance(75)) || dice.chance(4) {
        members.push(member("responseObject", body(verb, resource, dice)));
    }
    members.push(member("requestReceivedTimestamp", text(dice.one_of(&TIMES))));
    members.push(member("stageTimestamp", text(dice.one_of(&TIMES))));
    if (!is_received && dice.chance(92)) || dice.chance(5) {
        members.push(member("annotations", annotations(dice)));
    }
    members
}

/// Go leaves an empty string out.
fn push_text(members: &mut Vec<Member>, key: &str, value: &str) {
    if !value.is_empty() {
        members.push(member(key, text(value)));
    }
}

fn api_version(dice: &mut Dice) -> &'static str {
    match dice.below(100) {
        0..92 => "audit.k8s.io/v1",
        92..98 => "audit.k8s.io/v1beta1",
        _ => "audit.k8s.io/v2",
    }
}

/// The client's to choose, so it may be of any length.
fn audit_id(dice: &mut Dice) -> String {
    match dice.below(10) {
        0 => "x".repeat(dice.below(70)),
        1 => "a-1\",\"stage\":\"Panic\",\"verb\":\"".to_owned(),
        _ => format!("{:08x}-0000-4000-8000-{:012x}", dice.below(1 << 32), dice.below(1 << 40)),
    }
}

/// Mostly one of the few; sometimes of a length that outgrows a byte or two, now and then one that never comes again.
fn agent(dice: &mut Dice) -> String {
    let known = dice.one_of(&AGENTS);
    match dice.below(400) {
        0 => known.repeat(70_000 / known.len().max(1)),
        1..6 => known.repeat(300 / known.len().max(1)),
        6..20 => format!("{known}{}", dice.next()),
        _ => known.to_owned(),
    }
}

fn user(dice: &mut Dice) -> Json {
    let mut members = Vec::new();
    let name = dice.one_of(&USERS);
    if dice.chance(4) {
        push_text(&mut members, "username", &format!("{name}{}", dice.below(5_000)));
    } else {
        push_text(&mut members, "username", name);
    }
    push_text(&mut members, "uid", dice.one_of(&UIDS));
    let groups = (0..dice.below(4)).map(|_| text(dice.one_of(&GROUPS)));
    let groups: Vec<Json> = groups.collect();
    if !groups.is_empty() {
        members.push(member("groups", Json::List(groups)));
    }
    if dice.chance(30) {
        let pod = format!("p-{}", dice.below(3));
        let mut extra = vec![member("authentication.kubernetes.io/pod-name", Json::List(vec![text(&pod)]))];
        if dice.chance(30) {
            extra.push(member("verb", Json::List(vec![text("delete")])));
        }
        members.push(member("extra", Json::Object(extra)));
    }
    Json::Object(members)
}

fn object_ref(resource: &str, uri: &str, dice: &mut Dice) -> Json {
    let mut members = Vec::new();
    push_text(&mut members, "resource", resource);
    push_text(&mut members, "namespace", dice.one_of(&NAMESPACES));
    push_text(&mut members, "name", dice.one_of(&NAMES));
    if dice.chance(10) {
        push_text(&mut members, "uid", dice.one_of(&UIDS));
    }
    push_text(&mut members, "apiGroup", dice.one_of(&API_GROUPS));
    push_text(&mut members, "apiVersion", "v1");
    if dice.chance(10) {
        push_text(&mut members, "resourceVersion", dice.one_of(&["1024", "7"]));
    }
    if uri.contains("/exec") || dice.chance(20) {
        push_text(
            &mut members,
            "subresource",
            if dice.chance(60) { "exec" } else { dice.one_of(&SUBRESOURCES) },
        );
    }
    Json::Object(members)
}

fn response_status(dice: &mut Dice) -> Json {
    let code = dice.one_of(&CODES);
    let mut members = vec![member("metadata", object([]))];
    if code.starts_with("40") {
        members.push(member("status", text("Failure")));
        members.push(member("message", text("pods \"web-0\" is forbidden: \"code\":200")));
        members.push(member("reason", text(if code == "404" { "NotFound" } else { "Forbidden" })));
        members.push(member("details", object([("name", text("web-0")), ("kind", text("pods"))])));
    }
    members.push(member("code", word(code)));
    Json::Object(members)
}

/// Go writes a map by its sorted keys.
fn annotations(dice: &mut Dice) -> Json {
    let mut members = Vec::new();
    if dice.chance(6) {
        members.push(member("audit.k8s.io/truncated", text("true")));
    }
    if dice.chance(90) {
        members.push(member("authorization.k8s.io/decision", text(dice.one_of(&DECISIONS))));
        members.push(member("authorization.k8s.io/reason", text(dice.one_of(&REASONS))));
    }
    if dice.chance(6) {
        members.push(member("authorization_k8s_io/decision", text("forbid")));
    }
    if dice.chance(10) {
        members.push(member("pod-security.kubernetes.io/enforce-policy", text("privileged:latest")));
    }
    if dice.chance(6) {
        members.push(member("requestReceivedTimestamp", text(dice.one_of(&TIMES))));
        members.push(member("stageTimestamp", text(dice.one_of(&TIMES))));
        members.push(member("verb", text("delete")));
    }
    Json::Object(members)
}
