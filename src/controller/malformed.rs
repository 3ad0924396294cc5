//! Says of stored objects that do not fit their kind what is wrong with them.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client, Resource};

use super::status_failure;
use crate::alert::call;
use crate::api::{Condition, condition_type, reason};
use crate::telemetry::Metrics;

/// Says so of those that it was not said of yet: `reported` keeps what was said of which. They cannot be read as their
/// kind, so their status is patched without reading it.
pub(super) async fn report<K: Resource<DynamicType = ()>>(
    client: &Client,
    metrics: &Metrics,
    kind: &'static str,
    malformed: BTreeMap<String, String>,
    reported: &mut HashMap<String, String>,
) {
    reported.retain(|name, why| malformed.get(name) == Some(why));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::erase::<K>(&()));
    for (name, why) in malformed {
        if reported.contains_key(&name) {
            continue;
        }
        let effect = if kind == "rule" { "is not running" } else { "does not apply" };
        let message = format!("the stored object does not fit the kind: {why}; the {kind} {effect}");
        let mut list = Vec::new();
        for type_ in [condition_type::READY, condition_type::ACCEPTED] {
            Condition::new(type_, false, reason::MALFORMED, message.clone()).set(
                &mut list,
                None,
                Timestamp::now(),
            );
        }
        let patch = serde_json::json!({ "status": { "conditions": list } });
        let params = PatchParams::default();
        match call("the object's status", api.patch_status(&name, &params, &Patch::Merge(&patch))).await {
            Ok(_) => {
                reported.insert(name, why);
            }
            Err(error) => status_failure::note(metrics, kind, &name, &error),
        }
    }
}
