//! Text that an API server writes beside its records where both go to standard output.

/// Whether a line that is no JSON is such text: klog's lines, a panic with its stack, an empty line.
///
/// What begins as a record does, or ends as one, may be a part of one and is no text; nor is what no program prints.
pub fn is_plain_text(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    let is_of_record = text.starts_with(b"{") || text.starts_with(b"[") || text.ends_with(b"}");
    let is_printed = |text: &str| !text.contains(|c: char| c.is_control() && c != '\t');
    is_klog(line) || (!is_of_record && std::str::from_utf8(text).is_ok_and(is_printed))
}

/// Whether it begins as klog's lines do: severity, month and day, time.
fn is_klog(line: &[u8]) -> bool {
    const SHAPE: &[u8] = b"I0000 00:00:00.";
    line.len() > SHAPE.len()
        && line.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'I' => b"IWEF".contains(byte),
            b'0' => byte.is_ascii_digit(),
            shape => byte == shape,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_klog_and_a_panic_print() {
        for text in [
            "",
            "\r",
            "I1125 21:00:00.000000       1 httplog.go:132] \"HTTP\" verb=\"GET\" resp=200",
            "W1125 21:00:00.000000       1 warnings.go:70] {\"a\":1}",
            "E1125 21:00:00.000000       1 runtime.go:79] Observed a panic: \u{1b}[31m",
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "goroutine 1 [running]:",
            "\t/usr/local/go/src/runtime/panic.go:884 +0x212",
            "created by k8s.io/apiserver/pkg/server.NonBlockingRun in goroutine 7",
            "Flag --insecure-port has been deprecated",
        ] {
            assert!(is_plain_text(text.as_bytes()), "{text}");
        }
        assert!(is_plain_text(b"I1125 21:00:00.000000 1 x.go:1] \xff"));
    }

    #[test]
    fn what_may_be_of_a_record_or_of_a_damaged_disk_is_none() {
        for line in
            [&b"{"[..], b" {\"kind\"", b"[]", b"name\":\"x\"}", b"\"}} ", b"\0\0\0", b"a\x1b[31m", b"\xffabc"]
        {
            assert!(!is_plain_text(line), "{line:?}");
        }
    }
}
