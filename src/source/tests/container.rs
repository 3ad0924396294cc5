//! A container's log: lines with what the runtime puts before them, records in parts, the kubelet's rotation.
use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::rc::Rc;

use proptest::prelude::*;

use super::model::{Follow, LONG, Reader, Written, follow};
use super::*;

const MAX_LINE: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

fn line(stream: Stream, tag: &str, content: &str) -> String {
    let stream = if stream == Stream::Stdout { "stdout" } else { "stderr" };
    format!("2026-11-24T05:52:29.123456789Z {stream} {tag} {content}\n")
}

/// What a runtime and the kubelet do.
#[derive(Debug, Clone)]
enum Write {
    /// A part of a record of that stream, so long.
    Part(Stream, usize),
    /// The end of a record, so long.
    End(Stream, usize),
    /// The beginning of the next line to be written, the rest of which comes with it.
    Half,
    /// Something that no runtime writes.
    Unwrapped(bool),
    Rename,
    /// What the runtime does after the kubelet has renamed the file; up to then it writes to that one.
    Reopen,
    /// Compresses the oldest rotated file that has a newer one, in steps.
    BeginToCompress,
    NameCompressed,
    Compress,
}

fn write() -> impl Strategy<Value = Write> {
    let stream = || prop_oneof![3 => Just(Stream::Stdout), 1 => Just(Stream::Stderr)];
    prop_oneof![
        6 => (stream(), 0_usize..60).prop_map(|(stream, length)| Write::Part(stream, length)),
        6 => (stream(), 0_usize..60).prop_map(|(stream, length)| Write::End(stream, length)),
        2 => Just(Write::Half),
        1 => any::<bool>().prop_map(Write::Unwrapped),
        3 => Just(Write::Rename),
        3 => Just(Write::Reopen),
        1 => Just(Write::BeginToCompress),
        1 => Just(Write::NameCompressed),
        1 => Just(Write::Compress),
    ]
}

struct Runtime {
    log: Log,
    /// The content of all files in order, the one that is written last.
    files: Vec<String>,
    /// Where the runtime writes to.
    path: Option<PathBuf>,
    half: Option<String>,
    lines: u32,
}

impl Runtime {
    fn new() -> Self {
        Self { log: Log::of_container(), files: vec![String::new()], path: None, half: None, lines: 0 }
    }

    fn append(&mut self, text: &str) {
        let path = self.path.get_or_insert_with(|| self.log.live());
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.files.last_mut().unwrap().push_str(text);
    }

    fn write(&mut self, text: &str) {
        let rest = self.half.take();
        self.append(&(rest.unwrap_or_default() + text));
    }

    fn act(&mut self, action: &Write) {
        self.lines += 1;
        let number = self.lines;
        let content = |length: &usize| format!("{number}{}", "x".repeat(*length));
        match action {
            Write::Part(stream, length) => self.write(&line(*stream, "P", &content(length))),
            Write::End(stream, length) => self.write(&line(*stream, "F", &content(length))),
            Write::Half if self.half.is_some() => {}
            Write::Half => {
                let text =
                    line(Stream::Stdout, if number.is_multiple_of(3) { "P" } else { "F" }, &content(&5));
                let (now, later) = text.split_at(usize::try_from(number).unwrap() % text.len());
                self.append(now);
                self.half = Some(later.to_owned());
            }
            Write::Unwrapped(true) => self.write(&format!("{{{number}}}\n")),
            Write::Unwrapped(false) => self.write(&format!("panic: {number}\n")),
            Write::Rename => {
                if self.path.as_ref() == Some(&self.log.live()) {
                    self.path = Some(self.log.rename());
                }
            }
            Write::Reopen => {
                if self.path.as_ref().is_some_and(|path| *path != self.log.live()) {
                    // It writes whole lines.
                    self.write("");
                    File::create_new(self.log.live()).unwrap();
                    self.path = Some(self.log.live());
                    self.files.push(String::new());
                }
            }
            // Of the very first file nothing shows that it is the one whose record was not whole yet.
            Write::BeginToCompress => {
                if let Some(number) = self.compressible(|rotated, gz| !gz.exists() && rotated.exists()) {
                    self.log.begin_to_compress(number);
                    fs::rename(self.log.compressed(number), self.temporary(number)).unwrap();
                }
            }
            Write::NameCompressed => {
                if let Some(number) = (1..self.log.rotations).find(|number| self.temporary(*number).exists())
                {
                    fs::rename(self.temporary(number), self.log.compressed(number)).unwrap();
                }
            }
            Write::Compress => {
                if let Some(number) = self.compressible(|rotated, gz| rotated.exists() && gz.exists()) {
                    fs::remove_file(self.log.rotated(number)).unwrap();
                }
            }
        }
    }

