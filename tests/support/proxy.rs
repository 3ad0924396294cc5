//! A proxy before the API server that injects faults into what goes through it.
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is passed on.
    None,
    /// It is passed on after this long.
    Slow(Duration),
    /// It is answered with this status, and not passed on.
    Answer(u16),
    /// Where its path holds this it is answered with this status, and not passed on.
    AnswerTo(&'static str, u16),
    /// It is passed on, and answered with this status.
    AnswerAfter(u16),
    /// Where its path holds this it is passed on, and answered with this status.
    AnswerAfterTo(&'static str, u16),
    /// It is passed on, and of the answer there is half of what was to come.
    BreakOff,
}

/// A proxy that passes on requests as the user of a kubeconfig.
pub(crate) struct Proxy {
    port: u16,
    client: Kubeconfig,
    fault: Arc<Mutex<Fault>>,
    /// None while nobody listens.
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Listens on a free port of loopback.
    pub(crate) fn start(kubeconfig: &Path) -> Result<Proxy> {
        let client = Kubeconfig::read_from(kubeconfig)?;
        let mut proxy = Proxy { port: 0, client, fault: Arc::new(Mutex::new(Fault::None)), runtime: None };
        proxy.appear()?;
        Ok(proxy)
    }

    /// The kubeconfig with the proxy in the API server's place.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> Result<PathBuf> {
        let mut config = self.client.clone();
        for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.server = Some(format!("http://127.0.0.1:{}", self.port));
        }
        let path = folder.join("proxied.kubeconfig");
        std::fs::write(&path, serde_json::to_vec(&config)?)?;
        Ok(path)
    }

    /// What becomes of requests from now on.
    pub(crate) fn inject(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Ends every connection and listens no more.
    pub(crate) fn vanish(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Listens again, on the same port.
    pub(crate) fn appear(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (config, fault, port) = (self.client.clone(), Arc::clone(&self.fault), self.port);
        let listener = runtime.block_on(async {
            let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
            let router = Router::new().fallback(pass).with_state((Client::try_from(config)?, fault));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let address = listener.local_addr()?;
            tokio::spawn(async move { axum::serve(listener, router).await });
            anyhow::Ok(address)
        });
        self.port = listener.context("the proxy cannot listen")?.port();
        self.runtime = Some(runtime);
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.vanish();
    }
}

async fn pass(State((client, fault)): State<(Client, Arc<Mutex<Fault>>)>, request: Request) -> Response {
    let fault = *fault.lock().unwrap_or_else(PoisonError::into_inner);
    let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
    match fault {
        Fault::AnswerTo(part, code) if request.uri().path().contains(part) => {
            return (status(code), [("retry-after", "1")], "no").into_response();
        }
        Fault::Answer(code) => return (status(code), [("retry-after", "1")], "no").into_response(),
        Fault::Slow(pause) => tokio::time::sleep(pause).await,
        _ => {}
    }
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 64 << 20).await else { return status(400).into_response() };
    // Only what the API server is asked, not what the connection to this proxy needs.
    let mut passed = http::Request::builder()
        .method(parts.method)
        .uri(parts.uri.path_and_query().map_or("/", |p| p.as_str()));
    for (name, value) in parts
        .headers
        .iter()
        .filter(|(name, _)| ["content-type", "accept", "user-agent"].contains(&name.as_str()))
    {
        passed = passed.header(name, value);
    }
    let Ok(passed) = passed.body(kube::client::Body::from(body)) else { return status(400).into_response() };
    let answer = match client.send(passed).await {
        Ok(answer) => answer,
        Err(error) => return (status(502), error.to_string()).into_response(),
    };
    match fault {
        Fault::AnswerAfter(code) => (status(code), "no").into_response(),
        Fault::AnswerAfterTo(part, code) if path.contains(part) => (status(code), "no").into_response(),
        Fault::BreakOff => break_off(answer.map(Body::new)).await,
        _ => answer.map(Body::new),
    }
}

/// The answer with half of its body, after which the connection ends. A watch ends at once.
async fn break_off(answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let read = tokio::time::timeout(Duration::from_millis(500), to_bytes(body, 64 << 20)).await;
    let whole = read.ok().and_then(Result::ok).unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let broken = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let mut answer =
        Response::from_parts(parts, Body::from_stream(futures::stream::iter([Ok(half), broken])));
    answer.headers_mut().remove("content-length");
    answer
}
