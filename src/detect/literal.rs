//! Text without which a body cannot meet a condition: a search for it is cheaper than reading the body.
//!
//! A value that a condition asks for stands in the body as it is, unless the sender spelt it with escapes. So the
//! absence of a text proves something only where no escape can hide it, see [`may_hide_text`].
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::compare::Test;
use super::plan::{Leaf, Plan};
use crate::event::{Field, Slot, Type};

/// Texts of which a body must hold one.
#[derive(Debug, Clone)]
pub(super) struct Clause(Vec<Finder<'static>>);

impl Clause {
    /// The clauses that must all be met for the plan to hold; none if it can hold without any text.
    pub(super) fn all_of(plan: &Plan) -> Vec<Clause> {
        clauses(plan, false)
    }

    /// Whether `body` holds one of the texts.
    pub(super) fn is_met(&self, body: &[u8]) -> bool {
        self.0.iter().any(|text| text.find(body).is_some())
    }

    fn one(text: &str) -> Clause {
        Clause(vec![Finder::new(text).into_owned()])
    }
}

/// Inside a nested group on a body all fields lie in it.
fn clauses(plan: &Plan, is_inside: bool) -> Vec<Clause> {
    match plan {
        Plan::Leaf(leaf) if is_inside || is_in_body(&leaf.field) => of_leaf(leaf),
        Plan::And(parts) => parts.iter().flat_map(|part| clauses(part, is_inside)).collect(),
        Plan::Or(parts) => of_any(&parts.iter().map(|part| clauses(part, is_inside)).collect::<Vec<_>>()),
        // The elements must be there for one of them to satisfy the group.
        Plan::Nested(field, inner) if is_inside || is_in_body(field) => {
            let mut found = of_key(field, "\"");
            found.extend(clauses(inner, true));
            found
        }
        Plan::Everything | Plan::Not(_) | Plan::Leaf(_) | Plan::Nested(..) => Vec::new(),
    }
}

/// One of the parts must hold: the n-th clauses of all parts together are one, for as many as every part has.
fn of_any(all: &[Vec<Clause>]) -> Vec<Clause> {
    let shared = all.iter().map(Vec::len).min().unwrap_or_default();
    (0..shared)
        .map(|n| {
            let mut texts: Vec<_> = all.iter().flat_map(|clauses| clauses[n].0.clone()).collect();
            texts.sort_unstable_by(|a, b| a.needle().cmp(b.needle()));
            texts.dedup_by(|a, b| a.needle() == b.needle());
            Clause(texts)
        })
        .collect()
}

/// Whether every value of the field stands in a body.
fn is_in_body(field: &Field) -> bool {
    let slots = field.slots();
    let is_body = |slot| matches!(slot, Slot::RequestObject | Slot::ResponseObject);
    // `podSpec` asks the resource where to look.
    slots.iter().any(is_body) && slots.iter().all(|slot| is_body(slot) || slot == Slot::Resource)
}

fn of_leaf(leaf: &Leaf) -> Vec<Clause> {
    // What exists may stand under a longer key: `{"a.b":1}` has something at `a`.
    let end = if matches!(leaf.test, Test::Exists) { "" } else { "\"" };
    let mut clauses = of_key(&leaf.field, end);
    let is_as_written = leaf.field.kind() == Type::Plain && !leaf.field.is_computed();
    let text = if is_as_written { leaf.test.text() } else { None };
    clauses.extend(text.and_then(longest_plain).map(|text| Clause::one(&text)));
    clauses
}

/// The last name of a path ends the key it stands in, with or without names before it; the one above it ends a key
/// too, or stands before a dot.
fn of_key(field: &Field, end: &str) -> Vec<Clause> {
    let is_plain = |name: &&str| longest_plain(name).is_some_and(|plain| plain == **name);
    let (last, above) = field.last_names().unzip();
    let last = last.filter(is_plain).map(|name| Clause::one(&format!("{name}{end}")));
    let above = above.flatten().filter(is_plain).map(Clause::one);
    last.into_iter().chain(above).collect()
}

/// The longest part that every JSON writer spells as it is: of ASCII, without what some of them escape.
fn longest_plain(text: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/' | '<' | '>' | '&' | '\'');
    text.split(|c| !is_plain(c))
        .max_by_key(|part| part.len())
        .filter(|part| part.len() > 2)
        .map(str::to_owned)
}

