//! An object as it is stored, which can be read whatever somebody has written into it: one that cannot must not keep
//! the others of its kind from being read.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// See the module. In place of kube's `DeserializeGuard`, for which metadata have to be readable at least: who may write a
/// part of an object can write times into its `managedFields` that the API server takes and nobody else can read.
#[derive(Clone, Debug)]
pub struct Stored<K>(pub Result<K, Unreadable>);

/// An object that does not fit its kind.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unreadable {
    /// What does not fit.
    pub error: String,
    /// Its metadata, or what can be read of them.
    pub metadata: Box<ObjectMeta>,
}

impl<K> Stored<K> {
    /// The object.
    ///
    /// # Errors
    /// When it does not fit its kind.
    pub fn read(self) -> kube::Result<K> {
        self.0.map_err(|unreadable| kube::Error::SerdeError(serde::de::Error::custom(unreadable)))
    }
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        let metadata = object.get_mut("metadata");
        if let Some(Value::Array(entries)) = metadata.and_then(|metadata| metadata.get_mut("managedFields")) {
            let is_readable =
                |entry: &Value| entry.get("time").is_none_or(|time| Time::deserialize(time).is_ok());
            entries.retain(is_readable);
        }
        Ok(Self(K::deserialize(&object).map_err(|error| {
            let metadata = ObjectMeta::deserialize(&object["metadata"]);
            let metadata = Box::new(metadata.unwrap_or_else(|_| identity(&object["metadata"])));
            Unreadable { error: error.to_string(), metadata }
        })))
    }
}

/// Which object it is.
fn identity(metadata: &Value) -> ObjectMeta {
    let text = |key: &str| metadata[key].as_str().map(str::to_owned);
    ObjectMeta {
        name: text("name"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    }
}

impl<K: Serialize> Serialize for Stored<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(object) => object.serialize(serializer),
            // What could not be read is not written either.
            Err(unreadable) => Err(serde::ser::Error::custom(unreadable)),
        }
    }
}

impl<K: Resource> Resource for Stored<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(kind: &K::DynamicType) -> Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &K::DynamicType) -> Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &K::DynamicType) -> Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &K::DynamicType) -> Cow<'_, str> {
        K::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &*unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut *unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;
    use crate::api::AuditSource;

    fn stored(metadata: &Value, spec: &Value) -> Stored<AuditSource> {
        let kind = json!({"apiVersion": "tripline.dev/v1alpha1", "kind": "AuditSource", "metadata": metadata, "spec": spec});
        serde_json::from_value(kind).unwrap()
    }

    #[test]
    fn whatever_stands_in_an_object_it_is_known_which_one_it_is() {
        let spec = json!({"file": {"path": "audit.log"}});
        let entry = |time: &str| json!({"manager": "m", "time": time});
        let entries = [entry("2026-01-01T00:00:00Z"), entry("9999-12-31T23:59:59Z"), json!({"manager": "n"})];
        let read = stored(&json!({"name": "a", "managedFields": entries}), &spec).0.unwrap();
        let managers: Vec<_> =
            read.managed_fields().iter().filter_map(|entry| entry.manager.clone()).collect();
        assert_eq!(managers, ["m", "n"]);

        let unreadable = stored(&json!({"name": "a", "labels": {"b": "c"}}), &json!({"file": 7}));
        assert_eq!((unreadable.name_any().as_str(), unreadable.labels().len()), ("a", 1));
        assert!(unreadable.0.unwrap_err().to_string().contains("invalid type"));
        let unreadable = stored(&json!({"name": "a", "uid": "u", "creationTimestamp": "never"}), &spec);
        assert_eq!((unreadable.name_any().as_str(), unreadable.uid().as_deref()), ("a", Some("u")));
        assert!(serde_json::to_value(&unreadable).is_err());
        assert!(serde_json::from_value::<Stored<AuditSource>>(json!(7)).unwrap().0.is_err());
    }
}
