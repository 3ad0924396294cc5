//! A field's name, resolved once to how it is read.
mod values;

use thiserror::Error;

use super::audit::Event;
use super::derived::{self, Derived};
use super::ecs::{self, Ecs};
use super::glob::Glob;
use super::image::ImagePart;
use super::logged::Parts;
use super::pod_spec::{PodPath, image_part};
use super::scalar::Type;
use super::slot::{Slot, Slots};
use super::value::Value;
use super::walk::Scope;
use super::wanted::Wanted;

const VIEW: &str = "kubernetes.audit";

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FieldError {
    /// The time of reading is not the event's: judging the same event again would give another verdict.
    #[error("`event.ingested` is when a log was read, which tells nothing of the event")]
    Ingested,
}

impl FieldError {
    /// What to write instead.
    pub fn help(&self) -> &'static str {
        "use `@timestamp`, the time of the event"
    }
}

/// What a field is read from: an event, or one element of it inside a nested group.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The event.
    pub event: Event<'a>,
    /// The name of the cluster that the event's source gives (`orchestrator.cluster.name`).
    pub cluster: Option<&'a str>,
    /// Inside a nested group: the element, and where it stands.
    pub element: Option<(Value<'a>, Scope)>,
}

#[derive(Debug, Clone)]
enum Reader {
    /// A path from the event's root, in the given spelling.
    Path(Scope, Option<String>),
    Ecs(Ecs),
    /// A name above names of the schema (`user_agent`): exists when one of them does, and has no value itself.
    AboveEcs,
    Derived(Derived),
    PodSpec(PodPath),
    /// Names that fit a pattern, among those that begin as the pattern does.
    Pattern {
        glob: Glob,
        scope: Scope,
        ecs: bool,
        derived: bool,
    },
    /// Any value of the event: a bare value in a query.
    Any,
    /// A path, a pattern, or any value, inside the element of a nested group.
    Inner(String),
    InnerPattern {
        glob: Glob,
        /// Whether the element is the whole event, so that the names in it are the event's own.
        in_event: bool,
    },
}

/// A field name, resolved.
#[derive(Debug, Clone)]
pub struct Field {
    name: String,
    reader: Reader,
    kind: Type,
    parts: Parts,
    /// Which part of the images that are read is meant, if it is a part.
    image_part: Option<ImagePart>,
}

impl Field {
    /// Resolves a plain name.
    pub fn resolve(name: &str) -> Result<Field, FieldError> {
        if name == "event.ingested" {
            return Err(FieldError::Ingested);
        }
        let mut kind = Type::of_path(name);
        let image = image_part(name);
        let (reader, parts) = if let Some(path) = below(name, VIEW) {
            (Reader::Path(Scope::View, some(path).map(str::to_owned)), Parts::of_path(path))
        } else if let Some(field) = ecs::named(name) {
            kind = field.kind();
            (Reader::Ecs(field), field.parts())
        } else if let Some(rest) = below(name, "podSpec") {
            let rest = image.and_then(|(path, _)| below(path, "podSpec")).unwrap_or(rest);
            (Reader::PodSpec(PodPath::new(some(rest))), Parts::REQUEST)
        } else if let Some(field) = derived::named(name) {
            (Reader::Derived(field), field.parts())
        } else if name != "user" && is_above_ecs(name) {
            // `user` is the event's own, and has more below it than the schema's.
            (Reader::AboveEcs, Parts::NONE)
        } else {
            (Reader::Path(Scope::Own, Some(name.to_owned())), Parts::of_path(name))
        };
        let image_part = image.map(|(_, part)| part);
        Ok(Field { name: name.to_owned(), reader, kind, parts, image_part })
    }

