use std::os::unix::fs::symlink;

use super::*;

#[test]
fn whole_lines_are_handed_out_with_the_byte_after_them() {
    let log = Log::with("one\n\ntwo\nthr");
    let mut source = log.started();
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.offsets()), (vec!["one", "", "two"], vec![4, 5, 9]));
    assert_eq!(seen.new_files, 1);
    log.write("ee\n");
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.offsets(), seen.new_files), (vec!["three"], vec![15], 0));
    assert!(drain(&mut source).lines.is_empty());
}

#[test]
fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    let first = drain(&mut source);
    log.write("two\n");
    log.rotate();
    log.write("three\n");
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.offsets()), (vec!["two", "three"], vec![8, 14]));
    assert_eq!(seen.lines[0].1.stream, first.lines[0].1.stream);
    assert_eq!((seen.new_files, seen.gaps.len()), (1, 0));
}

#[test]
fn several_rotations_between_two_looks_lose_nothing() {
    let mut log = Log::with("0\n");
    let mut source = log.started();
    drain(&mut source);
    for number in 1..6 {
        log.rotate();
        log.write(&format!("{number}\n"));
    }
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.offsets()), (vec!["1", "2", "3", "4", "5"], vec![4, 6, 8, 10, 12]));
    assert_eq!((seen.new_files, seen.gaps.len()), (5, 0));
}

#[test]
fn between_renaming_and_creation_nothing_is_lost_or_cut() {
    let mut log = Log::with("one\ntw");
    let mut source = log.started();
    drain(&mut source);
    log.rename();
    assert!(drain(&mut source).lines.is_empty());
    log.write("three\n");
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.offsets()), (vec!["tw", "three"], vec![6, 12]));
}

#[test]
fn an_empty_rotated_file_is_passed() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    drain(&mut source);
    log.rotate();
    drain(&mut source);
    log.rotate();
    log.write("two\n");
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.offsets(), seen.gaps.len()), (vec!["two"], vec![8], 0));
}

#[test]
fn the_end_is_after_the_last_whole_line() {
    let log = Log::with("one\ntwo\nthr");
    let mut source = log.source(StartAt::End, None);
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.new_files), (vec![], 1));
    assert_eq!(source.position().unwrap().offset, 8);
    log.write("ee\n");
    assert_eq!(drain(&mut source).offsets(), [14]);
}

#[test]
fn the_end_of_a_long_file_is_found() {
    let log = Log::with(&format!("first\n{}", "x".repeat(200_000)));
    let mut source = log.source(StartAt::End, None);
    drain(&mut source);
    assert_eq!(source.position().unwrap().offset, 6);
}

#[test]
fn the_start_is_the_oldest_rotated_file() {
    let mut log = Log::new();
    for number in 0..3 {
        log.write(&format!("{number}\n"));
        log.rotate();
    }
    assert_eq!(drain(&mut log.started()).texts(), ["0", "1", "2"]);
    log.compress(1);
    let seen = drain(&mut log.started());
    assert_eq!((seen.texts(), seen.gaps.len()), (vec!["0", "1", "2"], 0));
}

#[test]
fn a_look_back_leaves_out_files_rotated_before_it() {
    let mut log = Log::new();
    for number in 0..3 {
        log.write(&format!("{number}\n"));
        log.rotate();
    }
    // Rotations are at 05:52:29.000, .001 and .002; it is 06:00.
    let seconds = 7 * 60 + 31;
    for (seconds, wanted) in
        [(seconds, vec!["0", "1", "2"]), (seconds - 1, vec![]), (u64::MAX, vec!["0", "1", "2"])]
    {
        let mut source = log.source(StartAt::LastSeconds(seconds), None);
        assert_eq!(drain(&mut source).texts(), wanted, "{seconds}");
        assert_eq!(source.position().unwrap().not_before, source.not_before());
        assert!(source.not_before().is_some());
    }
}

