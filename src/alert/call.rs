//! Calls to the API server: each with a timeout, each failure sorted.

use std::future::Future;
use std::time::Duration;

use kube::api::PostParams;

use super::error::WriteError;

/// How long the API server is given for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes one call to the API server, with a timeout. `what` is asked of it, as it stands in an error.
///
/// # Errors
/// When it fails or takes too long.
pub async fn call<T>(
    what: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, WriteError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| WriteError::of(what, error)),
        Err(_) => Err(WriteError::TimedOut { what, after: TIMEOUT }),
    }
}

/// Parameters of every write: what Tripline writes, it writes under one name.
pub fn write_params() -> PostParams {
    PostParams { field_manager: Some("tripline".to_owned()), ..PostParams::default() }
}
