//! Accepts TCP and Unix connections, and drains.
//!
//! Why: one loop for every face of the appliance, so that time-outs, limits and the drain hold
//! everywhere.
//! Invariants: after [`Drain::start`] no connection is accepted and standing ones end with their
//! current request.
//! On failure: `bind` names the address and, when it is taken, says how to find by whom.

use crate::{
    connections::{Connections, Stream},
    lanes::{Intake, Lanes},
    leftover::Leftover,
    patience::Patience,
};
use http::{Request, Response};
use hyper::body::Body;
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
    net::{TcpListener, TcpSocket, UnixListener},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use tower::Service;

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
    lanes: Option<Intake>,
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

    pub(crate) async fn started(&self) {
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
        Self { socket, patience: Patience::default(), lanes: None }
    }

    /// The same with other bounds on slow peers.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The same with its connections on lanes; without them they are on the runtime that serves it.
    #[must_use]
    pub fn with_lanes(self, lanes: &Lanes) -> Self {
        Self { lanes: Some(lanes.intake()), ..self }
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
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let connections = Connections::new(drain.clone(), self.patience, self.lanes.clone());
        loop {
            let permit = connections.permit().await;
            tokio::select! {
                () = drain.started() => break,
                accepted = self.accept() => match accepted {
                    Ok((stream, peer)) => connections.spawn(stream, self.tls(), service_for(peer), permit, peer),
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
                Ok((Stream::Tcp(stream.into_std()?), Peer::Tcp(address)))
            }
            Socket::Unix { listener, .. } => {
                listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), Peer::Unix))
            }
        }
    }
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