/// Whether an escape in the text may stand for a plain character: `\u00XX` of anything printable that Go does not
/// itself write so. The others stand for characters that no [`Clause`] holds.
pub(super) fn may_hide_text(body: &[u8]) -> bool {
    static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u00"));
    ESCAPE.find_iter(body).any(|at| {
        let digits = body.get(at + 4..at + 6).unwrap_or_default();
        let is_control = matches!(digits, [b'0' | b'1', _]);
        let is_written_by_go = matches!(digits, b"26" | b"3c" | b"3e" | b"3C" | b"3E");
        !is_control && !is_written_by_go
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse;

    fn clauses(query: &str) -> Vec<Vec<String>> {
        let plan = Plan::compile(&parse(query).unwrap().expr).unwrap();
        let text = |text: &Finder<'_>| String::from_utf8(text.needle().to_vec()).unwrap();
        Clause::all_of(&plan).iter().map(|clause| clause.0.iter().map(text).collect()).collect()
    }

    #[test]
    fn a_condition_on_a_body_needs_its_last_name_and_its_value() {
        assert_eq!(clauses("requestObject.spec.hostPID:true"), [["hostPID\""]]);
        assert_eq!(clauses("requestObject.roleRef.name:\"cluster-admin\""), [["name\""], ["cluster-admin"]]);
        assert_eq!(
            clauses("requestObject.spec.volumes.hostPath.path:\"/etc\""),
            [["path\""], ["hostPath"], ["etc"]]
        );
        assert_eq!(
            clauses("requestObject.spec.containers.image:(*xmrig* or *kali/one*)"),
            [vec!["image\""], vec!["containers"], vec!["kali", "xmrig"]]
        );
        assert_eq!(
            clauses("requestObject.spec.containers:{ name:evil and securityContext.privileged:true }"),
            [["containers\""], ["name\""], ["evil"], ["privileged\""]]
        );
        // A number may be written in many ways, `/` is not enough to look for, and nothing is needed for a `not`.
        assert_eq!(clauses("requestObject.spec.replicas:1000"), [["replicas\""]]);
        assert_eq!(clauses("requestObject.spec.path:\"/\""), [["path\""]]);
        assert_eq!(clauses("requestObject.spec.a*:xxxx"), [["xxxx"]]);
        assert_eq!(clauses("container.image.name:*xmrig*"), [["image\""], ["containers"], ["xmrig"]]);
        assert_eq!(clauses("podSpec.allContainers.image:*xmrig*"), [["image\""], ["xmrig"]]);
        assert_eq!(clauses("podSpec.allContainers.image.registry:docker.io"), [["image\""]]);
        assert_eq!(
            clauses("podSpec.allContainers:{ name:evil and image.tag:latest }"),
            [["name\""], ["evil"], ["image\""]]
        );
        assert!(clauses("csr.subject.organization:\"system:masters\"").is_empty());
        assert_eq!(clauses("requestObject.spec.tls:*"), [["tls"]]);
        assert!(clauses("not requestObject.spec.hostPID:true").is_empty());
        assert!(clauses("verb:create or requestObject.spec.hostPID:true").is_empty());
        assert_eq!(clauses("podSpec.hostPID:true"), [["hostPID\""]]);
        assert_eq!(clauses("requestObject.aaa:1 or requestObject.bbb:xxxx"), [["aaa\"", "bbb\""]]);
    }

    #[test]
    fn escapes_that_may_hide_a_text_are_told_from_those_that_cannot() {
        for (body, hides) in [
            (r#"{"a":"x \"y\" \u003cz\u003e \u0026 \n \\ \u2028 \u0007"}"#, false),
            (r#"{"h\u006fstPID":true}"#, true),
            (r#"{"a":"\\u0061"}"#, true),
            (r#"{"a":"\u00"#, true),
        ] {
            assert_eq!(may_hide_text(body.as_bytes()), hides, "{body}");
        }
    }
}
