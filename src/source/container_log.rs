//! Lines as a container runtime writes them: time, stream, tags, and what the container wrote.
//!
//! kube-apiserver with `--audit-log-path=-` writes its records to standard output. The runtime puts
//! `2026-11-25T21:00:00.123456789Z stdout F ` before each line, and cuts a long one into parts: the tag is `P` on all but
//! the last. So a log need not be said to be one: no record begins like that.
//!
//! Records are taken from standard output only. What is on standard error is klog's, and may hold what a client sent,
//! with newlines: a "record" there is no record.
use std::borrow::Cow;

/// What stands before the content is no longer than this.
pub(super) const LONGEST_WRAPPER: usize = 128;

/// What a runtime put before the content of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrapper {
    /// Whether the container wrote it to standard error.
    pub is_stderr: bool,
    /// Whether the line goes on in the next one of its stream.
    pub is_part: bool,
    /// Where the content begins.
    pub length: usize,
}

impl Wrapper {
    /// The line's wrapper; `None` where it has none.
    #[inline]
    pub fn of(line: &[u8]) -> Option<Self> {
        if line.first()?.is_ascii_digit() {
            Self::read(&line[..line.len().min(LONGEST_WRAPPER)])
        } else {
            None
        }
    }

    fn read(line: &[u8]) -> Option<Self> {
        let stream = line[time(line)?..].strip_prefix(b" std")?;
        let (is_stderr, tags) = match stream.strip_prefix(b"out ") {
            Some(tags) => (false, tags),
            None => (true, stream.strip_prefix(b"err ")?),
        };
        // Runtimes may add further tags; the first says whether the line is whole.
        let (is_part, more) = match tags {
            [b'F', more @ ..] => (false, more),
            [b'P', more @ ..] => (true, more),
            _ => return None,
        };
        let space = match more.first()? {
            b' ' => 0,
            b':' => memchr::memchr(b' ', more)?,
            _ => return None,
        };
        Some(Self { is_stderr, is_part, length: line.len() - more.len() + space + 1 })
    }
}

/// How long the time is with which the line begins, as RFC 3339 has it.
fn time(line: &[u8]) -> Option<usize> {
    let (mut at, fits) = (19, |text: &[u8], shape: &[u8]| {
        let is_alike = |(byte, shape): (&u8, &u8)| match shape {
            b'0' => byte.is_ascii_digit(),
            shape => byte == shape,
        };
        text.len() >= shape.len() && text.iter().zip(shape).all(is_alike)
    });
    if !fits(line, b"0000-00-00T00:00:00") {
        return None;
    }
    if line.get(at) == Some(&b'.') {
        at += 1 + line[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    }
    match line.get(at)? {
        b'Z' => Some(at + 1),
        b'+' | b'-' => fits(&line[at + 1..], b"00:00").then_some(at + 6),
        _ => None,
    }
}

/// Up to where a text may be judged that is still read: no part of a record may stand before the place whose rest stands
/// behind it.
///
/// Only standard output counts, and a line without a wrapper ends whatever is open: parts are never followed by one
/// unless the log is damaged.
#[derive(Debug, Default)]
pub struct Boundary {
    scanned: usize,
    is_open: bool,
    safe: usize,
}

impl Boundary {
    /// That of a text which may begin with the rest of a record.
    pub fn within_record() -> Self {
        Self { is_open: true, ..Self::default() }
    }

    /// The last such place in the text, which ends with a newline and begins with what was seen before.
    pub fn advance(&mut self, text: &[u8]) -> usize {
        let Some((_, lines)) = text.split_last() else { return 0 };
        let last = memchr::memrchr(b'\n', lines).map_or(0, |newline| newline + 1);
        if text[last] == b'{' {
            // As in every plain log: nothing before it need be looked at.
            *self = Self { scanned: text.len(), is_open: false, safe: text.len() };
            return self.safe;
        }
        while let Some(newline) = memchr::memchr(b'\n', &text[self.scanned..]) {
            let line = &text[self.scanned..self.scanned + newline];
            self.scanned += newline + 1;
            match Wrapper::of(line) {
                None => self.is_open = false,
                Some(wrapper) if wrapper.is_stderr => {}
                Some(wrapper) => self.is_open = wrapper.is_part,
            }
            if !self.is_open {
                self.safe = self.scanned;
            }
        }
        self.safe
    }

    /// That the text begins there now, which is such a place.
    pub fn forget(&mut self, length: usize) {
        self.scanned = self.scanned.saturating_sub(length);
        self.safe = 0;
    }
}

/// A line, or a record put together of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'t> {
    /// Without wrapper and newline. With its wrapper where that makes it no record: a line of standard error, or the
    /// last of some parts that nothing ends.
    pub text: Cow<'t, [u8]>,
    /// Where it ends in the text: after its newline.
    pub end: usize,
    /// How many lines end before it.
    pub line: u64,
}

