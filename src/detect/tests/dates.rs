//! Dates, their units, and date math by the event's own time.
use super::check;

const EVENT: &str = r#"{"stageTimestamp":"2026-03-15T10:20:30.123456Z","requestReceivedTimestamp":"2026-03-15T10:05:00.000000Z"}"#;

#[test]
fn a_date_means_its_whole_unit() {
    check(
        EVENT,
        &[
            ("@timestamp:2026", true),
            ("@timestamp:2025", false),
            ("@timestamp:2026-03", true),
            ("@timestamp:2026-02", false),
            ("@timestamp:2026-03-15", true),
            ("@timestamp:2026-03-14", false),
            ("@timestamp:2026-03-15T10", true),
            ("@timestamp:\"2026-03-15T10:20\"", true),
            ("@timestamp:\"2026-03-15T10:21\"", false),
            ("@timestamp:\"2026-03-15T10:20:30\"", true),
            ("@timestamp:\"2026-03-15T10:20:30Z\"", true),
            ("@timestamp:\"2026-03-15T11:20:30+01:00\"", true),
            ("@timestamp:\"2026-03-15T10:20:30+01:00\"", false),
            ("@timestamp:\"2026-03-15T10:20:30.1\"", true),
            ("@timestamp:\"2026-03-15T10:20:30.123\"", true),
            ("@timestamp:\"2026-03-15T10:20:30.124\"", false),
            ("@timestamp:\"2026-03-15T10:20:30.123456Z\"", true),
            ("@timestamp:1773570030123", true),
            ("@timestamp:1773570030124", false),
            ("@timestamp:2026-03-32", false),
            ("@timestamp:2026-13", false),
            ("@timestamp:yesterday", false),
            ("stageTimestamp:2026-03-15T10*", true),
        ],
    );
}

#[test]
fn ranges_round_as_elasticsearch_does() {
    check(
        EVENT,
        &[
            ("@timestamp > 2026-03-15", false),
            ("@timestamp >= 2026-03-15", true),
            ("@timestamp < 2026-03-15", false),
            ("@timestamp <= 2026-03-15", true),
            ("@timestamp > 2026-03-14", true),
            ("@timestamp > 2026", false),
            ("@timestamp <= 2026", true),
            ("@timestamp >= 2026-03-15 and @timestamp < 2026-03-16", true),
            ("@timestamp >= 1773570030123 and @timestamp <= 1773570030123", true),
            ("@timestamp > 0", true),
            ("@timestamp > yesterday", false),
            ("@timestamp < yesterday", false),
        ],
    );
}

#[test]
fn now_is_the_time_of_the_event() {
    check(
        EVENT,
        &[
            ("@timestamp:now", true),
            ("@timestamp <= now", true),
            ("@timestamp < now", false),
            ("requestReceivedTimestamp > now-15m", false),
            ("requestReceivedTimestamp > now-16m", true),
            ("requestReceivedTimestamp:now/d", true),
            ("requestReceivedTimestamp >= now/h", true),
            ("requestReceivedTimestamp < now/h", false),
            ("requestReceivedTimestamp > now/h", false),
            ("requestReceivedTimestamp >= now-1h/h", true),
            ("requestReceivedTimestamp:now-1d/d", false),
            ("requestReceivedTimestamp:now-1d+1d/d", true),
            ("requestReceivedTimestamp:now/w", true),
            ("requestReceivedTimestamp >= now/w", true),
            ("requestReceivedTimestamp:now/M", true),
            ("requestReceivedTimestamp:now/y", true),
            ("requestReceivedTimestamp:now/m", false),
            ("requestReceivedTimestamp < 2026-02-15||+1M/d", false),
            ("requestReceivedTimestamp <= 2026-02-15||+1M/d", true),
            ("requestReceivedTimestamp <= 2026-02-15||+1M", false),
            ("requestReceivedTimestamp:2026-01-15||+2M/d", true),
            ("@timestamp < now+99999999999999999999y", false),
            ("@timestamp < now+9999y", false),
            ("@timestamp < now+q", false),
            ("@timestamp < now+1M+", false),
            ("@timestamp < now/1d", false),
            ("@timestamp < nowhere", false),
            ("@timestamp < now€", false),
            ("@timestamp < now+€", false),
            ("@timestamp < 2026-01-01||€", false),
            ("@timestamp < 2026-01-01T€", false),
            ("@timestamp < €026", false),
            ("@timestamp < \"2026-01-01T00:00+€\"", false),
        ],
    );
    check(
        r#"{"requestReceivedTimestamp":"2026-03-15T10:05:00Z"}"#,
        &[("requestReceivedTimestamp <= now+1d", false), ("requestReceivedTimestamp <= 2026-04", true)],
    );
    // The 15th of March 2026 is a Sunday: its week began on Monday the 9th.
    check(
        r#"{"stageTimestamp":"2026-03-15T10:00:00Z","requestReceivedTimestamp":"2026-03-09T00:00:00Z"}"#,
        &[("requestReceivedTimestamp >= now/w", true), ("requestReceivedTimestamp > 2026-03-08", true)],
    );
    check(
        r#"{"stageTimestamp":"9999-12-30T00:00:00Z"}"#,
        &[("@timestamp:now/y", true), ("@timestamp:9999-12", true), ("@timestamp:9999", true)],
    );
}
