//! Who comes in, who does not, and that those who do not cost the others nothing.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::authority::{Authority, Pair, SERVER_NAME};
use super::super::credentials::Credentials;
use super::super::request::Receiving;
use super::super::spool::Spool;
use super::super::store::Store;
use super::super::*;

const TOKEN_TEXT: &str = "a-token-that-is-long-enough";

/// A receiver, and what it takes to send to it.
struct Endpoint {
    folder: TempDir,
    authority: Authority,
    receiver: WebhookReceiver,
    metrics: Arc<Metrics>,
}

impl Endpoint {
    async fn start(authentication: WebhookAuthentication) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::make(Timestamp::now()).unwrap();
        put(folder.path(), &authority);
        let metrics = Arc::new(Metrics::new());
        let settings = WebhookSettings {
            source: "apiserver".to_owned(),
            address: "127.0.0.1:0".parse().unwrap(),
            authentication,
            spool_limit: 64 << 20,
            credentials: folder.path().to_owned(),
        };
        let spool = folder.path().join("spool");
        let receiver = WebhookReceiver::start(settings, &spool, || None, Arc::clone(&metrics)).await.unwrap();
        Self { folder, authority, receiver, metrics }
    }

    fn client(&self) -> Pair {
        self.authority.client(Timestamp::now(), 1).unwrap()
    }

    async fn address(&self) -> SocketAddr {
        wait_for("an address", || self.receiver.intake().lock().address).await
    }

    async fn connect(&self, client: Option<Pair>) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.authority.pair().certificate)).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate(&pair.certificate)], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address().await).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(SERVER_NAME).unwrap(), stream).await
    }

    /// Sends a request; gives the status line of the answer and the rest of it.
    async fn send(&self, client: Option<Pair>, head: &str, body: &str) -> io::Result<String> {
        let mut stream = self.connect(client).await?;
        ask(&mut stream, head, body).await
    }

    fn count(&self, outcome: &'static str) -> u64 {
        let labels = RequestLabels { source: "apiserver".to_owned(), outcome };
        self.metrics.webhook_requests.get_or_create(&labels).get()
    }

    fn spooled(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("spool").join(SPOOL_LOG)).unwrap()
    }
}

