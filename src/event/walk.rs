//! Walking an event as the flattened document that KQL matches on.
//!
//! A key that contains dots equals nested objects, so `a.b` is reached through `{"a":{"b":…}}` and `{"a.b":…}`; arrays
//! are transparent at every level. Each entry of the tape has one flattened name and is looked at once, however often
//! a name can be split.
use std::borrow::Cow;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::glob::{Glob, Progress};
use super::json::Kind;
use super::value::{Key, Value};

/// Where in which spelling of an event a value stands: Elastic's pipeline hides and renames by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The event as it was logged.
    Own,
    /// Under `kubernetes.audit`: empty values do not exist.
    Pruned,
    /// `kubernetes.audit` itself.
    View,
    /// Its `annotations`, in whose keys every `.` is `_`.
    Annotations,
    /// Its `requestObject` or `responseObject`, without `metadata` (unless the body is a list).
    Body,
}

impl Scope {
    fn is_pruned(self) -> bool {
        self != Scope::Own
    }

    fn below(self, key: &str) -> Scope {
        match (self, key) {
            (Scope::Own, _) => Scope::Own,
            (Scope::View, "annotations") => Scope::Annotations,
            (Scope::View, "requestObject" | "responseObject") => Scope::Body,
            _ => Scope::Pruned,
        }
    }

    fn in_array(self) -> Scope {
        if self == Scope::Own { Scope::Own } else { Scope::Pruned }
    }

    /// The key as this place shows it, or `None` where it is hidden.
    fn shown(self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let name = key.text();
        match self {
            Scope::Body if name == "metadata" => None,
            Scope::Annotations if name.contains('.') => Some(Cow::Owned(name.replace('.', "_"))),
            _ => Some(name),
        }
    }

    /// Whether a scalar exists here.
    pub(super) fn keeps(self, value: Value<'_>) -> bool {
        match value.kind() {
            Kind::Null | Kind::Array | Kind::Object => false,
            Kind::Text => !(self.is_pruned() && value.raw().is_empty()),
            _ => true,
        }
    }
}

/// Levels that a walk goes down without memory from the heap: most do not even go these.
const FEW_LEVELS: usize = 8;

/// A container on the way.
struct Frame<R> {
    at: u32,
    end: u32,
    is_object: bool,
    scope: Scope,
    state: R,
}

impl<R: Copy> Frame<R> {
    fn over(value: Value<'_>, scope: Scope, state: R) -> Frame<R> {
        let (at, end) = value.inside();
        let is_object = value.kind() == Kind::Object;
        Frame { at, end, is_object, scope: if is_object { scope } else { scope.in_array() }, state }
    }

    /// The next element, or the next member that counts.
    fn next<'a>(&mut self, anchor: Value<'a>) -> Option<(Option<Key<'a>>, Value<'a>)> {
        while self.at < self.end {
            let entry = anchor.sibling(self.at);
            self.at = entry.inside().1;
            if !self.is_object {
                return Some((None, entry));
            }
            if !entry.is_shadowed() {
                return Some((Some(Key(entry)), entry.member_value()));
            }
        }
        None
    }
}

/// Calls `visit` for every scalar and object that the flattened `path` names below `root`; without a path, for `root`
/// itself or its elements. With `above`, also for what stands under a longer key: `{"a.b":1}` has something at `a`.
pub(super) fn reach<'a>(
    root: Value<'a>,
    scope: Scope,
    path: Option<&str>,
    above: bool,
    visit: &mut dyn FnMut(Value<'a>, Scope) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut stack: SmallVec<[Frame<Option<&str>>; FEW_LEVELS]> = SmallVec::new();
    let mut pending = Some((root, scope, path));
    loop {
        if let Some((value, scope, rest)) = pending.take() {
            match (value.kind(), rest) {
                (Kind::Array, _) | (Kind::Object, Some(_)) => stack.push(Frame::over(value, scope, rest)),
                (Kind::Object, None) => visit(value, scope)?,
                (_, None) if scope.keeps(value) => visit(value, scope)?,
                _ => {}
            }
        }
        let Some(frame) = stack.last_mut() else {
            return ControlFlow::Continue(());
        };
        match frame.next(root) {
            None => {
                stack.pop();
            }
            Some((None, element)) => pending = Some((element, frame.scope, frame.state)),
            Some((Some(key), value)) => {
                pending = frame.state.and_then(|rest| {
                    if !key.may_begin(rest) {
                        return None;
                    }
                    let name = frame.scope.shown(key)?;
                    let rest = if above && name.strip_prefix(rest).is_some_and(|more| more.starts_with('.')) {
                        None
                    } else {
                        let after = rest.strip_prefix(&*name)?;
                        if after.is_empty() { None } else { Some(after.strip_prefix('.')?) }
                    };
                    Some((value, frame.scope.below(&name), rest))
                });
            }
        }
    }
}

/// Calls `visit` with the flattened name and value of every scalar below `root` whose name fits `glob`. The names begin
/// with what `path` holds.
pub(super) fn leaves<'a>(
    root: Value<'a>,
    scope: Scope,
    path: &str,
    glob: Option<&Glob>,
    visit: &mut dyn FnMut(&str, Value<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut path = path.to_owned();
    let follow =
        |path: &str, progress| glob.map_or(progress, |glob: &Glob| glob.advance(path.as_bytes(), progress));
    // What lies below a name that the pattern cannot begin with is passed over.
    let may_fit = |path: &str| glob.is_none_or(|glob| glob.can_begin_with(path));
    let fits = |path: &str, progress| glob.is_none_or(|glob| glob.is_met(path.as_bytes(), progress));
    let mut stack: SmallVec<[Frame<(usize, Progress)>; FEW_LEVELS]> = SmallVec::new();
    let mut pending = Some((root, scope, follow(&path, Progress::default())));
    loop {
        if let Some((value, scope, progress)) = pending.take() {
            if matches!(value.kind(), Kind::Array | Kind::Object) {
                stack.push(Frame::over(value, scope, (path.len(), progress)));
            } else if scope.keeps(value) && fits(&path, progress) {
                visit(&path, value)?;
            }
        }
        let Some(frame) = stack.last_mut() else {
            return ControlFlow::Continue(());
        };
        let (length, progress) = frame.state;
        path.truncate(length);
        match frame.next(root) {
            None => {
                stack.pop();
            }
            Some((None, element)) => pending = Some((element, frame.scope, progress)),
            Some((Some(key), value)) => {
                if let Some(name) = frame.scope.shown(key) {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&name);
                    if may_fit(&path) {
                        pending = Some((value, frame.scope.below(&name), follow(&path, progress)));
                    }
                }
            }
        }
    }
}

/// Whether anything exists in a value: a scalar, or a scalar somewhere below an object.
pub(super) fn exists(value: Value<'_>, scope: Scope) -> bool {
    leaves(value, scope, "", None, &mut |_, _| ControlFlow::Break(())).is_break()
}
