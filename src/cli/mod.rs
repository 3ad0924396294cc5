//! cli
use kube as _;
/// x
pub fn x() -> String { crate::api::crds().iter().map(|c| serde_saphyr::to_string(c).unwrap_or_default()).collect::<Vec<_>>().join("---\n") }
