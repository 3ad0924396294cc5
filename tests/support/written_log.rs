//! A log that a test writes itself: more requests than a client can make, or others.
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::ControlPlane;

/// The log, beside the API server's own.
pub(crate) struct WrittenLog {
    path: PathBuf,
}

impl WrittenLog {
    pub(crate) fn create(plane: &ControlPlane) -> Result<Self> {
        let path = plane.folder().join("audit/written.log");
        File::create(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends records.
    pub(crate) fn append(&self, records: impl IntoIterator<Item = Value>) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            writeln!(lines, "{record}")?;
        }
        Ok(OpenOptions::new().append(true).open(&self.path)?.write_all(&lines)?)
    }

    /// Appends requests to get objects of this resource, one for each name, made now.
    pub(crate) fn get(&self, resource: &str, names: impl Iterator<Item = String>) -> Result<()> {
        self.append(names.map(|name| {
            record(json!({
                "requestURI": format!("/api/v1/namespaces/shop/{resource}/{name}"),
                "objectRef": {"resource": resource, "namespace": "shop", "name": name, "apiVersion": "v1"},
            }))
        }))
    }
}

/// A record as kube-apiserver writes it, of mallory's request for a pod, made now, with `changes` to its top level. It
/// lacks what they make null.
pub(crate) fn record(changes: Value) -> Value {
    let now = jiff::Timestamp::now();
    let mut record = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": "7d2c8f3e-5c1b-4f7a-9d60-1f1a4c8f7a10", "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/web-0", "verb": "get",
        "user": {"username": "mallory", "groups": ["system:authenticated"]}, "sourceIPs": ["10.0.0.9"],
        "userAgent": "curl/8.5.0",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-0", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": now, "stageTimestamp": now,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    });
    if let (Some(members), Value::Object(changes)) = (record.as_object_mut(), changes) {
        members.extend(changes);
        members.retain(|_, value| !value.is_null());
    }
    record
}
