//! What rules need, put into a policy that a site has: what it logs already it goes on to log.
use std::collections::BTreeSet;

use super::check::{Lack, check};
use super::document::{GroupResources, Line, Policy};
use super::generate::Breadth;
use super::kinds::{Kind, Kinds, Named};
use super::lines::for_rules;
use crate::detect::{Level, Rule};
use crate::event::Stage;

/// The policy with what these rules lack of it, where sources omit these stages. Every step raises a level or adds a stage.
///
/// A rule that names its resources gets a line before the one that deprives it; for one that is on requests of all
/// kinds that line's own level is raised. What only a line for all bodies could give is not given.
pub fn merge(base: &Policy, rules: &[&Rule], omitted: &[Stage]) -> Policy {
    let mut merged = base.clone();
    for _ in 0..ROUNDS {
        let next = step(&merged, rules, omitted);
        if next == merged {
            break;
        }
        merged = next;
    }
    merged
}

/// What was not logged at all shows only then that a stage of it is omitted too.
const ROUNDS: usize = 4;

fn step(base: &Policy, rules: &[&Rule], omitted: &[Stage]) -> Policy {
    let mut merged = base.clone();
    let kinds = Kinds::of(rules, &[base]);
    let lacks: Vec<(&str, Lack)> = rules
        .iter()
        .flat_map(|rule| {
            check(rule, base, &kinds, omitted, Breadth::Complete).into_iter().map(|lack| (rule.name(), lack))
        })
        .collect();
    let mut before: Vec<(usize, Line)> = Vec::new();
    for (rule, lack) in &lacks {
        if let Some(stage) = lack.stage {
            log_stage(&mut merged, stage, lack.by);
        }
        // Of another kind the group is not known, so no line can name it.
        match (lack.by, &lack.kind) {
            (Some(index), _) if lack.needs == Level::Metadata && (lack.is_wide || !is_named(&lack.kind)) => {
                let line = &mut merged.lines[index];
                line.level = line.level.max(Level::Metadata);
                add_name(&mut line.comment, rule);
            }
            (Some(index), Kind::Resource(..)) if lack.has < lack.needs => {
                let level = most_behind(base, &kinds, &lack.kind, &lack.verb, index).max(lack.needs);
                insert(&mut before, index, lack, level, rule);
            }
            (None | Some(_), _) => {}
        }
    }
    let inherits = base.lines.iter().all(|line| line.omit_managed_fields.is_none());
    let mut lines = Vec::new();
    for (index, line) in merged.lines.into_iter().enumerate() {
        for (_, added) in before.iter().filter(|(place, _)| *place == index) {
            let omit_managed_fields = if inherits { None } else { Some(false) };
            lines.push(Line { omit_managed_fields, ..added.clone() });
        }
        lines.push(line);
    }
    // What no line fits is asked about with a level of its own; bodies follow with the lines that are put before it.
    let unfit: Vec<&(&str, Lack)> = lacks.iter().filter(|(_, lack)| lack.by.is_none()).collect();
    if !unfit.is_empty() {
        let mut last: Vec<(usize, Line)> = Vec::new();
        for (rule, lack) in &unfit {
            if lack.needs > Level::Metadata && is_named(&lack.kind) {
                insert(&mut last, 0, lack, lack.needs, rule);
            }
        }
        lines.extend(last.into_iter().map(|(_, line)| line));
        let names: BTreeSet<String> = unfit.iter().map(|(rule, _)| (*rule).to_owned()).collect();
        let comment = for_rules(names);
        lines.push(Line { level: Level::Metadata, comment, ..Line::default() });
    }
    Policy { lines, ..merged }
}

fn is_named(kind: &Kind) -> bool {
    matches!(kind, Kind::Resource(..))
}

/// Logs at a stage what this line decides, and nothing else that was not logged at it.
fn log_stage(policy: &mut Policy, stage: Stage, by: Option<usize>) {
    if policy.omit_stages.remove(&stage) {
        for line in &mut policy.lines {
            line.omit_stages.insert(stage);
        }
    }
    if let Some(line) = by.and_then(|index| policy.lines.get_mut(index)) {
        line.omit_stages.remove(&stage);
    }
}

/// The highest level that the policy has for such requests of anybody, in this line and those behind it.
fn most_behind(policy: &Policy, kinds: &Kinds, kind: &Kind, verb: &str, index: usize) -> Level {
    let behind = Policy { lines: policy.lines.iter().skip(index).cloned().collect(), ..policy.clone() };
    let named = Named::default();
    let cells = kinds.cells(kind, verb, &named);
    cells.iter().map(|cell| behind.decide(&cell.request).level).max().unwrap_or_default()
}

/// Adds what is lacking to the line that is put in there with the same verb and level.
fn insert(before: &mut Vec<(usize, Line)>, index: usize, lack: &Lack, level: Level, rule: &str) {
    let Kind::Resource(group, ..) = &lack.kind else { return };
    let is_it = |(place, line): &(usize, Line)| {
        *place == index && line.level == level && line.verbs == [lack.verb.clone()]
    };
    let at = before.iter().position(is_it).unwrap_or_else(|| {
        before.push((index, Line { level, verbs: vec![lack.verb.clone()], ..Line::default() }));
        before.len() - 1
    });
    let line = &mut before[at].1;
    add_name(&mut line.comment, rule);
    let at = line.resources.iter().position(|known| known.group == *group).unwrap_or_else(|| {
        line.resources.push(GroupResources { group: group.clone(), ..GroupResources::default() });
        line.resources.len() - 1
    });
    let names = &mut line.resources[at].resources;
    if !names.contains(&lack.kind.name()) {
        names.push(lack.kind.name());
    }
}

fn add_name(comment: &mut String, rule: &str) {
    if comment.is_empty() {
        *comment = for_rules([rule.to_owned()]);
    } else if !comment.split([' ', ',', '.']).any(|name| name == rule) {
        let open = comment.trim_end_matches('.').to_owned();
        *comment = format!("{open}, {rule}.");
    }
}
