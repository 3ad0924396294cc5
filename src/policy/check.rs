//! Which rules a policy, or a log as it is seen, leaves without what they need.
use std::collections::{BTreeMap, BTreeSet};

use super::decide::Decision;
use super::document::Policy;
use super::generate::{Breadth, is_heartbeat, is_own};
use super::kinds::{Kind, Kinds, Named, is_wide};
use crate::detect::{Asked, Level, Need, Rule};
use crate::event::Stage;

/// Requests that a rule asks about and that are not logged as it needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The verb.
    pub verb: String,
    /// What is requested.
    pub kind: Kind,
    /// The level that is needed.
    pub needs: Level,
    /// The level that there is.
    pub has: Level,
    /// The stage that decides, where that is what is missing.
    pub stage: Option<Stage>,
    /// The line of the policy that decides, by its index.
    pub by: Option<usize>,
    /// Whether the rule does not name the resource.
    pub is_wide: bool,
    /// Whose requests, where others' are logged otherwise.
    pub who: String,
}

/// What the rule needs of such requests. A body that may hold a secret is needed only by a rule that names its kind.
pub(super) fn need(rule: &Rule, kind: &Kind, asked: &Asked<'_>) -> Option<Need> {
    let mut need = rule.need(asked)?;
    if need.level > Level::Metadata && kind.is_secret() && is_wide(rule, asked) {
        need.level = Level::Metadata;
    }
    Some(need)
}

/// What the policy does not log of what the rule needs, where sources say that they omit these stages. What a quiet
/// policy leaves out is not missing in one.
pub fn check(rule: &Rule, policy: &Policy, kinds: &Kinds, omitted: &[Stage], breadth: Breadth) -> Vec<Lack> {
    // Then what is decided when the answer starts is decided at its end, unless the query itself names the stage.
    let is_late = omitted.contains(&Stage::ResponseStarted) && !rule.names_stage();
    let mut lacks = Vec::new();
    let named = Named::by(rule);
    for kind in kinds.iter() {
        for verb in kind.verbs() {
            // Most rules ask about few kinds, and this is much cheaper than each case of it.
            let Some(most) = rule.need(&kind.asked(verb)) else { continue };
            for cell in kinds.cells(kind, verb, &named) {
                let decision = policy.decide(&cell.request);
                let is_plenty = decision.level >= most.level
                    && [Stage::ResponseStarted, Stage::ResponseComplete].iter().all(|s| decision.has(*s));
                if is_plenty && most.stages != [Stage::RequestReceived] {
                    continue;
                }
                let asked = cell.asked();
                let Some(need) = need(rule, kind, &asked) else { continue };
                let is_wide = is_wide(rule, &asked);
                let is_left_out = breadth == Breadth::Quiet
                    && (is_wide || matches!(kind, Kind::Path(_)))
                    && is_heartbeat(&cell.request);
                if is_left_out || is_own(&cell.request) || suffices(&need, &decision, is_late) {
                    continue;
                }
                let is_level = decision.level < need.level;
                lacks.push(Lack {
                    verb: (*verb).to_owned(),
                    kind: kind.clone(),
                    needs: need.level,
                    has: decision.level,
                    stage: (!is_level).then(|| need.stages.first().copied()).flatten(),
                    by: decision.by,
                    is_wide,
                    who: cell.who.clone(),
                });
            }
        }
    }
    lacks
}

fn suffices(need: &Need, decision: &Decision, is_late: bool) -> bool {
    let is_logged = |stage: &Stage| match stage {
        Stage::ResponseStarted if is_late => decision.has(Stage::ResponseComplete),
        _ => decision.has(*stage),
    };
    decision.level >= need.level && need.stages.iter().any(is_logged)
}

/// The most requests, fields or users that a sentence names.
const NAMED: usize = 5;

/// Which line decides, what is needed, what there is, and the stage that is missing.
type Cause = (Option<usize>, Level, Level, Option<Stage>);

/// What is lacking, a sentence a cause. With a policy, they name its lines.
pub fn words(rule: &Rule, lacks: &[Lack], policy: Option<&Policy>) -> Vec<String> {
    let mut causes: BTreeMap<Cause, Vec<&Lack>> = BTreeMap::new();
    for lack in lacks {
        causes.entry((lack.by, lack.needs, lack.has, lack.stage)).or_default().push(lack);
    }
    let sentence = |((by, needs, has, stage), lacks): (Cause, Vec<&Lack>)| {
        let requests: BTreeSet<String> =
            lacks.iter().map(|lack| format!("{} {}", lack.verb, lack.kind.name())).collect();
        let requests = some_of(requests.into_iter().collect(), ", ") + &whose(&lacks);
        let place = match policy.map(|policy| by.and_then(|index| policy.lines.get(index))) {
            None => String::new(),
            Some(Some(line)) => format!(" (line {})", line.number),
            Some(None) => " (no line fits them)".to_owned(),
        };
        let said = match stage {
            Some(stage) => stage_is_missing(&requests, stage),
            None => level_is_low(&requests, &rule.fields_above(has.max(Level::Metadata)), needs, has),
        };
        said + &place
    };
    causes.into_iter().map(sentence).collect()
}

/// That these requests are logged at a lower level than what reads these fields of their bodies needs.
fn level_is_low(requests: &str, fields: &[String], needs: Level, has: Level) -> String {
    let (is_low, needs, has) = (needs == Level::Metadata, needs.as_str(), has.as_str());
    if is_low || fields.is_empty() {
        return format!("{requests}: the rule needs level {needs}, and the log has {has}");
    }
    let verb = if fields.len() == 1 { "needs" } else { "need" };
    let fields = some_of(fields.iter().map(|field| format!("`{field}`")).collect(), ", ");
    format!("{requests}: {fields} {verb} level {needs}, and the log has {has}")
}

/// That these requests are not logged at the stage that decides them.
fn stage_is_missing(requests: &str, stage: Stage) -> String {
    format!("{requests}: decided at stage {}, which is not logged", stage.as_str())
}

/// Whose requests, if it is only some people's.
fn whose(lacks: &[&Lack]) -> String {
    if lacks.iter().any(|lack| lack.who.is_empty()) {
        return String::new();
    }
    let all: BTreeSet<&str> = lacks.iter().map(|lack| lack.who.as_str()).collect();
    // One who is in a group besides says no more.
    let plain: Vec<String> =
        all.iter().filter(|who| !who.contains(" in ")).map(|who| (*who).to_owned()).collect();
    let all = if plain.is_empty() { all.into_iter().map(str::to_owned).collect() } else { plain };
    format!(" of {}", some_of(all, " or "))
}

fn some_of(mut texts: Vec<String>, between: &str) -> String {
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    let some = texts.join(between);
    if more > 0 { format!("{some} and {more} more") } else { some }
}
