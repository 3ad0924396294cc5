use super::*;

/// A position after the first of the log's lines, in a batch of its own.
fn after_first_line(log: &Log) -> FilePosition {
    let mut source = log.started().with_limits(4, 1000);
    loop {
        let batch = source.read().unwrap();
        if !batch.is_empty() {
            assert_eq!(batch.lines().count(), 1);
            return source.position().unwrap();
        }
    }
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let log = Log::with("one\ntwo\n");
    let position = after_first_line(&log);
    log.write("three\n");
    let seen = drain(&mut log.resumed(&position));
    assert_eq!((seen.texts(), seen.offsets()), (vec!["two", "three"], vec![8, 14]));
    assert_eq!((seen.lines[0].1.stream, seen.new_files), (position.stream, 0));
}

#[test]
fn a_file_rotated_while_down_is_found_and_its_successors_follow() {
    let mut log = Log::with("one\ntwo\n");
    let position = after_first_line(&log);
    log.rotate();
    log.write("three\n");
    log.rotate();
    log.write("four\n");
    let seen = drain(&mut log.resumed(&position));
    assert_eq!((seen.texts(), seen.offsets()), (vec!["two", "three", "four"], vec![8, 14, 19]));
    assert_eq!((seen.lines[0].1.stream, seen.gaps.len()), (position.stream, 0));
}

#[test]
fn an_inode_that_names_another_file_does_not_mislead() {
    let mut log = Log::with("one\ntwo\n");
    let mut position = after_first_line(&log);
    log.rotate();
    log.write("another\n");
    let mut other = log.started();
    drain(&mut other);
    position.file.as_mut().unwrap().id = other.position().unwrap().file.unwrap().id;
    assert_eq!(drain(&mut log.resumed(&position)).texts(), ["two", "another"]);
}

#[test]
fn a_copy_is_the_same_file() {
    let log = Log::with("one\ntwo\n");
    let position = after_first_line(&log);
    let content = fs::read(log.live()).unwrap();
    fs::remove_file(log.live()).unwrap();
    fs::write(log.live(), content).unwrap();
    let seen = drain(&mut log.resumed(&position));
    assert_eq!((seen.texts(), seen.gaps.len()), (vec!["two"], 0));
}

#[test]
fn a_first_record_that_only_begins_alike_is_another_file() {
    let log = Log::with("one\n");
    let position = after_first_line(&log);
    fs::write(log.live(), "one more\n").unwrap();
    assert_eq!(drain(&mut log.resumed(&position)).reasons(), [GapReason::FileGone]);
}

#[test]
fn a_file_that_is_gone_is_a_gap_and_what_is_newer_is_read() {
    let mut log = Log::with("zero\n");
    log.rotate();
    log.write("one\ntwo\n");
    let mut source = log.source(StartAt::End, None);
    drain(&mut source);
    let position = source.position().unwrap();
    let gone = log.rotate();
    log.write("three\n");
    log.rotate();
    log.write("four\n");
    fs::remove_file(&gone).unwrap();
    let mut resumed = log.resumed(&position);
    let seen = drain(&mut resumed);
    assert_eq!((seen.texts(), seen.reasons()), (vec!["three", "four"], vec![GapReason::FileGone]));
    assert_eq!(seen.gaps[0].after, position.position());
    assert_eq!(seen.lines[0].1.stream, seen.gaps[0].stream);
    assert_eq!(seen.offsets(), [6, 11]);
    assert!(seen.gaps[0].to_string().contains("events after offset 8 of stream"), "{}", seen.gaps[0]);
}

#[test]
fn a_file_compressed_while_down_is_read_on_in_the_middle() {
    let mut log = Log::with("one\ntwo\n");
    let position = after_first_line(&log);
    log.rotate();
    log.write("three\n");
    log.rotate();
    log.write("four\n");
    log.compress(0);
    let seen = drain(&mut log.resumed(&position));
    assert_eq!((seen.texts(), seen.gaps.len()), (vec!["two", "three", "four"], 0));
    assert_eq!(seen.offsets(), [8, 14, 19]);
    // From a place within what is compressed, too.
    let mut source = log.resumed(&position);
    drain(&mut source);
    log.rotate();
    log.compress(1);
    log.compress(2);
    let again = drain(&mut log.resumed(&position));
    assert_eq!((again.texts(), again.offsets()), (seen.texts(), seen.offsets()));
    assert_eq!(drain(&mut log.resumed(&source.position().unwrap())).texts(), [""; 0]);
}

