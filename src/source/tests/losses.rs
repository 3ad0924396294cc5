//! Files that are deleted or truncated, at whichever moment: what is still there is read once and in order, and what is
//! lost is said.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Action {
    /// Whole lines, so many.
    Write(usize),
    Rotate,
    /// Compresses the oldest rotated file that is not.
    Compress,
    /// Deletes the oldest rotated file, as kube-apiserver does.
    Delete,
    /// Empties the live file, as a `copytruncate` does.
    Truncate,
    /// Some turns of the reader.
    Read(usize),
    /// Another process goes on from the last position.
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1_usize..4).prop_map(Action::Write),
        3 => Just(Action::Rotate),
        1 => Just(Action::Compress),
        2 => Just(Action::Delete),
        1 => Just(Action::Truncate),
        4 => (1_usize..5).prop_map(Action::Read),
        1 => Just(Action::Restart),
    ]
}

struct World {
    log: Log,
    source: FileSource,
    written: usize,
    /// The first line of the live file, if it has one.
    live_begins: Option<usize>,
    delivered: Vec<usize>,
    gaps: Vec<GapReason>,
    /// Whether anything was taken away.
    is_damaged: bool,
}

impl World {
    fn new() -> Self {
        // From here on there is a place to have lost.
        let log = Log::with("0\n");
        let source = log.started();
        let delivered = Vec::new();
        let mut world = Self {
            log,
            source,
            written: 1,
            live_begins: Some(0),
            delivered,
            gaps: Vec::new(),
            is_damaged: false,
        };
        while world.read() {}
        assert_eq!(world.delivered, [0]);
        world
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Write(lines) => {
                for _ in 0..lines {
                    self.log.write(&format!("{}\n", self.written));
                    self.live_begins.get_or_insert(self.written);
                    self.written += 1;
                }
            }
            Action::Rotate => {
                self.log.rotate();
                self.live_begins = None;
            }
            Action::Compress => {
                if let Some(number) =
                    (0..self.log.rotations).find(|number| self.log.rotated(*number).exists())
                {
                    self.log.compress(number);
                }
            }
            Action::Delete => {
                let files =
                    (0..self.log.rotations).flat_map(|n| [self.log.rotated(n), self.log.compressed(n)]);
                if let Some(oldest) = files.into_iter().find(|file| file.exists()) {
                    fs::remove_file(oldest).unwrap();
                    self.is_damaged = true;
                }
            }
            Action::Truncate => {
                // That something was there which nobody had read a byte of, nothing shows.
                if self.live_begins.is_some_and(|first| self.delivered.contains(&first)) {
                    fs::write(self.log.live(), "").unwrap();
                    self.live_begins = None;
                    self.is_damaged = true;
                }
            }
            Action::Read(turns) => {
                for _ in 0..turns {
                    self.read();
                }
            }
            Action::Restart => self.source = self.log.resumed(&self.source.position().unwrap()),
        }
    }

    /// One turn; false when nothing was new.
    fn read(&mut self) -> bool {
        let batch = self.source.read().unwrap();
        self.delivered.extend(
            batch
                .lines()
                .map(|(line, _)| String::from_utf8(line.to_vec()).unwrap().parse::<usize>().unwrap()),
        );
        self.gaps.extend(batch.gap().map(|gap| gap.reason));
        !batch.is_idle()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_lost_is_said(actions in prop::collection::vec(action(), 1..60)) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.act(&Action::Write(1));
        while world.read() {}
        let World { written, delivered, gaps, is_damaged, .. } = world;
        prop_assert!(delivered.is_sorted_by(|a, b| a < b), "{delivered:?}");
        let missing: Vec<_> =
            (0..written).filter(|line| delivered.binary_search(line).is_err()).collect();
        prop_assert!(missing.is_empty() || !gaps.is_empty(), "{missing:?} are lost, and nothing was said");
        prop_assert!(is_damaged || (missing.is_empty() && gaps.is_empty()), "{missing:?} {gaps:?}");
        prop_assert_eq!(delivered.last(), Some(&(written - 1)));
    }
}

/// Rotates a log under a name that says it was this minute and second.
fn rotate_at(log: &Log, time: &str) {
    let name = if log.is_container {
        format!("0.log.20261124-{}", time.replace('-', ""))
    } else {
        format!("audit-2026-11-24T{time}.000.log")
    };
    fs::rename(log.live(), log.folder.path().join(name)).unwrap();
    File::create_new(log.live()).unwrap();
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_be_read_twice() {
    for (is_container, restarts) in [(false, false), (true, false), (false, true), (true, true)] {
        let log = if is_container { Log::of_container() } else { Log::new() };
        log.write("{1}\n");
        let mut source = log.started();
        let mut seen = drain(&mut source);
        // As where summer time ends: the same hour once more.
        let times =
            ["02-10-00", "02-20-00", "02-50-00", "02-05-00", "02-15-00", "02-25-00", "02-55-00", "03-05-00"];
        for (number, time) in (2..).zip(times) {
            rotate_at(&log, time);
            log.write(&format!("{{{number}}}\n"));
            // In between, a runtime may still write to a container's old log.
            while !seen.texts().contains(&&*format!("{{{number}}}")) {
                seen.add(drain(&mut source));
            }
            if restarts {
                source = log.resumed(&source.position().unwrap());
                seen.add(drain(&mut source));
            }
        }
        let lines: Vec<_> = (1..10).map(|number| format!("{{{number}}}")).collect();
        assert_eq!(seen.texts(), lines, "{is_container} {restarts}");
        assert_eq!(seen.reasons(), [], "{is_container} {restarts}");
        assert!(seen.offsets().is_sorted());
    }
}

#[test]
fn a_clock_that_is_set_back_while_nobody_reads_is_a_gap() {
    for files in 1..4 {
        let log = Log::with("{1}\n");
        let mut source = log.started();
        drain(&mut source);
        rotate_at(&log, "02-50-00");
        log.write("{2}\n");
        assert_eq!(drain(&mut source).texts(), ["{2}"]);
        let position = source.position().unwrap();
        for (number, time) in (3..).zip(["02-05-00", "02-15-00", "02-25-00"]).take(files) {
            rotate_at(&log, time);
            log.write(&format!("{{{number}}}\n"));
        }
        let seen = drain(&mut log.resumed(&position));
        assert_eq!(
            (seen.texts(), seen.reasons()),
            (vec![&*format!("{{{}}}", files + 2)], vec![GapReason::Deleted])
        );
    }
}
