//! Lines of a log: events as they are written, otherwise written, wrongly written, and broken.
use super::bodies::{leaf, tree};
use super::dice::Dice;
use super::events::event;
use super::json::{Json, Member, Style, member, text, word};

/// A line without its newline.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: Vec<u8>,
    /// Whether a key of the event itself comes twice: who reads no more than needed may miss the later one.
    pub(super) repeats_a_key: bool,
}

/// The line of this seed.
pub(super) fn line(seed: u64) -> Line {
    let mut dice = Dice::new(seed);
    // A few events come again and again, whole or with something changed.
    let mut members = if dice.chance(40) {
        let family = dice.below(10) as u64;
        event(&mut Dice::new(family))
    } else {
        event(&mut dice)
    };
    let changes = if dice.chance(45) { 1 + dice.below(3) } else { 0 };
    for _ in 0..changes {
        change(&mut members, &mut dice);
    }
    let style = match dice.below(12) {
        0 => Style { spaces: 15, ..Style::default() },
        1 => Style { escapes: 20, plain: 20, ..Style::default() },
        2 => Style { spaces: 5, escapes: 60, plain: 50 },
        3 => Style { escapes: 3, ..Style::default() },
        4 => Style { plain: 70, ..Style::default() },
        _ => Style::default(),
    };
    let as_go = dice.chance(60);
    let mut text = style.write_event(&members, as_go, &mut dice).into_bytes();
    if dice.chance(22) {
        break_up(&mut text, &mut dice);
    }
    debug_assert!(!text.contains(&b'\n'), "a line is one line");
    let repeats = |(at, member): (usize, &Member)| members[..at].iter().any(|other| other.key == member.key);
    Line { text, repeats_a_key: members.iter().enumerate().any(repeats) }
}

/// One change to an event that leaves it JSON.
fn change(members: &mut Vec<Member>, dice: &mut Dice) {
    match dice.below(13) {
        0 => dice.shuffle(members),
        1 => {
            let moved = members.remove(dice.below(members.len()));
            members.insert(dice.below(members.len() + 1), moved);
        }
        2 => repeat(members, dice),
        3 => repeat(some_object(members, dice), dice),
        4 => flatten_one(members, dice),
        5 => {
            // Of a wrong type, or empty.
            let at = place(members, dice);
            members[at].value = odd_value(members[at].value.clone(), dice);
        }
        6 => {
            let inner = some_object(members, dice);
            if !inner.is_empty() {
                let at = dice.below(inner.len());
                inner[at].value = odd_value(inner[at].value.clone(), dice);
            }
        }
        7 => {
            let keys = ["x", "metadata", "sources", "verbs", "Verb", "user.name", "a.b"];
            let extra = member(dice.one_of(&keys), tree(2, dice));
            members.insert(dice.below(members.len() + 1), extra);
        }
        8 => {
            let inner = some_object(members, dice);
            inner.insert(dice.below(inner.len() + 1), member("x", tree(2, dice)));
        }
        9 => drop(members.remove(place(members, dice))),
        10 => {
            let inner = some_object(members, dice);
            if !inner.is_empty() {
                inner.remove(dice.below(inner.len()));
            }
        }
        11 => {
            // The value that another event has there.
            let other = event(dice);
            let at = dice.below(members.len());
            if let Some(other) = other.into_iter().find(|other| other.key == members[at].key) {
                members[at].value = other.value;
            }
        }
        12 if dice.chance(30) => {
            // A number ends nowhere of its own: the one may begin as the other.
            let at = dice.below(members.len());
            members[at].value = word(dice.one_of(&["4", "40", "403", "4030"]));
        }
        _ => {
            let inner = some_object(members, dice);
            dice.shuffle(inner);
            if let Some(member) = inner.first_mut() {
                member.is_escaped = true;
            }
        }
    }
}

/// Of some member; seldom of the two without which it is no event.
fn place(members: &[Member], dice: &mut Dice) -> usize {
    let at = dice.below(members.len());
    if at < 2 && dice.chance(80) { members.len() - 1 - at } else { at }
}

/// A member once more, before or behind, with the same value, another event's, or any; its key perhaps spelt otherwise.
fn repeat(members: &mut Vec<Member>, dice: &mut Dice) {
    if members.is_empty() {
        return;
    }
    let mut again = members[dice.below(members.len())].clone();
    again.is_escaped = dice.chance(40);
    let other = event(dice).into_iter().find(|other| other.key == again.key);
    match (dice.below(3), other) {
        (0, _) => {}
        (1, Some(other)) => again.value = other.value,
        _ => again.value = odd_value(again.value, dice),
    }
    members.insert(dice.below(members.len() + 1), again);
}