    /// Resolves a name with wildcards, given as the pieces around its stars joined by `*` and as its pattern.
    pub fn pattern(name: &str, glob: Glob) -> Field {
        let start = glob.prefix();
        let (scope, shift) = if start.starts_with("kubernetes.audit.") {
            (Scope::View, "kubernetes.audit.")
        } else {
            (Scope::Own, "")
        };
        let begins = |with: &str| {
            with.split('.')
                .next()
                .is_some_and(|first| start.strip_prefix(first).is_some_and(|rest| rest.starts_with('.')))
        };
        let ecs = ecs::TABLE.iter().any(|(name, _)| begins(name));
        let derived = begins("podSpec") || derived::TABLE.iter().any(|(name, _)| begins(name));
        let mut parts = Parts::all_that(|part| glob.can_begin_with(&format!("{shift}{part}")));
        if begins("podSpec") || begins("container") || begins("csr") {
            parts = parts.with(Parts::REQUEST);
        }
        if glob.matches("event.outcome") && ecs {
            parts = parts.with(Parts::ANNOTATIONS);
        }
        let reader = Reader::Pattern { glob, scope, ecs, derived };
        Field { name: name.to_owned(), reader, kind: Type::Plain, parts, image_part: None }
    }

    /// Any value of the event.
    pub fn any() -> Field {
        Field {
            name: "*".to_owned(),
            reader: Reader::Any,
            kind: Type::Plain,
            parts: Parts::all_that(|_| true),
            image_part: None,
        }
    }

    /// A plain name inside a nested group on this field, or with a pattern the names that fit.
    #[must_use]
    pub fn inside(&self, inner: &str, glob: Option<Glob>) -> Field {
        let name = format!("{}.{inner}", self.name);
        let full = below(&name, VIEW).unwrap_or(&name);
        let parts = match &glob {
            None => self.parts.with(Parts::of_path(full)),
            Some(_) if matches!(self.reader, Reader::Path(_, None)) => Parts::all_that(|_| true),
            Some(_) => self.parts,
        };
        let kind = if glob.is_none() { Type::of_path(full) } else { Type::Plain };
        let in_event = matches!(self.reader, Reader::Path(_, None));
        let image_part = image_part(&name).map(|(_, part)| part).filter(|_| glob.is_none());
        let reader = match glob {
            None if image_part.is_some() => {
                Reader::Inner(inner.rsplit_once('.').map_or(inner, |(path, _)| path).to_owned())
            }
            None => Reader::Inner(inner.to_owned()),
            Some(glob) => Reader::InnerPattern { glob, in_event },
        };
        Field { name, reader, kind, parts, image_part }
    }

    /// The full name: inside a nested group, with the group's in front.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its strings compare.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// The parts of an event that it is read from.
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// The slots that it is read from, in an event without a key that holds a dot.
    pub fn slots(&self) -> Slots {
        match &self.reader {
            // Inside a nested group it is never looked at alone, the group around it is.
            Reader::Path(_, None) | Reader::Any | Reader::Inner(_) | Reader::InnerPattern { .. } => {
                Slots::ALL
            }
            Reader::Path(_, Some(path)) => Slots::of_path(path),
            Reader::Ecs(field) => field.slots(),
            Reader::AboveEcs => ecs::TABLE
                .iter()
                .filter(|(name, _)| below(name, &self.name).is_some())
                .fold(Slots::NONE, |all, (_, field)| all.with(field.slots())),
            Reader::Derived(field) => field.slots(),
            Reader::PodSpec(_) => {
                Slots::from(Slot::Resource).with(Slot::RequestObject.into()).with(Slot::ResponseObject.into())
            }
            Reader::Pattern { glob, ecs, derived, .. } => {
                let start = glob.prefix();
                let own = Slots::of_start(below(start, VIEW).unwrap_or(start));
                let fitting = ecs::TABLE.iter().filter(|(name, _)| *ecs && glob.matches(name));
                let with_ecs = fitting.fold(own, |all, (_, field)| all.with(field.slots()));
                if *derived { Slots::ALL } else { with_ecs }
            }
        }
    }