/// The lines of a text, each without its wrapper, and parts put together.
#[derive(Debug, Clone)]
pub struct Records<'t> {
    text: &'t [u8],
    at: usize,
    lines: u64,
    /// The content of parts whose end is still to come in the text.
    open: Option<Vec<u8>>,
}

impl<'t> Records<'t> {
    /// The records of a text. Parts whose end is not in it have none.
    pub fn of(text: &'t [u8]) -> Self {
        Self { text, at: 0, lines: 0, open: None }
    }

    /// The records of a text whose first one begins in the parts before; whether it does. If it does not, nothing ends
    /// those parts.
    pub fn after(parts: &[u8], text: &'t [u8]) -> (Self, bool) {
        let records = Self::of(text);
        let mut content = Vec::new();
        for line in parts.split(|byte| *byte == b'\n') {
            if let Some(wrapper) = Wrapper::of(line).filter(|wrapper| !wrapper.is_stderr) {
                content.extend_from_slice(&line[wrapper.length..]);
            }
        }
        let goes_on = records.goes_on();
        (Self { open: goes_on.then_some(content), ..records }, goes_on)
    }

    /// Where the next line begins that stands for itself and may be a record; `None` where it takes
    /// [`next`](Iterator::next) to find out.
    #[inline]
    pub fn plain(&self) -> Option<usize> {
        (self.text.get(self.at) == Some(&b'{')).then_some(self.at)
    }

    /// That the next line was read, which ends there; its number.
    #[inline]
    pub fn pass(&mut self, end: usize) -> u64 {
        self.at = end;
        self.lines += 1;
        self.lines - 1
    }

