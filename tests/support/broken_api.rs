//! An aggregated API whose server breaks off in the midst of its answers: the API server's handler panics then.
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::receiver::self_signed_tls;

/// The name of its APIService.
pub(crate) const BROKEN: &str = "v1.broken.example.com";
/// What it answers whole, since an API that cannot be discovered is not asked for anything else.
const DISCOVERY: &str = "/apis/broken.example.com/v1";

/// See the module.
pub(crate) struct BrokenApi {
    port: u16,
    /// None once it is dropped.
    runtime: Option<Runtime>,
}

impl BrokenApi {
    /// Listens on a free port of loopback.
    pub(crate) fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let acceptor = TlsAcceptor::from(self_signed_tls()?.0);
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), stream));
            }
        });
        Ok(Self { port, runtime: Some(runtime) })
    }

    /// What tells the API server of it.
    pub(crate) fn manifests(&self) -> String {
        // By a name, for a Service has no address of loopback.
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "broken", "namespace": "shop"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        });
        let api = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": BROKEN},
            "spec": {
                "group": "broken.example.com", "version": "v1", "groupPriorityMinimum": 100,
                "versionPriority": 10, "insecureSkipTLSVerify": true,
                "service": {"name": "broken", "namespace": "shop", "port": self.port},
            },
        });
        json!({"apiVersion": "v1", "kind": "List", "items": [service, api]}).to_string()
    }
}

impl Drop for BrokenApi {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let (mut head, mut buffer) = (String::new(), [0; 4096]);
    while !head.contains("\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => head.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    let resources =
        json!({"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "broken.example.com/v1", "resources": []})
            .to_string();
    let (length, body) =
        if path == DISCOVERY { (resources.len(), resources) } else { (1_000, "{".to_owned()) };
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    // Whether it arrives is the API server's to notice.
    drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    drop(stream.shutdown().await);
}
