//! What a replay says: matches and alerts, malformed lines, the summary.

use std::io::Write;
use std::path::PathBuf;

use indicatif::ProgressBar;
use serde::Serialize;

use super::judged::{Found, Judged, Order, SHOWN_MALFORMED, Totals};
use crate::alert::{Bounds, Ledger, Match, text};
use crate::api::{Evidence, RecordPlace};
use crate::cli::terminal::{self, say};
use crate::event::{Event, Stage, Tape};

/// The node that the alerts name: no node read these logs.
const NODE: &str = "replay";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MatchLine<'a> {
    rule: &'a str,
    file: &'a str,
    line: u64,
    #[serde(rename = "auditID")]
    audit_id: Option<&'a str>,
    stage: Option<&'a str>,
}

/// Takes in what the rules made of each chunk, in the order of the logs.
pub(super) struct Report<'a> {
    order: &'a Order<'a>,
    logs: &'a [PathBuf],
    progress: &'a ProgressBar,
    out: &'a mut (dyn Write + Send),
    ledger: Ledger,
    totals: Totals,
    /// How many lines of the present log were before.
    lines: u64,
    tape: Tape,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        order: &'a Order<'a>,
        logs: &'a [PathBuf],
        progress: &'a ProgressBar,
        out: &'a mut (dyn Write + Send),
    ) -> Self {
        let (ledger, totals) = (Ledger::new(NODE, Bounds::NONE), Totals::default());
        Self { order, logs, progress, out, ledger, totals, lines: 0, tape: Tape::new() }
    }

    /// The alerts, as the ledger holds them, and the numbers.
    pub(super) fn into_parts(self) -> (Ledger, Totals) {
        (self.ledger, self.totals)
    }

    /// Takes in the next chunk. Its matches are printed at once.
    pub(super) fn take(&mut self, judged: &Judged<'_>) -> anyhow::Result<()> {
        let chunk = &judged.chunk;
        if chunk.offset == 0 {
            self.lines = 0;
        }
        let file = self.logs[chunk.log].display().to_string();
        let shown = usize::try_from(self.totals.malformed).unwrap_or(usize::MAX);
        for (line, why) in judged.malformed.iter().take(SHOWN_MALFORMED.saturating_sub(shown)) {
            self.show(&format!("{file}:{}: {why}", self.lines + line + 1));
        }
        self.totals += &judged.totals;
        let mut place = RecordPlace {
            node: NODE.to_owned(),
            source: text::short(&file, 63),
            stream: chunk.log.to_string(),
            offset: 0,
        };
        for found in judged.found.chunk_by(|a, b| a.end == b.end) {
            let Found { line, end, .. } = &found[0];
            place.offset = 0_i64.saturating_add_unsigned(chunk.offset + *end as u64);
            self.report(found, judged.record(&found[0]), &file, self.lines + line + 1, &place)?;
        }
        self.lines += judged.lines;
        Ok(())
    }

    /// Reports what was found of one record.
    fn report(
        &mut self,
        found: &[Found],
        text: &[u8],
        file: &str,
        line: u64,
        place: &RecordPlace,
    ) -> anyhow::Result<()> {
        let event = match Event::decode(text, &mut self.tape) {
            Ok(event) => event,
            // What matched was read whole, so this is not to be. Should it be, the lines after it are reported.
            Err(why) => {
                self.show(&format!("{file}:{line}: matched, but cannot be reported: {why}"));
                return Ok(());
            }
        };
        let Order { rules, context, .. } = self.order;
        for found in found {
            let rule = &rules.facts[found.rule];
            if self.order.print_matches {
                let audit_id = event.audit_id();
                let stage = event.stage().map(Stage::as_str);
                let line = MatchLine { rule: &rule.name, file, line, audit_id: audit_id.as_deref(), stage };
                writeln!(self.out, "{}", terminal::json(&line)?)?;
            } else {
                let group = rules.set.rules()[found.rule].group(&event, context);
                // A record without any time is one no API server wrote; the epoch keeps a replay the same each time.
                let time = event.stage_time().or_else(|| event.request_received_time()).unwrap_or_default();
                // Whoever replays a log has it.
                let evidence = Evidence::RequestResponse;
                self.ledger.enter(&Match::new(rule, &group, &event, place, time, evidence));
            }
        }
        Ok(())
    }

    fn show(&self, message: &str) {
        self.progress.suspend(|| say!("{}", terminal::line(message)));
    }
}

impl Totals {
    /// The summary of a replay that took so long.
    pub(super) fn summary(&self, seconds: f64) -> String {
        #[allow(clippy::cast_precision_loss)] // a speed is read to two digits
        let megabytes = self.bytes as f64 / 1e6;
        let text = match self.text {
            0 => String::new(),
            lines => format!(" {lines} lines of text,"),
        };
        format!(
            "{} events, {} malformed lines,{text} {} matches ({} detections, {} suppressed), {} undecidable; {megabytes:.1} MB in \
             {seconds:.2} s, {:.0} MB/s",
            self.events,
            self.malformed,
            self.matches,
            self.detections,
            self.suppressed,
            self.undecidable,
            megabytes / seconds.max(1e-9),
        )
    }
}
