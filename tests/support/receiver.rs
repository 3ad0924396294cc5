//! A receiver of webhooks, by HTTPS, that remembers every attempt and fails where it is told to.
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use data_encoding::BASE64;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, SanType};
use ring::hmac;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status.
    Answer(u16),
    /// It is answered with 429, and is to come again after so many seconds.
    Later(u64),
    /// Its connection ends without an answer.
    Reset,
    /// It is never answered.
    Hang,
}

/// An attempt to send something.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    pub(crate) id: String,
    pub(crate) message: Value,
    /// How many signatures it has.
    pub(crate) signatures: usize,
    /// What is wrong with it, for somebody who knows the secret.
    pub(crate) wrong: Option<String>,
    /// What becomes of it; none if it was taken.
    pub(crate) fault: Option<Fault>,
}

#[derive(Default)]
struct Shared {
    attempts: Vec<Attempt>,
    faults: VecDeque<Fault>,
    secret: Vec<u8>,
}

/// See the module.
pub(crate) struct Receiver {
    port: u16,
    tls: Arc<ServerConfig>,
    certificate: String,
    shared: Arc<Mutex<Shared>>,
    /// None while nobody listens.
    runtime: Option<Runtime>,
}

/// Certificate and key of a server at 127.0.0.1, which its client has to be told to trust.
pub(crate) fn self_signed() -> Result<(String, String)> {
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    let key = KeyPair::generate()?;
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// What such a server serves with, and its certificate.
pub(crate) fn self_signed_tls() -> Result<(Arc<ServerConfig>, String)> {
    let (certificate, key) = self_signed()?;
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let tls = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    Ok((Arc::new(tls.with_single_cert(chain, key)?), certificate))
}

impl Receiver {
    /// Listens on a free port of loopback.
    pub(crate) fn start() -> Result<Self> {
        let (tls, certificate) = self_signed_tls()?;
        let mut receiver = Self { port: 0, tls, certificate, shared: Arc::default(), runtime: None };
        receiver.appear()?;
        Ok(receiver)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/alerts?from=tripline", self.port)
    }

    /// Writes what a sender needs into a folder: the certificate to trust, and secrets of which it knows the first.
    pub(crate) fn credentials(&self, folder: &Path, secrets: &[&[u8]]) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("ca.crt"), &self.certificate)?;
        let lines: Vec<_> =
            secrets.iter().map(|secret| format!("whsec_{}\n", BASE64.encode(secret))).collect();
        self.shared().secret = secrets.first().context("no secret")?.to_vec();
        // As the kubelet does: no sender sees a part of it.
        fs::write(folder.join("new"), lines.concat())?;
        fs::rename(folder.join("new"), folder.join("secret"))?;
        Ok(())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of the next attempts.
    pub(crate) fn inject(&self, faults: &[Fault]) {
        self.shared().faults.extend(faults);
    }

    /// Whether each fault was met.
    pub(crate) fn has_failed_enough(&self) -> bool {
        self.shared().faults.is_empty()
    }

    /// All attempts.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.shared().attempts.clone()
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
        let (acceptor, shared) = (TlsAcceptor::from(Arc::clone(&self.tls)), Arc::clone(&self.shared));
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)))?;
        self.port = listener.local_addr()?.port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(move |request| receive(Arc::clone(&shared), request));
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
                });
            }
        });
        self.runtime = Some(runtime);
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.vanish();
    }
}

async fn receive(
    shared: Arc<Mutex<Shared>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let fault = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = shared.faults.pop_front();
        let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let attempt = Attempt {
            at: Instant::now(),
            id: header("webhook-id").to_owned(),
            message: serde_json::from_slice(&body).unwrap_or_default(),
            signatures: header("webhook-signature").split(' ').count(),
            wrong: verify(&parts.headers, &body, &shared.secret).err().map(|error| format!("{error:#}")),
            fault,
        };
        shared.attempts.push(attempt);
        fault
    };
    let answer = Response::builder();
    let answer = match fault {
        None => answer.status(StatusCode::ACCEPTED),
        Some(Fault::Answer(status)) => answer.status(status),
        Some(Fault::Later(seconds)) => answer.status(429).header("retry-after", seconds),
        Some(Fault::Reset) => return Err(std::io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Hang) => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
    };
    answer.body(Full::new(Bytes::from_static(b"noted"))).map_err(std::io::Error::other)
}

/// As a receiver does it that knows the specification and nothing of the sender.
fn verify(headers: &HeaderMap, body: &[u8], secret: &[u8]) -> Result<()> {
    let text = |name: &str| -> Result<&str> {
        Ok(headers.get(name).with_context(|| format!("no {name}"))?.to_str()?)
    };
    ensure!(text("content-type")? == "application/cloudevents+json", "the content type");
    let (id, timestamp) = (text("webhook-id")?, text("webhook-timestamp")?);
    let age = jiff::Timestamp::now().as_second() - timestamp.parse::<i64>()?;
    ensure!(age.abs() < 60, "sent {age} seconds ago");
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let is_right = |signature: &str| {
        let bytes = signature.strip_prefix("v1,").and_then(|text| BASE64.decode(text.as_bytes()).ok());
        bytes.is_some_and(|bytes| hmac::verify(&key, &signed, &bytes).is_ok())
    };
    ensure!(text("webhook-signature")?.split(' ').any(is_right), "no signature is right");
    let message: Value = serde_json::from_slice(body)?;
    ensure!(message["id"] == *id && message["specversion"] == "1.0", "no CloudEvent of this id");
    Ok(())
}