/// Instead of `"a":{"b":…}`, or beside it, `"a.b":…`.
fn flatten_one(members: &mut Vec<Member>, dice: &mut Dice) {
    let at = dice.below(members.len());
    let outer = members[at].clone();
    let Json::Object(inner) = outer.value else { return };
    if inner.is_empty() {
        return;
    }
    if dice.chance(60) {
        members.remove(at);
    }
    let count = 1 + dice.below(inner.len());
    for Member { key, value, .. } in inner.into_iter().take(count) {
        members.insert(dice.below(members.len() + 1), member(&format!("{}.{key}", outer.key), value));
    }
}

fn odd_value(value: Json, dice: &mut Dice) -> Json {
    match dice.below(9) {
        0 => Json::List(vec![value]),
        1 => Json::List(vec![value, leaf(dice), text("alice")]),
        2 => Json::Object(Vec::new()),
        3 => Json::List(Vec::new()),
        4 => text(""),
        // A number or a word as a string.
        5 => match value {
            Json::Word(word) => Json::Text(word),
            Json::Object(mut members) if !members.is_empty() => members.swap_remove(0).value,
            Json::List(mut list) if !list.is_empty() => list.swap_remove(0),
            _ => leaf(dice),
        },
        6 => tree(2, dice),
        // What other readers refuse, and what is no JSON.
        7 if dice.chance(50) => {
            let texts = [
                "\"a\\ud800b\"",
                "\"\\udc00\\ud83d\"",
                "\"\\u0000\"",
                "01",
                "1.",
                "-",
                ".5",
                "tru",
                "NaN",
                "'a'",
            ];
            Json::Word(dice.one_of(&texts).to_owned())
        }
        _ => leaf(dice),
    }
}

/// The event's members, or those of an object somewhere in it.
fn some_object<'m>(members: &'m mut Vec<Member>, dice: &mut Dice) -> &'m mut Vec<Member> {
    let is_way = |value: &Json| match value {
        Json::Object(_) => true,
        Json::List(list) => matches!(list.first(), Some(Json::Object(_))),
        _ => false,
    };
    let ways: Vec<usize> = (0..members.len()).filter(|at| is_way(&members[*at].value)).collect();
    if ways.is_empty() || dice.chance(25) {
        return members;
    }
    match &mut members[ways[dice.below(ways.len())]].value {
        Json::Object(inner) => some_object(inner, dice),
        Json::List(list) => match list.first_mut() {
            Some(Json::Object(inner)) => some_object(inner, dice),
            _ => unreachable!("a way leads to an object"),
        },
        _ => unreachable!("a way leads to an object"),
    }
}

/// What happens to bytes. Most of it leaves no JSON.
fn break_up(text: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(text.len());
    match dice.below(13) {
        0 | 1 => text.truncate(at),
        2 => {
            let end = text.len() - dice.below(40.min(text.len()));
            text.truncate(end);
        }
        // Half a record, and the next one behind it.
        3 => {
            let whole = text.clone();
            text.truncate(at);
            text.extend(whole);
        }
        4 => text.extend_from_within(..),
        5 => text.extend(dice.one_of(&["}", " x", "{}", ",", "]", "\0", "\""]).bytes()),
        6 => text.extend(dice.one_of(&[" ", "\r", "\t  "]).bytes()),
        12 => drop(text.splice(0..0, dice.one_of(&[" ", "\r\t", "\u{feff}", "{", ",", "[", "x"]).bytes())),
        7 => text.insert(at, *dice.one_of(&[b"\0", b"\t", b"\x01", b"\x1f", b"\x7f"]).first().unwrap_or(&0)),
        8 => {
            let bytes: &[&[u8]] = &[b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x80"];
            text.splice(at..at, dice.one_of(bytes).iter().copied());
        }
        9 => drop(text.remove(at)),
        10 => {
            // A character of the grammar for another one.
            let marks: Vec<usize> = (0..text.len()).filter(|at| b"\"{}[],:\\".contains(&text[*at])).collect();
            if !marks.is_empty() {
                let at = marks[dice.below(marks.len())];
                text[at] = b"\"{}[],:\\ "[dice.below(9)];
            }
        }
        _ => {
            let escapes = ["\\u00", "\\x", "\\ud83d", "\\udc00", "\\u0000", "\\"];
            text.splice(at..at, dice.one_of(&escapes).bytes());
        }
    }
}
