//! Whatever is done to the log, at whichever moment, and wherever a process dies: the same lines at the same positions.
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

const MAX_LINE: usize = 24;

/// What is delivered in place of a line that is too long.
pub(super) const LONG: &str = "a long line";

/// A log that somebody writes, and what is to be read of it.
pub(super) trait Written {
    /// How long a line may be.
    const MAX_LINE: usize;

    fn log(&self) -> &Log;
    /// Makes a live file, if there is none.
    fn create(&mut self);
    /// The lines that end after `from`, by where they end.
    fn lines_after(&self, from: u64) -> BTreeMap<u64, String>;
}

/// What an API server does.
#[derive(Debug, Clone)]
enum Write {
    /// Whole lines of these lengths, besides what makes them unique.
    Lines(Vec<usize>),
    Half,
    Finish,
    Empty,
    Rename,
    Create,
    Rotate,
    /// Writes the compressed form of the oldest rotated file that has none.
    BeginToCompress,
    /// Removes the oldest rotated file that has a compressed form.
    Compress,
}

/// What a process that follows the log does.
#[derive(Debug, Clone)]
pub(super) enum Follow {
    /// Some turns.
    Read(usize),
    /// Die, and go on from a checkpoint, that many before the last.
    Restart(usize),
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => prop::collection::vec(0_usize..40, 1..5).prop_map(Write::Lines),
        2 => Just(Write::Half),
        2 => Just(Write::Finish),
        1 => Just(Write::Empty),
        1 => Just(Write::Rename),
        1 => Just(Write::Create),
        3 => Just(Write::Rotate),
        1 => Just(Write::BeginToCompress),
        1 => Just(Write::Compress),
    ]
}

pub(super) fn follow() -> impl Strategy<Value = Follow> {
    prop_oneof![
        3 => (1_usize..6).prop_map(Follow::Read),
        1 => (0_usize..6).prop_map(Follow::Restart),
    ]
}

fn chunk() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![5, 17, 4096])
}

struct Writer {
    log: Log,
    /// The content of all files in order, the live one last.
    files: Vec<String>,
    exists: bool,
    lines: u32,
}

impl Writer {
    fn new() -> Self {
        Self { log: Log::new(), files: vec![String::new()], exists: false, lines: 0 }
    }

    fn write(&mut self, text: &str) {
        self.log.write(text);
        self.exists = true;
        self.files.last_mut().unwrap().push_str(text);
    }

    fn act(&mut self, action: &Write) {
        self.lines += 1;
        let line = self.lines;
        match action {
            Write::Lines(lengths) => {
                for (number, &length) in lengths.iter().enumerate() {
                    self.write(&format!("{line}.{number}.{}\n", "x".repeat(length)));
                }
            }
            Write::Half => self.write(&format!("{line}-")),
            Write::Finish => self.write(&format!("{line}!\n")),
            // A file that begins with an empty line has no identity, and no API server writes one.
            Write::Empty if self.files.last().unwrap().is_empty() => {}
            Write::Empty => self.write("\n"),
            Write::Rename | Write::Rotate if !self.exists => {}
            Write::Rename => {
                self.log.rename();
                self.exists = false;
                self.files.push(String::new());
            }
            Write::Create => {
                if !self.exists {
                    self.write("");
                }
            }
            Write::Rotate => {
                self.log.rotate();
                self.files.push(String::new());
            }
            Write::BeginToCompress | Write::Compress => {
                let begins = matches!(action, Write::BeginToCompress);
                let is_next = |number: &u32| {
                    let (plain, compressed) = (self.log.rotated(*number), self.log.compressed(*number));
                    plain.exists() && compressed.exists() != begins
                };
                // Of the very first file nothing shows that it is the one whose record was not whole yet.
                match (1..self.log.rotations).find(is_next) {
                    Some(number) if begins => self.log.begin_to_compress(number),
                    Some(number) => fs::remove_file(self.log.rotated(number)).unwrap(),
                    None => {}
                }
            }
        }
    }
}

impl Written for Writer {
    const MAX_LINE: usize = MAX_LINE;

    fn log(&self) -> &Log {
        &self.log
    }

    fn create(&mut self) {
        self.act(&Write::Create);
    }

