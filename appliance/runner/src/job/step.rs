//! How a step ends, and why one could not be done.

use crate::{control_plane::Trouble, supervised::Gone};
use base::state::StepState;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepEnd {
    pub(crate) state: StepState,
    pub(crate) exit_code: Option<i32>,
}

impl StepEnd {
    pub(crate) const fn success() -> Self {
        Self { state: StepState::Success, exit_code: None }
    }

    pub(super) const fn failed() -> Self {
        Self { state: StepState::Failed, exit_code: None }
    }
}

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// For a reason that the log tells; the job fails.
    #[error("{0}")]
    Failed(String),
    /// For a reason that the log tells already, in its last line; the job fails.
    #[error("the step could not be done")]
    Told(Option<String>),
    /// For a reason of this machine; the job may succeed elsewhere or later.
    #[error("{0}")]
    Infrastructure(String),
    /// The supervisor is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl From<Trouble> for StepError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Rejected { message } => Self::Failed(message),
            other => Self::Infrastructure(other.told()),
        }
    }
}
