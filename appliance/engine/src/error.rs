//! What the engine answers when it cannot do what was asked.

use base::protocol::Refusal;
use control::rerun;

/// A request was not carried out; nothing of it remains.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The named thing does not exist.
    #[error("{0} not found.")]
    Missing(&'static str),
    /// The request does not fit what the thing is now; the text is for the one who asked.
    #[error("{0}")]
    Conflict(String),
    /// A rerun was refused.
    #[error(transparent)]
    Rerun(#[from] rerun::Refused),
    /// A runner's write was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much waits already.
    #[error("too many jobs wait for a runner: try again when some have run, or cancel some")]
    Busy,
    /// The store failed.
    #[error("the change could not be stored")]
    Store(#[from] store::Error),
    /// The service is going down.
    #[error("the service is stopping: try again in a moment")]
    Stopping,
}
