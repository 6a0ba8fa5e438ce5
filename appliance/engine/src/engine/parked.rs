//! Runners that wait for work, in the order they came.
//!
//! Invariant: one waiting request for each runner; a newer one answers the older with nothing. An
//! assignment that was committed but not received comes back to the loop by [`Delivery`].

use super::Input;
use crate::{
    Error,
    command::{Asking, Command},
};
use base::{ids::RunnerId, protocol::Assignment};
use tokio::sync::{mpsc, oneshot};

/// Where the answer to a claim goes.
pub(crate) type Claimant = oneshot::Sender<Result<Delivery, Error>>;

/// Assignments on their way to a runner. Dropped before they were taken, they return to the queue.
#[derive(Debug)]
pub(crate) struct Delivery {
    assignments: Vec<Assignment>,
    back: Option<mpsc::WeakSender<Input>>,
}

impl Delivery {
    fn nothing() -> Self {
        Self { assignments: Vec::new(), back: None }
    }

    pub(super) fn new(assignments: Vec<Assignment>, back: &mpsc::WeakSender<Input>) -> Self {
        Self { assignments, back: Some(back.clone()) }
    }

    /// The one task of the answer to a report, which is about to be told.
    pub(crate) fn into_next(self) -> Option<Box<Assignment>> {
        self.take().pop().map(Box::new)
    }

    /// The runner's connection has them now.
    pub(crate) fn take(mut self) -> Vec<Assignment> {
        std::mem::take(&mut self.assignments)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(back) = &self.back else { return };
        self.assignments.drain(..).for_each(|assignment| take_back(back, &assignment));
    }
}

/// Nobody has heard of an assignment: it returns to the queue.
fn take_back(back: &mpsc::WeakSender<Input>, assignment: &Assignment) {
    let command = Command::Undelivered(assignment.task, assignment.fence);
    if let Some(back) = back.upgrade() {
        // When the loop is full, the lease runs out instead.
        drop(back.try_send(Input::Change(command, None)));
    }
}

/// The waiting runners.
#[derive(Debug, Default)]
pub(super) struct Parked {
    list: Vec<(Asking, Claimant)>,
}

impl Parked {
    pub(super) fn add(&mut self, asking: Asking, claimant: Claimant) {
        self.wake(&[asking.runner]);
        self.list.push((asking, claimant));
    }

    pub(super) fn forget_gone(&mut self) {
        self.list.retain(|(_, claimant)| !claimant.is_closed());
    }

    pub(super) fn asking(&self) -> Vec<Asking> {
        self.list.iter().map(|(asking, _)| *asking).collect()
    }

    /// Hands over what each got, in the order of [`Self::asking`]; who got nothing waits on.
    pub(super) fn deliver(
        &mut self,
        assignments: Vec<Vec<Assignment>>,
        back: &mpsc::WeakSender<Input>,
    ) {
        let waited = std::mem::take(&mut self.list);
        let mut lists = assignments.into_iter();
        for (asking, claimant) in waited {
            let assignments = lists.next().unwrap_or_default();
            if assignments.is_empty() {
                self.list.push((asking, claimant));
                continue;
            }
            // A claimant that is gone drops the delivery, which brings it back.
            drop(claimant.send(Ok(Delivery::new(assignments, back))));
        }
    }

    /// Answers these runners with nothing, so that they send a heartbeat and learn what is new.
    pub(super) fn wake(&mut self, runners: &[RunnerId]) {
        let waited = std::mem::take(&mut self.list);
        for (asking, claimant) in waited {
            if runners.contains(&asking.runner) {
                drop(claimant.send(Ok(Delivery::nothing())));
            } else {
                self.list.push((asking, claimant));
            }
        }
    }

    /// Answers all with nothing.
    pub(super) fn answer_all(&mut self) {
        for (_, claimant) in self.list.drain(..) {
            drop(claimant.send(Ok(Delivery::nothing())));
        }
    }
}
