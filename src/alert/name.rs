//! What a group is called: its hash, and the names of its alerts.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use crate::api::Detection;
use crate::detect::GroupValue;

/// The longest name a kind of ours may have.
const NAME_MAX: usize = 63;
/// How many base32 characters of a group's hash stand in a name: 65 bits.
const HASH_LENGTH: usize = 13;

/// The hash of a group: a SHA-256 in lower-case base32. Its first 13 characters stand in names and labels; who could
/// make two groups meet in those still has two groups.
///
/// It is over the rule's name and, field by field, the field's name and its values, each with its length before it,
/// so that no choice of values makes one group look like another; a missing field differs from an empty one.
pub(super) fn group_hash(rule: &str, group: &[GroupValue]) -> String {
    let mut hash = Sha256::new();
    let mut text = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    text(rule.as_bytes());
    for GroupValue { field, values } in group {
        text(field.as_bytes());
        match values {
            None => text(b"missing"),
            Some(values) => {
                text(&(values.len() as u64).to_be_bytes());
                for value in values {
                    text(value.as_bytes());
                }
            }
        }
    }
    BASE32_NOPAD.encode(&hash.finalize()).to_ascii_lowercase()
}

/// The hash of what a rule's overflow alert counts. No field has such a name, so no group has this hash.
pub(super) fn overflow_hash(rule: &str) -> String {
    group_hash(rule, &[GroupValue { field: "tripline.dev/overflow".to_owned(), values: None }])
}

/// Whether it is the detection of a rule's overflow alert.
pub fn is_overflow(detection: &Detection) -> bool {
    detection.group_hash == overflow_hash(&detection.rule_name)
}

/// The part of a group's hash that stands in names and labels.
pub(super) fn short_hash(group_hash: &str) -> &str {
    group_hash.get(..HASH_LENGTH).unwrap_or(group_hash)
}

/// The name of a group's alert: `RULE-HASH-ORDINAL`, at most 63 characters. A long rule name is cut; the hash still
/// tells its alerts from those of another rule with the same beginning.
pub(super) fn alert_name(rule: &str, group_hash: &str, ordinal: u32) -> String {
    name(rule, &format!("-{}-{ordinal}", short_hash(group_hash)))
}

/// The name of a rule's overflow alert: `RULE-overflow`, and `RULE-overflow-2` once that was closed.
pub fn overflow_name(rule: &str, ordinal: u32) -> String {
    match ordinal {
        1 => name(rule, "-overflow"),
        _ => name(rule, &format!("-overflow-{ordinal}")),
    }
}

fn name(rule: &str, tail: &str) -> String {
    let room = NAME_MAX.saturating_sub(tail.len());
    let head: String = rule.chars().take(room).collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(values: &[Option<&[&str]>]) -> Vec<GroupValue> {
        let value = |v: Option<&[&str]>| GroupValue {
            field: "f".to_owned(),
            values: v.map(|v| v.iter().map(|&s| s.to_owned()).collect()),
        };
        values.iter().copied().map(value).collect()
    }

    #[test]
    fn groups_that_differ_have_different_hashes() {
        let groups = [
            group(&[None, Some(&["a"])]),
            group(&[Some(&[""]), Some(&["a"])]),
            group(&[Some(&[]), Some(&["a"])]),
            group(&[Some(&["missing"]), Some(&["a"])]),
            group(&[Some(&["a"]), None]),
            group(&[Some(&["ab"])]),
            group(&[Some(&["a", "b"])]),
            group(&[Some(&["a"]), Some(&["b"])]),
            group(&[]),
        ];
        let mut hashes: Vec<_> = groups.iter().map(|g| group_hash("r", g)).collect();
        hashes.push(group_hash("r2", &groups[0]));
        assert!(
            hashes.iter().all(|h| h.len() == 52 && h.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')))
        );
        let distinct: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }

    #[test]
    fn the_hash_of_a_group_never_changes() {
        // Alerts that exist are found by it: another value here would open them all anew.
        assert_eq!(
            group_hash("user-exec-into-pod", &group(&[Some(&["alice"]), None])),
            "4rmuby54u4qiuwnvxq6qfcc2truyvio4gxlllxjxv7hvvlflgfma"
        );
    }

    #[test]
    fn a_name_is_at_most_63_characters_and_valid() {
        assert_eq!(
            alert_name("user-exec-into-pod", "k3j5mwq2xr7tabcdef", 1),
            "user-exec-into-pod-k3j5mwq2xr7ta-1"
        );
        let long = alert_name(&"a.".repeat(31), "k3j5mwq2xr7ta", 12);
        assert!(long.len() <= 63 && long.ends_with("a-k3j5mwq2xr7ta-12"), "{long}");
        assert_eq!(overflow_name("user-exec-into-pod", 1), "user-exec-into-pod-overflow");
        let long = overflow_name(&"a.".repeat(31), 2);
        assert!(long.len() <= 63 && long.ends_with("a-overflow-2"), "{long}");
    }
}
