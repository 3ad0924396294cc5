//! What is wrong with a query, said so that its author can mend it.
use std::ops::Range;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The query runs, but hardly as it was meant.
    Warning,
    /// The query cannot run.
    Error,
}

/// One remark on a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in one line, lower case.
    pub message: String,
    /// The bytes of the query that it is about; always within it.
    pub span: Range<usize>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Characters of a query's line that are shown around the place.
const SHOWN: usize = 100;

impl Diagnostic {
    /// An error.
    pub fn error(span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Error, message: message.into(), span, help: None }
    }

    /// A warning.
    pub fn warning(span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, message: message.into(), span, help: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Whether the query cannot run because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Line and column where it begins, counted from 1, columns in characters.
    pub fn line_column(&self, query: &str) -> (usize, usize) {
        let before = before(query, self.span.start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// As text: line, column and message; the line of the query; a caret under the place; the help.
    ///
    /// Bounded and free of control characters, whatever the query holds.
    pub fn render(&self, query: &str) -> String {
        let (line, column) = self.line_column(query);
        let start = before(query, self.span.start).rfind('\n').map_or(0, |at| at + 1);
        let text = query[start..].split('\n').next().unwrap_or_default();
        let marked = query.get(self.span.clone()).unwrap_or_default().split('\n').next().unwrap_or_default();
        let first = (column - 1).saturating_sub(SHOWN / 2);
        let (mut shown, mut caret) = (String::new(), String::new());
        if first > 0 {
            shown.push('…');
            caret.push(' ');
        }
        let marked_columns = column - 1..column - 1 + marked.chars().count().max(1);
        for (at, c) in text.chars().enumerate().skip(first).take(SHOWN) {
            let from = shown.chars().count();
            push_shown(&mut shown, c);
            let width = shown.chars().count() - from;
            if at < marked_columns.end {
                caret
                    .extend(std::iter::repeat_n(if marked_columns.contains(&at) { '^' } else { ' ' }, width));
            }
        }
        if text.chars().nth(first + SHOWN).is_some() {
            shown.push('…');
        }
        if !caret.ends_with('^') {
            caret.push('^');
        }
        let mut rendered = format!("line {line}, column {column}: {}\n  {shown}\n  {caret}", self.message);
        if let Some(help) = &self.help {
            rendered.push_str("\nhelp: ");
            rendered.push_str(help);
        }
        rendered
    }
}

/// The query up to a place that is, or is taken down to, a character boundary within it.
fn before(query: &str, at: usize) -> &str {
    &query[..query.floor_char_boundary(at)]
}

/// Text for a message: at most `max` characters, none that would move the cursor or turn the direction of writing.
pub fn shown(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == max {
            shown.push('…');
            break;
        }
        push_shown(&mut shown, c);
    }
    shown
}

fn push_shown(shown: &mut String, c: char) {
    match c {
        '\t' => shown.push_str("\\t"),
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        _ if alters_display(c) => shown.extend(c.escape_unicode()),
        _ => shown.push(c),
    }
}

/// Whether a terminal, or whoever shows text, would act on a character instead of showing it: control characters, and
/// those that reorder, separate or hide the text around them. Nothing that comes from a file or an event is shown with
/// such a character in it.
pub fn alters_display(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
