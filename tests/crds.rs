//! The manifests under `crds/` are what `tripline crds` prints, and every schema in them keeps the house's rules.
//!
//! After a change of the types: `UPDATE_CRDS=1 cargo test --test crds`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")
}

/// `detectionrules.tripline.dev` stands in `detectionrules.yaml`.
fn expected() -> BTreeMap<String, String> {
    let manifests = tripline::cli::crds::manifests().expect("manifests");
    manifests
        .into_iter()
        .map(|(name, text)| (format!("{}.yaml", name.split('.').next().expect("a name")), text))
        .collect()
}

#[test]
fn the_manifests_in_the_repository_are_the_printed_ones() {
    let folder = folder();
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in expected() {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let found: BTreeMap<String, String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected()));
    for (name, text) in expected() {
        assert!(
            found[&name] == text,
            "crds/{name} is not what `tripline crds` prints: UPDATE_CRDS=1 cargo test --test crds"
        );
    }
}

#[test]
fn every_kind_is_cluster_scoped_and_has_a_status() {
    for crd in tripline::api::crds() {
        let name = crd.metadata.name.clone().unwrap();
        assert_eq!(crd.spec.scope, "Cluster", "{name}");
        assert_eq!(crd.spec.names.categories.as_deref(), Some(&["tripline".to_owned()][..]), "{name}");
        assert!(crd.spec.names.short_names.is_some_and(|names| !names.is_empty()), "{name}");
        for version in crd.spec.versions {
            assert!(version.subresources.is_some_and(|sub| sub.status.is_some()), "{name}");
            assert!(version.additional_printer_columns.is_some_and(|columns| !columns.is_empty()), "{name}");
        }
    }
}

#[test]
fn every_schema_is_bounded_and_says_how_it_merges() {
    let mut problems = Vec::new();
    for crd in tripline::api::crds() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            let schema = serde_json::to_value(schema).unwrap();
            for (name, property) in schema["properties"].as_object().unwrap() {
                check(property, &format!("{}.{name}", crd.spec.names.kind), false, &mut problems);
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn check(schema: &Value, path: &str, required: bool, problems: &mut Vec<String>) {
    let has = |key: &str| schema.get(key).is_some();
    let mut want = |fine: bool, what: &str| {
        if !fine {
            problems.push(format!("{path}: {what}"));
        }
    };
    if let Some(format) = schema["format"].as_str() {
        want(["date-time", "int32", "int64"].contains(&format), "a format the API server warns about");
    }
    if schema["nullable"] == true {
        want(!required, "required, but null is allowed");
        want(!has("default"), "null would hide the default");
    }
    match schema["type"].as_str() {
        Some("string") => want(has("maxLength") || has("enum") || has("format"), "a string without a bound"),
        Some("integer") => {
            want(has("minimum"), "a number without a lower bound");
            want(has("format"), "a number without a width");
        }
        Some("boolean") => {}
        Some("array") => {
            want(has("maxItems"), "a list without a bound");
            let kind = schema["x-kubernetes-list-type"].as_str();
            want(matches!(kind, Some("map" | "set" | "atomic")), "a list that does not say how it merges");
            want((kind == Some("map")) == has("x-kubernetes-list-map-keys"), "list type and keys do not fit");
            want(has("items"), "a list of anything");
            if kind == Some("map") {
                let needed = schema["items"]["required"].as_array().cloned().unwrap_or_default();
                for key in schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten() {
                    let optional = !needed.contains(key);
                    let defaulted =
                        !schema["items"]["properties"][key.as_str().expect("a key")]["default"].is_null();
                    want(!optional || defaulted, "a key of the list is optional");
                }
            }
            check(&schema["items"], &format!("{path}[]"), true, problems);
        }
        Some("object") => {
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
            let map = has("additionalProperties");
            want(open || map || has("properties"), "an empty schema");
            want(
                !open || schema["x-kubernetes-map-type"] == "atomic",
                "a free object that does not merge as a whole",
            );
            want(!map || has("maxProperties"), "a map without a bound");
            if map {
                check(&schema["additionalProperties"], &format!("{path}{{}}"), true, problems);
            }
            let needed = schema["required"].as_array().cloned().unwrap_or_default();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let required = needed.contains(&Value::from(name.as_str()));
                check(property, &format!("{path}.{name}"), required, problems);
            }
        }
        other => want(false, &format!("a type that is not structural: {other:?}")),
    }
}