#[test]
fn a_log_that_appears_later_is_read_from_its_start() {
    for start_at in [StartAt::End, StartAt::Start, StartAt::LastSeconds(1)] {
        let log = Log::new();
        let mut source = log.source(start_at, None);
        assert_eq!(category(&mut source), "not_found");
        assert_eq!(category(&mut source), "not_found");
        log.write("one\n");
        assert_eq!(drain(&mut source).texts(), ["one"]);
    }
    let log = Log::new();
    let root = LogRoot::open(log.folder.path()).unwrap();
    let mut source = FileSource::new(root, "later/audit.log", StartAt::End, Timestamp::UNIX_EPOCH, None);
    assert_eq!(category(&mut source), "not_found");
    fs::create_dir(log.folder.path().join("later")).unwrap();
    assert_eq!(category(&mut source), "not_found");
    fs::write(log.folder.path().join("later/audit.log"), "one\n").unwrap();
    assert_eq!(drain(&mut source).texts(), ["one"]);
}

#[test]
fn what_cannot_be_read_says_why_and_is_tried_again() {
    let log = Log::new();
    fs::create_dir(log.live()).unwrap();
    let mut source = log.started();
    assert_eq!(category(&mut source), "not_a_file");
    fs::remove_dir(log.live()).unwrap();
    symlink("/etc/passwd", log.live()).unwrap();
    assert_eq!(category(&mut source), "outside_log_root");
    fs::remove_file(log.live()).unwrap();
    log.write("one\n");
    assert_eq!(drain(&mut source).texts(), ["one"]);
    let root = LogRoot::open(log.folder.path()).unwrap();
    let mut source = FileSource::new(root, "../audit.log", StartAt::End, Timestamp::UNIX_EPOCH, None);
    assert_eq!(category(&mut source), "outside_log_root");
    assert_eq!(source.position(), None);
}

#[test]
fn a_truncated_log_is_a_gap_and_a_new_stream_from_its_start() {
    for after in ["", "new\n", "new and longer than what was there before\n"] {
        let log = Log::with("one\ntwo\n");
        let mut source = log.started();
        let first = drain(&mut source);
        fs::write(log.live(), after).unwrap();
        let seen = drain(&mut source);
        assert_eq!(seen.reasons(), [GapReason::Truncated], "{after:?}");
        assert_eq!(seen.gaps[0].after, first.lines[1].1);
        assert_eq!(seen.texts(), after.lines().collect::<Vec<_>>());
        log.write("more\n");
        let last = drain(&mut source);
        assert_eq!(last.lines[0].1.stream, seen.gaps[0].stream);
        assert_ne!(last.lines[0].1.stream, first.lines[0].1.stream);
        assert_eq!(last.offsets(), [after.len() as u64 + 5]);
    }
}

#[test]
fn a_rotated_file_that_was_deleted_unseen_is_a_gap() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    drain(&mut source);
    log.write("two\n");
    let rotated = log.rotate();
    log.write("three\n");
    let deleted = log.rotate();
    log.write("four\n");
    log.rotate();
    fs::remove_file(rotated).unwrap();
    fs::remove_file(deleted).unwrap();
    log.write("five\n");
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.reasons()), (vec!["two", "four", "five"], vec![GapReason::Deleted]));
    assert_eq!(seen.offsets(), [8, 5, 10]);
}

#[test]
fn a_file_compressed_after_it_was_opened_is_no_gap() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    drain(&mut source);
    log.write("two\n");
    log.rotate();
    log.compress(0);
    log.write("three\n");
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.gaps.len()), (vec!["two", "three"], 0));
}

#[test]
fn files_compressed_before_they_were_opened_are_read() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    drain(&mut source);
    log.rotate();
    for number in 2..6 {
        log.write(&format!("{number}\n"));
        log.rotate();
    }
    log.compress(1);
    log.compress(2);
    log.begin_to_compress(3);
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.gaps.len()), (vec!["2", "3", "4", "5"], 0));
    assert_eq!(seen.offsets(), [6, 8, 10, 12]);
}

