//! A line as another reader has it.
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// The members of an event that are compared; the others may be nested deeper than a stack allows.
const COMPARED: [&str; 14] = [
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "annotations",
];

/// Whether the text is JSON, nested however deeply and with whatever surrogates and numbers: skipping a value, this
/// reader neither recurses nor decodes.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The compared members of an object; of equal keys, the last.
pub(super) struct Members(HashMap<&'static str, Value>);

impl Members {
    /// `None` if the text is no object, or has in these members what this reader refuses: a surrogate without its
    /// partner, a number that no float holds, more than 128 levels.
    pub(super) fn read(text: &str) -> Option<Members> {
        serde_json::from_str(text).ok()
    }

    /// What stands at this path, if it is not null.
    pub(super) fn get(&self, name: &str, path: &[&str]) -> Option<&Value> {
        let found = path.iter().try_fold(self.0.get(name)?, |value, key| value.get(key))?;
        (!found.is_null()).then_some(found)
    }

    /// The text at this path, if it is one.
    pub(super) fn text(&self, name: &str, path: &[&str]) -> Option<&str> {
        self.get(name, path)?.as_str()
    }

    /// The texts in the list at this path.
    pub(super) fn texts(&self, name: &str, path: &[&str]) -> Vec<&str> {
        let list = self.get(name, path).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = HashMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if let Some(name) = COMPARED.iter().find(|name| **name == key) {
                        members.insert(*name, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
