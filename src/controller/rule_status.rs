//! Writes the statuses of `DetectionRule`s: conditions at once, counts at most every ten seconds a rule.
//!
//! A process that reads logs reports what it counted, in an entry of its own; the one that leads concludes the
//! conditions from everybody's entries. Whoever writes sums them up in the same update.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::alerts::Evictions;
use super::observable::{LONG_LOG, Logged, Observed};
use super::readers::Readers;
use super::rule_conditions::{AtWork, conditions};
use super::rules::{RuleEntry, Rules};
use super::status_agents::{is_behind, make_room, reports};
use super::{capped_evidence, excepted, limited, malformed, status_failure};
use crate::alert::{Ledger, WriteError, call, write_params};
use crate::api::{
    AuditStage, Condition, DetectionRule, DetectionRuleStatus, Evidence, Mode, RuleAgent, Stored,
    condition_type,
};
use crate::detect::Exception;
use crate::telemetry::Metrics;

/// How often counts alone may make a status be written.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// How often the counts are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Writes rule statuses until told to stop.
pub struct RuleStatuses {
    /// Who it writes as.
    pub client: Client,
    /// The rules.
    pub rules: Arc<Rules>,
    /// What the reading threads report.
    pub readers: Arc<Readers>,
    /// How many alerts were opened.
    pub ledger: Arc<Ledger>,
    /// How many alerts were evicted.
    pub evictions: Arc<Evictions>,
    /// The most of a request that an alert may show.
    pub evidence: Evidence,
    /// Whether this process concludes for all.
    pub leads: watch::Receiver<bool>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
}