    fn compressible(&self, fits: impl Fn(PathBuf, PathBuf) -> bool) -> Option<u32> {
        let newest = self.log.rotations.saturating_sub(1);
        (1..newest).find(|number| fits(self.log.rotated(*number), self.log.compressed(*number)))
    }

    fn temporary(&self, number: u32) -> PathBuf {
        self.log.rotated(number).with_added_extension("tmp")
    }
}

impl Written for Runtime {
    const MAX_LINE: usize = MAX_LINE;

    fn log(&self) -> &Log {
        &self.log
    }

    fn create(&mut self) {
        if self.path.is_none() {
            self.append("");
        }
        self.act(&Write::Reopen);
    }

    fn lines_after(&self, from: u64) -> BTreeMap<u64, String> {
        let mut found = BTreeMap::new();
        let (mut end, mut begin, mut open) = (0, 0, None::<(String, String)>);
        let mut within = Vec::new();
        // A file's end is no line's end: a runtime writes whole ones.
        let text = self.files.concat();
        for raw in text.split_inclusive('\n').filter(|raw| raw.ends_with('\n')) {
            end += raw.len();
            let line = raw.trim_end_matches('\n');
            let is_long = |begin: usize| end - begin > MAX_LINE + 1;
            let part = |tag| line.split_once(tag).map(|(_, content)| content);
            if let Some(content) = part(" stdout P ") {
                let (joined, _) = open.unwrap_or_default();
                open = Some((joined + content, line.to_owned()));
                within.push((end, None));
                continue;
            } else if let Some(content) = part(" stdout F ") {
                let joined = open.take().map_or(String::new(), |(joined, _)| joined);
                within.push((end, Some(joined + content)));
            } else if part(" stderr ").is_some() {
                within.push((end, Some(line.to_owned())));
                if open.is_some() {
                    continue;
                }
            } else {
                // It is read with the parts before it, or else they are too long.
                if let Some((_, last)) = open.take() {
                    let parts = within.iter().rposition(|(_, record)| record.is_none()).unwrap();
                    let before = within.last().unwrap().0;
                    if is_long(begin) {
                        within = vec![(before, Some(LONG.to_owned()))];
                        found.append(&mut collected(&mut within));
                        begin = before;
                    } else {
                        within[parts].1 = Some(last);
                    }
                }
                within.push((end, Some(line.to_owned())));
            }
            if is_long(begin) {
                within = vec![(end, Some(LONG.to_owned()))];
            }
            found.append(&mut collected(&mut within));
            begin = end;
        }
        found.split_off(&(from + 1))
    }
}

fn collected(lines: &mut Vec<(usize, Option<String>)>) -> BTreeMap<u64, String> {
    lines.drain(..).filter_map(|(end, line)| Some((end as u64, line?))).collect()
}

#[derive(Debug, Clone)]
enum Action {
    Write(Write),
    Follow(Follow),
}

fn chunk() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![5, 64, 4096])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn between_two_reads_anything_may_happen_to_a_containers_log(
        actions in prop::collection::vec(
            prop_oneof![2 => write().prop_map(Action::Write), 1 => follow().prop_map(Action::Follow)],
            1..60,
        ),
        chunk in chunk(),
    ) {
        let runtime = Rc::new(RefCell::new(Runtime::new()));
        let mut reader = Reader::new(&runtime, chunk);
        for action in actions {
            match action {
                Action::Write(write) => runtime.borrow_mut().act(&write),
                Action::Follow(follow) => reader.act(&follow),
            }
        }
        reader.check()?;
    }

    #[test]
    fn in_the_middle_of_a_read_anything_may_happen_to_a_containers_log(
        // How many accesses to the disk each of them waits for.
        writes in prop::collection::vec((0_u32..12, write()), 1..50),
        follows in prop::collection::vec(follow(), 1..20),
        chunk in chunk(),
    ) {
        let runtime = Rc::new(RefCell::new(Runtime::new()));
        let mut reader = Reader::new(&runtime, chunk);
        let others = Rc::clone(&runtime);
        let mut writes = VecDeque::from(writes);
        MEANWHILE.set(Some(Box::new(move || {
            while let Some((0, write)) = writes.pop_front_if(|(wait, _)| *wait == 0) {
                others.borrow_mut().act(&write);
            }
            if let Some((wait, _)) = writes.front_mut() {
                *wait -= 1;
            }
        })));
        for action in follows.iter().cycle().take(60) {
            reader.act(action);
        }
        MEANWHILE.set(None);
        reader.check()?;
    }
}