#[test]
fn a_deleted_file_is_not_taken_for_a_compressed_one() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    drain(&mut source);
    let first = log.rotate();
    log.write("two\n");
    log.rotate();
    log.write("three\n");
    log.compress(1);
    fs::remove_file(first).unwrap();
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.reasons()), (vec!["two", "three"], vec![GapReason::Deleted]));
}

#[test]
fn a_damaged_compressed_file_is_a_gap_from_its_last_whole_line_on() {
    let mut log = Log::with("zero\n");
    let mut source = log.started();
    drain(&mut source);
    log.rotate();
    let lines: Vec<_> = (0..20_000).map(|number| format!("{number} {}", number * number)).collect();
    log.write(&(lines.join("\n") + "\n"));
    log.rotate();
    log.write("next\n");
    log.compress(1);
    let whole = fs::read(log.compressed(1)).unwrap();
    fs::write(log.compressed(1), &whole[..whole.len() / 2]).unwrap();
    let seen = drain(&mut source);
    assert_eq!(seen.reasons(), [GapReason::Damaged]);
    let read = seen.lines.len() - 1;
    assert!((1000..19_000).contains(&read), "{read} lines");
    assert_eq!(seen.texts()[..read], lines[..read]);
    assert_eq!(seen.texts()[read], "next");
    assert_eq!(seen.gaps[0].after, seen.lines[read - 1].1);
}

#[test]
fn a_file_overwritten_right_after_it_was_read_to_its_end_is_a_gap() {
    let log = Log::with("one\ntwo\n");
    let mut source = log.started();
    drain(&mut source);
    log.write("three\nfo");
    let batch = source.read().unwrap();
    assert_eq!((batch.lines().count(), batch.unfinished(), batch.is_idle()), (1, Some(2), false));
    fs::write(log.live(), "other\nlonger than it was\n").unwrap();
    let seen = drain(&mut source);
    assert_eq!(seen.reasons(), [GapReason::Truncated]);
    assert_eq!(seen.texts(), ["other", "longer than it was"]);
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_counted() {
    let over = "x".repeat(33);
    let log = Log::with(&format!("one\n{over}\n{}\n{over}\n\ntwo\n", &over[1..]));
    let mut source = log.started().with_limits(4, 32);
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.skipped), (vec!["one", &over[1..], "", "two"], 2));
    assert_eq!(seen.offsets(), [4, 71, 106, 110]);
    log.write(&over);
    let seen = drain(&mut source);
    assert_eq!((seen.lines.len(), seen.skipped), (0, 0));
    assert_eq!(source.position().unwrap().offset, 110);
    log.write(&format!("{over}\nthree\n"));
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.offsets(), seen.skipped), (vec!["three"], vec![183], 1));
}

#[test]
fn the_lag_counts_all_that_is_written_and_not_read() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    assert_eq!(source.lag_bytes(), None);
    drain(&mut source);
    assert_eq!(source.lag_bytes(), Some(0));
    log.write("two\nthr");
    assert_eq!(source.lag_bytes(), Some(7));
    log.rotate();
    log.write("12345");
    log.rotate();
    log.write("123");
    assert_eq!(source.lag_bytes(), Some(15));
}

#[test]
fn a_writer_that_rotates_all_the_time_is_followed() {
    const LINES: usize = 3000;
    let mut log = Log::with("");
    let mut source = log.started();
    let writer = std::thread::spawn(move || {
        for number in 0..LINES {
            log.write(&format!("{number}\n"));
            if number % 7 == 3 {
                log.rename();
            }
        }
        log
    });
    let mut lines = Vec::new();
    while lines.len() < LINES {
        match try_drain(&mut source) {
            Ok(seen) => {
                assert_eq!(seen.gaps, []);
                lines.extend(seen.lines);
            }
            Err(error) => assert_eq!(error.category(), "not_found"),
        }
        assert!(!writer.is_finished() || source.lag_bytes() != Some(0) || lines.len() == LINES);
    }
    let mut offset = 0;
    for (number, (line, position)) in lines.iter().enumerate() {
        offset += line.len() as u64 + 1;
        assert_eq!((line, position.offset), (&number.to_string(), offset));
    }
    drop(writer.join().unwrap());
}
