//! The fuzz targets without a fuzzer: the seeds, mutations of them, and any bytes. `PROPTEST_CASES` sets how many.
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

#[path = "../fuzz/src/lib.rs"]
pub mod targets;

/// What a target is fed with.
struct Feed {
    seeds: Vec<Vec<u8>>,
    /// From the target's dictionary.
    words: Vec<Vec<u8>>,
}

/// A change of an input.
#[derive(Debug, Clone)]
enum Mutation {
    Truncate(Index),
    Remove(Index, usize),
    Duplicate(Index, usize, Index),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    /// Puts a part of another seed in.
    Splice(Index, Vec<u8>, Index, usize),
}

impl Feed {
    fn of(target: &str) -> Feed {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let mut seeds: Vec<_> = fs::read_dir(folder.join("seeds").join(target))
            .expect("the seeds")
            .map(|entry| fs::read(entry.expect("an entry").path()).expect("a seed"))
            .collect();
        // The order of a folder is the file system's, and the same cases should come of it everywhere.
        seeds.sort();
        let dictionary = fs::read_to_string(folder.join(format!("dictionaries/{target}.dict")));
        let words = dictionary.expect("the dictionary").lines().filter_map(word).collect();
        Feed { seeds, words }
    }

    fn input(&self) -> impl Strategy<Value = Vec<u8>> + use<> {
        let mutations = prop::collection::vec(mutation(self), 0..6);
        let mutated = (select(self.seeds.clone()), mutations)
            .prop_map(|(seed, mutations)| mutations.into_iter().fold(seed, |input, m| m.apply(input)));
        let words = prop::collection::vec(select(self.words.clone()), 0..12);
        prop_oneof![
            8 => mutated,
            1 => words.prop_map(|words| words.concat()),
            1 => prop::collection::vec(any::<u8>(), 0..64),
        ]
    }
}

/// The word in a line of a dictionary: in double quotes, with `\"`, `\\` and `\xAB`.
fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut word = Vec::new();
    while let [first, after @ ..] = rest {
        (rest, word) = match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("two digits");
                word.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
                (after, word)
            }
            (b'\\', [escaped, after @ ..]) => {
                word.push(*escaped);
                (after, word)
            }
            _ => {
                word.push(*first);
                (after, word)
            }
        };
    }
    Some(word)
}

fn mutation(feed: &Feed) -> impl Strategy<Value = Mutation> + use<> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Mutation::Truncate),
        2 => (at(), 1..40usize).prop_map(|(from, length)| Mutation::Remove(from, length)),
        2 => (at(), 1..200usize, at()).prop_map(|(from, length, to)| Mutation::Duplicate(from, length, to)),
        2 => (at(), any::<u8>()).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        4 => (at(), select(feed.words.clone())).prop_map(|(at, word)| Mutation::Insert(at, word)),
        2 => (at(), select(feed.seeds.clone()), at(), 1..400usize)
            .prop_map(|(to, seed, from, length)| Mutation::Splice(to, seed, from, length)),
    ]
}

impl Mutation {
    fn apply(self, mut input: Vec<u8>) -> Vec<u8> {
        let places = input.len() + 1;
        let part = |bytes: &[u8], from: Index, length: usize| {
            let from = from.index(bytes.len() + 1);
            bytes[from..(from + length).min(bytes.len())].to_vec()
        };
        let mut put = |at: Index, bytes: Vec<u8>| {
            let at = at.index(places);
            drop(input.splice(at..at, bytes));
        };
        match self {
            Mutation::Truncate(at) => input.truncate(at.index(places)),
            Mutation::Remove(from, length) => {
                let from = from.index(places);
                drop(input.drain(from..(from + length).min(places - 1)));
            }
            Mutation::Duplicate(from, length, to) => {
                let part = part(&input, from, length);
                let to = to.index(places);
                drop(input.splice(to..to, part));
            }
            Mutation::Flip(at, bits) => {
                if let Some(byte) = input.get_mut(at.index(places)) {
                    *byte ^= bits;
                }
            }
            Mutation::Insert(at, word) => put(at, word),
            Mutation::Splice(to, seed, from, length) => put(to, part(&seed, from, length)),
        }
        input
    }
}

/// Checks every seed, then as many cases as `PROPTEST_CASES` says.
fn run(target: &str, cases: u32, check: fn(&[u8])) {
    let feed = Feed::of(target);
    feed.seeds.iter().for_each(|seed| check(seed));
    let config = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    };
    proptest!(config, |(input in feed.input())| check(&input));
}

#[test]
fn a_query_is_refused_or_says_what_it_prints() {
    run("kql", 4_000, targets::kql::check);
}

#[test]
fn a_checkpoint_is_refused_or_can_be_resumed() {
    run("checkpoint", 4_000, targets::checkpoint::check);
}

#[test]
fn lines_are_read_and_judged_alike_by_all() {
    run("line", 2_000, targets::line::check);
}
