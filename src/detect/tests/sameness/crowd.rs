//! A log of more different values than a matcher remembers, on rules that most of them tell apart.
use super::dice::Dice;
use super::events::event;
use super::json::{Json, Style, member, object, text};
use super::lines::Line;
use crate::detect::RuleSource;

const LINES: u64 = 2_600;

/// Rules and lines, always the same.
pub(super) fn crowd() -> (Vec<RuleSource>, Vec<Line>) {
    let mut queries: Vec<String> = (0..12).map(|n| format!("user.groups:g{n} and verb:*")).collect();
    for n in 0..8 {
        queries.push(format!("userAgent:*{n} and not userAgent:*{n}*{n} and objectRef.resource:pods"));
        queries.push(format!("sourceIPs:10.{n}.0.0/16 or objectRef.namespace:n{n}*"));
    }
    queries.push("user.groups:(g1 and g2 and g3) and userAgent:agent*7".to_owned());
    let rules = queries.into_iter().map(|query| RuleSource { query, ..RuleSource::default() });
    (rules.collect(), (0..LINES).map(line).collect())
}

fn line(seed: u64) -> Line {
    let mut dice = Dice::new(seed);
    let mut members = event(&mut dice);
    for member in &mut members {
        match member.key.as_str() {
            "kind" => member.value = text("Event"),
            "apiVersion" => member.value = text("audit.k8s.io/v1"),
            "user" => member.value = user(&mut dice),
            "userAgent" => member.value = text(&format!("agent/{}", dice.below(4_000))),
            "sourceIPs" => {
                let address = format!("10.{}.{}.{}", dice.below(9), dice.below(30), dice.below(30));
                member.value = Json::List(vec![text(&address)]);
            }
            "objectRef" => {
                let namespace = format!("n{}", dice.below(4_000));
                member.value = object([("resource", text("pods")), ("namespace", text(&namespace))]);
            }
            _ => {}
        }
    }
    let text = Style::default().write_event(&members, true, &mut dice).into_bytes();
    Line { text, repeats_a_key: false }
}

/// A few names, and any of the groups: what a name came to last is no longer so.
fn user(dice: &mut Dice) -> Json {
    let name = format!("user-{}", dice.below(300));
    let groups = (0..12).filter(|_| dice.chance(50)).map(|n| text(&format!("g{n}"))).collect();
    Json::Object(vec![member("username", text(&name)), member("groups", Json::List(groups))])
}