    /// Adds what of the bodies it is read from.
    pub fn add_wanted(&self, wanted: &mut Wanted) {
        match &self.reader {
            Reader::Path(_, Some(path)) => wanted.add(path),
            Reader::Ecs(field) => field.own_path().into_iter().for_each(|path| wanted.add(path)),
            Reader::AboveEcs => ecs::TABLE
                .iter()
                .filter(|(name, _)| below(name, &self.name).is_some())
                .filter_map(|(_, field)| field.own_path())
                .for_each(|path| wanted.add(path)),
            Reader::PodSpec(path) => path.add_wanted(wanted),
            Reader::Path(_, None) | Reader::Any => wanted.add_all(),
            Reader::Pattern { glob, ecs, derived, .. } if self.parts.meets(Parts::BODIES) => {
                let start = glob.prefix();
                match below(start, VIEW).unwrap_or(start).rsplit_once('.') {
                    // All that fits is at or below the names that the pattern spells out.
                    Some((path, _)) if !ecs && !derived => wanted.add(path),
                    _ => wanted.add_all(),
                }
            }
            Reader::Derived(field) => field.add_wanted(wanted),
            // What the group around is read from holds all that is inside of it.
            Reader::Pattern { .. } | Reader::Inner(_) | Reader::InnerPattern { .. } => {}
        }
    }

    /// Whether its value comes from the source that the event was read from, and not from the event.
    pub fn is_of_source(&self) -> bool {
        match &self.reader {
            Reader::Ecs(field) => *field == Ecs::Cluster,
            Reader::AboveEcs => ecs::TABLE
                .iter()
                .any(|(name, field)| *field == Ecs::Cluster && below(name, &self.name).is_some()),
            _ => false,
        }
    }

    /// The name that ends the key of whatever it leads to, where that is known, and the name above it in a body.
    pub fn last_names(&self) -> Option<(&str, Option<&str>)> {
        let path = match &self.reader {
            Reader::Path(_, Some(path)) | Reader::Inner(path) => path,
            Reader::Ecs(field) => field.own_path()?,
            Reader::PodSpec(_) => {
                let name = image_part(&self.name).map_or(&*self.name, |(image, _)| image);
                name.strip_prefix("podSpec.").filter(|rest| *rest != "allContainers")?
            }
            _ => return None,
        };
        let mut names = path.rsplit('.');
        let last = names.next()?;
        // What a body begins with says nothing, and `allContainers` is a name of ours.
        let above = names.next().filter(|name| names.count() > 1 && *name != "allContainers");
        Some((last, above))
    }

    /// Whether a nested group can be evaluated on it: its values may be objects.
    pub fn has_elements(&self) -> bool {
        matches!(self.reader, Reader::Path(..) | Reader::PodSpec(_) | Reader::Inner(_))
            && self.image_part.is_none()
    }

    /// Whether its values may stand in the event in another form.
    pub fn is_computed(&self) -> bool {
        matches!(self.reader, Reader::Derived(_)) || self.image_part.is_some()
    }

    /// Whether its name is one plain name, and not a pattern or any field.
    pub fn is_plain(&self) -> bool {
        !matches!(self.reader, Reader::Pattern { .. } | Reader::Any | Reader::InnerPattern { .. })
    }

    /// The pattern that names must fit, if its name is one. Two may be written alike: `a*` and `a\*` are not the same.
    pub fn glob(&self) -> Option<&Glob> {
        match &self.reader {
            Reader::Pattern { glob, .. } | Reader::InnerPattern { glob, .. } => Some(glob),
            _ => None,
        }
    }
}

/// What of a name is below `above`: nothing for `above` itself, `None` for a name elsewhere.
fn below<'n>(name: &'n str, above: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(above)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

/// The path, unless it is empty.
fn some(path: &str) -> Option<&str> {
    (!path.is_empty()).then_some(path)
}

fn is_above_ecs(name: &str) -> bool {
    ecs::TABLE.iter().any(|(known, _)| below(known, name).and_then(some).is_some())
}