#[test]
fn a_record_that_a_rotation_cuts_is_one_and_its_position_waits_for_it() {
    let mut log = Log::of_container();
    log.write(&(line(Stream::Stdout, "F", "{1}") + &line(Stream::Stdout, "P", "{2")));
    let mut source = log.started().with_limits(64, MAX_LINE);
    assert_eq!(drain(&mut source).texts(), ["{1}"]);
    let before = source.position().unwrap();
    log.write(&line(Stream::Stderr, "F", "text"));
    log.rotate();
    // Nothing of the new file is judged until the rest of the record is there, and all that while a restart reads the
    // record again from its beginning.
    log.write(&line(Stream::Stderr, "F", "more"));
    assert!(drain(&mut source).lines.is_empty());
    let cut = source.position().unwrap();
    assert_eq!((cut.offset, cut.file), (before.offset, before.file));
    assert!(cut.next.is_some());
    let mut again = log.resumed(&cut).with_limits(5, MAX_LINE);
    log.write(&(line(Stream::Stdout, "F", "}") + &line(Stream::Stdout, "F", "{3}")));
    let seen = [drain(&mut source), drain(&mut again)];
    let texts = seen[0].texts();
    assert_eq!((&texts[2..], texts.len(), seen[0].gaps.len()), (&["{2}", "{3}"][..], 4, 0));
    assert_eq!(seen[0].lines, seen[1].lines);
    assert_ne!(source.position().unwrap().file, before.file);
}

#[test]
fn another_file_in_place_of_the_one_with_the_rest_is_a_gap() {
    let mut log = Log::of_container();
    log.write(&(line(Stream::Stdout, "F", "{1}") + &line(Stream::Stdout, "P", "{2")));
    let mut source = log.started().with_limits(64, MAX_LINE);
    drain(&mut source);
    log.rotate();
    log.write(&line(Stream::Stdout, "P", "half"));
    drain(&mut source);
    let position = source.position().unwrap();
    // A file of its own, so that it does not get the other one's number.
    let other = log.folder.path().join("other");
    fs::write(&other, line(Stream::Stdout, "F", "}")).unwrap();
    fs::rename(other, log.live()).unwrap();
    for mut source in [source, log.resumed(&position).with_limits(64, MAX_LINE)] {
        let seen = drain(&mut source);
        assert_eq!((seen.reasons(), seen.texts()), (vec![GapReason::Deleted], vec!["}"]));
        assert_eq!(seen.gaps[0].after.offset, position.offset);
    }
}

#[test]
fn a_rotated_file_is_not_left_while_its_runtime_may_still_write_to_it() {
    let mut log = Log::of_container();
    log.write(&line(Stream::Stdout, "F", "{1}"));
    let mut source = log.started();
    drain(&mut source);
    let rotated = log.rotate();
    log.write(&line(Stream::Stdout, "F", "{3}"));
    assert!(drain(&mut source).lines.is_empty());
    let late = line(Stream::Stdout, "F", "{2}");
    OpenOptions::new().append(true).open(&rotated).unwrap().write_all(late.as_bytes()).unwrap();
    assert_eq!(drain(&mut source).texts(), ["{2}"]);
    // With the next rotation it is surely closed.
    log.rotate();
    assert_eq!(drain(&mut source).texts(), ["{3}"]);
}

#[test]
fn a_record_whose_parts_are_too_long_passes_in_bounded_memory() {
    let content = "y".repeat(100);
    let parts = line(Stream::Stdout, "P", &content).repeat(30);
    let log = Log::of_container();
    log.write(&line(Stream::Stdout, "F", "{1}"));
    log.write(&(parts.clone() + &line(Stream::Stderr, "F", "text") + &parts));
    let mut source = log.started().with_limits(64, MAX_LINE);
    let seen = drain(&mut source);
    assert_eq!((seen.texts(), seen.skipped), (vec!["{1}"], 0));
    let before = source.position().unwrap();
    log.write(&(line(Stream::Stdout, "F", "end") + &line(Stream::Stdout, "F", "{2}")));
    let mut again = log.resumed(&before).with_limits(5, MAX_LINE);
    for reader in [&mut source, &mut again] {
        let mut found = Vec::new();
        loop {
            let batch = reader.read().unwrap();
            let passed = batch.long_lines().iter();
            found.extend(passed.map(|(long, at)| (long.tail.len(), long.text_lines, at.offset)));
            found.extend(batch.lines().map(|(line, at)| (line.len(), 0, at.offset)));
            if batch.is_idle() {
                break;
            }
        }
        let end = fs::metadata(log.live()).unwrap().len();
        let last = line(Stream::Stdout, "F", "{2}").len() as u64;
        assert_eq!(found, [(60 * 100 + 3, 1, end - last), (3, 0, end)]);
    }
}
