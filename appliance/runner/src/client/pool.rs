//! Connections to the control plane, kept for the next request.
//!
//! Invariants: at most [`IDLE_MAX`] connections wait; a request is sent a second time only when
//! its connection had been waiting and broke before any answer, which the protocol allows.

use super::Body;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};
use tokio::net::UnixStream;

/// More than a claim, a heartbeat and two lanes of each of a few jobs need at one time.
const IDLE_MAX: usize = 8;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PoolError {
    /// Nobody listens.
    #[error("could not connect to {path}")]
    Connect { path: PathBuf, source: std::io::Error },
    /// The connection broke.
    #[error("the connection broke")]
    Talk(#[from] hyper::Error),
    /// The request could not be written down.
    #[error("the request is malformed")]
    Request(#[from] http::Error),
    /// The answer is longer than any that makes sense.
    #[error("the answer is too long")]
    TooLong,
    /// The answer broke off.
    #[error("the answer could not be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub(super) type Connection = SendRequest<Body>;

pub(super) struct Pool {
    socket: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) const fn new(socket: PathBuf) -> Self {
        Self { socket, idle: Mutex::new(Vec::new()) }
    }

    /// Sends a request; the connection is to be given back when the answer was read.
    pub(super) async fn send(
        &self,
        request: impl Fn() -> http::Result<Request<Body>>,
    ) -> Result<(Response<Incoming>, Connection), PoolError> {
        while let Some(mut connection) = self.take() {
            if connection.ready().await.is_err() {
                continue;
            }
            if let Ok(response) = connection.send_request(request()?).await {
                return Ok((response, connection));
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(request()?).await?;
        Ok((response, connection))
    }

    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !connection.is_closed() && idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn connect(&self) -> Result<Connection, PoolError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| PoolError::Connect { path: self.socket.clone(), source })?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // Its end is seen by whoever uses the connection.
            let _ = driver.await;
        });
        Ok(connection)
    }
}
