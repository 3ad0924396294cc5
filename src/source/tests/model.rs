//! Whatever is done to the log, and wherever a process dies: the same lines at the same positions.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MAX_LINE: usize = 24;

#[derive(Debug, Clone)]
enum Action {
    /// Whole lines of these lengths, besides what makes them unique.
    Write(Vec<usize>),
    Half,
    Finish,
    Empty,
    Rename,
    Create,
    Rotate,
    /// Some turns.
    Read(usize),
    /// Go on from a checkpoint, that many before the last.
    Restart(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop::collection::vec(0_usize..40, 1..5).prop_map(Action::Write),
        2 => Just(Action::Half),
        2 => Just(Action::Finish),
        1 => Just(Action::Empty),
        1 => Just(Action::Rename),
        1 => Just(Action::Create),
        3 => Just(Action::Rotate),
        5 => (1_usize..6).prop_map(Action::Read),
        2 => (0_usize..6).prop_map(Action::Restart),
    ]
}

struct Model {
    log: Log,
    /// The content of all files in order, the live one last.
    files: Vec<String>,
    exists: bool,
    next: u32,
    chunk: usize,
    source: FileSource,
    checkpoints: Vec<FilePosition>,
    /// What was delivered since the last start, and from where.
    delivered: BTreeMap<u64, String>,
    from: u64,
}

impl Model {
    fn new(chunk: usize) -> Self {
        let log = Log::new();
        let mut source = log.started().with_limits(chunk, MAX_LINE);
        assert!(source.read().is_err());
        let checkpoints = vec![source.position().unwrap()];
        let (delivered, files) = (BTreeMap::new(), vec![String::new()]);
        Self {
            log,
            files,
            exists: false,
            next: 0,
            chunk,
            source,
            checkpoints,
            delivered,
            from: 0,
        }
    }

    fn write(&mut self, text: &str) {
        self.log.write(text);
        self.exists = true;
        self.files.last_mut().unwrap().push_str(text);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Write(lengths) => {
                for length in lengths {
                    self.next += 1;
                    let line = format!("{}.{}\n", self.next, "x".repeat(length));
                    self.write(&line);
                }
            }
            Action::Half => {
                self.next += 1;
                let half = format!("{}-", self.next);
                self.write(&half);
            }
            Action::Finish => {
                self.next += 1;
                let end = format!("{}!\n", self.next);
                self.write(&end);
            }
            // A file that begins with an empty line has no identity, and no API server writes one.
            Action::Empty if self.files.last().unwrap().is_empty() => {}
            Action::Empty => self.write("\n"),
            Action::Rename | Action::Rotate if !self.exists => {}
            Action::Rename => {
                self.log.rename();
                self.exists = false;
                self.files.push(String::new());
            }
            Action::Create => {
                if !self.exists {
                    self.write("");
                }
            }
            Action::Rotate => {
                self.log.rotate();
                self.files.push(String::new());
            }
            Action::Read(turns) => {
                for _ in 0..turns {
                    self.read();
                }
            }
            Action::Restart(back) => {
                let index = self.checkpoints.len().saturating_sub(back + 1);
                self.checkpoints.truncate(index + 1);
                let position = &self.checkpoints[index];
                self.source = self.log.resumed(position).with_limits(self.chunk, MAX_LINE);
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
                for (line, position) in batch.lines() {
                    assert_eq!(position.stream, self.checkpoints[0].stream);
                    let last = self
                        .delivered
                        .last_key_value()
                        .map_or(self.from, |(&offset, _)| offset);
                    assert!(position.offset > last, "{position:?} after {last}");
                    self.delivered
                        .insert(position.offset, String::from_utf8(line.to_vec()).unwrap());
                }
                !batch.is_idle()
            }
            Err(SourceError::NotFound { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        self.checkpoints.push(self.source.position().unwrap());
        more
    }

    fn expected(&self) -> BTreeMap<u64, String> {
        let mut expected = BTreeMap::new();
        let mut offset = 0;
        let last = self.files.len() - 1;
        for (number, content) in self.files.iter().enumerate() {
            for line in content.split_inclusive('\n') {
                offset += line.len() as u64;
                let text = line.trim_end_matches('\n');
                let whole = text.len() < line.len() || number < last;
                if whole && !text.is_empty() && text.len() <= MAX_LINE && offset > self.from {
                    expected.insert(offset, text.to_owned());
                }
            }
        }
        expected
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_same_lines_at_the_same_positions(
        actions in prop::collection::vec(action(), 1..50),
        chunk in prop::sample::select(vec![5_usize, 17, 4096]),
    ) {
        let mut model = Model::new(chunk);
        for action in actions {
            model.act(action);
        }
        // In the end there is a live file, or a rotated one could still be without a successor.
        model.act(Action::Create);
        while model.read() {}
        prop_assert_eq!(&model.delivered, &model.expected());
        // And once more from the very start.
        model.act(Action::Restart(usize::MAX - 1));
        while model.read() {}
        prop_assert_eq!(&model.delivered, &model.expected());
    }
}