    /// How many lines there were up to here.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the next line but those of standard error is a container's: the rest of a record, if one is open.
    fn goes_on(&self) -> bool {
        let mut rest = &self.text[self.at..];
        loop {
            let newline = memchr::memchr(b'\n', rest);
            match Wrapper::of(&rest[..newline.unwrap_or(rest.len())]) {
                Some(wrapper) if wrapper.is_stderr => {}
                wrapper => return wrapper.is_some(),
            }
            let Some(newline) = newline else { return false };
            rest = &rest[newline + 1..];
        }
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = Record<'t>;

    #[inline]
    fn next(&mut self) -> Option<Record<'t>> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let newline = memchr::memchr(b'\n', rest);
            let line = &rest[..newline.unwrap_or(rest.len())];
            let number = self.pass(newline.map_or(self.text.len(), |newline| self.at + newline + 1));
            let record = |text| Some(Record { text, end: self.at, line: number });
            let Some(wrapper) = Wrapper::of(line).filter(|wrapper| !wrapper.is_stderr) else {
                return record(Cow::Borrowed(line));
            };
            let content = &line[wrapper.length..];
            if !wrapper.is_part {
                let Some(mut joined) = self.open.take() else { return record(Cow::Borrowed(content)) };
                joined.extend_from_slice(content);
                return record(Cow::Owned(joined));
            }
            if !self.goes_on() {
                self.open = None;
                return record(Cow::Borrowed(line));
            }
            self.open.get_or_insert_default().extend_from_slice(content);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-25T21:00:00.123456789Z";

    fn wrapper(is_stderr: bool, is_part: bool, length: usize) -> Wrapper {
        Wrapper { is_stderr, is_part, length }
    }

    /// The records as text, each with where it ends and the number of its line.
    fn records(records: Records<'_>) -> Vec<(String, usize, u64)> {
        records
            .map(|record| (String::from_utf8(record.text.to_vec()).unwrap(), record.end, record.line))
            .collect()
    }

    #[test]
    fn a_wrapper_is_time_stream_and_tags() {
        for (line, expected) in [
            (format!("{TIME} stdout F {{}}"), wrapper(false, false, 40)),
            (format!("{TIME} stderr P x"), wrapper(true, true, 40)),
            (format!("{TIME} stdout F "), wrapper(false, false, 40)),
            (format!("{TIME} stdout P:more:tags x"), wrapper(false, true, 50)),
            ("2026-11-25T21:00:00Z stdout F x".to_owned(), wrapper(false, false, 30)),
            ("2026-11-25T21:00:00.1+01:00 stdout F x".to_owned(), wrapper(false, false, 37)),
            ("2026-11-25T21:00:00.1-11:30 stderr F x".to_owned(), wrapper(true, false, 37)),
        ] {
            assert_eq!(Wrapper::of(line.as_bytes()), Some(expected), "{line}");
        }
        for line in [
            "",
            "{}",
            "2026",
            TIME,
            "2026-11-25T21:00:00.1 stdout F x",
            "2026-11-25 21:00:00Z stdout F x",
            "2026-11-25T21:00:00.1+0100 stdout F x",
            &format!("{TIME} stdin F x"),
            &format!("{TIME} stdout"),
            &format!("{TIME} stdout F"),
            &format!("{TIME} stdout X x"),
            &format!("{TIME} stdout FP x"),
            &format!("{TIME} stdout F:{} x", "t".repeat(LONGEST_WRAPPER)),
            &format!(" {TIME} stdout F x"),
        ] {
            assert_eq!(Wrapper::of(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn parts_are_put_together_and_what_is_no_record_is_left_as_it_stands() {
        let [out, err] = ["stdout", "stderr"]
            .map(|stream| move |tag: &str, text: &str| format!("{TIME} {stream} {tag} {text}"));
        let lines = [
            "{plain}".to_owned(),
            out("P", "{on"),
            err("F", "I1125 text"),
            out("P:x", "e:"),
            err("P", "half"),
            out("F", "1}"),
            out("F", "{two}"),
            out("P", "{cut"),
            "{plain}".to_owned(),
            out("F", ""),
            out("P", "{open"),
        ];
        let text = lines.join("\n") + "\n";
        let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        let expected: Vec<_> = [
            ("{plain}", 0),
            (&lines[2], 2),
            (&lines[4], 4),
            ("{one:1}", 5),
            ("{two}", 6),
            (&lines[7], 7),
            ("{plain}", 8),
            ("", 9),
            (&lines[10], 10),
        ]
        .map(|(record, line)| (record.to_owned(), ends[line], line as u64))
        .to_vec();
        assert_eq!(records(Records::of(text.as_bytes())), expected);

        // Wherever the text is cut at a safe place, it is the same.
        for cut in &ends {
            let mut boundary = Boundary::default();
            let safe = boundary.advance(&text.as_bytes()[..*cut]);
            let mut found = records(Records::of(&text.as_bytes()[..safe]));
            let lines = found.last().map_or(0, |last| last.2 + 1);
            found.extend(
                records(Records::of(&text.as_bytes()[safe..]))
                    .into_iter()
                    .map(|(r, end, n)| (r, end + safe, n + lines)),
            );
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_boundary_is_the_same_however_the_text_comes() {
        let line = |stream: &str, tag: &str| format!("{TIME} {stream} {tag} x\n");
        let text = [
            line("stdout", "P"),
            line("stderr", "F"),
            line("stdout", "F"),
            line("stderr", "P"),
            line("stdout", "P"),
            "text\n".to_owned(),
            line("stdout", "P"),
            "{}\n".to_owned(),
            line("stdout", "F"),
            line("stdout", "P"),
        ];
        let expected = [0, 0, 3, 4, 4, 6, 6, 8, 9, 9];
        let end = |lines: usize| text[..lines].iter().map(String::len).sum::<usize>();
        for step in 1..=text.len() {
            let (mut boundary, mut forgotten) = (Boundary::default(), 0);
            for lines in (1..=text.len()).filter(|lines| lines % step == 0) {
                let safe = boundary.advance(&text.concat().as_bytes()[forgotten..end(lines)]);
                assert_eq!(forgotten + safe, end(expected[lines - 1]).max(forgotten), "{step} {lines}");
                boundary.forget(safe);
                forgotten += safe;
            }
        }
    }

    #[test]
    fn a_record_begun_in_another_text_goes_on() {
        let parts = format!("{TIME} stdout P {{a\n{TIME} stderr F text\n{TIME} stdout P b\n");
        let text = format!("{TIME} stderr F text\n{TIME} stdout F c}}\n");
        let (found, goes_on) = Records::after(parts.as_bytes(), text.as_bytes());
        assert!(goes_on);
        assert_eq!(records(found)[1], ("{abc}".to_owned(), text.len(), 1));
        for text in ["{}\n", ""] {
            let (found, goes_on) = Records::after(parts.as_bytes(), text.as_bytes());
            assert!(!goes_on);
            assert_eq!(records(found), records(Records::of(text.as_bytes())));
        }
    }
}
