//! The health and metrics endpoint: `/livez`, `/readyz`, `/metrics`.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

/// Why the process is not ready, by part; ready when empty.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Health {
    /// A part is not ready for this reason.
    pub fn not_ready(&self, part: &'static str, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, why.into());
    }

    /// A part is ready.
    pub fn ready(&self, part: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// One line a part that is not ready.
    pub fn reasons(&self) -> Vec<String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(part, why)| format!("{part}: {why}")).collect()
    }
}

#[derive(Clone)]
struct Shared {
    health: Health,
    registry: Arc<Registry>,
}

/// Serves the endpoint on `listener` until `stopped` resolves.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    registry: Registry,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        // Alive as long as it answers: a liveness probe tied to the API server would restart readers for its faults.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Shared { health, registry: Arc::new(registry) });
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let reasons = shared.health.reasons();
    if reasons.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", reasons.join("\n")))
    }
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], super::metrics::encode(&shared.registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_no_part_says_otherwise() {
        let health = Health::default();
        assert!(health.reasons().is_empty());
        health.not_ready("rules", "not yet read");
        health.not_ready("cluster", "a definition is missing");
        health.not_ready("cluster", "no answer");
        assert_eq!(health.reasons(), ["cluster: no answer", "rules: not yet read"]);
        // A part that was never mentioned is ready anyway; a clone speaks of the same process.
        health.clone().ready("alerts");
        health.clone().ready("cluster");
        assert_eq!(health.reasons(), ["rules: not yet read"]);
        health.ready("rules");
        assert!(health.reasons().is_empty());
    }
}
