//! Taking up what an earlier runner left behind.
//!
//! The cases, for each folder: a living supervisor with a job is taken up; a job whose supervisor
//! is gone is reported as an infrastructure failure; a folder without a job is removed. Sandboxes
//! that nobody owns are swept.
//! Invariants: what is left is held, with its slot, before anything is asked, so that leases are
//! renewed meanwhile; folders do not wait for one another; a supervisor that does not greet within
//! [`GREETING_MAX`] is killed, because nobody can end its job otherwise.

use super::Runner;
use crate::{
    control_plane::ControlPlane,
    folder::Folder,
    job::{Order, Seat, now},
    journal::{Entry, Journal, Memory},
    mask::Patterns,
    outbox::Outbox,
    supervised::{Gone, Supervised},
};
use base::{
    protocol::{Assignment, Held, Progress},
    state::{StepState, TaskOutcome},
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
};

/// A supervisor greets at once, unless it makes its sandbox or waits for it.
const GREETING_MAX: Duration = Duration::from_secs(5);

impl Runner {
    /// Holds every job that is left; the result takes them up, and completes when all are.
    pub(super) fn adopt_all(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let mut found = JoinSet::new();
        for folder in Folder::all(&self.host.jobs()) {
            let runner = self.clone();
            match folder.assignment() {
                Ok(Some(assignment)) => {
                    let orders = self.hold(&assignment);
                    let slot = self.slots.clone().try_acquire_owned().ok();
                    found
                        .spawn(async move { runner.adopt(folder, assignment, orders, slot).await });
                }
                Ok(None) => {
                    found.spawn(async move { runner.dismiss_unused(folder).await });
                }
                Err(error) => {
                    tracing::error!(%error, "a job that cannot be read is dropped");
                    found.spawn(async move { runner.dismiss_unused(folder).await });
                }
            }
        }
        async move { while found.join_next().await.is_some() {} }
    }

    async fn adopt(
        self: Arc<Self>,
        folder: Folder,
        assignment: Assignment,
        orders: watch::Receiver<Order>,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        let (runner, task) = (self.clone(), assignment.task);
        match Supervised::attach(folder.clone(), GREETING_MAX).await {
            Ok(supervised) => {
                tracing::info!(%task, "a running job is taken up");
                self.spawn(async move {
                    runner.drive(assignment, Seat::bare(supervised), orders, slot).await;
                });
            }
            Err(Gone) => {
                drop(slot);
                self.spawn(async move {
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

    /// Ends a supervisor that never got a job, and removes its folder.
    async fn dismiss_unused(&self, folder: Folder) {
        if let Ok(supervised) = Supervised::attach(folder.clone(), GREETING_MAX).await {
            supervised.finish().await;
        }
        self.host.clear(folder).await;
    }

    /// Reports a job that never began.
    pub(super) async fn report_unstartable(&self, assignment: &Assignment, why: &str) {
        let report = base::protocol::Report {
            task: assignment.task,
            fence: assignment.fence,
            first: 0,
            progress: vec![lost(why)],
            wants_next: false,
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
