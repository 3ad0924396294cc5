//! Checks what a rule file says under `metadata`, for which a definition has no schema of its own.

use super::document::{Content, Node};
use super::finding::Finding;
use super::schema::Walk;
use crate::api::is_object_name;

/// The parts of `metadata` that a person may write; `kubectl get -o yaml` prints the others too.
const METADATA: [&str; 16] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "clusterName",
];

impl Walk {
    /// Checks `metadata`: the name is also the label of alerts, so it is short.
    pub(super) fn metadata(&mut self, node: &Node) {
        let Content::Mapping(entries) = &node.content else {
            self.error(node, format!("`metadata` must be an object, this is {}", node.kind()));
            return;
        };
        for entry in entries {
            match entry.key.as_str() {
                "labels" | "annotations" => self.string_map(&entry.value, &format!("metadata.{}", entry.key)),
                "namespace" => self.findings.push(
                    Finding::warning(
                        "a DetectionRule belongs to no namespace: this is ignored",
                        entry.key_span.clone(),
                    )
                    .with_help("remove it"),
                ),
                key if METADATA.contains(&key) => {}
                _ => self.unknown(entry, "metadata", METADATA.into_iter()),
            }
        }
        match node.get("name") {
            None => self.missing(node, "name", "metadata.name"),
            Some(name) => match name.as_str() {
                None => {
                    let message = format!("`metadata.name` must be a string, this is {}", name.kind());
                    self.error(name, message).help = Some("put it in quotes".to_owned());
                }
                Some(text) => {
                    if let Some(problem) = name_problem(text) {
                        self.error(name, format!("`metadata.name` {problem}")).help =
                            Some("write a name such as `exec-into-pod`".to_owned());
                    }
                }
            },
        }
    }

    fn string_map(&mut self, node: &Node, path: &str) {
        let Content::Mapping(entries) = &node.content else {
            if !matches!(node.content, Content::Null) {
                self.error(node, format!("`{path}` must be an object, this is {}", node.kind()));
            }
            return;
        };
        for entry in entries {
            let path = format!("{path}.{}", entry.key);
            match &entry.value.content {
                Content::Text(text, _) if path.starts_with("metadata.labels") && !is_label_value(text) => {
                    self.error(&entry.value, format!("`{path}` is no value of a label")).help = Some(
                        "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
                            .to_owned(),
                    );
                }
                Content::Null | Content::Text(..) => {}
                _ => {
                    let message = format!("`{path}` must be a string, this is {}", entry.value.kind());
                    self.error(&entry.value, message).help = Some("put it in quotes".to_owned());
                }
            }
        }
    }
}

/// What the API server takes as a label's value.
fn is_label_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Why a name is refused: a DNS-1123 subdomain, and short enough to be a label.
fn name_problem(name: &str) -> Option<String> {
    let count = name.chars().count();
    if count > 63 {
        return Some(format!("is {count} characters long, at most 63 are allowed"));
    }
    (!is_object_name(name)).then(|| {
        "must be lower-case letters, digits, `-` and `.`, with a letter or digit at both ends".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_what_the_api_server_takes() {
        for name in ["a", "a-b", "a.b", "0a", &"a".repeat(63)] {
            assert_eq!(name_problem(name), None, "{name}");
        }
        for name in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "ä", &"a".repeat(64)] {
            assert!(name_problem(name).is_some(), "{name}");
        }
        assert!(
            is_label_value("")
                && is_label_value("A_b.c-1")
                && !is_label_value("b c")
                && !is_label_value("-a")
        );
    }
}