fn put(folder: &Path, authority: &Authority) {
    let server = authority.server(Timestamp::now()).unwrap();
    for (name, text) in [
        (CERTIFICATE, server.certificate.as_str()),
        (KEY, &server.key),
        (AUTHORITY, &authority.pair().certificate),
        (TOKEN, TOKEN_TEXT),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

async fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..30_000 {
        if let Some(found) = ask() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited in vain for {what}")
}

async fn ask(stream: &mut TlsStream<TcpStream>, head: &str, body: &str) -> io::Result<String> {
    let head = format!("{head}Host: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read_buf(&mut answer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const POST: &str = "POST /audit/apiserver HTTP/1.1\r\n";

fn batch(numbers: &[u32]) -> String {
    let items: Vec<_> = numbers.iter().map(|number| format!(r#"{{"number":{number}}}"#)).collect();
    format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{}]}}"#,
        items.join(",")
    )
}

#[tokio::test]
async fn a_batch_with_a_certificate_is_in_the_spool_when_it_is_answered() {
    let endpoint = Endpoint::start(WebhookAuthentication::ClientCertificate).await;
    let mut stream = endpoint.connect(Some(endpoint.client())).await.unwrap();
    for number in 0..3 {
        let answer = ask(&mut stream, POST, &batch(&[number, number + 1])).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let line =
        |number| format!("{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"number\":{number}}}\n");
    assert_eq!(endpoint.spooled(), (0..4).map(line).collect::<String>());
    assert_eq!(endpoint.count("accepted"), 3);
    let labels = SourceLabels { source: "apiserver".to_owned() };
    assert_eq!(endpoint.metrics.webhook_repeated_records.get_or_create(&labels).get(), 2);
    let end = endpoint.receiver.intake().lock().credential_end.unwrap();
    assert!(end.duration_since(Timestamp::now()).as_hours() <= 24);
}

#[tokio::test]
async fn without_a_certificate_of_the_authority_nobody_comes_in() {
    let endpoint = Endpoint::start(WebhookAuthentication::ClientCertificate).await;
    let stranger = Authority::make(Timestamp::now()).unwrap().client(Timestamp::now(), 1).unwrap();
    // A server's certificate is none of a client, though the authority is the right one.
    let server = endpoint.authority.server(Timestamp::now()).unwrap();
    for client in [None, Some(stranger), Some(server)] {
        let head = format!("{POST}Authorization: Bearer {TOKEN_TEXT}\r\n");
        endpoint.send(client, &head, &batch(&[1])).await.unwrap_err();
    }
    assert_eq!((endpoint.spooled().as_str(), endpoint.count("accepted")), ("", 0));
}

#[tokio::test]
async fn a_token_has_to_be_the_right_one() {
    let endpoint = Endpoint::start(WebhookAuthentication::BearerToken).await;
    for (header, status) in [
        (String::new(), "401"),
        ("Authorization: Bearer \r\n".to_owned(), "401"),
        ("Authorization: Bearer another-token-of-some-length\r\n".to_owned(), "401"),
        (format!("Authorization: Basic {TOKEN_TEXT}\r\n"), "401"),
        (format!("Authorization: {TOKEN_TEXT}\r\n"), "401"),
        (format!("Authorization: Bearer {TOKEN_TEXT}\r\n"), "200"),
        (format!("authorization: bearer {TOKEN_TEXT}\r\n"), "200"),
    ] {
        let answer = endpoint.send(None, &format!("{POST}{header}"), &batch(&[1])).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{header}: {answer}");
    }
    assert_eq!((endpoint.count("unauthenticated"), endpoint.count("accepted")), (5, 2));
}

#[tokio::test]
async fn what_is_no_batch_is_told_what_it_is() {
    let endpoint = Endpoint::start(WebhookAuthentication::ClientCertificate).await;
    let (good, half) = (batch(&[1]), batch(&[2, 3]));
    for (head, body, expected) in [
        ("POST /audit/other HTTP/1.1\r\n", good.as_str(), "HTTP/1.1 404 "),
        ("GET /audit/apiserver HTTP/1.1\r\n", "", "HTTP/1.1 405 "),
        ("POST /audit/apiserver HTTP/1.1\r\nContent-Encoding: gzip\r\n", &good, "HTTP/1.1 415 "),
        (POST, "[]", "HTTP/1.1 400 "),
        (POST, &half[..half.len() - 5], "HTTP/1.1 400 "),
    ] {
        let answer = endpoint.send(Some(endpoint.client()), head, body).await.unwrap();
        assert!(answer.starts_with(expected), "{head}: {answer}");
    }
    // What was whole of the last one is kept.
    assert_eq!(endpoint.spooled().lines().count(), 1);
    let mut stream = endpoint.connect(Some(endpoint.client())).await.unwrap();
    stream
        .write_all(format!("{POST}Host: x\r\nContent-Length: 99999999999\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn thousands_who_say_nothing_keep_nobody_out() {
    let endpoint = Endpoint::start(WebhookAuthentication::ClientCertificate).await;
    let mut known = endpoint.connect(Some(endpoint.client())).await.unwrap();
    ask(&mut known, POST, &batch(&[0])).await.unwrap();
    let mut idle = Vec::new();
    for number in 1..=2_000 {
        idle.push(TcpStream::connect(endpoint.address().await).await.unwrap());
        if number % 500 == 0 {
            let answer = endpoint.send(Some(endpoint.client()), POST, &batch(&[number])).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            ask(&mut known, POST, &batch(&[number + 1])).await.unwrap();
        }
    }
    assert_eq!(endpoint.spooled().lines().count(), 9);
    let labels = SourceLabels { source: "apiserver".to_owned() };
    let dropped = &endpoint.metrics.webhook_dropped_connections;
    wait_for("the first of them to be put out", || {
        (dropped.get_or_create(&labels).get() >= 1_800).then_some(())
    })
    .await;
}

#[tokio::test]
async fn credentials_that_come_late_or_change_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let settings = WebhookSettings {
        source: "apiserver".to_owned(),
        address: "127.0.0.1:0".parse().unwrap(),
        authentication: WebhookAuthentication::ClientCertificate,
        spool_limit: 64 << 20,
        credentials: folder.path().to_owned(),
    };
    let spool = folder.path().join("spool");
    let metrics = Arc::new(Metrics::new());
    let receiver = WebhookReceiver::start(settings, &spool, || None, Arc::clone(&metrics)).await.unwrap();
    let intake = receiver.intake();
    let trouble = wait_for("the lack to be said", || intake.lock().trouble.clone()).await;
    assert_eq!(trouble.category(), "credentials");
    let authority = Authority::make(Timestamp::now()).unwrap();
    put(folder.path(), &authority);
    let endpoint = Endpoint { folder, authority, receiver, metrics };
    endpoint.send(Some(endpoint.client()), POST, &batch(&[1])).await.unwrap();
    assert!(intake.lock().trouble.is_none());

    let authority = Authority::make(Timestamp::now()).unwrap();
    put(endpoint.folder.path(), &authority);
    let endpoint = Endpoint { authority, ..endpoint };
    let began = std::time::Instant::now();
    while endpoint.send(Some(endpoint.client()), POST, &batch(&[2])).await.is_err() {
        assert!(began.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    endpoint.receiver.stop().await;
}

#[tokio::test]
async fn a_batch_that_cannot_be_stored_is_refused_and_said_until_one_can() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &Authority::make(Timestamp::now()).unwrap());
    let credentials = Credentials::load(folder.path(), WebhookAuthentication::BearerToken).unwrap();
    let (metrics, intake) = (Arc::new(Metrics::new()), SharedIntake::default());
    for (room, status, category) in [(0, 500, Some("store")), (usize::MAX, 200, None)] {
        let mut spool = Spool::open(&folder.path().join("spool"), 64 << 20).unwrap();
        spool.set_room(room);
        let (store, thread) = Store::start(spool, Box::new(|| None), Gauge::default()).unwrap();
        let counted = WebhookMetrics::new(Arc::clone(&metrics), "apiserver");
        let receiving = Receiving::new("apiserver", store, intake.clone(), counted);
        let request =
            Request::post("/audit/apiserver").header("Authorization", format!("Bearer {TOKEN_TEXT}"));
        let request = request.body(Full::<Bytes>::from(batch(&[1]))).unwrap();
        let answer = receiving.answer(request, &credentials, || true).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(intake.lock().trouble.as_ref().map(|trouble| trouble.category()), category);
        drop(receiving);
        thread.join();
    }
}
