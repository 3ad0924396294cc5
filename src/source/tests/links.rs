//! Logs that are named by a link: to the log, or to its folder.
use std::os::unix::fs::symlink;

use super::*;

/// A source of a log by another path to it.
fn by_path(log: &Log, path: &str, resume: Option<FilePosition>) -> FileSource {
    let root = LogRoot::open(log.folder.path()).unwrap();
    FileSource::new(root, path, StartAt::Start, Timestamp::UNIX_EPOCH, resume)
}

/// Makes a link; gives its path.
fn link(log: &Log, name: &str, target: &str) -> PathBuf {
    let path = log.folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, &path).unwrap();
    path
}

/// Replaces a link in one step.
fn relink(log: &Log, name: &str, target: &str) {
    let new = link(log, "new-link", target);
    fs::rename(new, log.folder.path().join(name)).unwrap();
}

#[test]
fn by_a_link_to_it_or_its_folder_a_log_is_followed_through_rotations() {
    for (name, target, path) in [
        ("linked", ".", "linked/audit.log"),
        ("named.log", "audit.log", "named.log"),
        ("deep/er/named", "../../audit.log", "deep/er/named"),
    ] {
        let mut log = Log::with("one\n");
        link(&log, name, target);
        let mut source = by_path(&log, path, None);
        let mut seen = drain(&mut source);
        log.write("two\n");
        log.rotate();
        log.write("three\n");
        log.rotate();
        seen.add(drain(&mut source));
        // Also by another process, which finds it compressed.
        log.write("four\n");
        log.rotate();
        log.compress(2);
        log.write("five\n");
        log.rotate();
        log.write("six\n");
        let mut source = by_path(&log, path, source.position());
        seen.add(drain(&mut source));
        assert_eq!(seen.texts(), ["one", "two", "three", "four", "five", "six"], "{name}");
        assert_eq!((seen.gaps.len(), seen.offsets().last()), (0, Some(&28)), "{name}");
    }
}

#[test]
fn by_a_link_a_containers_log_is_still_one() {
    let line = |text: &str| format!("2026-11-24T05:52:29.1Z stdout F {text}\n");
    let mut log = Log::of_container();
    log.write(&line("{\"a\":1}"));
    link(&log, "named.log", "0.log");
    let mut source = by_path(&log, "named.log", None).with_limits(1 << 10, 1 << 10);
    let mut seen = drain(&mut source);
    log.write(&line("{\"a\":2}"));
    log.rotate();
    log.write(&line("{\"a\":3}"));
    log.rotate();
    log.compress(0);
    log.write(&line("{\"a\":4}"));
    seen.add(drain(&mut source));
    assert_eq!(seen.texts(), ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\"a\":4}"]);
    assert!(seen.gaps.is_empty());
}

#[test]
fn a_link_that_is_rotated_in_the_logs_place_is_followed() {
    let mut log = Log::new();
    let real = log.folder.path().join("data.txt");
    fs::write(&real, "one\n").unwrap();
    symlink("data.txt", log.live()).unwrap();
    let mut source = log.started();
    let mut seen = drain(&mut source);
    fs::write(&real, "one\ntwo\n").unwrap();
    // As kube-apiserver does it: the link gets the new name, and a file its old one.
    let rotated = log.rotate();
    assert!(rotated.is_symlink() && !log.live().is_symlink());
    log.write("three\n");
    seen.add(drain(&mut log.resumed(&source.position().unwrap())));
    seen.add(drain(&mut source));
    assert_eq!(seen.texts(), ["one", "two", "three", "two", "three"]);
    assert_eq!((seen.gaps.len(), seen.offsets()), (0, vec![4, 8, 14, 8, 14]));
    log.compress(0);
    log.write("four\n");
    assert_eq!(drain(&mut source).texts(), ["four"]);
}

#[test]
fn a_link_that_leads_to_another_log_is_a_gap_and_that_log_from_its_start() {
    let log = Log::with("one\n");
    fs::create_dir(log.folder.path().join("other")).unwrap();
    fs::write(log.folder.path().join("other/audit.log"), "another\n").unwrap();
    for (name, first, second, path) in [
        ("linked", ".", "other", "linked/audit.log"),
        ("named.log", "audit.log", "other/audit.log", "named.log"),
    ] {
        link(&log, name, first);
        let mut source = by_path(&log, path, None);
        assert_eq!(drain(&mut source).texts(), ["one"]);
        relink(&log, name, second);
        let seen = drain(&mut source);
        assert_eq!((seen.texts(), seen.reasons()), (vec!["another"], vec![GapReason::Deleted]), "{name}");
    }
}

#[test]
fn a_link_out_of_the_root_is_refused_whenever_it_comes() {
    let outside = Log::with("secret\n");
    let absolute = outside.folder.path().to_str().unwrap();
    let relative = format!("../{}", outside.folder.path().file_name().unwrap().to_str().unwrap());
    for away in [absolute, &relative] {
        for (name, path, within, out) in [
            ("linked", "linked/audit.log", ".", away),
            ("named.log", "named.log", "audit.log", &format!("{away}/audit.log")),
            ("named.log", "named.log", "audit.log", "on/audit.log"),
        ] {
            let mut log = Log::with("one\n");
            link(&log, "on", away);
            link(&log, name, out);
            let mut source = by_path(&log, path, None);
            assert_eq!(category(&mut source), "outside_log_root", "{out}");
            relink(&log, name, within);
            assert_eq!(drain(&mut source).texts(), ["one"], "{out}");
            relink(&log, name, out);
            assert_eq!(category(&mut source), "outside_log_root", "{out}");
            log.write("two\n");
            log.rotate();
            log.write("three\n");
            relink(&log, name, within);
            let seen = drain(&mut source);
            assert_eq!((seen.texts(), seen.gaps.len()), (vec!["two", "three"], 0), "{out}");
        }
    }
    // A rotated one that leads out is none of the log's.
    let log = Log::with("one\n");
    symlink(outside.live(), log.rotated(7)).unwrap();
    assert_eq!(drain(&mut log.started()).texts(), ["one"]);
}

#[test]
fn links_in_a_circle_are_an_error_and_not_for_ever() {
    let log = Log::new();
    link(&log, "audit.log", "other.log");
    link(&log, "other.log", "audit.log");
    assert_eq!(category(&mut log.started()), "io");
    fs::remove_file(log.live()).unwrap();
    log.write("one\n");
    assert_eq!(drain(&mut log.started()).texts(), ["one"]);
}
