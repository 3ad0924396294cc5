//! What a field holds in an event.
use std::borrow::Cow;
use std::ops::ControlFlow;

use super::{Field, Look, Reader, VIEW, below};
use crate::event::glob::Glob;
use crate::event::pod_spec::pod_leaves;
use crate::event::scalar::{Scalar, Type};
use crate::event::value::Value;
use crate::event::walk::{self, Scope, leaves, reach};
use crate::event::{derived, ecs};

impl Field {
    /// Calls `visit` with each value, in the order of the event.
    pub fn visit<'a>(
        &self,
        look: &Look<'a>,
        visit: &mut dyn FnMut(Scalar<'a>, Type) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (event, go_on) = (&look.event, ControlFlow::Continue(()));
        match &self.reader {
            Reader::Path(..) | Reader::PodSpec(_) | Reader::Inner(_) => {
                self.elements(look, &mut |value, _| match self.image_part {
                    None => Scalar::of(value).map_or(go_on, |scalar| visit(scalar, self.kind)),
                    Some(part) => value
                        .text()
                        .and_then(|image| part.of(&image))
                        .map_or(go_on, |part| visit(Scalar::Text(Cow::Owned(part)), self.kind)),
                })
            }
            Reader::Ecs(field) => field.visit(look, &mut |scalar| visit(scalar, self.kind)),
            Reader::AboveEcs => go_on,
            Reader::Derived(field) => field.visit(event, &mut |scalar| visit(scalar, self.kind)),
            Reader::Pattern { glob, scope, ecs, derived } => {
                let start = if *scope == Scope::View { VIEW } else { "" };
                leaves(event.root(), *scope, start, Some(glob), &mut |path, value| {
                    Scalar::of(value).map_or(go_on, |scalar| visit(scalar, Type::of_path(path)))
                })?;
                if *ecs {
                    let fitting = ecs::TABLE.iter().filter(|(name, _)| glob.matches(name));
                    fitting
                        .map(|(_, field)| field)
                        .try_for_each(|field| field.visit(look, &mut |scalar| visit(scalar, field.kind())))?;
                }
                if *derived { visit_derived(look, glob, visit) } else { go_on }
            }
            Reader::Any => leaves(event.root(), Scope::Own, "", None, &mut |path, value| {
                Scalar::of(value).map_or(go_on, |scalar| visit(scalar, Type::of_path(path)))
            }),
            Reader::InnerPattern { glob, in_event } => {
                let Some((value, scope)) = look.element else { return go_on };
                leaves(value, scope, "", Some(glob), &mut |path, value| {
                    let kind = if *in_event { Type::of_path(path) } else { Type::Plain };
                    Scalar::of(value).map_or(go_on, |scalar| visit(scalar, kind))
                })
            }
        }
    }

    /// All values, in the order of the event.
    pub fn values<'a>(&self, look: &Look<'a>) -> Vec<Scalar<'a>> {
        let mut values = Vec::new();
        let mut keep = |value, _| {
            values.push(value);
            ControlFlow::Continue(())
        };
        // The walk is never stopped, so how it ended says nothing.
        if self.visit(look, &mut keep).is_continue() { values } else { Vec::new() }
    }

    /// Calls `visit` with each object or scalar that the name leads to: the elements of a nested group.
    pub fn elements<'a>(
        &self,
        look: &Look<'a>,
        visit: &mut dyn FnMut(Value<'a>, Scope) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.reach(look, false, visit)
    }

    fn reach<'a>(
        &self,
        look: &Look<'a>,
        above: bool,
        visit: &mut dyn FnMut(Value<'a>, Scope) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match &self.reader {
            Reader::Path(scope, path) => reach(look.event.root(), *scope, path.as_deref(), above, visit),
            Reader::PodSpec(path) => path.visit(&look.event, above, visit),
            Reader::Inner(path) => look.element.map_or(ControlFlow::Continue(()), |(value, scope)| {
                reach(value, scope, Some(path), above, visit)
            }),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Whether it has a value, or an object with a value somewhere below.
    pub fn exists(&self, look: &Look<'_>) -> bool {
        let found = |is_found: bool| {
            if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match &self.reader {
            Reader::AboveEcs => ecs::TABLE
                .iter()
                .filter(|(name, _)| below(name, &self.name).is_some())
                .any(|(_, field)| field.visit(look, &mut |_| ControlFlow::Break(())).is_break()),
            _ if self.has_elements() => {
                self.reach(look, true, &mut |value, scope| found(walk::exists(value, scope))).is_break()
            }
            _ => self.visit(look, &mut |_, _| ControlFlow::Break(())).is_break(),
        }
    }
}

fn visit_derived<'a>(
    look: &Look<'a>,
    glob: &Glob,
    visit: &mut dyn FnMut(Scalar<'a>, Type) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for (_, field) in derived::TABLE.iter().filter(|(name, _)| glob.matches(name)) {
        field.visit(&look.event, &mut |scalar| visit(scalar, Type::Plain))?;
    }
    pod_leaves(&look.event, glob, &mut |_, value| {
        Scalar::of(value).map_or(ControlFlow::Continue(()), |scalar| visit(scalar, Type::Plain))
    })
}
