//! The record that stands in a line behind the beginning of another one.
use memchr::memmem;

use super::audit::Event;
use super::json::Tape;
use super::skip::value_end;

/// How every record begins that an API server writes.
pub const RECORD_START: &[u8] = b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1";

/// How many places of a line are tried.
const TRIES: usize = 16;

/// The whole record at the end of a line that is none itself, and where it begins.
///
/// An API server that is killed in the middle of a record leaves its beginning, without a newline; the next one appends
/// its first record to that. The line must have ended with a newline: what a record's body holds may look like a
/// record, and only the line's own end shows that it is not such a one. Of several the leftmost counts, since the others
/// are inside of it.
pub fn glued_record<'l>(line: &'l [u8], tape: &mut Tape) -> Option<(usize, &'l [u8])> {
    let starts = memmem::find_iter(line, RECORD_START).filter(|start| *start > 0).take(TRIES);
    starts.map(|start| (start, &line[start..])).find(|(_, record)| {
        let is_whole = value_end(record, 0, 0, &mut false).is_ok_and(|end| end == record.len());
        is_whole && Event::decode(record, tape).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str =
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get","requestObject":{"a":[1]}}"#;

    fn glued(line: &str) -> Option<(usize, &str)> {
        let (start, record) = glued_record(line.as_bytes(), &mut Tape::new())?;
        Some((start, std::str::from_utf8(record).unwrap()))
    }

    #[test]
    fn a_record_is_found_after_every_beginning_of_another() {
        for cut in 1..RECORD.len() {
            let line = format!("{}{RECORD}", &RECORD[..cut]);
            assert_eq!(glued(&line), Some((cut, RECORD)), "{line}");
        }
    }

    #[test]
    fn what_a_body_holds_is_no_record() {
        let planted = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"planted"}"#;
        let record = RECORD.replace("[1]", planted);
        // In the record that is glued, in the one that was cut, and in that with the cut right after it.
        assert_eq!(glued(&format!("{}{record}", &RECORD[..40])), Some((40, &*record)));
        for cut in [record.len() - 1, record.len() - 2, record.find(planted).unwrap() + planted.len()] {
            assert_eq!(glued(&format!("{}{RECORD}", &record[..cut])), Some((cut, RECORD)));
        }
        let text = RECORD.replace("[1]", &serde_json::to_string(planted).unwrap());
        assert_eq!(glued(&text[..text.len() - 2]), None);
    }

    #[test]
    fn nothing_is_found_where_no_record_is_whole() {
        let other = RECORD.replace("audit.k8s.io/v1", "audit.k8s.io/v1x");
        for line in [
            "",
            "{",
            RECORD,
            &RECORD[1..],
            &format!("{{{other}"),
            &format!("{{{RECORD}}}"),
            &format!("{{{RECORD} "),
        ] {
            assert_eq!(glued(line), None, "{line}");
        }
        // Tries are bounded.
        let many = format!("{}{RECORD}", &RECORD[..50]).repeat(TRIES * 2);
        assert_eq!(glued(&many), None);
    }
}
