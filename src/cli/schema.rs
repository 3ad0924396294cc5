//! Checks a rule or an exception against the kind's own schema, the one the API server gets, and says where in the file it differs.
//!
//! A walk of our own over the part of OpenAPI that the kinds use: unlike a general validator it knows where each value stands,
//! names the nearest known field, and reads `null` as the API server does.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use serde_json::{Map, Value};

use super::document::{Content, Entry, Node};
use super::finding::Finding;
use super::terminal::clipped;
use crate::api::{self, DetectionException, DetectionRule};

/// The most characters of a value that a message shows.
const SHOWN: usize = 40;

/// The schemas of the kinds that files hold.
pub(crate) struct Checker {
    rule: JSONSchemaProps,
    exception: JSONSchemaProps,
}

impl Checker {
    pub(crate) fn new() -> Self {
        let schema = |crd: CustomResourceDefinition| {
            let mut versions = crd.spec.versions.into_iter();
            versions.find_map(|version| version.schema?.open_api_v3_schema).unwrap_or_default()
        };
        Self { rule: schema(DetectionRule::crd()), exception: schema(DetectionException::crd()) }
    }

    /// The rule as JSON without what means "not set", and everything that the API server would refuse.
    pub(crate) fn check(&self, rule: &Node) -> (Value, Vec<Finding>) {
        Self::check_by(&self.rule, rule)
    }

    /// The same of an exception.
    pub(crate) fn check_exception(&self, exception: &Node) -> (Value, Vec<Finding>) {
        Self::check_by(&self.exception, exception)
    }

    fn check_by(schema: &JSONSchemaProps, rule: &Node) -> (Value, Vec<Finding>) {
        let mut walk = Walk { findings: Vec::new() };
        let Content::Mapping(entries) = &rule.content else {
            return (Value::Null, vec![Finding::error("a rule must be an object", rule.span.clone())]);
        };
        let mut object = Map::new();
        for entry in entries {
            match entry.key.as_str() {
                "apiVersion" => walk.api_version(&entry.value),
                "kind" => {}
                "metadata" => {
                    walk.metadata(&entry.value);
                    object.insert(entry.key.clone(), without_null_labels(entry.value.to_json()));
                    continue;
                }
                // Printed by `kubectl get -o yaml`; the API server takes no notice of it.
                "status" => continue,
                key => {
                    if let Some(schema) = schema.properties.as_ref().and_then(|known| known.get(key)) {
                        object.extend(
                            walk.value(&entry.value, schema, key).map(|value| (key.to_owned(), value)),
                        );
                    } else {
                        walk.unknown(entry, "", ["apiVersion", "kind", "metadata", "spec"].into_iter());
                    }
                    continue;
                }
            }
            object.insert(entry.key.clone(), entry.value.to_json());
        }
        for needed in ["apiVersion", "metadata", "spec"] {
            if rule.get(needed).is_none() {
                walk.missing(rule, needed, needed);
            }
        }
        (Value::Object(object), walk.findings)
    }
}

/// The API server reads a label or annotation that is null as empty.
fn without_null_labels(mut metadata: Value) -> Value {
    for key in ["labels", "annotations"] {
        if let Some(Value::Object(map)) = metadata.get_mut(key) {
            map.retain(|_, value| !value.is_null());
        }
    }
    metadata
}

pub(super) struct Walk {
    pub(super) findings: Vec<Finding>,
}

impl Walk {
    pub(super) fn error(&mut self, node: &Node, message: String) -> &mut Finding {
        self.findings.push(Finding::error(message, node.span.clone()));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    pub(super) fn missing(&mut self, owner: &Node, name: &str, path: &str) {
        // An object's place is its first line: what is missing has none of its own.
        let start = match &owner.content {
            Content::Mapping(entries) => entries.first().map_or(&owner.span, |entry| &entry.key_span),
            _ => &owner.span,
        };
        let help = format!("add `{name}:`");
        self.findings.push(Finding::error(format!("`{path}` is missing"), start.clone()).with_help(help));
    }

    pub(super) fn unknown<'a>(&mut self, entry: &Entry, path: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<_> = known.collect();
        let within = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        let finding =
            Finding::error(format!("unknown field `{}`{within}", entry.key), entry.key_span.clone());
        let finding = match nearest(&entry.key, known.iter().copied()) {
            Some(near) => finding.with_help(format!("did you mean `{near}`?")),
            None if known.len() > 12 => finding,
            None => finding.with_help(format!("known here: {}", known.join(", "))),
        };
        self.findings.push(finding);
    }

