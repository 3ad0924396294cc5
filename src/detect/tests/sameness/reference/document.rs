//! A JSON document, and its flattened names found by writing them all down.
use serde_json::Value;

/// A document whose keys need not be unique: renaming can make two of them equal. Null is a list of nothing.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Leaf(Value),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn of(value: &Value) -> Node {
        match value {
            Value::Null => Node::List(Vec::new()),
            Value::Array(list) => Node::List(list.iter().map(Node::of).collect()),
            Value::Object(members) => {
                Node::Object(members.iter().map(|(key, value)| (key.clone(), Node::of(value))).collect())
            }
            leaf => Node::Leaf(leaf.clone()),
        }
    }

    /// Every leaf with the path of its keys joined by dots.
    pub(super) fn leaves(&self) -> Vec<(String, &Value)> {
        let mut found = Vec::new();
        self.flatten(None, &mut found);
        found
    }

    fn flatten<'n>(&'n self, name: Option<&str>, found: &mut Vec<(String, &'n Value)>) {
        match self {
            Node::Leaf(value) => found.push((name.unwrap_or_default().to_owned(), value)),
            Node::List(list) => list.iter().for_each(|element| element.flatten(name, found)),
            Node::Object(members) => {
                for (key, value) in members {
                    let name = name.map_or_else(|| key.clone(), |name| format!("{name}.{key}"));
                    value.flatten(Some(&name), found);
                }
            }
        }
    }

    /// The objects and leaves at this path, lists spread; without a path, this one.
    pub(super) fn elements(&self, path: Option<&str>) -> Vec<&Node> {
        match (self, path) {
            (Node::List(list), _) => list.iter().flat_map(|element| element.elements(path)).collect(),
            (_, None) => vec![self],
            (Node::Leaf(_), Some(_)) => Vec::new(),
            (Node::Object(members), Some(path)) => members
                .iter()
                .flat_map(|(key, value)| match path.strip_prefix(key.as_str()) {
                    Some("") => value.elements(None),
                    Some(rest) => {
                        rest.strip_prefix('.').map_or(Vec::new(), |rest| value.elements(Some(rest)))
                    }
                    None => Vec::new(),
                })
                .collect(),
        }
    }
}

/// The event under `kubernetes.audit`, as Elastic's pipeline leaves it.
pub(super) fn elastic_view(event: &Value) -> Node {
    let Node::Object(mut members) = Node::of(event) else { return Node::Object(Vec::new()) };
    for (name, value) in &mut members {
        if let Node::Object(inner) = value {
            match name.as_str() {
                "annotations" => inner.iter_mut().for_each(|(key, _)| *key = key.replace('.', "_")),
                "requestObject" | "responseObject" => inner.retain(|(key, _)| key != "metadata"),
                _ => {}
            }
        }
    }
    pruned(Node::Object(members)).unwrap_or(Node::Object(Vec::new()))
}

/// Whether an object without a value below it is gone too, as the page has it. The evaluator still takes it for an
/// element of a nested group.
const PRUNES_ELEMENTS: bool = false;

/// Without null, `""`, `[]` and `{}`, and what is empty without those.
fn pruned(node: Node) -> Option<Node> {
    match node {
        Node::Leaf(value) => (value != "").then_some(Node::Leaf(value)),
        Node::List(list) => {
            let kept: Vec<Node> = list.into_iter().filter_map(pruned).collect();
            (!kept.is_empty()).then_some(Node::List(kept))
        }
        Node::Object(members) => {
            let kept: Vec<_> =
                members.into_iter().filter_map(|(key, value)| Some((key, pruned(value)?))).collect();
            (!kept.is_empty() || !PRUNES_ELEMENTS).then_some(Node::Object(kept))
        }
    }
}
