//! Whatever is sent, sent again, read, freed and cut off: what was answered is read once, in order.
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::spool::{SPOOL_LOG, Spool, Stored};
use crate::source::{FilePosition, FileSource, LogRoot, StartAt};

const LIMIT: u64 = 1 << 20;

fn lines(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| format!("{{\"number\":{number}}}\n").into_bytes()).collect()
}

fn open(folder: &Path, limit: u64) -> Spool {
    let mut spool = Spool::open(folder, limit).unwrap();
    spool.set_part(100);
    spool
}

/// A reader that can be killed: what it has judged since its last checkpoint is judged again.
struct Reader {
    source: FileSource,
    read: Vec<u32>,
    /// The last checkpoint, and how much had been read then.
    durable: Option<(FilePosition, usize)>,
}

impl Reader {
    fn new(folder: &Path) -> Self {
        Self { source: Self::source(folder, None), read: Vec::new(), durable: None }
    }

    fn source(folder: &Path, resume: Option<FilePosition>) -> FileSource {
        FileSource::new(LogRoot::open(folder).unwrap(), SPOOL_LOG, StartAt::Start, Timestamp::now(), resume)
    }

    fn read(&mut self, turns: usize) {
        for _ in 0..turns {
            let batch = self.source.read().unwrap();
            assert!(batch.gap().is_none(), "{:?}", batch.gap());
            let is_over = batch.is_idle();
            for (line, _) in batch.lines() {
                let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
                self.read.push(u32::try_from(line["number"].as_u64().unwrap()).unwrap());
            }
            let is_new = batch.identified_new_file();
            drop(batch);
            if is_new {
                self.save();
            }
            if is_over {
                break;
            }
        }
    }

    fn save(&mut self) {
        self.durable = self.source.position().map(|position| (position, self.read.len()));
    }

    fn kill(&mut self, folder: &Path) {
        let (position, read) = match self.durable.clone() {
            Some((position, read)) => (Some(position), read),
            None => (None, 0),
        };
        self.read.truncate(read);
        self.source = Self::source(folder, position);
    }
}

#[derive(Debug, Clone)]
enum Action {
    /// These many new records, and then some of the last ones again.
    Send(u32, u32),
    Rotate,
    Read(usize),
    Save,
    Free,
    KillReader,
    /// The whole process, in the middle of writing a line.
    Crash(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..6_u32, 0..12_u32).prop_map(|(new, again)| Action::Send(new, again)),
        3 => Just(Action::Rotate),
        3 => (1..6_usize).prop_map(Action::Read),
        2 => Just(Action::Save),
        2 => Just(Action::Free),
        1 => Just(Action::KillReader),
        1 => (0..12_usize).prop_map(Action::Crash),
    ]
}

fn agrees(actions: Vec<Action>) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut spool = open(folder, LIMIT);
    let mut reader = Reader::new(folder);
    let mut next = 0;
    for action in actions {
        match action {
            Action::Send(new, again) => {
                let sent: Vec<u32> = (next..next + new).chain(next.saturating_sub(again)..next).collect();
                let repeated = u64::from(next - next.saturating_sub(again));
                next += new;
                assert_eq!(spool.append(&[lines(&sent)]), [Stored::Durable { repeated }]);
            }
            Action::Rotate => spool.rotate().unwrap(),
            Action::Read(turns) => reader.read(turns),
            Action::Save => reader.save(),
            Action::Free => {
                let past = reader.durable.as_ref().and_then(|(position, _)| position.rotated_after.clone());
                if let Some(past) = past {
                    spool.free(&past, SystemTime::now()).unwrap();
                }
            }
            Action::KillReader => reader.kill(folder),
            Action::Crash(torn) => {
                drop(spool);
                let mut live = OpenOptions::new().append(true).open(folder.join(SPOOL_LOG)).unwrap();
                live.write_all(&b"{\"number\":999"[..torn]).unwrap();
                spool = open(folder, LIMIT);
                reader.kill(folder);
            }
        }
    }
    reader.read(1000);
    assert_eq!(reader.read, (0..next).collect::<Vec<_>>());
    reader.save();
    let past = reader.durable.and_then(|(position, _)| position.rotated_after);
    if let Some(past) = past {
        spool.free(&past, SystemTime::now()).unwrap();
        assert!(!spool.has_closed(), "all but the live part is freed");
    }
}

