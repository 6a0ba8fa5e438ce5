//! Why a session with a client ended early, and what the client is told.

use crate::error::Error;
use std::io;

/// The end of a session before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The client asked for something that cannot be given; it is told so.
    #[error("{0}")]
    Refused(String),
    /// The connection broke, or the client sent something that is not Git's protocol.
    #[error("the connection failed")]
    Connection(#[from] io::Error),
    /// The repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] Error),
}

impl Failure {
    /// In words for the client: causes inside this machine stay in its log.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Refused(message) => message.clone(),
            Self::Connection(error) if error.kind() == io::ErrorKind::TimedOut => {
                "nothing was heard for too long; try again".into()
            }
            Self::Connection(error) => format!("the request could not be read: {error}"),
            Self::Repository(error) if error.is_disk_full() => {
                "the disk of the server is full; nothing was changed; ask its operator to make room"
                    .into()
            }
            Self::Repository(
                error @ (Error::NoRepository(_)
                | Error::TooLarge { .. }
                | Error::WrongObject { .. }
                | Error::MissingObject(_)),
            ) => error.to_string(),
            Self::Repository(_) => {
                "the server could not do this; its log says why; nothing was changed".into()
            }
        }
    }
}
