//! Judges the lines of a batch and tallies what they came to.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tracing::{error, info, warn};

use super::alerts::TriageWrites;
use super::binding::origin_of;
use super::loaded_rules::LoadedRules;
use super::noted::Noted;
use super::progress::{ExceptionCounts, RuleCounts, SourceCounts, exception_key};
use super::requests_seen::RequestsSeen;
use super::surroundings::{SourceSettings, Surroundings};
use crate::alert::{Entry, Match, RuleFacts};
use crate::api::{Mode, RecordPlace};
use crate::detect::{Context, Judgement, Matcher, Outcome, Reading, RuleSet};
use crate::event::{DecodeError, Event, Slot, Stage, Tape, glued_record, is_plain_text, without_bodies};
use crate::source::{LongLine, Position, Wrapper};
use crate::telemetry::{IgnoredLabels, MalformedLabels, Metrics, RuleLabels, SourceLabels, SuppressedLabels};

/// How many malformed lines of a source are shown in the log.
const SHOWN_MALFORMED: u32 = 5;

/// What a batch came to, until it is added to the report together with the position.
#[derive(Debug, Default)]
pub(super) struct Tally {
    events: i64,
    ignored: i64,
    malformed: i64,
    text: i64,
    salvaged: i64,
    oversized: i64,
    last_event_time: Option<Timestamp>,
    levels: BTreeSet<String>,
    stages: BTreeSet<String>,
    requests: RequestsSeen,
    rules: BTreeMap<String, RuleCounts>,
}

impl Tally {
    /// Adds it to what the source came to before.
    pub(super) fn add_to(self, counts: &mut SourceCounts) {
        counts.events += self.events;
        counts.ignored += self.ignored;
        counts.malformed_lines += self.malformed;
        counts.plain_text_lines += self.text;
        counts.salvaged_records += self.salvaged;
        counts.oversized_records += self.oversized;
        counts.last_event_time = counts.last_event_time.max(self.last_event_time);
        counts.levels.extend(self.levels);
        counts.stages.extend(self.stages);
        counts.kinds.add(self.requests);
        for (uid, more) in self.rules {
            counts.rules.entry(uid).or_default().add(&more);
        }
    }

    /// Whether nothing happened.
    pub(super) fn is_empty(&self) -> bool {
        self.events == 0 && self.malformed == 0 && self.text == 0
    }
}

/// What a thread keeps between batches: room to work in, used again and again.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// For the rules that it was made of; what it has learnt is worth nothing for others.
    matcher: Option<Box<(Arc<RuleSet>, Matcher)>>,
    malformed_shown: u32,
    text_shown: bool,
}

/// Judges lines by one set of rules.
pub(super) struct Judge<'a> {
    pub(super) settings: &'a SourceSettings,
    pub(super) around: &'a Surroundings,
    pub(super) rules: &'a LoadedRules,
    /// The source's labels, made once.
    pub(super) labels: &'a SourceLabels,
    /// The line that has no newline, because its file was closed without.
    pub(super) unended: Option<Position>,
    /// Records older than this are passed over (`startAt: LastSeconds`).
    pub(super) not_before: Option<Timestamp>,
    pub(super) tally: Tally,
    /// The source's count of events, looked up once and not once an event.
    pub(super) events: &'a Counter,
}