proptest! {
    #[test]
    fn what_was_answered_is_read_once_and_in_order(actions in prop::collection::vec(action(), 1..60)) {
        agrees(actions);
    }
}

#[test]
fn senders_share_a_write_and_each_gets_its_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), 200);
    let all: Vec<u32> = (0..100).collect();
    let group = [lines(&[1, 2]), lines(&[2, 3]), lines(&all), lines(&[4]), Vec::new()];
    let durable = |repeated| Stored::Durable { repeated };
    assert_eq!(spool.append(&group), [durable(0), durable(1), Stored::Full, durable(0), durable(0)]);
    // What was refused has left nothing behind, and is not taken for known.
    let kept = std::fs::read_to_string(folder.path().join(SPOOL_LOG)).unwrap();
    assert_eq!(kept.as_bytes(), lines(&[1, 2, 3, 4]));
    assert_eq!(spool.append(&[lines(&[5])]), [durable(0)]);
    // A batch that is there already is answered even when there is no room.
    while spool.append(&[lines(&[u32::try_from(spool.used()).unwrap() + 1000])]) == [durable(0)] {}
    assert_eq!(spool.append(&group[..2]), [durable(2), durable(2)]);
}

#[test]
fn what_a_full_disk_cut_off_is_stored_when_it_is_sent_again_and_nothing_twice() {
    let line = lines(&[1]).len();
    for room in 0..4 * line {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path(), LIMIT);
        let group = [lines(&[1, 2]), lines(&[3, 4])];
        spool.set_room(room);
        let stored = spool.append(&group);
        assert_eq!(stored[0] == Stored::Failed, room < 2 * line, "{room}");
        assert_eq!(stored[1], Stored::Failed);
        spool.set_room(usize::MAX);
        let stored = spool.append(&group);
        assert!(stored.iter().all(|stored| matches!(stored, Stored::Durable { .. })), "{room}: {stored:?}");
        let text = std::fs::read_to_string(folder.path().join(SPOOL_LOG)).unwrap();
        let whole: Vec<&str> = text.lines().filter(|line| line.ends_with('}')).collect();
        assert_eq!(whole.len(), 4, "{room}: {text}");
        assert_eq!(whole.iter().collect::<HashSet<_>>().len(), 4, "{room}: {text}");
    }
}

#[test]
fn what_could_not_be_made_durable_is_read_once_though_it_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), LIMIT);
    let batch = [lines(&[1, 2])];
    spool.fail_sync(true);
    assert_eq!(spool.append(&batch), [Stored::Failed]);
    // The reader sees what is written, durable or not.
    let mut reader = Reader::new(folder.path());
    reader.read(100);
    assert_eq!(reader.read, [1, 2]);
    assert_eq!(spool.append(&batch), [Stored::Failed], "nor the second time");
    spool.fail_sync(false);
    assert_eq!(spool.append(&batch), [Stored::Durable { repeated: 2 }]);
    reader.read(100);
    assert_eq!(reader.read, [1, 2]);
}

#[test]
fn a_part_that_somebody_has_deleted_keeps_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), LIMIT);
    for number in 0..3_u32 {
        spool.append(&[lines(&(number * 20..number * 20 + 20).collect::<Vec<_>>())]);
        spool.rotate().unwrap();
    }
    let mut parts: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    parts.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("audit-"));
    parts.sort();
    std::fs::remove_file(&parts[0]).unwrap();
    let mut reader = Reader::new(folder.path());
    spool.append(&[lines(&[1_000])]);
    reader.read(100);
    reader.save();
    let past = reader.durable.and_then(|(position, _)| position.rotated_after).unwrap();
    spool.free(&past, SystemTime::now()).unwrap();
    assert!(!spool.has_closed());
}

#[test]
fn the_time_in_a_parts_name_only_grows() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path(), LIMIT);
    for number in 0..20 {
        spool.append(&[lines(&[
            number * 10,
            number * 10 + 1,
            number * 10 + 2,
            1_000 + number,
            2_000 + number,
            3_000 + number,
        ])]);
        spool.append(&[lines(&[4_000 + number, 5_000 + number])]);
        spool.rotate().unwrap();
    }
    let parts = std::fs::read_dir(folder.path()).unwrap();
    let names = parts.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("audit-")).count(), 20);
    let mut reader = Reader::new(folder.path());
    reader.read(1000);
    assert_eq!(reader.read.len(), 20 * 8);
}
