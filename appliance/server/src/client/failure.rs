//! Why a command could not do its work.

use http::StatusCode;

/// Why a command could not do its work, with its exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Exit code 7.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// As given or found.
        address: String,
        /// What failed, with a remedy.
        why: String,
    },
    /// Exit code 2.
    #[error("{what}: {why}")]
    Unusable {
        /// The flag or variable.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Exit code 2.
    #[error("`{path}` cannot be asked for: a name in it has characters that no name here has")]
    Unaskable {
        /// What would have been asked.
        path: String,
    },
    /// Exit codes 2, 3, 4, or 1.
    #[error("{message}")]
    Answered {
        /// Of the answer.
        status: StatusCode,
        /// As the server said it.
        message: String,
    },
    /// Exit code 1.
    #[error("the answer to {path} is not what was expected")]
    Strange {
        /// What was asked.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Failure {
    /// As documented in [`crate::cli`].
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => 7,
            Self::Answered { status, .. } => match *status {
                StatusCode::BAD_REQUEST => 2,
                StatusCode::NOT_FOUND => 3,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => 4,
                _ => 1,
            },
            Self::Unusable { .. } | Self::Unaskable { .. } => 2,
            Self::Strange { .. } => 1,
        }
    }
}