    fn api_version(&mut self, node: &Node) {
        let wanted = format!("{}/v1alpha1", api::GROUP);
        if node.as_str() != Some(&wanted) {
            self.error(node, "unknown apiVersion".to_owned()).help = Some(format!("write `{wanted}`"));
        }
    }

    /// Checks a value that is set.
    fn value(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str) -> Option<Value> {
        if matches!(node.content, Content::Null) {
            let message = format!("`{path}` must be {}, this is null", wanted(schema));
            self.error(node, message).help = Some("give it a value".to_owned());
            return None;
        }
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            if !matches!(node.content, Content::Mapping(_)) {
                self.error(node, format!("`{path}` must be an object, this is {}", node.kind()));
            }
            return Some(node.to_json());
        }
        match (schema.type_.as_deref(), &node.content) {
            (Some("object"), Content::Mapping(entries)) => Some(self.object(node, entries, schema, path)),
            (Some("array"), Content::Sequence(items)) => Some(self.list(node, items, schema, path)),
            (Some("string"), Content::Text(text, _)) => {
                self.text(node, text, schema, path);
                Some(node.to_json())
            }
            (Some("integer"), Content::Number(number)) if number.is_i64() => {
                self.range(node, number.as_i64().unwrap_or_default(), schema, path);
                Some(node.to_json())
            }
            (Some("boolean"), Content::Bool(_)) | (None, _) => Some(node.to_json()),
            (Some(kind), _) => {
                let found = match &node.content {
                    Content::Number(number) if kind == "integer" => number.to_string(),
                    _ => node.kind().to_owned(),
                };
                let message = format!("`{path}` must be {}, this is {found}", wanted(schema));
                let scalar = !matches!(node.content, Content::Sequence(_) | Content::Mapping(_));
                let help = match (kind, &node.content) {
                    ("string", _) if schema.enum_.is_some() => Some(one_of(schema)),
                    ("string", _) if scalar => Some("put it in quotes".to_owned()),
                    ("array", _) if scalar => Some("write a list: `[…]`, or one `- …` a line".to_owned()),
                    ("integer", Content::Text(text, _)) if text.parse::<i64>().is_ok() => {
                        Some("write the number without quotes".to_owned())
                    }
                    ("integer", Content::Text(..)) => Some("write digits alone".to_owned()),
                    _ => None,
                };
                self.error(node, message).help = help;
                Some(node.to_json())
            }
        }
    }

    fn object(&mut self, node: &Node, entries: &[Entry], schema: &JSONSchemaProps, path: &str) -> Value {
        let empty = BTreeMap::new();
        let known = schema.properties.as_ref().unwrap_or(&empty);
        let required: &[String] = schema.required.as_deref().unwrap_or_default();
        let mut object = Map::new();
        for entry in entries {
            let any = schema.additional_properties.as_ref().and_then(|any| match any {
                JSONSchemaPropsOrBool::Schema(schema) => Some(&**schema),
                JSONSchemaPropsOrBool::Bool(_) => None,
            });
            if let Some(schema) = known.get(&entry.key).or(any) {
                // The API server drops a null, so it means "not set"; what is needed may not be left out that way.
                let needed = schema.default.is_none() && required.contains(&entry.key);
                if !needed && matches!(entry.value.content, Content::Null) {
                    continue;
                }
                let path = format!("{path}.{}", entry.key);
                if let Some(value) = self.value(&entry.value, schema, &path) {
                    object.insert(entry.key.clone(), value);
                }
            } else {
                self.unknown(entry, path, known.keys().map(String::as_str));
            }
        }
        for needed in required {
            if node.get(needed).is_none() {
                self.missing(node, needed, &format!("{path}.{needed}"));
            }
        }
        Value::Object(object)
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &JSONSchemaProps, path: &str) -> Value {
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if schema.max_items.is_some_and(|most| count > most) {
            let most = schema.max_items.unwrap_or_default();
            self.error(node, format!("`{path}` has {count} entries, at most {most} are allowed"));
        }
        let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else {
            return node.to_json();
        };
        let keys = schema.x_kubernetes_list_map_keys.clone().unwrap_or_default();
        let set = schema.x_kubernetes_list_type.as_deref() == Some("set");
        let mut seen: Vec<Value> = Vec::new();
        let mut list = Vec::new();
        for (index, node) in items.iter().enumerate() {
            list.extend(self.value(node, item, &format!("{path}[{index}]")));
            let identity: Value = if set {
                node.to_json()
            } else if keys.is_empty() {
                continue;
            } else {
                keys.iter().map(|key| node.get(key).map_or(Value::Null, Node::to_json)).collect()
            };
            if seen.contains(&identity) {
                let of = keys.first().and_then(|key| node.get(key)).unwrap_or(node);
                let what = of
                    .as_str()
                    .map_or_else(|| "an entry".to_owned(), |text| format!("`{}`", clipped(text, SHOWN)));
                self.error(of, format!("{what} stands twice in `{path}`"));
            } else {
                seen.push(identity);
            }
        }
        Value::Array(list)
    }

    fn text(&mut self, node: &Node, text: &str, schema: &JSONSchemaProps, path: &str) {
        if let Some(values) = &schema.enum_ {
            let known: Vec<_> = values.iter().filter_map(|value| value.0.as_str()).collect();
            if !known.contains(&text) {
                let message = format!("`{path}` cannot be `{}`", clipped(text, SHOWN));
                self.error(node, message).help = Some(match nearest(text, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => one_of(schema),
                });
            }
            return;
        }
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if schema.min_length.is_some_and(|least| length < least) {
            self.error(node, format!("`{path}` must not be empty"));
        }
        if let Some(most) = schema.max_length.filter(|most| length > *most) {
            self.error(node, format!("`{path}` is {length} characters long, at most {most} are allowed"));
        }
        if schema.format.as_deref() == Some("date-time") && !is_time(text) {
            self.error(node, format!("`{path}` is no time")).help =
                Some("write it as `\"2027-01-31T00:00:00Z\"`".to_owned());
        }
    }

    #[allow(clippy::cast_precision_loss)] // bounds in the schemas are far below 2^53
    fn range(&mut self, node: &Node, number: i64, schema: &JSONSchemaProps, path: &str) {
        let low = schema.minimum.is_some_and(|least| (number as f64) < least);
        let high = schema.maximum.is_some_and(|most| (number as f64) > most);
        if low || high {
            let bounds = match (schema.minimum, schema.maximum) {
                (Some(least), Some(most)) => format!("from {least} to {most}"),
                (Some(least), None) => format!("at least {least}"),
                (_, most) => format!("at most {}", most.unwrap_or_default()),
            };
            self.error(node, format!("`{path}` must be {bounds}, this is {number}"));
        }
    }
}

/// What to write where few values are known.
fn one_of(schema: &JSONSchemaProps) -> String {
    let values = schema.enum_.iter().flatten().filter_map(|value| value.0.as_str());
    format!("write one of {}", values.collect::<Vec<_>>().join(", "))
}

fn wanted(schema: &JSONSchemaProps) -> &'static str {
    match schema.type_.as_deref() {
        Some("object") => "an object",
        Some("array") => "a list",
        Some("integer") => "a whole number",
        Some("boolean") => "true or false",
        _ => "a string",
    }
}

/// RFC 3339, which is narrower than what jiff reads.
fn is_time(text: &str) -> bool {
    let shape = text.bytes().zip(*b"0000-00-00T00:00:00").all(|(byte, expected)| match expected {
        b'0' => byte.is_ascii_digit(),
        expected => byte.eq_ignore_ascii_case(&expected),
    });
    text.len() > "0000-00-00T00:00:00".len() && shape && text.parse::<jiff::Timestamp>().is_ok()
}

/// The known name that was most likely meant.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .min()
        .filter(|(distance, known)| *distance <= (known.chars().count().max(3)) / 3)
        .map(|(_, known)| known)
}