impl RuleStatuses {
    /// Writes until `stop`, then once more.
    pub async fn run(self, stop: CancellationToken) {
        let (mut counted_at, mut observed) = (HashMap::new(), Observed::default());
        let mut reported = HashMap::new();
        loop {
            self.write_all(&mut counted_at, &mut observed, false).await;
            if *self.leads.borrow() {
                let malformed = self.rules.malformed();
                malformed::report::<DetectionRule>(
                    &self.client,
                    &self.metrics,
                    "rule",
                    malformed,
                    &mut reported,
                )
                .await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.rules.changed() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
        self.write_all(&mut counted_at, &mut observed, true).await;
    }

    async fn write_all(
        &self,
        counted_at: &mut HashMap<String, Instant>,
        observed: &mut Observed,
        last: bool,
    ) {
        let api: Api<Stored<DetectionRule>> = Api::all(self.client.clone());
        let entries = self.rules.entries();
        let leads = *self.leads.borrow();
        let at_work = if leads { self.at_work(Timestamp::now()) } else { AtWork::new() };
        observed.look(self.logged());
        observed.retain(|uid| entries.iter().any(|entry| entry.object.metadata.uid.as_deref() == Some(uid)));
        counted_at.retain(|name, _| entries.iter().any(|entry| entry.object.name_any() == *name));
        for entry in entries {
            let name = entry.object.name_any();
            let present = entry.object.status.clone().unwrap_or_default();
            let wanted = self.wanted(&entry, observed, leads.then_some(&at_work), Timestamp::now());
            if wanted == present {
                continue;
            }
            let due = last || counted_at.get(&name).is_none_or(|at| at.elapsed() >= COUNT_INTERVAL);
            if !(due || is_news(&wanted, &present)) {
                continue;
            }
            // A new entry that counts nothing yet shall not keep the first match waiting.
            if (wanted.matches, wanted.alerts, wanted.undecidable)
                != (present.matches, present.alerts, present.undecidable)
            {
                counted_at.insert(name.clone(), Instant::now());
            }
            let mut object = entry.object.clone();
            object.status = Some(wanted);
            if let Err(error) = self.tell(&object, &present).await {
                status_failure::note(&self.metrics, "rule", &name, &error);
                if error.concerns_all() {
                    return;
                }
            }
            let (base, object) = (object.metadata.resource_version.clone(), Stored(Ok(object)));
            match call("the rule's status", api.replace_status(&name, &write_params(), &object)).await {
                Ok(Stored(written)) => {
                    if let Ok(written) = written {
                        self.rules.note_written(base.as_deref(), written);
                    }
                }
                Err(error) => {
                    status_failure::note(&self.metrics, "rule", &name, &error);
                    if error.concerns_all() {
                        // The others would wait as long, each in turn; the next round tries them all.
                        return;
                    }
                }
            }
        }
    }

    /// Tells by Events of what the rule's status says and `present` did not.
    async fn tell(&self, rule: &DetectionRule, present: &DetectionRuleStatus) -> Result<(), WriteError> {
        let Some(wanted) = &rule.status else { return Ok(()) };
        let (client, instance) = (&self.client, self.ledger.node());
        if limited::begins(wanted, present) {
            limited::publish(client, instance, rule).await?;
        }
        if capped_evidence::begins(wanted, present) {
            capped_evidence::publish(client, instance, rule, self.evidence, Timestamp::now()).await?;
        }
        Ok(())
    }

    /// What the status should say. Where this process leads, and concludes for all, it knows which are `at_work`.
    fn wanted(
        &self,
        entry: &RuleEntry,
        observed: &mut Observed,
        at_work: Option<&AtWork>,
        now: Timestamp,
    ) -> DetectionRuleStatus {
        let mut status = entry.object.status.clone().unwrap_or_default();
        self.count(entry, &mut status, now);
        if let Some(at_work) = at_work {
            let evicted = self.evictions.of(&entry.object.uid().unwrap_or_default());
            status.evicted = status.evicted.max(evicted.unwrap_or_default());
            let generation = entry.object.metadata.generation;
            status.observed_generation = generation;
            for condition in conditions(entry, &status, (observed, at_work), self.evidence, now) {
                condition.set(&mut status.conditions, generation, now);
            }
        }
        status
    }

    /// Who reports now.
    fn at_work(&self, now: Timestamp) -> AtWork {
        let mut at_work = AtWork::new();
        for object in self.readers.entries().into_iter().map(|entry| entry.object) {
            let source = object.name_any();
            let agents = object.status.into_iter().flat_map(|status| status.agents);
            for agent in agents.filter(|agent| reports(agent, now)) {
                at_work.entry(agent.name).or_default().insert(source.clone());
            }
        }
        at_work
    }

    /// How requests are logged, source by source and process by process.
    fn logged(&self) -> Vec<Logged> {
        let mut logged = Vec::new();
        for object in self.readers.entries().into_iter().map(|entry| entry.object) {
            let omits_started = object.spec.omit_stages.contains(&AuditStage::ResponseStarted);
            for agent in object.status.into_iter().flat_map(|status| status.agents) {
                let (requests, stages, is_long) = (agent.requests, agent.stages, agent.events >= LONG_LOG);
                logged.push(Logged { requests, stages, is_long, omits_started });
            }
        }
        logged
    }

    fn count(&self, entry: &RuleEntry, status: &mut DetectionRuleStatus, now: Timestamp) {
        let uid = entry.object.uid().unwrap_or_default();
        let rule = entry.object.name_any();
        let evaluated = entry.compiled.is_ok() && entry.object.spec.mode != Mode::Disabled;
        let node = self.ledger.node();
        for (source, report) in self.readers.reports() {
            let report = report.lock();
            if report.stream.is_empty() {
                continue;
            }
            let counts = report.counts.rules.get(&uid).cloned().unwrap_or_default();
            let said = status.agents.iter().find(|a| a.name == node && a.source == source);
            let said = said.map_or(0, |agent| agent.alerts);
            let agent = RuleAgent {
                name: node.to_owned(),
                source: source.clone(),
                stream: report.stream.clone(),
                offset: report.offset,
                matches: counts.matches,
                alerts: self.ledger.opened(&rule, &source, said),
                suppressed: counts.suppressed,
                limited: counts.limited,
                last_limited_time: counts.last_limited_time.map(MicroTime),
                undecidable: counts.undecidable,
                exceptions: excepted::counted(in_force(entry), &counts),
                last_match_time: counts.last_match_time.map(MicroTime),
                observed_generation: entry.object.metadata.generation.unwrap_or_default(),
                ready: evaluated && report.trouble.is_none(),
            };
            drop(report);
            match status.agents.iter_mut().find(|a| a.name == node && a.source == source) {
                Some(old) => *old = following(agent, old),
                None => {
                    make_room(&mut status.agents, |agent| agent.last_match_time.clone().map(|time| time.0));
                    status.agents.push(agent);
                }
            }
        }
        let sum = |count: fn(&RuleAgent) -> i64| status.agents.iter().map(count).sum();
        status.matches = sum(|a| a.matches);
        status.alerts = sum(|a| a.alerts);
        status.suppressed = sum(|a| a.suppressed);
        status.limited = sum(|a| a.limited);
        status.undecidable = sum(|a| a.undecidable);
        status.exceptions = excepted::summed(in_force(entry), &status.agents, now);
        status.last_match_time =
            status.agents.iter().filter_map(|a| a.last_match_time.clone()).max_by_key(|time| time.0);
    }
}

/// A process' entry after what it said before.
fn following(agent: RuleAgent, old: &RuleAgent) -> RuleAgent {
    if is_behind((&agent.stream, agent.offset), (&old.stream, old.offset)) {
        let (observed_generation, ready) = (agent.observed_generation, agent.ready);
        return RuleAgent { observed_generation, ready, ..old.clone() };
    }
    // A position that moved over events this rule said nothing of is no news.
    let quiet = RuleAgent { stream: old.stream.clone(), offset: old.offset, ..agent.clone() };
    if quiet == *old { quiet } else { agent }
}

/// The exceptions that apply to the rule.
fn in_force(entry: &RuleEntry) -> &[Arc<Exception>] {
    entry.compiled.as_ref().map_or(&[], |compiled| compiled.rule().exceptions())
}

/// Whether more than counts changed.
fn is_news(wanted: &DetectionRuleStatus, present: &DetectionRuleStatus) -> bool {
    let state = |status: &DetectionRuleStatus| -> Vec<_> {
        let agents = status.agents.iter();
        agents.map(|a| (a.name.clone(), a.source.clone(), a.observed_generation, a.ready)).collect()
    };
    // How many matches find no room is a count, though it stands in a message.
    let said = |status: &DetectionRuleStatus| -> Vec<_> {
        let said = |c: &Condition| {
            let counts = c.type_ == condition_type::LIMITED;
            let message = if counts { String::new() } else { c.message.clone() };
            (c.type_.clone(), c.status, c.reason.clone(), c.observed_generation, message)
        };
        status.conditions.iter().map(said).collect()
    };
    let excepted = |status: &DetectionRuleStatus| -> Vec<_> {
        status.exceptions.iter().map(|e| (e.origin, e.name.clone(), e.expired)).collect()
    };
    said(wanted) != said(present)
        || excepted(wanted) != excepted(present)
        || wanted.observed_generation != present.observed_generation
        // A process that is killed forgets what it has not written of these.
        || wanted.evicted != present.evicted
        || state(wanted) != state(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_never_goes_back_where_a_killed_process_counts_again() {
        let agent = |stream: &str, offset, matches| RuleAgent {
            stream: stream.to_owned(),
            offset,
            matches,
            ready: true,
            ..RuleAgent::default()
        };
        let said = RuleAgent { ready: false, ..agent("t", 100, 7) };
        assert_eq!(following(agent("t", 60, 4), &said), agent("t", 100, 7));
        assert_eq!(following(agent("t", 120, 8), &said), agent("t", 120, 8));
        assert_eq!(following(agent("t", 120, 7), &agent("t", 100, 7)).offset, 100);
        // Another stream is another count.
        assert_eq!(following(agent("u", 10, 1), &said), agent("u", 10, 1));
    }
}
