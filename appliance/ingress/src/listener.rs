//! Accepts TCP and Unix connections, speaks TLS and HTTP, and drains.
//!
//! Why: one loop for every face of the appliance, so that time-outs, limits and the drain hold
//! everywhere.
//! Invariants: at most [`limits::CONNECTIONS_MAX`] connections; a peer that does not finish its
//! handshake or header in time, or takes no answer, is cut; after [`Drain::start`] no connection is accepted and
//! standing ones end with their current request.
//! On failure: `bind` names the address and, when it is taken, says how to find by whom. Errors
//! of one connection are logged at debug level: strangers cause them.

use crate::{
    leftover::{self, Leftover},
    limits,
    patience::{Patience, Patient},
    timer::OneAlarm,
};
use http::{Request, Response};
use hyper::{body::Body, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

/// Why a listener could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error(
        "{address} is in use by another process: see which with `ss -ltnp`, or choose another in the configuration (`listen`, `s3_listen`, `plain_listen`)"
    )]
    InUse {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Any other refusal.
    #[error(
        "cannot listen on {address}: is it an address of this machine, and may this user take its port?"
    )]
    Bind {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A network client.
    Tcp(SocketAddr),
    /// A process of this machine that could open the socket file.
    Unix,
}

enum Socket {
    Tcp { listener: TcpListener, tls: Option<Arc<ServerConfig>> },
    Unix { listener: UnixListener, path: PathBuf },
}

/// Connections that wait to be taken, as tokio's own choice for other listeners.
const BACKLOG: u32 = 1024;

/// A bound socket that does not accept yet.
pub struct Listener {
    socket: Socket,
    patience: Patience,
}

/// Stops accepting and lets connections end; see [`Drain::start`].
#[derive(Clone)]
pub struct Drain(watch::Sender<bool>);

impl Drain {
    /// A drain that several listeners can share.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Ends intake; [`Listener::serve`] returns once its connections ended or the deadline passed.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    async fn started(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|started| *started).await;
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Listener {
    /// Binds a TCP address; port 0 takes any free port. With `tls` every connection is encrypted.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Self, Error> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| refused(address.to_string(), source))?;
        Ok(Self::of(Socket::Tcp { listener, tls }))
    }

    fn of(socket: Socket) -> Self {
        Self { socket, patience: Patience::default() }
    }

    /// The same with other bounds on slow peers.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Binds a TCP address that this machine may not have yet: those of links that come and go.
    pub fn bind_ahead(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Self, Error> {
        let bind = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            rustix::net::sockopt::set_ip_freebind(&socket, true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let listener = bind().map_err(|source| refused(address.to_string(), source))?;
        Ok(Self::of(Socket::Tcp { listener, tls }))
    }

    /// Binds a Unix socket that only the running user can open. A file left by a dead process is
    /// replaced; the caller holds the data directory's lock, so no living one is robbed.
    pub fn bind_unix(path: &Path) -> Result<Self, Error> {
        let named = |source| refused(path.display().to_string(), source);
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(named(source)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(named)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(named)?;
        Ok(Self::of(Socket::Unix { listener, path: path.into() }))
    }

    /// The TCP address in use, with the real port.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp { listener, .. } => listener.local_addr().ok(),
            Socket::Unix { .. } => None,
        }
    }

    /// What is said passes through TLS, or does not leave the machine.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        !matches!(&self.socket, Socket::Tcp { tls: None, .. })
    }

    /// Serves until `drain` starts, then waits for open connections, at most `deadline`.
    /// `service_for` makes the service of one connection. Returns how many were cut.
    pub async fn serve<S, B>(
        self,
        drain: Drain,
        deadline: Duration,
        service_for: impl Fn(Peer) -> S,
    ) -> usize
    where
        S: Service<Request<Leftover>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let connections = Connections::new(drain.clone(), self.patience);
        loop {
            let permit = connections.permit().await;
            tokio::select! {
                () = drain.started() => break,
                accepted = self.accept() => match accepted {
                    Ok((stream, peer)) => connections.spawn(stream, self.tls(), service_for(peer), permit),
                    Err(error) => wait_out(&error).await,
                },
            }
        }
        if let Socket::Unix { path, .. } = &self.socket {
            let _ = std::fs::remove_file(path);
        }
        drop(self);
        connections.close(deadline).await
    }

    fn tls(&self) -> Option<TlsAcceptor> {
        match &self.socket {
            Socket::Tcp { tls: Some(config), .. } => Some(TlsAcceptor::from(Arc::clone(config))),
            _ => None,
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp { listener, .. } => {
                let (stream, address) = listener.accept().await?;
                // Small frames of a live log must not wait for an acknowledgement.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Socket::Unix { listener, .. } => {
                listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

fn refused(address: String, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse { address, source },
        _ => Error::Bind { address, source },
    }
}

/// Out of descriptors, or a peer that left before it was accepted: the first needs a pause.
async fn wait_out(error: &io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// The connections of one listener.
struct Connections {
    slots: Arc<Semaphore>,
    drain: Drain,
    patience: Patience,
}

impl Connections {
    fn new(drain: Drain, patience: Patience) -> Self {
        Self { slots: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)), drain, patience }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn spawn<S, B>(
        &self,
        stream: Stream,
        tls: Option<TlsAcceptor>,
        service: S,
        permit: OwnedSemaphorePermit,
    ) where
        S: Service<Request<Leftover>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (drain, patience) = (self.drain.clone(), self.patience);
        tokio::spawn(async move {
            let _permit = permit;
            match (stream, tls) {
                (Stream::Tcp(tcp), Some(acceptor)) => {
                    match tokio::time::timeout(limits::HANDSHAKE, acceptor.accept(tcp)).await {
                        Ok(Ok(encrypted)) => {
                            speak_http(Patient::new(encrypted, patience), service, drain).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake took too long"),
                    }
                }
                (Stream::Tcp(tcp), None) => {
                    speak_http(Patient::new(tcp, patience), service, drain).await;
                }
                // Processes of this machine: the local runner waits for work as long as it likes.
                (Stream::Unix(unix), _) => speak_http(unix, service, drain).await,
            }
        });
    }

    /// Waits until every connection gave its slot back; the number still open at the deadline.
    async fn close(self, deadline: Duration) -> usize {
        let all = u32::try_from(limits::CONNECTIONS_MAX).expect("the limit is small");
        match tokio::time::timeout(deadline, self.slots.acquire_many(all)).await {
            Ok(_) => 0,
            Err(_) => limits::CONNECTIONS_MAX - self.slots.available_permits(),
        }
    }
}

async fn speak_http<I, S, B>(io: I, service: S, drain: Drain)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Leftover>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let builder = http_builder();
    let service =
        service_fn(move |request| ServiceExt::oneshot(service.clone(), leftover::of(request)));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.started() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection ended early");
    }
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
