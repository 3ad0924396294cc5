//! What `lint` has to say, and how it is shown.

use std::ops::Range;
use std::path::Path;

use serde::Serialize;

use super::terminal;

/// Whether a finding makes the rule unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong, or may be, with its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) rule: Option<String>,
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
    /// Bytes of the file.
    pub(crate) span: Range<usize>,
    /// Line and column inside the query, both from 1.
    pub(crate) in_query: Option<(usize, usize)>,
}

/// The machine-readable form: one line a finding.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    file: String,
    rule: Option<&'a str>,
    severity: Severity,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    line: usize,
    column: usize,
    query_line: Option<usize>,
    query_column: Option<usize>,
}

impl Finding {
    pub(crate) fn error(message: impl Into<String>, span: Range<usize>) -> Self {
        let message = message.into();
        Self { severity: Severity::Error, rule: None, message, help: None, span, in_query: None }
    }

    pub(crate) fn warning(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message, span) }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// One line of JSON, without its line break.
    pub(crate) fn to_json(&self, path: &Path, text: &str) -> serde_json::Result<String> {
        let (line, column) = line_column(text, self.span.start);
        terminal::json(&Record {
            file: path.display().to_string(),
            rule: self.rule.as_deref(),
            severity: self.severity,
            message: &self.message,
            help: self.help.as_deref(),
            line,
            column,
            query_line: self.in_query.map(|(line, _)| line),
            query_column: self.in_query.map(|(_, column)| column),
        })
    }

    /// Place and message, the line with a caret below the place, and what to do.
    pub(crate) fn to_text(&self, path: &Path, text: &str) -> String {
        let (line, column) = line_column(text, self.span.start);
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        let rule = self.rule.as_ref().map(|rule| format!("{}: ", terminal::line(rule))).unwrap_or_default();
        let path = path.display().to_string();
        let mut out = format!(
            "{}:{line}:{column}: {severity}: {rule}{}\n",
            terminal::line(&path),
            terminal::line(&self.message)
        );
        out += &excerpt(text, &self.span, line);
        if let Some(help) = &self.help {
            out.extend(["  help: ", &terminal::line(help), "\n"]);
        }
        out
    }
}

/// The widest part of a line that is shown, in characters.
const WIDTH: usize = 120;

fn excerpt(text: &str, span: &Range<usize>, number: usize) -> String {
    let start = span.start.min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let from = before.rfind('\n').map_or(0, |at| at + 1);
    let Some(rest) = text.get(from..) else {
        return String::new();
    };
    let line = rest.lines().next().unwrap_or_default();
    if line.trim().is_empty() {
        return String::new();
    }
    let caret = text.get(from..start).map_or(0, |part| part.chars().count());
    // A long line is shown from shortly before the place on.
    let skip = if caret > WIDTH * 2 / 3 { caret - WIDTH / 3 } else { 0 };
    let shown: String = line.chars().skip(skip).take(WIDTH).collect();
    let ahead: String = shown.chars().take(caret - skip).collect();
    let marked: String = line
        .get(start - from..(span.end.max(start + 1) - from).min(line.len()))
        .unwrap_or_default()
        .chars()
        .take(WIDTH.saturating_sub(caret - skip))
        .collect();
    // A tab takes one cell here, as the caret's line counts it.
    let cells = |part: &str| terminal::line(&part.replace('\t', " ")).chars().count();
    let (dots, cut) = if skip > 0 { ("…", 1) } else { ("", 0) };
    let gutter = number.to_string().len();
    format!(
        "  {number} | {dots}{}\n  {:gutter$} | {:indent$}{}\n",
        terminal::line(&shown.replace('\t', " ")),
        "",
        "",
        "^".repeat(cells(&marked).max(1)),
        indent = cells(&ahead) + cut,
    )
}

/// Line and column of a byte, both from 1, the column in characters.
pub(crate) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_place() {
        let text = "a: 1\n\tbé: wrong\x1b\n";
        let span = text.find("wrong").unwrap()..text.find("wrong").unwrap() + 5;
        let shown = Finding::error("no \x1b[31m", span).with_help("x").to_text(Path::new("f"), text);
        assert_eq!(
            shown,
            "f:2:6: error: no \\u{1b}[31m\n  2 |  bé: wrong\\u{1b}\n    |      ^^^^^\n  help: x\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}HERE{}", "x".repeat(5000), "y".repeat(5000));
        let shown = Finding::error("m", 5000..5004).to_text(Path::new("f"), &text);
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        let lines: Vec<_> = shown.lines().collect();
        let caret = lines[2].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[1].chars().nth(caret), Some('H'));
    }
}
