//! What a value came to when it was met last.
//!
//! Most of a log says the same things again and again: the same users, agents and addresses. A memo keeps as many
//! values as it has places, each in a few that its hash allows, and forgets one for each new one: whatever is sent,
//! it neither grows nor slows. The hash has a random key, so nobody can choose values that displace each other.
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use crate::event::Slot;

/// Slots whose values come back so often that what they came to is worth remembering.
pub(super) const REMEMBERED: [Slot; 13] = [
    Slot::Level,
    Slot::Stage,
    Slot::Verb,
    Slot::User,
    Slot::ImpersonatedUser,
    Slot::SourceIps,
    Slot::UserAgent,
    Slot::Resource,
    Slot::Namespace,
    Slot::ApiGroup,
    Slot::Subresource,
    Slot::Status,
    Slot::Annotations,
];

/// Slots whose values hardly ever come back: they are looked at for rules that nothing else has ended.
pub(super) const LATE: [Slot; 2] = [Slot::RequestUri, Slot::Name];

/// Whether a condition on this slot alone is decided before the event is read whole.
pub(super) fn is_told_apart(slot: Slot) -> bool {
    REMEMBERED.contains(&slot) || LATE.contains(&slot)
}

/// Values that share a hash's places.
const WAYS: usize = 4;

/// Bounded memory of values and the class that each belongs to.
#[derive(Debug)]
pub(super) struct Memo {
    random: RandomState,
    places: Vec<Place>,
    bytes: Vec<u8>,
    longest: usize,
    next_victim: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    hash: u64,
    /// 0 in a place that holds nothing.
    length: u32,
    class: u32,
}

impl Memo {
    /// A memo for `places` values (a power of two) of at most `longest` bytes; longer ones are not kept.
    pub(super) fn new(places: usize, longest: usize) -> Memo {
        debug_assert!(
            places.is_power_of_two() && places >= WAYS,
            "places are found by the low bits of a hash"
        );
        Memo {
            random: RandomState::default(),
            places: vec![Place::default(); places],
            bytes: vec![0; places * longest],
            longest,
            next_victim: 0,
        }
    }

    /// The class of the known value that `text` begins with, and its length. `start` is what it was kept by.
    #[inline]
    pub(super) fn find_start(&self, start: &[u8], text: &[u8]) -> Option<(usize, u32)> {
        let hash = self.hash(start);
        let first = self.first_place(hash);
        for (way, place) in self.places[first..first + WAYS].iter().enumerate() {
            let length = place.length as usize;
            if place.hash == hash && length > 0 {
                let from = (first + way) * self.longest;
                let known = &self.bytes[from..from + length];
                if text.get(..length).is_some_and(|text| is_same(text, known)) {
                    return Some((length, place.class));
                }
            }
        }
        None
    }

    /// The class of this value.
    #[inline]
    pub(super) fn find(&self, value: &[u8]) -> Option<u32> {
        self.find_start(value, value).filter(|(length, _)| *length == value.len()).map(|(_, class)| class)
    }

    /// Keeps a value by `start`, for which another one may be forgotten.
    pub(super) fn keep(&mut self, start: &[u8], value: &[u8], class: u32) {
        let (Ok(length @ 1..), true) = (u32::try_from(value.len()), value.len() <= self.longest) else {
            return;
        };
        let hash = self.hash(start);
        let first = self.first_place(hash);
        let free = self.places[first..first + WAYS].iter().position(|place| place.length == 0);
        let at = first + free.unwrap_or(self.next_victim % WAYS);
        self.next_victim = self.next_victim.wrapping_add(1);
        self.places[at] = Place { hash, length, class };
        self.bytes[at * self.longest..][..value.len()].copy_from_slice(value);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.places.fill(Place::default());
    }

    #[inline]
    fn hash(&self, start: &[u8]) -> u64 {
        self.random.hash_one(start)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the low bits are what is wanted
    fn first_place(&self, hash: u64) -> usize {
        hash as usize & (self.places.len() - 1) & !(WAYS - 1)
    }
}

/// Whether two texts are equal. Not every C library's `memcmp` looks at more than a byte at a time, and calling one is
/// what most of these comparisons would cost; arrays are compared without.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        32.. => {
            a.as_chunks::<32>().0.iter().zip(b.as_chunks::<32>().0).all(|(a, b)| a == b)
                && a.last_chunk::<32>() == b.last_chunk::<32>()
        }
        16.. => {
            a.first_chunk::<16>() == b.first_chunk::<16>() && a.last_chunk::<16>() == b.last_chunk::<16>()
        }
        8.. => a.first_chunk::<8>() == b.first_chunk::<8>() && a.last_chunk::<8>() == b.last_chunk::<8>(),
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_until_others_take_its_place() {
        let mut memo = Memo::new(8, 40);
        let value = |n: u32| format!("\"value number {n:05} with some length\"");
        for n in 0..1_000 {
            memo.keep(value(n).as_bytes(), value(n).as_bytes(), n);
            assert_eq!(memo.find(value(n).as_bytes()), Some(n));
        }
        let known = (0..1_000).filter(|n| memo.find(value(*n).as_bytes()) == Some(*n)).count();
        assert!((4..=8).contains(&known), "{known} of 8 places");
        memo.clear();
        assert_eq!(memo.find(value(999).as_bytes()), None);
    }

    #[test]
    fn a_value_is_recalled_by_its_start_and_only_whole() {
        let mut memo = Memo::new(8, 100);
        memo.keep(b"alice", b"{\"username\":\"alice\",\"uid\":\"1\"}", 7);
        assert_eq!(
            memo.find_start(b"alice", b"{\"username\":\"alice\",\"uid\":\"1\"},\"x\":"),
            Some((30, 7))
        );
        assert_eq!(memo.find_start(b"alice", b"{\"username\":\"alice\",\"uid\":\"2\"},\"x\":"), None);
        assert_eq!(memo.find_start(b"alice", b"{\"username\":\"alice\",\"uid\":"), None);
        assert_eq!(memo.find_start(b"bob", b"{\"username\":\"alice\",\"uid\":\"1\"}"), None);
    }

    #[test]
    fn every_byte_is_compared() {
        for length in 0..100 {
            let text = vec![7; length];
            assert!(is_same(&text, &text.clone()));
            for at in 0..length {
                let mut other = text.clone();
                other[at] ^= 64;
                assert!(!is_same(&text, &other), "byte {at} of {length}");
            }
            assert!(!is_same(&text, &vec![7; length + 1]));
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut memo = Memo::new(4, 8);
        memo.keep(b"123456789", b"123456789", 1);
        memo.keep(b"", b"", 2);
        assert_eq!((memo.find(b"123456789"), memo.find(b"")), (None, None));
    }
}
