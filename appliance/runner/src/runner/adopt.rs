//! Taking up what an earlier runner left behind.
//!
//! The cases, for each folder: a living supervisor with a job is taken up; a job whose supervisor
//! is gone is reported as an infrastructure failure; a folder without a job is removed. Sandboxes
//! that nobody owns are swept.
//! Invariants: what is left is held, with its slot and its ids, before anything is asked, so that
//! leases are renewed meanwhile and new work takes nothing from it; neither new work nor other folders
//! wait for one that does not answer; a supervisor that does not greet within [`GREETING_MAX`] is
//! killed, because nobody can end its job otherwise.

use super::Runner;
use crate::{
    control_plane::{ControlPlane, Trouble},
    folder::Folder,
    host::Number,
    job::{Order, Seat, now},
    journal::{Entry, Journal, Memory},
    mask::Patterns,
    outbox::Outbox,
    supervised::{GREETING_MAX, Gone, Supervised},
};
use base::{
    protocol::{Assignment, Held, Progress, Refusal},
    state::{StepState, TaskOutcome},
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Later than every report: the refusal tells which number is next.
const UNKNOWN: u64 = u64::MAX;

impl Runner {
    /// Holds every job that is left, and begins to take it up.
    pub(super) fn adopt_all(self: &Arc<Self>) {
        for folder in Folder::all(&self.host.jobs()) {
            let assignment = folder.assignment().unwrap_or_else(|error| {
                tracing::error!(%error, "a job that cannot be read is dropped");
                None
            });
            let (runner, number) = (self.clone(), self.number_of(&folder));
            match assignment {
                Some(assignment) => {
                    let orders = self.hold(&assignment);
                    let slot = self.slots.clone().try_acquire_owned().ok();
                    self.spawn(runner.adopt(folder, assignment, number, orders, slot));
                }
                None => self.spawn(async move { runner.dismiss_unused(folder, number).await }),
            }
        }
    }

    /// The ids that the sandbox of a folder has, if it has any.
    fn number_of(&self, folder: &Folder) -> Option<Number> {
        // One that cannot be read is told of when the job is taken up.
        let (_, memory) = Journal::open(&folder.journal()).ok()?;
        self.host.number(Some(memory.number?))
    }

    async fn adopt(
        self: Arc<Self>,
        folder: Folder,
        assignment: Assignment,
        number: Option<Number>,
        orders: watch::Receiver<Order>,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        let task = assignment.task;
        match Supervised::attach(folder.clone(), GREETING_MAX).await {
            Ok(supervised) => {
                tracing::info!(%task, "a running job is taken up");
                let seat = Seat { number, ..Seat::bare(supervised) };
                self.drive(assignment, seat, orders, slot).await;
            }
            Err(Gone) => {
                drop(slot);
                self.bury(folder, &assignment).await;
                self.release(task);
            }
        }
    }

    /// Tells the end of a job whose supervisor is gone: what it had told and not yet delivered,
    /// and that it was lost.
    async fn bury(&self, folder: Folder, assignment: &Assignment) {
        let held = Held { task: assignment.task, fence: assignment.fence };
        let (journal, memory) = match Journal::open(&folder.journal()) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "the end of a lost job cannot be told");
                return self.host.clear(folder).await;
            }
        };
        let outbox = Outbox::new(folder.clone(), held, Patterns::new([]), journal, &memory);
        if !memory.reports.iter().any(|report| matches!(report, Progress::Ended { .. })) {
            end_open_steps(&outbox, &memory);
            outbox.report(lost("the supervisor of the job was lost"));
        }
        outbox.deliver(&*self.client, false).await;
        self.host.clear(folder).await;
    }

    /// Ends a supervisor that never got a job, and removes its folder; its ids are its own until then.
    async fn dismiss_unused(&self, folder: Folder, _number: Option<Number>) {
        Supervised::dismiss(&self.host, folder).await;
    }

    /// Reports a job that never began, or of which nobody here knows how far it came.
    pub(super) async fn report_unstartable(&self, assignment: &Assignment, why: &str) {
        let report = |first| base::protocol::Report {
            task: assignment.task,
            fence: assignment.fence,
            first,
            progress: vec![lost(why)],
            wants_next: false,
        };
        let mut told = self.client.report(&report(UNKNOWN)).await;
        if let Err(Trouble::Refused(Refusal::Gap { expected })) = told {
            told = self.client.report(&report(expected)).await;
        }
        // If it does not arrive, the lease runs out.
        if let Err(trouble) = told {
            tracing::warn!(
                error = trouble.told(),
                "a job that could not be started could not be reported"
            );
        }
    }
}

/// Steps that were begun and will never end by themselves.
fn end_open_steps(outbox: &Outbox, memory: &Memory) {
    let ended = |number: u32| {
        let ends = |report: &Progress| matches!(report, Progress::StepEnded { step, .. } if *step == number);
        memory.reports.iter().any(ends)
    };
    for report in &memory.reports {
        if let Progress::StepStarted { step, .. } = report
            && !ended(*step)
        {
            let output_bytes = outbox.length(*step);
            let (state, at) = (StepState::Canceled, now());
            outbox.report(Progress::StepEnded {
                step: *step,
                state,
                exit_code: None,
                at,
                output_bytes,
                rest: Vec::new(),
            });
        }
    }
    outbox.note(&Entry::Halted);
}

fn lost(why: &str) -> Progress {
    let outcome = TaskOutcome::InfrastructureFail;
    Progress::Ended { outcome, message: Some(why.to_owned()), peak_memory: None, at: now() }
}
