//! Taking up what an earlier runner left behind.
//!
//! The cases, for each folder: a living supervisor with a job is taken up; a job whose supervisor
//! is gone is reported as an infrastructure failure; a folder without a job is removed. Sandboxes
//! that nobody owns are swept.

use super::Runner;
use crate::{
    control_plane::ControlPlane,
    folder::Folder,
    job::{Seat, now},
    journal::{Entry, Journal, Memory},
    mask::Patterns,
    outbox::Outbox,
    supervised::Supervised,
};
use base::{
    protocol::{Assignment, Held, Progress},
    state::{StepState, TaskOutcome},
};
use std::sync::Arc;

impl Runner {
    pub(super) async fn adopt_all(self: &Arc<Self>) {
        for folder in Folder::all(&self.host.jobs()) {
            match folder.assignment() {
                Ok(Some(assignment)) => self.adopt(folder, assignment).await,
                Ok(None) => self.dismiss_unused(folder).await,
                Err(error) => {
                    tracing::error!(%error, "a job that cannot be read is dropped");
                    self.dismiss_unused(folder).await;
                }
            }
        }
    }

    async fn adopt(self: &Arc<Self>, folder: Folder, assignment: Assignment) {
        let runner = self.clone();
        let task = assignment.task;
        let orders = self.hold(&assignment);
        match Supervised::attach(folder.clone()).await {
            Ok(supervised) => {
                tracing::info!(%task, "a running job is taken up");
                let slot = self.slots.clone().try_acquire_owned().ok();
                tokio::spawn(async move {
                    runner.drive(assignment, Seat::bare(supervised), orders, slot).await;
                });
            }
            Err(_) => {
                tokio::spawn(async move {
                    runner.bury(folder, &assignment).await;
                    runner.release(task);
                });
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
                return self.host.clear(&folder);
            }
        };
        let outbox = Outbox::new(folder.clone(), held, Patterns::new([]), journal, &memory);
        if !memory.reports.iter().any(|report| matches!(report, Progress::Ended { .. })) {
            end_open_steps(&outbox, &memory);
            outbox.report(lost("the supervisor of the job was lost"));
        }
        outbox.deliver(&*self.client).await;
        self.host.clear(&folder);
    }

    /// Ends a supervisor that never got a job, and removes its folder.
    async fn dismiss_unused(&self, folder: Folder) {
        if let Ok(supervised) = Supervised::attach(folder.clone()).await {
            supervised.finish().await;
        }
        self.host.clear(&folder);
    }

    /// Reports a job that never began.
    pub(super) async fn report_unstartable(&self, assignment: &Assignment, why: &str) {
        let report = base::protocol::Report {
            task: assignment.task,
            fence: assignment.fence,
            first: 0,
            progress: vec![lost(why)],
        };
        // If it does not arrive, the lease runs out.
        if let Err(trouble) = self.client.report(&report).await {
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
            });
        }
    }
    outbox.note(&Entry::Halted);
}

fn lost(why: &str) -> Progress {
    let outcome = TaskOutcome::InfrastructureFail;
    Progress::Ended { outcome, message: Some(why.to_owned()), peak_memory: None, at: now() }
}
