//! The explanation as a person reads it.
use super::rule;
use crate::detect::{Context, explain};
use crate::event::{Event, Tape};

fn explained(query: &str, event: &str) -> String {
    let mut tape = Tape::new();
    let event = Event::from_object(event, &mut tape).unwrap();
    explain(&rule(query), &event, &Context::default()).to_string()
}

#[test]
fn every_part_says_what_it_came_to_and_what_the_event_holds() {
    let event = r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"pods"},"responseStatus":{"code":403},
        "user":{"groups":["a","b\u001b[31m","c","d","e","f"]}}"#;
    let query = "verb:(create or \"get\") and not objectRef.subresource:* and user.groups:sys* \
        and responseStatus.code >= 400 and requestObject.spec.hostPID:true or busy box";
    insta::assert_snapshot!(explained(query, event), @r##"
    unknown   or
    no match    and
    match         or
    match           verb:create   [create]
    no match        verb:"get"   [create]
    match         not
    no match        objectRef.subresource:*
    no match      user.groups:sys*   [a, b\u{1b}[31m, c, d, e, …]
    match         responseStatus.code >= 400   [403]
    unknown       requestObject.spec.hostPID:true
    unknown     "busy box"
    "##);
}

#[test]
fn a_nested_group_shows_its_elements() {
    let event = r#"{"requestObject":{"rules":[{"verbs":["get"],"resources":["pods"]},{"verbs":["*"],"resources":["secrets"]},1,2,3,4]}}"#;
    insta::assert_snapshot!(explained(r#"requestObject.rules:{ verbs:"*" and resources:pods }"#, event), @r##"
    no match  requestObject.rules:{ … }
    no match    element 0: and
    no match      requestObject.rules.verbs:"*"   [get]
    match         requestObject.rules.resources:pods   [pods]
    no match    element 1: and
    match         requestObject.rules.verbs:"*"   [*]
    no match      requestObject.rules.resources:pods   [secrets]
    no match    element 2: and
    no match      requestObject.rules.verbs:"*"
    no match      requestObject.rules.resources:pods
    no match    element 3: and
    no match      requestObject.rules.verbs:"*"
    no match      requestObject.rules.resources:pods
    no match    element 4: and
    no match      requestObject.rules.verbs:"*"
    no match      requestObject.rules.resources:pods
                …
    "##);
}

#[test]
fn an_explanation_is_bounded() {
    let values: Vec<String> = (0..100_000).map(|n| format!("\"{n}{}\"", "x".repeat(300))).collect();
    let event = format!(r#"{{"user":{{"groups":[{}]}}}}"#, values.join(","));
    assert!(explained("user.groups:z", &event).len() < 2_000);
}
