//! Carries accepted connections: TLS, HTTP, and the bounds on both.
//!
//! Invariants: at most [`limits::CONNECTIONS_MAX`] connections of one listener; a peer that does not
//! finish its handshake or header in time, or takes no answer, is cut.
//! On failure: errors of one connection are logged at debug level: strangers cause them.

use crate::{
    calls::Calls,
    crowd::{Crowd, Place},
    lanes::Intake,
    leftover::{self, Leftover},
    limits,
    listener::{Drain, Peer},
    patience::{Patience, Patient},
    taking::{Awaited, Taking},
    timer::OneAlarm,
};
use http::{Request, Response, Version};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

pub(crate) enum Stream {
    /// Of no runtime yet.
    Tcp(std::net::TcpStream),
    Unix(UnixStream),
}

/// The connections of one listener.
pub(crate) struct Connections {
    slots: Arc<Semaphore>,
    crowd: Crowd,
    drain: Drain,
    patience: Patience,
    lanes: Option<Intake>,
}

impl Connections {
    pub(crate) fn new(drain: Drain, patience: Patience, lanes: Option<Intake>) -> Self {
        let slots = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        Self { slots, crowd: Crowd::default(), drain, patience, lanes }
    }

    pub(crate) async fn permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed")
    }

    pub(crate) fn spawn<S, B>(
        &self,
        stream: Stream,
        tls: Option<TlsAcceptor>,
        service: S,
        permit: OwnedSemaphorePermit,
        peer: Peer,
    ) where
        S: Service<Request<Leftover>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(place) = self.place(peer, tls.is_some()) else {
            return tracing::debug!(?peer, "it holds as many connections as one peer may");
        };
        let (drain, patience) = (self.drain.clone(), self.patience);
        let connection = async move {
            let _held = (permit, place);
            if let Err(error) = carry(stream, tls, service, patience, drain).await {
                tracing::debug!(%error, "a connection could not be taken");
            }
        };
        match &self.lanes {
            Some(lanes) => lanes.spawn(connection),
            None => drop(tokio::spawn(connection)),
        }
    }

    /// Without TLS the peer is a proxy, which stands for many.
    fn place(&self, peer: Peer, is_encrypted: bool) -> Option<Option<Place>> {
        match peer {
            Peer::Tcp(address) if is_encrypted => self.crowd.enter(address.ip()).map(Some),
            _ => Some(None),
        }
    }

    /// Waits until every connection gave its slot back; the number still open at the deadline.
    pub(crate) async fn close(self, deadline: Duration) -> usize {
        let all = u32::try_from(limits::CONNECTIONS_MAX).expect("the limit is small");
        match tokio::time::timeout(deadline, self.slots.acquire_many(all)).await {
            Ok(_) => 0,
            Err(_) => limits::CONNECTIONS_MAX - self.slots.available_permits(),
        }
    }
}

/// One connection to its end.
async fn carry<S, B>(
    stream: Stream,
    tls: Option<TlsAcceptor>,
    service: S,
    patience: Patience,
    drain: Drain,
) -> io::Result<()>
where
    S: Service<Request<Leftover>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match (stream, tls) {
        (Stream::Tcp(tcp), Some(acceptor)) => {
            let accepting = acceptor.accept(TcpStream::from_std(tcp)?);
            let encrypted = tokio::time::timeout(limits::HANDSHAKE, accepting).await??;
            speak_to(Patient::new(encrypted, patience), service, drain).await;
        }
        (Stream::Tcp(tcp), None) => {
            speak_to(Patient::new(TcpStream::from_std(tcp)?, patience), service, drain).await;
        }
        // Processes of this machine: the local runner waits for work as long as it likes.
        (Stream::Unix(unix), _) => speak_http(unix, None, service, drain).await,
    }
    Ok(())
}

async fn speak_to<I, S, B>(io: Patient<I>, service: S, drain: Drain)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Leftover>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let taking = io.taking();
    speak_http(io, Some(taking), service, drain).await;
}

async fn speak_http<I, S, B>(io: I, taking: Option<Arc<Taking>>, service: S, drain: Drain)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Leftover>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let builder = http_builder();
    let (calls, stranger) = (Calls::new(), taking.clone());
    let counted = Arc::clone(&calls);
    let service = service_fn(move |request: Request<Incoming>| {
        // On HTTP/1 an answer waits for nothing but the socket.
        let is_http2 = request.version() == Version::HTTP_2;
        let (taking, call) =
            (taking.clone().filter(|_| is_http2), is_http2.then(|| counted.begin()));
        let answer = ServiceExt::oneshot(service.clone(), leftover::of(request));
        async move {
            let awaited = |body| Awaited::new(body, taking, call);
            Ok::<_, Infallible>(answer.await?.map(awaited))
        }
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.started() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = rested(&calls, stranger.as_deref()) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                // One that asks once more in that moment is served.
                () = calls.over(limits::LEFTOVER, limits::LEFTOVER) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection ended early");
    }
}

/// Completes when a peer that is a stranger has asked for nothing for too long over HTTP/2. HTTP/1 has
/// bounds of its own, and nothing of it is counted.
async fn rested(calls: &Calls, stranger: Option<&Taking>) {
    if let Some(taking) = stranger {
        let patience = taking.patience();
        calls.over(patience.first, patience.rest).await;
        if !taking.is_http1() {
            return;
        }
    }
    std::future::pending().await
}

fn http_builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(OneAlarm::new())
        .header_read_timeout(limits::HEADER_READ)
        .max_buf_size(limits::HEADER_BYTES.max(8192))
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits::HEADER_BYTES).expect("the limit is small"))
        .max_pending_accept_reset_streams(limits::RESETS_MAX)
        .keep_alive_interval(limits::KEEP_ALIVE)
        .keep_alive_timeout(limits::KEEP_ALIVE);
    builder
}