#[test]
fn a_later_file_is_not_taken_for_the_empty_one_that_was_read_last() {
    for rotations in 1..6 {
        let mut log = Log::with("one\n");
        let mut source = log.started();
        drain(&mut source);
        log.rotate();
        drain(&mut source);
        let position = source.position().unwrap();
        assert_eq!(position.file, None);
        // Each file gets the number of the one before, on most file systems.
        for number in 0..rotations {
            log.write(&format!("lost {number}\n"));
            fs::remove_file(log.rotated(number)).unwrap();
            log.rotate();
        }
        fs::remove_file(log.rotated(rotations)).unwrap();
        log.write("kept\n");
        let seen = drain(&mut log.resumed(&position));
        assert_eq!((seen.texts(), seen.reasons()), (vec!["kept"], vec![GapReason::Deleted]), "{rotations}");
    }
}

#[test]
fn a_file_damaged_while_down_is_a_gap_and_not_read_again() {
    let mut log = Log::with("one\ntwo\n");
    let mut source = log.started();
    drain(&mut source);
    let position = source.position().unwrap();
    log.rotate();
    log.write("three\n");
    log.compress(0);
    let whole = fs::read(log.compressed(0)).unwrap();
    fs::write(log.compressed(0), &whole[..whole.len() - 8]).unwrap();
    let seen = drain(&mut log.resumed(&position));
    assert_eq!((seen.texts(), seen.reasons()), (vec!["three"], vec![GapReason::Damaged]));
}

#[test]
fn a_file_truncated_or_overwritten_while_down_is_a_gap() {
    for (content, reason) in [
        ("one\n", GapReason::Truncated),
        ("one\nxxx\nthree\n", GapReason::Truncated),
        ("other\n", GapReason::FileGone),
        ("", GapReason::FileGone),
    ] {
        let log = Log::with("one\ntwo\n");
        let mut source = log.started();
        drain(&mut source);
        fs::write(log.live(), content).unwrap();
        let seen = drain(&mut log.resumed(&source.position().unwrap()));
        assert_eq!(seen.reasons(), [reason], "{content:?}");
        assert_eq!(seen.texts(), content.lines().collect::<Vec<_>>());
    }
}

#[test]
fn an_absent_log_is_waited_for_and_no_gap() {
    let log = Log::with("one\ntwo\n");
    let position = after_first_line(&log);
    let away = log.folder.path().join("away");
    fs::rename(log.live(), &away).unwrap();
    let mut source = log.resumed(&position);
    assert_eq!(category(&mut source), "not_found");
    assert_eq!(source.position(), Some(position));
    fs::rename(&away, log.live()).unwrap();
    assert_eq!(drain(&mut source).texts(), ["two"]);
}

#[test]
fn what_is_written_after_a_first_look_is_not_missed_by_a_restart() {
    let mut absent = Log::new();
    let mut empty = Log::with("");
    let mut unfinished = Log::with("on");
    for (log, rest) in [(&mut absent, "one\n"), (&mut empty, "one\n"), (&mut unfinished, "e\n")] {
        let mut source = log.source(StartAt::End, None);
        drop(try_drain(&mut source));
        let position = source.position().unwrap();
        assert_eq!((position.file, position.offset), (None, 0));
        log.write(rest);
        log.rotate();
        log.write("two\n");
        let seen = drain(&mut log.resumed(&position));
        assert_eq!((seen.texts(), seen.offsets(), seen.gaps.len()), (vec!["one", "two"], vec![4, 8], 0));
        assert_eq!(seen.lines[0].1.stream, position.stream);
    }
}

#[test]
fn a_place_in_a_new_file_whose_first_record_is_unfinished_is_kept() {
    let mut log = Log::with("one\n");
    let mut source = log.started();
    drain(&mut source);
    log.rotate();
    log.write("tw");
    drain(&mut source);
    let position = source.position().unwrap();
    assert_eq!((position.file, position.offset, position.base), (None, 4, 4));
    log.write("o\n");
    assert_eq!(drain(&mut log.resumed(&position)).offsets(), [8]);
    assert_eq!(drain(&mut source).offsets(), [8]);
}

#[test]
fn a_file_that_is_compressed_or_deleted_while_it_is_looked_for_is_a_gap_and_no_error() {
    // Before each access to the disk in turn.
    for moment in 0..12 {
        let mut log = Log::with("one\ntwo\n");
        let position = after_first_line(&log);
        let rotated = log.rotate();
        log.write("three\n");
        let mut accesses = 0;
        MEANWHILE.set(Some(Box::new(move || {
            if accesses == moment {
                fs::remove_file(&rotated).unwrap();
            }
            accesses += 1;
        })));
        let mut source = log.resumed(&position);
        let mut seen = drain(&mut source);
        let again = drain(&mut source);
        MEANWHILE.set(None);
        seen.lines.extend(again.lines);
        seen.gaps.extend(again.gaps);
        let texts = seen.texts();
        match seen.reasons()[..] {
            [] | [GapReason::Deleted] => assert_eq!(texts, ["two", "three"], "at access {moment}"),
            [GapReason::FileGone] => assert_eq!(texts, ["three"], "at access {moment}"),
            ref others => panic!("{others:?} at access {moment}"),
        }
    }
}
