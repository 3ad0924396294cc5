//! A log that a test writes itself, for more requests than a client can make.
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

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

    /// Appends requests to get objects of this resource, one for each name, made now.
    pub(crate) fn get(&self, resource: &str, names: impl Iterator<Item = String>) -> Result<()> {
        let records: String = names.map(|name| record(resource, &name)).collect();
        Ok(OpenOptions::new().append(true).open(&self.path)?.write_all(records.as_bytes())?)
    }
}

/// A record as kube-apiserver writes it.
fn record(resource: &str, name: &str) -> String {
    let now = jiff::Timestamp::now();
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": "7d2c8f3e-5c1b-4f7a-9d60-1f1a4c8f7a10", "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/shop/{resource}/{name}"), "verb": "get",
        "user": {"username": "mallory", "groups": ["system:authenticated"]}, "sourceIPs": ["10.0.0.9"],
        "userAgent": "curl/8.5.0",
        "objectRef": {"resource": resource, "namespace": "shop", "name": name, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": now, "stageTimestamp": now,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    });
    format!("{event}\n")
}
