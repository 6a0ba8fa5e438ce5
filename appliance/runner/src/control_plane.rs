//! What a job asks of the side that gave it: the seam between a job and its control.
//!
//! Why a trait: the same driver runs jobs for a server (over HTTP, [`crate::client`]) and for
//! `appliance run`, which has no server ([`crate::local`]).
//! Invariants: every call may be repeated; a [`Trouble::Refused`] must not be.
//! On failure: [`Trouble`] says whether asking again can help.

use base::{
    ids::{Fence, TaskId},
    protocol::{
        CacheHit, Held, ImageSource, Presigned, Refusal, Report, Reported, StoreConfirm,
        StoreRequest, StoreTarget, Workspace,
    },
};
use bytes::Bytes;
use std::{future::Future, path::Path};

/// Why the control side did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It said no, for a reason that the protocol knows.
    #[error("the control plane refused: {0}")]
    Refused(#[from] Refusal),
    /// It said no, for a reason that a person should read; asking again does not help.
    #[error("{message}")]
    Rejected {
        /// What it said.
        message: String,
    },
    /// It could not be reached, or failed itself; asking again later may help.
    #[error("could not {attempt}")]
    Link {
        /// What was tried, as a fragment that completes "could not".
        attempt: String,
        /// What stood in the way.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of this machine could not be read or written.
    #[error("could not {attempt}")]
    File {
        /// What was tried, with the path.
        attempt: String,
        /// What stood in the way.
        source: std::io::Error,
    },
}

impl Trouble {
    /// The trouble and its causes, in one line for a log.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        text
    }
}

/// One held task, as every call names it.
#[must_use]
pub const fn held(task: TaskId, fence: Fence) -> Held {
    Held { task, fence }
}

/// What a running job asks for.
pub trait ControlPlane: Send + Sync + 'static {
    /// Whether a job goes on when the process that drives it is gone: another will take it up.
    const JOBS_OUTLIVE: bool;

    /// Tells progress; the answer says whether the job is to go on, and may bring the next.
    fn report(&self, report: &Report) -> impl Future<Output = Result<Reported, Trouble>> + Send;

    /// Appends step output at `offset`.
    fn output(
        &self,
        task: Held,
        step: u32,
        offset: u64,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Asks where to store an object.
    fn store(
        &self,
        task: Held,
        request: &StoreRequest,
    ) -> impl Future<Output = Result<StoreTarget, Trouble>> + Send;

    /// Tells that the object is stored.
    fn confirm(
        &self,
        task: Held,
        confirm: &StoreConfirm,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Looks for a cache by evaluated keys.
    fn cache(
        &self,
        task: Held,
        keys: &[String],
    ) -> impl Future<Output = Result<Option<CacheHit>, Trouble>> + Send;

    /// The workspace layers of all jobs upstream.
    fn workspace(&self, task: Held) -> impl Future<Output = Result<Workspace, Trouble>> + Send;

    /// An image of the local store.
    fn image(
        &self,
        task: Held,
        reference: &str,
    ) -> impl Future<Output = Result<ImageSource, Trouble>> + Send;

    /// Writes the commit's files as a tar archive to `into`.
    fn checkout(&self, task: Held, into: &Path)
    -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Writes what the job's tests took before, as JSON for `tests split`, to `into`.
    fn timings(&self, task: Held, into: &Path) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Fetches an object into the file `into`.
    fn get(
        &self,
        from: &Presigned,
        into: &Path,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Stores `size` bytes of the file `from`, beginning at `offset`.
    fn put(
        &self,
        to: &Presigned,
        from: &Path,
        offset: u64,
        size: u64,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;
}
