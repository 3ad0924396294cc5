//! Pieces of OpenAPI schema that no Rust type says by itself.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A JSON object of any shape, replaced as a whole by server-side apply. `serde_json::Value` alone gives an empty
/// schema, which the API server refuses.
pub(super) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-map-type": "atomic",
    })
}

/// A list of conditions, merged by type.
pub(super) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<super::Condition>();
    json_schema!({
        "type": "array",
        "items": item,
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}
