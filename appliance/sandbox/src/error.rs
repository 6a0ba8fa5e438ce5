//! What can fail in this room.

use std::{io, path::PathBuf};

/// An attempt that failed; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller has more than one thread, so that a clone could hang.
    #[error("a sandbox must be made by a process with one thread; this one has {threads}")]
    ManyThreads {
        /// How many.
        threads: usize,
    },
    /// A value of the [`crate::Spec`] or [`crate::Exec`] cannot be used.
    #[error("{field} of the sandbox cannot be `{value}`: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why, and what would do.
        reason: &'static str,
    },
    /// A file or directory of the host could not be used.
    #[error("cannot {action} {path}")]
    Path {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The kernel refused a building block.
    #[error("cannot {action}{hint}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// Empty, or what to do about it.
        hint: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A program could not be started inside.
    #[error("cannot start `{program}` in the job: {stage} failed")]
    Start {
        /// The program.
        program: String,
        /// What failed: `exec`, `working directory` …
        stage: String,
        /// The cause.
        source: io::Error,
    },
    /// Building the sandbox failed inside of it.
    #[error("cannot build the sandbox: {stage} failed")]
    Inside {
        /// What failed, with its path.
        stage: String,
        /// The cause.
        source: io::Error,
    },
    /// Everything inside is paused, init too.
    #[error("the sandbox is frozen: thaw it first")]
    Frozen,
    /// Init is gone: it was killed, or ran out of memory.
    #[error("the sandbox is gone")]
    Lost,
}

impl Error {
    /// For `map_err`: an attempt on a path.
    pub(crate) fn path<E: Into<io::Error>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Path { action, path, source: source.into() }
    }

    /// For `map_err`: a refused building block without a remedy.
    pub(crate) fn kernel<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Kernel { action, hint: "", source: source.into() }
    }
}
