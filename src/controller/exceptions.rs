//! The `DetectionException`s of the cluster and what became of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;
use tracing::info;

use super::binding::{Applicable, Binding, Bound};
use super::compile::{compile_exception, describe};
use super::follow::Followed;
use super::rules::{Refusal, Rules};
use crate::api::DetectionException;
use crate::telemetry::Metrics;

/// What became of one exception.
#[derive(Clone, Debug)]
pub(super) struct ExceptionEntry {
    /// The object as last seen, without its managed fields.
    pub(super) object: DetectionException,
    /// What the compiler made of it, and what is odd about it, rendered.
    pub(super) compiled: Result<(Applicable, String), Refusal>,
    /// The rules that it applies to, and those that it does not.
    pub(super) bound: Bound,
}

/// The exceptions that stand for themselves.
#[derive(Default)]
pub(super) struct Exceptions {
    entries: Mutex<BTreeMap<String, ExceptionEntry>>,
    /// Stored objects that do not fit the kind, with what is wrong.
    malformed: Mutex<BTreeMap<String, String>>,
}

impl Exceptions {
    /// The entries, for their statuses.
    pub(super) fn entries(&self) -> Vec<ExceptionEntry> {
        self.lock().values().cloned().collect()
    }

    /// The objects that do not fit the kind, by name, with what is wrong.
    pub(super) fn malformed(&self) -> BTreeMap<String, String> {
        self.lock_malformed().clone()
    }

    /// Notes the object as the API server had it once its status was written, based on what had the version `base`.
    pub(super) fn note_written(&self, base: Option<&str>, object: DetectionException) {
        if let Some(entry) = self.lock().get_mut(&object.name_any())
            && entry.object.metadata.resource_version.as_deref() == base
        {
            entry.object = without_bulk(object);
        }
    }

    /// Those that compile, in the order of their names.
    pub(super) fn applicable(&self) -> Vec<Applicable> {
        self.lock().values().filter_map(|entry| Some(entry.compiled.as_ref().ok()?.0.clone())).collect()
    }

    pub(super) fn set_binding(&self, mut binding: Binding) {
        for (name, entry) in self.lock().iter_mut() {
            entry.bound = binding.exceptions.remove(name).unwrap_or_default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ExceptionEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_malformed(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.malformed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, object: DetectionException) -> bool {
        let name = object.name_any();
        self.lock_malformed().remove(&name);
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(&name)
            && entry.object.metadata.uid == object.metadata.uid
            && entry.object.metadata.generation == object.metadata.generation
        {
            // Only its status or metadata changed.
            entry.object = without_bulk(object);
            return false;
        }
        let compiled = match compile_exception(&object) {
            Ok(compiled) => {
                let applicable = Applicable::new(&object, Arc::new(compiled.exception));
                Ok((applicable, describe(&compiled.warnings)))
            }
            Err(findings) => {
                let refusal = Refusal::of(&findings);
                info!(exception = name, why = refusal.message, "the exception does not apply");
                Err(refusal)
            }
        };
        let entry = ExceptionEntry { object: without_bulk(object), compiled, bound: Bound::default() };
        entries.insert(name, entry);
        true
    }
}

impl Followed<DetectionException> for Arc<Rules> {
    const WHAT: &'static str = "exceptions";

    fn take(&self, object: DetectionException) -> bool {
        self.exceptions.apply(object)
    }

    fn take_malformed(&self, name: String, why: String) {
        self.exceptions.lock().remove(&name);
        self.exceptions.lock_malformed().insert(name, why);
    }

    fn keep(&self, keep: &dyn Fn(&str) -> bool, _: &Metrics) {
        self.exceptions.lock().retain(|name, _| keep(name));
        self.exceptions.lock_malformed().retain(|name, _| keep(name));
    }

    fn settle(&self, metrics: &Metrics) {
        self.swap(metrics);
    }
}

fn without_bulk(mut object: DetectionException) -> DetectionException {
    object.metadata.managed_fields = None;
    object
}