impl Judge<'_> {
    /// Judges one line.
    pub(super) fn line(&mut self, work: &mut Workspace, line: &[u8], position: Position) {
        self.guarded(work, position, |judge, work| judge.judge(work, line, position));
    }

    /// Judges by its ends a line that is too long to be read.
    pub(super) fn long_line(&mut self, work: &mut Workspace, long: &LongLine, position: Position) {
        self.guarded(work, position, |judge, work| {
            if long.text_lines > 0 {
                judge.text(work, long.text_lines, position);
            }
            let record = if long.is_one_record { without_bodies(&long.head, &long.tail) } else { None };
            if let Some(record) = record
                && judge.record(work, &record, position).is_ok()
            {
                judge.tally.oversized += 1;
                judge.metrics().oversized_records.get_or_create(judge.labels).inc();
                return;
            }
            warn!(
                source = judge.settings.name,
                offset = position.offset,
                "a record over 16 MiB cannot be judged"
            );
            judge.count_malformed("too_long");
        });
    }

    /// No record may end the thread: what one record does to the judge, an attacker could do on purpose.
    fn guarded(
        &mut self,
        work: &mut Workspace,
        position: Position,
        judge: impl FnOnce(&mut Self, &mut Workspace),
    ) {
        if catch_unwind(AssertUnwindSafe(|| judge(self, work))).is_err() {
            let (source, offset) = (&self.settings.name, position.offset);
            error!(source, offset, "judging a record panicked; it is passed over");
            *work = Workspace::default();
            self.count_malformed("panic");
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.around.metrics
    }

    fn count_malformed(&mut self, reason: &'static str) {
        self.tally.malformed += 1;
        let labels = MalformedLabels { source: self.settings.name.clone(), reason };
        self.metrics().malformed_lines.get_or_create(&labels).inc();
    }

    fn judge(&mut self, work: &mut Workspace, line: &[u8], position: Position) {
        let wrapper = Wrapper::of(line);
        if wrapper.is_some_and(|wrapper| wrapper.is_stderr) {
            self.text(work, 1, position);
            return;
        }
        let Err(why) = self.record(work, line, position) else { return };
        // What still has its wrapper is a part that nothing ends.
        let may_hold_one = self.unended != Some(position) && wrapper.is_none();
        let glued = if may_hold_one { glued_record(line, &mut Tape::new()) } else { None };
        let Some((start, record)) = glued else {
            self.no_record(work, line, position, &why);
            return;
        };
        self.tally.salvaged += 1;
        self.metrics().salvaged_records.get_or_create(self.labels).inc();
        // What stands before it ends where it begins, and may lack its newline only.
        let end = position.offset - record.len() as u64 - 1;
        if let Err(why) = self.record(work, &line[..start], Position { offset: end, ..position }) {
            self.no_record(work, &line[..start], position, &why);
        }
        // It is one, so this does not fail.
        drop(self.record(work, record, position));
    }

    /// Counts lines that kube-apiserver wrote beside its log.
    fn text(&mut self, work: &mut Workspace, lines: u64, position: Position) {
        if !work.text_shown {
            work.text_shown = true;
            let (source, offset) = (&self.settings.name, position.offset);
            info!(source, offset, "the log holds plain text between its records, which is passed over");
        }
        self.tally.text = self.tally.text.saturating_add_unsigned(lines);
        self.metrics().plain_text_lines.get_or_create(self.labels).inc_by(lines);
    }

    /// Counts what is no record.
    fn no_record(&mut self, work: &mut Workspace, line: &[u8], position: Position, why: &DecodeError) {
        let is_json = matches!(why, DecodeError::NotAnEvent(_));
        if !is_json && Wrapper::of(line).is_none() && is_plain_text(line) {
            return self.text(work, 1, position);
        }
        if work.malformed_shown < SHOWN_MALFORMED {
            work.malformed_shown += 1;
            let (source, offset, length) = (&self.settings.name, position.offset, line.len());
            warn!(source, offset, length, %why, "a line is no audit event");
        }
        self.count_malformed(why.category());
    }

    /// Judges what is one record, or says why it is none.
    fn record(&mut self, work: &mut Workspace, line: &[u8], position: Position) -> Result<(), DecodeError> {
        let context = Context {
            cluster: self.settings.cluster.as_deref(),
            omitted_stages: &self.settings.omitted_stages,
        };
        let matcher = &mut work.matcher;
        let is_current = matcher.as_ref().is_some_and(|known| Arc::ptr_eq(&known.0, &self.rules.set));
        if !is_current {
            *matcher = None;
        }
        let (_, matcher) = &mut **matcher.get_or_insert_with(|| {
            let rules = Arc::clone(&self.rules.set);
            Box::new((Arc::clone(&rules), Matcher::new(rules, &context)))
        });
        // The line is read whole, so that one which is no event is always found out.
        let outcomes = matcher.judge(line, Reading::Whole)?.to_vec();
        // Most events are no rule's concern, and what is noted of them stands in few places.
        if outcomes.is_empty()
            && let Some(outline) = matcher.outline()
            && !outline.value(Slot::User, line).is_some_and(|user| self.around.ignored.may_ignore(user))
            && let Ok(noted) = Noted::in_line(line, outline)
        {
            if !self.is_too_old(&noted) {
                self.note(&noted);
                self.tell_of_triage(&noted, line);
            }
            return Ok(());
        }
        let event = matcher.read(line)?;
        let noted = Noted::of(&event);
        if self.is_too_old(&noted) {
            return Ok(());
        }
        self.note(&noted);
        self.tell_of_triage(&noted, line);
        if let Some(why) = self.around.ignored.ignores(&event) {
            self.tally.ignored += 1;
            let labels = IgnoredLabels { source: self.settings.name.clone(), reason: why.as_str() };
            self.metrics().ignored_events.get_or_create(&labels).inc();
            return Ok(());
        }
        for outcome in &outcomes {
            self.take(outcome, &event, &context, position, noted.time);
        }
        Ok(())
    }

    fn is_too_old(&self, noted: &Noted<'_>) -> bool {
        self.not_before.is_some_and(|start| noted.time.is_some_and(|time| time < start))
    }

    fn note(&mut self, noted: &Noted<'_>) {
        self.tally.events += 1;
        self.events.inc();
        self.tally.last_event_time = self.tally.last_event_time.max(noted.time);
        // Both are among few known words, or the client's nonsense, which is not worth keeping.
        if let Some(level) = noted.level.as_deref().filter(|l| !self.tally.levels.contains(*l) && is_level(l))
        {
            self.tally.levels.insert(level.to_owned());
        }
        if let Some(stage) = noted.stage.filter(|stage| !self.tally.stages.contains(stage.as_str())) {
            self.tally.stages.insert(stage.as_str().to_owned());
        }
        if let (Some(verb), Some(resource)) = (&noted.verb, &noted.resource) {
            let resource = match &noted.subresource {
                Some(subresource) => Cow::Owned(format!("{resource}/{subresource}")),
                None => Cow::Borrowed(&**resource),
            };
            let level = noted.level.as_deref().filter(|level| is_level(level));
            let group = noted.group.as_deref().unwrap_or_default();
            let stage = noted.stage.map(Stage::as_str);
            self.tally.requests.note(verb, (group, &resource), level, stage, noted.allowed);
        }
    }

    /// A write of an alert is read once more and whole: who made it is to be known, whatever the rules ask.
    fn tell_of_triage(&self, noted: &Noted<'_>, line: &[u8]) {
        if TriageWrites::concerns(noted.verb.as_deref(), noted.resource.as_deref())
            && let Ok(event) = Event::decode(line, &mut Tape::new())
        {
            self.around.triage.hand(&event);
        }
    }

    fn take(
        &mut self,
        outcome: &Outcome,
        event: &Event<'_>,
        context: &Context<'_>,
        position: Position,
        time: Option<Timestamp>,
    ) {
        let (Some(facts), Some(mode)) =
            (self.rules.facts.get(outcome.rule), self.rules.modes.get(outcome.rule))
        else {
            return;
        };
        let mut counts = match &outcome.what {
            Judgement::Passing => return,
            Judgement::Undecidable => RuleCounts { undecidable: 1, ..RuleCounts::default() },
            Judgement::Suppressed { exception } => {
                let exception = self.rules.set.rules()[outcome.rule].exceptions().get(*exception);
                let counted = ExceptionCounts { suppressed: 1, last_suppressed_time: time };
                if let Some(exception) = exception {
                    let labels = SuppressedLabels {
                        rule: facts.name.clone(),
                        exception: exception.name().to_owned(),
                        origin: origin_of(exception).as_str(),
                    };
                    self.metrics().suppressed.get_or_create(&labels).inc();
                }
                RuleCounts {
                    matches: 1,
                    suppressed: 1,
                    last_match_time: time,
                    exceptions: exception.map(|e| (exception_key(e), counted)).into_iter().collect(),
                    ..RuleCounts::default()
                }
            }
            Judgement::Detection => RuleCounts { matches: 1, last_match_time: time, ..RuleCounts::default() },
        };
        if matches!(outcome.what, Judgement::Detection) && *mode == Mode::Alert {
            let group = self.rules.set.rules()[outcome.rule].group(event, context);
            let place = RecordPlace {
                node: self.around.ledger.node().to_owned(),
                source: self.settings.name.clone(),
                stream: position.stream.to_string(),
                offset: i64::try_from(position.offset).unwrap_or(i64::MAX),
            };
            // An API server stamps every record; where one does not, only this moment is left.
            let time = time.unwrap_or_else(Timestamp::now);
            let found = Match::new(facts, &group, event, &place, time, self.around.evidence);
            let entry = self.around.ledger.enter(&found);
            if entry == Entry::Overflowed {
                counts.limited = 1;
                counts.last_limited_time = Some(Timestamp::now());
            }
            if entry != Entry::Counted
                && let Some(stdout) = &self.around.stdout
            {
                stdout.detection(found.into_detection());
            }
        }
        self.count_rule(facts, &counts);
    }

    fn count_rule(&mut self, facts: &RuleFacts, counts: &RuleCounts) {
        let labels = RuleLabels { rule: facts.name.clone() };
        let metrics = self.metrics();
        metrics.matches.get_or_create(&labels).inc_by(counts.matches.unsigned_abs());
        metrics.limited.get_or_create(&labels).inc_by(counts.limited.unsigned_abs());
        metrics.undecidable.get_or_create(&labels).inc_by(counts.undecidable.unsigned_abs());
        self.tally.rules.entry(facts.uid.clone()).or_default().add(counts);
    }
}

fn is_level(level: &str) -> bool {
    matches!(level, "None" | "Metadata" | "Request" | "RequestResponse")
}
