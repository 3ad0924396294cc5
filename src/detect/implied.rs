//! What follows from what, as far as it is certain: an exception that every match of its rule meets is none.
//!
//! The tests of a query are taken for things that are true or not, whatever they mean, and every combination is tried.
//! What is known of them besides: a field that has a value exists, some fields hold one value only, some exist in every
//! event, and some never hold a value. So what is found holds for every event; much that does is not found.
use super::conjunct::{without_constants, write_key};
use super::evaluate::{Evaluator, MissingBody};
use super::plan::{Leaf, Plan};
use super::{Context, Verdict, compare::Test, lint};
use crate::event::{Event, Tape};

/// Different tests that are tried in all combinations; of more nothing is found.
const MOST: usize = 8;

/// What every event of a request has, apart from the ones without a user that were refused for that.
const LEAST_EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"0",
    "stage":"ResponseComplete","requestURI":"/","verb":"get","user":{"username":"x"},"sourceIPs":["10.0.0.1"],
    "requestReceivedTimestamp":"2026-01-01T00:00:00Z","stageTimestamp":"2026-01-01T00:00:00Z"}"#;

/// Fields that hold one value in an event that has them.
const SINGLE: [&str; 17] = [
    "verb",
    "level",
    "stage",
    "user.username",
    "user.name",
    "objectRef.resource",
    "objectRef.subresource",
    "objectRef.namespace",
    "objectRef.name",
    "objectRef.apiGroup",
    "kubernetes.audit.verb",
    "kubernetes.audit.user.username",
    "kubernetes.audit.objectRef.resource",
    "kubernetes.audit.objectRef.subresource",
    "kubernetes.audit.objectRef.namespace",
    "kubernetes.audit.objectRef.name",
    "event.action",
];

/// Whether every event that meets all `premises` meets `conclusion`. Without premises, whether every event does.
pub(super) fn implies<'p>(premises: impl IntoIterator<Item = &'p Plan>, conclusion: &Plan) -> bool {
    let mut atoms = Atoms::default();
    let Some(conclusion) = atoms.formula(&without_constants(conclusion)) else { return false };
    let mut known = Vec::new();
    for premise in premises {
        let premise = without_constants(premise);
        // One on other fields says nothing of it, and one too many is left out: less is known then.
        let before = atoms.0.len();
        if atoms.share_a_field(&premise) {
            match atoms.formula(&premise) {
                Some(formula) => known.push(formula),
                None => atoms.0.truncate(before),
            }
        }
    }
    (0..1_u32 << atoms.0.len())
        .filter(|case| atoms.is_possible(*case) && known.iter().all(|premise| premise.holds(*case)))
        .all(|case| conclusion.holds(case))
}

enum Formula {
    Known(bool),
    Atom(usize),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
}

impl Formula {
    /// With the atoms true whose bits are set.
    fn holds(&self, case: u32) -> bool {
        match self {
            Formula::Known(holds) => *holds,
            Formula::Atom(bit) => case & (1 << bit) != 0,
            Formula::All(parts) => parts.iter().all(|part| part.holds(case)),
            Formula::Any(parts) => parts.iter().any(|part| part.holds(case)),
            Formula::Not(inner) => !inner.holds(case),
        }
    }
}

/// A test that may hold or not.
struct Atom {
    key: String,
    field: String,
    exists: bool,
    /// The one text that the field holds then.
    value: Option<String>,
}

impl Atom {
    fn of(plan: &Plan) -> Atom {
        let mut key = String::new();
        write_key(plan, &mut key);
        match plan {
            Plan::Leaf(leaf) if !leaf.is_bare => Atom {
                key,
                field: leaf.field.name().to_owned(),
                exists: matches!(leaf.test, Test::Exists),
                value: match leaf.test {
                    Test::Is(_) if SINGLE.contains(&leaf.field.name()) => {
                        leaf.value.plain().map(str::to_owned)
                    }
                    _ => None,
                },
            },
            _ => Atom { field: key.clone(), key, exists: false, value: None },
        }
    }
}

#[derive(Default)]
struct Atoms(Vec<Atom>);

impl Atoms {
    /// `None` for one with too many tests. Recursion ends: the parser bounds a query's depth.
    fn formula(&mut self, plan: &Plan) -> Option<Formula> {
        let mut each =
            |parts: &[Plan]| parts.iter().map(|part| self.formula(part)).collect::<Option<Vec<_>>>();
        Some(match plan {
            Plan::Everything => Formula::Known(true),
            Plan::And(parts) => Formula::All(each(parts)?),
            Plan::Or(parts) => Formula::Any(each(parts)?),
            Plan::Not(inner) => Formula::Not(Box::new(self.formula(inner)?)),
            Plan::Leaf(leaf) if is_always(plan, leaf) => Formula::Known(true),
            Plan::Leaf(leaf) if is_never(leaf) => Formula::Known(false),
            Plan::Leaf(_) | Plan::Nested(..) => {
                let atom = Atom::of(plan);
                let known = self.0.iter().position(|known| known.key == atom.key);
                Formula::Atom(match known {
                    Some(known) => known,
                    None if self.0.len() == MOST => return None,
                    None => {
                        self.0.push(atom);
                        self.0.len() - 1
                    }
                })
            }
        })
    }

    fn share_a_field(&self, plan: &Plan) -> bool {
        match plan {
            Plan::Everything => false,
            Plan::And(parts) | Plan::Or(parts) => parts.iter().any(|part| self.share_a_field(part)),
            Plan::Not(inner) => self.share_a_field(inner),
            Plan::Leaf(_) | Plan::Nested(..) => {
                let atom = Atom::of(plan);
                self.0.iter().any(|known| known.field == atom.field)
            }
        }
    }

    /// Whether an event can be so.
    fn is_possible(&self, case: u32) -> bool {
        let is_true = |bit: usize| case & (1 << bit) != 0;
        self.0.iter().enumerate().all(|(one, a)| {
            self.0.iter().enumerate().all(|(other, b)| {
                let is_missing = b.exists && !a.exists && is_true(one) && !is_true(other);
                let is_both = one != other
                    && is_true(one)
                    && is_true(other)
                    && a.value.as_ref().zip(b.value.as_ref()).is_some_and(|(a, b)| a != b);
                a.field != b.field || !(is_missing || is_both)
            })
        })
    }
}

fn is_always(plan: &Plan, leaf: &Leaf) -> bool {
    let mut tape = Tape::new();
    matches!(leaf.test, Test::Exists)
        && Event::from_object(LEAST_EVENT, &mut tape).is_ok_and(|event| {
            let evaluator = Evaluator::new(&event, &Context::default());
            evaluator.verdict(plan, &evaluator.look(), MissingBody::Absent) == Verdict::Match
        })
}

fn is_never(leaf: &Leaf) -> bool {
    matches!(leaf.test, Test::Never)
        || matches!(leaf.test, Test::Is(_)) && lint::is_never(leaf.field.name(), &leaf.value)
}
