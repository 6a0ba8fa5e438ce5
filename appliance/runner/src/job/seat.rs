//! Where a job runs, and what it needs there before it is taken up.
//!
//! Invariants: a number is noted in the folder before a runner without memory could give it to another.
//! On failure: a job without a readable journal, or without ids, is not begun; whoever has its seat
//! ends the supervisor.

use crate::{
    host::{Host, Number},
    journal::{Entry, Journal, JournalError, Memory},
    spin_up::Shape,
    supervised::Supervised,
};
use std::sync::Arc;

/// Where a job runs: a supervisor, perhaps with a sandbox made ahead.
pub(crate) struct Seat {
    pub(crate) supervised: Supervised,
    pub(crate) number: Option<Number>,
    pub(crate) shape: Option<Shape>,
}

/// What a job is taken up with.
pub(crate) struct Ground {
    pub(crate) number: Number,
    pub(crate) journal: Journal,
    pub(crate) memory: Memory,
}

/// Why a job could not be taken up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeUpError {
    /// Its journal cannot be used.
    #[error("could not take up the job")]
    Journal(#[from] JournalError),
    /// More sandboxes live than there are ids for.
    #[error("no range of ids is free for another sandbox")]
    Numbers,
}

impl Seat {
    /// A supervisor that has, or will make, its sandbox for its job.
    pub(crate) const fn bare(supervised: Supervised) -> Self {
        Self { supervised, number: None, shape: None }
    }

    /// Opens the journal and sees to it that the job has a number.
    pub(crate) fn prepare(&mut self, host: &Arc<Host>) -> Result<Ground, TakeUpError> {
        let (mut journal, memory) = Journal::open(&self.supervised.folder().journal())?;
        let number = self.number.take().or_else(|| host.number(memory.number));
        let number = number.ok_or(TakeUpError::Numbers)?;
        if memory.number != Some(number.get())
            && let Err(error) = journal.append(&Entry::Number(number.get()))
        {
            tracing::warn!(%error, "a restart of the runner will not remember the ids of a job");
        }
        Ok(Ground { number, journal, memory })
    }

    /// Removes a seat that no job will have.
    pub(crate) async fn dismiss(self, host: &Arc<Host>) {
        self.supervised.finish().await;
        host.clear(self.supervised.folder().clone()).await;
    }
}
