//! Answering a request: 200 once every record of the batch is in the spool, and never before.
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::credentials::Credentials;
use super::records::{Batch, NotABatch, Record};
use super::spool::Stored;
use super::store::Store;
use super::{SharedIntake, WebhookError, WebhookMetrics};

/// How long a request may take; kube-apiserver waits as long.
const DEADLINE: Duration = Duration::from_secs(30);
/// The largest body. kube-apiserver sends 400 records at once unless told otherwise, most of them some kilobytes.
const MAX_BODY: u64 = 512 << 20;
/// How much is handed to the spool at once. Most batches are smaller.
const PIECE: usize = 1 << 20;
/// After how many seconds a batch is to be sent again when the spool was full.
const RETRY_SECONDS: u16 = 5;
/// How many requests are read at once.
const REQUESTS: usize = 32;
/// How many of them may hold more than a piece: what a long record takes is bounded by them.
const LARGE: usize = 4;

/// What requests are answered with.
pub(super) struct Receiving {
    pub(super) path: String,
    pub(super) store: Store,
    pub(super) intake: SharedIntake,
    pub(super) metrics: WebhookMetrics,
    pub(super) requests: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("no token, or not the right one")]
    Unauthenticated,
    #[error("there is nothing here: the batches of a source go to /audit/ and its name")]
    NotFound,
    #[error("send a batch by POST")]
    Method,
    #[error("send it as it is: no encoding of the content is understood")]
    Encoding,
    #[error("the batch is larger than {MAX_BODY} bytes; set --audit-webhook-batch-max-size lower")]
    TooLarge,
    #[error(transparent)]
    NotABatch(#[from] NotABatch),
    #[error("the batch was not whole after {} seconds", DEADLINE.as_secs())]
    Slow,
    #[error("the connection ended in the middle of the batch")]
    Interrupted,
    #[error("the spool is full: judging is behind; send it again")]
    Full,
    #[error("the spool could not be written; send it again")]
    Failed,
    #[error("too many connections")]
    Crowded,
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotABatch(_) | Self::Interrupted => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Full => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word it is counted under.
    fn category(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::NotFound | Self::Method | Self::Encoding => "not_found",
            Self::TooLarge => "too_large",
            Self::NotABatch(_) => "malformed",
            Self::Slow => "slow",
            Self::Interrupted => "interrupted",
            Self::Full => "full",
            Self::Failed => "failed",
            Self::Crowded => "crowded",
        }
    }
}

impl Receiving {
    pub(super) fn new(source: &str, store: Store, intake: SharedIntake, metrics: WebhookMetrics) -> Self {
        Self {
            path: format!("/audit/{source}"),
            store,
            intake,
            metrics,
            requests: Arc::new(Semaphore::new(REQUESTS)),
            large: Arc::new(Semaphore::new(LARGE)),
        }
    }

    /// Answers a request. `prove` is told that the sender may come in, and says whether there is a place for him.
    pub(super) async fn answer<B>(
        &self,
        request: Request<B>,
        credentials: &Credentials,
        prove: impl FnOnce() -> bool,
    ) -> Result<Response<Full<Bytes>>, Infallible>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let began = Instant::now();
        let result = self.take(request, credentials, prove).await;
        Ok(match result {
            Ok(()) => {
                // While batches come there is no other trouble than that they cannot be stored.
                self.intake.say(None);
                self.metrics.count("accepted");
                self.metrics.answer_seconds.observe(began.elapsed().as_secs_f64());
                Response::new(Full::default())
            }
            Err(refused) => {
                self.metrics.count(refused.category());
                match refused {
                    Refused::Full => self.intake.lock().full = Some(Timestamp::now()),
                    Refused::Failed => self.intake.say(Some(WebhookError::Store)),
                    _ => {}
                }
                tracing::debug!(path = self.path, %refused, "a batch was not taken");
                response(refused)
            }
        })
    }

    async fn take<B>(
        &self,
        request: Request<B>,
        credentials: &Credentials,
        prove: impl FnOnce() -> bool,
    ) -> Result<(), Refused>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if !credentials.admit(request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes)) {
            return Err(Refused::Unauthenticated);
        }
        if !prove() {
            return Err(Refused::Crowded);
        }
        if request.uri().path() != self.path {
            return Err(Refused::NotFound);
        }
        if request.method() != Method::POST {
            return Err(Refused::Method);
        }
        if request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Refused::Encoding);
        }
        if request.body().size_hint().lower() > MAX_BODY {
            return Err(Refused::TooLarge);
        }
        let receive = async {
            // It is never closed.
            let _permit = self.requests.acquire().await;
            self.receive(request.into_body()).await
        };
        tokio::time::timeout(DEADLINE, receive).await.unwrap_or(Err(Refused::Slow))
    }

    async fn receive<B>(&self, mut body: B) -> Result<(), Refused>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut batch = Batch::new();
        let mut lines = Vec::new();
        let mut size = 0;
        let mut large: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Err(Refused::Interrupted) };
            let Ok(bytes) = frame.into_data() else { continue };
            size += bytes.len() as u64;
            if size > MAX_BODY {
                return Err(Refused::TooLarge);
            }
            let pushed = batch.push(&bytes, &mut |record| self.add(record, &mut lines));
            if lines.len() >= PIECE {
                self.store(std::mem::take(&mut lines)).await?;
            }
            pushed?;
            if batch.held() < PIECE {
                large = None;
            } else if large.is_none() {
                large = Arc::clone(&self.large).acquire_owned().await.ok();
            }
        }
        // What was whole before the batch broke off is kept: its records cannot be told from others later.
        let finished = batch.finish();
        self.store(lines).await?;
        Ok(finished?)
    }

    fn add(&self, record: Record, lines: &mut Vec<u8>) {
        let line = match record {
            Record::Whole(line) | Record::Lost(line) => line,
            Record::Oversized(line) => {
                self.metrics.oversized_records.inc();
                line
            }
        };
        lines.extend_from_slice(&line);
        lines.push(b'\n');
    }

    async fn store(&self, lines: Vec<u8>) -> Result<(), Refused> {
        if lines.is_empty() {
            return Ok(());
        }
        match self.store.store(lines).await {
            Stored::Durable { repeated } => {
                self.metrics.repeated_records.inc_by(repeated);
                Ok(())
            }
            Stored::Full => Err(Refused::Full),
            Stored::Failed => Err(Refused::Failed),
        }
    }
}

/// The text is for kube-apiserver's log, which shows it.
fn response(refused: Refused) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{refused}\n")));
    *response.status_mut() = refused.status();
    let headers = response.headers_mut();
    match refused {
        Refused::Unauthenticated => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Refused::Method => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        Refused::Full => {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        Refused::Crowded => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}
