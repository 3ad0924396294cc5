//! The name of an object in its namespace, as an option gives it.

use crate::api::is_object_name;

/// A namespace and a name in it, `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespacedName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::str::FromStr for NamespacedName {
    type Err = String;

    /// Reads `NAMESPACE/NAME`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if is_object_name(namespace) && is_object_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("it must be NAMESPACE/NAME, such as tripline-system/tripline".to_owned()),
        }
    }
}

impl std::fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_named_with_its_namespace() {
        let name: NamespacedName = "tripline-system/tripline".parse().unwrap();
        assert_eq!((name.namespace.as_str(), name.name.as_str()), ("tripline-system", "tripline"));
        for wrong in ["", "tripline", "/x", "x/", "a/b/c", "A/b", "a/b c"] {
            assert!(wrong.parse::<NamespacedName>().unwrap_err().contains("NAMESPACE/NAME"), "{wrong}");
        }
    }
}
