//! The endpoint: who may connect, how many, for how long.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::credentials::{Credentials, end_of};
use super::newcomers::{Newcomer, Newcomers};
use super::request::Receiving;
use super::{WebhookError, WebhookSettings};

/// How often the credentials are read again.
const REREAD_INTERVAL: Duration = Duration::from_secs(10);
/// How often listening is tried.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How many connections of senders that proved themselves are kept.
const CONNECTIONS: usize = 512;
/// How long such a connection may send nothing, or take over the head of a request.
const IDLE: Duration = Duration::from_mins(1);
/// How much of a request's head is read.
const HEAD: usize = 16 << 10;
/// How long requests on their way may take when listening ends.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Listens for a source.
pub(super) struct Listener {
    pub(super) settings: WebhookSettings,
    pub(super) receiving: Arc<Receiving>,
    newcomers: Newcomers,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    /// Ends what did not end in time after the stop.
    abort: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    pub(super) fn new(settings: WebhookSettings, receiving: Receiving, stop: CancellationToken) -> Self {
        Self {
            settings,
            receiving: Arc::new(receiving),
            newcomers: Newcomers::default(),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            stop,
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Listens until told to stop. What keeps it from listening is said and tried again.
    pub(super) async fn run(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            match self.open().await {
                Ok((listener, credentials)) => Arc::clone(&self).accept(listener, credentials).await,
                Err(error) => {
                    self.receiving.intake.say(Some(error));
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = tokio::time::sleep(RETRY_INTERVAL) => {}
                    }
                }
            }
        }
        self.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                source = self.settings.source,
                "some batches did not end in time; they are sent again"
            );
            self.abort.cancel();
            self.tasks.wait().await;
        }
    }

    async fn open(&self) -> Result<(TcpListener, Credentials), WebhookError> {
        let credentials = self.credentials()?;
        let address = self.settings.address;
        let listener =
            TcpListener::bind(address).await.map_err(|source| WebhookError::Listen { address, source })?;
        Ok((listener, credentials))
    }

    fn credentials(&self) -> Result<Credentials, WebhookError> {
        Ok(Credentials::load(&self.settings.credentials, self.settings.authentication)?)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, mut credentials: Credentials) {
        self.receiving.intake.say(None);
        self.receiving.intake.lock().address = listener.local_addr().ok();
        let (source, address) = (&self.settings.source, self.settings.address);
        tracing::info!(source, %address, "listening for batches");
        let mut reread = tokio::time::interval(REREAD_INTERVAL);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = reread.tick() => match self.credentials() {
                    Ok(new) if new.is_same(&credentials) => {}
                    Ok(new) => {
                        tracing::info!(source, "the credentials have changed; connections from now on have the new ones");
                        credentials = new;
                    }
                    // They may be half written. The old ones are as good as they were.
                    Err(error) => tracing::warn!(source, %error, "the credentials cannot be read again"),
                },
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.welcome(stream, peer, credentials.clone()),
                    Err(error) => {
                        // Of the one connection, or because no descriptor is left: then a moment helps.
                        tracing::warn!(source, %error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
            }
        }
    }

    fn welcome(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, credentials: Credentials) {
        let (newcomer, is_crowded) = self.newcomers.enter();
        if is_crowded {
            self.receiving.metrics.put_out.inc();
        }
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let result = tokio::select! {
                result = this.serve(stream, &newcomer, credentials) => result,
                () = this.abort.cancelled() => Err("listening ended".into()),
                () = newcomer.must_go() => Err("it did not show in time that it may come in".into()),
            };
            this.newcomers.leave(&newcomer);
            if let Err(error) = result {
                tracing::debug!(source = this.settings.source, %peer, error, "a connection ended early");
            }
        });
    }

    async fn serve(
        &self,
        stream: TcpStream,
        newcomer: &Arc<Newcomer>,
        credentials: Credentials,
    ) -> Result<(), String> {
        // Answers are short, and in blocking mode somebody's request waits for each.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let acceptor = TlsAcceptor::from(Arc::clone(&credentials.tls));
        let stream = acceptor.accept(stream).await.map_err(|error| error.to_string())?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        if let Some(end) = certificate.and_then(end_of) {
            self.receiving.intake.lock().credential_end = Some(end);
        }
        let place = std::sync::OnceLock::new();
        let prove = || {
            if newcomer.prove() {
                self.newcomers.leave(newcomer);
                if let Ok(taken) = Arc::clone(&self.places).try_acquire_owned() {
                    place.get_or_init(|| taken);
                }
            }
            place.get().is_some()
        };
        let service = service_fn(|request| self.receiving.answer(request, &credentials, prove));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            result = connection.as_mut() => return result.map_err(|error| error.to_string()),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await.map_err(|error| error.to_string())
    }
}
