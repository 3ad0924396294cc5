//! Requests to servers that alerts are sent to: each with a timeout, by TLS where the address says so, with credentials
//! that are read anew each time, as a mounted Secret changes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::error::SendError;

/// The file with the authorities that a server's certificate must be of.
const AUTHORITY: &str = "ca.crt";
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, in all.
const ANSWER: Duration = Duration::from_secs(15);
/// How much of an answer is read, so that its connection can be used again.
const ANSWER_BYTES: usize = 64 << 10;
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);
/// The longest time that a receiver may ask for before it is asked again.
const LONGEST_WISH: Duration = Duration::from_hours(1);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

type Connection = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client with the credentials of one folder.
pub(super) struct Http {
    credentials: Option<PathBuf>,
    /// The client, and the authorities that it was made with.
    made: Option<(Option<Vec<u8>>, Connection)>,
}

impl Http {
    /// A client with the files of this folder; without, it trusts Mozilla's authorities and shows no credential.
    pub(super) fn new(credentials: Option<PathBuf>) -> Self {
        Self { credentials, made: None }
    }

    /// The path of a credential.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.credentials.as_deref().unwrap_or(Path::new("")).join(name)
    }

    /// What a credential's file holds; none where it is not there.
    pub(super) fn credential(&self, name: &str) -> Result<Option<Vec<u8>>, SendError> {
        if self.credentials.is_none() {
            return Ok(None);
        }
        let path = self.path(name);
        // A mounted Secret is in memory: this does not wait for a disk.
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SendError::Read { path, source }),
        }
    }

    /// What a credential's file holds as text, without the line break at its end.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, SendError> {
        let Some(bytes) = self.credential(name)? else { return Ok(None) };
        let wrong = "what is not text";
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| SendError::Credential { path: self.path(name), wrong })?;
        Ok(Some(text.trim_end().to_owned()))
    }

    /// Posts a body; success is a 2xx. A redirect is not followed.
    pub(super) async fn post(
        &mut self,
        uri: &Uri,
        content_type: &'static str,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<(), SendError> {
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let client = self.client()?;
        let agent = concat!("tripline/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let mut request = Request::post(uri.clone()).body(Full::new(Bytes::from(body))).unwrap_or_default();
        *request.headers_mut() = headers;
        let answered = tokio::time::timeout(ANSWER, async {
            let response = client.request(request).await?;
            let (status, retry_after) = (response.status(), retry_after(&response, Timestamp::now()));
            // What it says is of no interest, and whether it arrives neither.
            drop(Limited::new(response.into_body(), ANSWER_BYTES).collect().await);
            Ok((status, retry_after))
        });
        match answered.await {
            Err(_) => Err(SendError::TimedOut { host, limit: ANSWER }),
            Ok(Err(source)) => Err(SendError::Unreachable { host, source }),
            Ok(Ok((status, _))) if status.is_success() => Ok(()),
            Ok(Ok((status, retry_after))) => Err(SendError::Answered { host, status, retry_after }),
        }
    }

    fn client(&mut self) -> Result<Connection, SendError> {
        let authorities = self.credential(AUTHORITY)?;
        if let Some((of, client)) = &self.made
            && *of == authorities
        {
            return Ok(client.clone());
        }
        let client = connection(self.roots(authorities.as_deref())?);
        self.made = Some((authorities, client.clone()));
        Ok(client)
    }

    fn roots(&self, authorities: Option<&[u8]>) -> Result<RootCertStore, SendError> {
        let mut roots = RootCertStore::empty();
        let Some(pem) = authorities else {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            return Ok(roots);
        };
        let path = || self.path(AUTHORITY);
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|source| SendError::Pem { path: path(), source })?;
            roots.add(certificate).map_err(|source| SendError::Authority { path: path(), source })?;
        }
        if roots.is_empty() {
            return Err(SendError::Credential { path: path(), wrong: "no certificate" });
        }
        Ok(roots)
    }
}

fn connection(roots: RootCertStore) -> Connection {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    #[allow(clippy::expect_used, reason = "ring has ciphers for the default versions of TLS")]
    let builder = builder.with_safe_default_protocol_versions().expect("ring knows TLS 1.2 and 1.3");
    let tls = builder.with_root_certificates(roots).with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1)
        .build(connector.wrap_connector(tcp))
}

/// When the receiver wants to be asked again: in so many seconds, or at a time.
fn retry_after(response: &Response<Incoming>, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    wish(text, now)
}

fn wish(text: &str, now: Timestamp) -> Option<Duration> {
    let wait = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
            at.duration_since(now).try_into().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WISH))
}

/// How long to wait after this many failures in a row: twice as long each time, and not the same for everybody.
pub(super) fn backoff(failures: u32) -> Duration {
    let longest =
        Duration::from_secs(1).saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_WAIT);
    let mut random = [0];
    // Without random numbers all wait the longest.
    let part = getrandom::fill(&mut random).map_or(u8::MAX, |()| random[0]);
    longest / 2 + (longest / 2) * u32::from(part) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_seconds_or_a_time_and_has_an_end() {
        let now = Timestamp::from_second(1_445_412_440).unwrap();
        assert_eq!(wish("120", now), Some(Duration::from_mins(2)));
        assert_eq!(wish("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(40)));
        assert_eq!(wish("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(wish("999999999", now), Some(LONGEST_WISH));
        assert_eq!(wish("soon", now), None);
    }

    #[test]
    fn waits_grow_to_a_minute() {
        for (failures, longest) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1_000, 60)] {
            let (wait, longest) = (backoff(failures), Duration::from_secs(longest));
            assert!(wait <= longest && wait >= longest / 2, "{wait:?} after {failures}");
        }
    }

    #[tokio::test]
    async fn a_server_of_another_authority_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), "nothing").unwrap();
        let mut http = Http::new(Some(folder.path().to_owned()));
        let uri = Uri::from_static("https://127.0.0.1:1/");
        let error = http.post(&uri, "text/plain", HeaderMap::new(), Vec::new()).await.unwrap_err();
        assert_eq!(
            (error.category(), error.to_string().contains("ca.crt holds no certificate")),
            ("credentials", true)
        );
        std::fs::remove_file(folder.path().join("ca.crt")).unwrap();
        let error = http.post(&uri, "text/plain", HeaderMap::new(), Vec::new()).await.unwrap_err();
        assert_eq!((error.category(), &*error.to_string()), ("unreachable", "failed to reach 127.0.0.1:1"));
    }
}