    fn lines_after(&self, from: u64) -> BTreeMap<u64, String> {
        let mut lines = BTreeMap::new();
        let mut offset = 0;
        let last = self.files.len() - 1;
        for (number, content) in self.files.iter().enumerate() {
            for line in content.split_inclusive('\n') {
                offset += line.len() as u64;
                let text = line.trim_end_matches('\n');
                let whole = text.len() < line.len() || number < last;
                if whole && offset > from {
                    let text = if text.len() <= MAX_LINE { text } else { LONG };
                    lines.insert(offset, text.to_owned());
                }
            }
        }
        lines
    }
}

pub(super) struct Reader<W> {
    writer: Rc<RefCell<W>>,
    chunk: usize,
    source: FileSource,
    checkpoints: Vec<FilePosition>,
    /// What was delivered since the last start, and from where.
    delivered: BTreeMap<u64, String>,
    from: u64,
}

impl<W: Written> Reader<W> {
    pub(super) fn new(writer: &Rc<RefCell<W>>, chunk: usize) -> Self {
        let mut source = writer.borrow().log().started().with_limits(chunk, W::MAX_LINE);
        assert!(source.read().is_err());
        let checkpoints = vec![source.position().unwrap()];
        Self { writer: Rc::clone(writer), chunk, source, checkpoints, delivered: BTreeMap::new(), from: 0 }
    }

    pub(super) fn act(&mut self, action: &Follow) {
        match *action {
            Follow::Read(turns) => {
                for _ in 0..turns {
                    self.read();
                }
            }
            Follow::Restart(back) => {
                let index = self.checkpoints.len().saturating_sub(back).max(1) - 1;
                self.checkpoints.truncate(index + 1);
                let position = &self.checkpoints[index];
                self.source =
                    self.writer.borrow().log().resumed(position).with_limits(self.chunk, W::MAX_LINE);
                self.from = position.offset;
                self.delivered.clear();
            }
        }
    }

    /// One turn; false when nothing was new.
    fn read(&mut self) -> bool {
        let more = match self.source.read() {
            Ok(batch) => {
                assert_eq!(batch.gap(), None);
                let long = batch.long_lines().iter().map(|(_, position)| (LONG.as_bytes().into(), *position));
                for (line, position) in long.chain(batch.lines()) {
                    assert_eq!(position.stream, self.checkpoints[0].stream);
                    let last = self.delivered.last_key_value().map_or(self.from, |(&offset, _)| offset);
                    assert!(position.offset > last, "{position:?} after {last}");
                    self.delivered.insert(position.offset, String::from_utf8(line.to_vec()).unwrap());
                }
                !batch.is_idle()
            }
            Err(SourceError::NotFound { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        self.checkpoints.push(self.source.position().unwrap());
        more
    }

    /// Reads what is there, now and once more from the very start.
    pub(super) fn check(&mut self) -> Result<(), TestCaseError> {
        // Without a live file the last rotated one has no successor yet.
        self.writer.borrow_mut().create();
        while self.read() {}
        prop_assert_eq!(&self.delivered, &self.writer.borrow().lines_after(self.from));
        self.act(&Follow::Restart(usize::MAX));
        while self.read() {}
        prop_assert_eq!(&self.delivered, &self.writer.borrow().lines_after(0));
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Action {
    Write(Write),
    Follow(Follow),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn between_two_reads_anything_may_happen(
        actions in prop::collection::vec(
            prop_oneof![2 => write().prop_map(Action::Write), 1 => follow().prop_map(Action::Follow)],
            1..50,
        ),
        chunk in chunk(),
    ) {
        let writer = Rc::new(RefCell::new(Writer::new()));
        let mut reader = Reader::new(&writer, chunk);
        for action in actions {
            match action {
                Action::Write(write) => writer.borrow_mut().act(&write),
                Action::Follow(follow) => reader.act(&follow),
            }
        }
        reader.check()?;
    }

    #[test]
    fn in_the_middle_of_a_read_anything_may_happen(
        // How many accesses to the disk each of them waits for.
        writes in prop::collection::vec((0_u32..12, write()), 1..40),
        follows in prop::collection::vec(follow(), 1..20),
        chunk in chunk(),
    ) {
        let writer = Rc::new(RefCell::new(Writer::new()));
        let mut reader = Reader::new(&writer, chunk);
        let others = Rc::clone(&writer);
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
