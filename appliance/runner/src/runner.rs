//! The runner process: takes up what an earlier runner left, claims work, renews leases.
//!
//! Why one loop for claims and one for heartbeats: a claim waits for work for many seconds, and
//! a lease must not wait for a claim.
//! Invariants: a task is claimed only for a free slot; every held task is in each heartbeat; a
//! job whose supervisor lives is taken up before anything new is claimed.
//! On failure: a control plane that does not answer is asked again; jobs go on meanwhile.

use crate::{
    client::Client,
    config::Config,
    folder::Folder,
    host::{Host, HostError},
    job::{Job, Order},
    outbox::Delivered,
    supervised::Supervised,
};
use base::{
    ids::{RunnerId, TaskId},
    protocol::Assignment,
};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, Semaphore, watch};

mod adopt;
mod leases;

/// Why a runner could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// This machine cannot run jobs.
    #[error("this machine cannot run jobs")]
    Host(#[from] HostError),
}

/// A runner and what it holds.
struct Runner {
    config: Config,
    host: Arc<Host>,
    client: Arc<Client>,
    slots: Arc<Semaphore>,
    held: Mutex<HashMap<TaskId, Hold>>,
    /// Wakes the heartbeat when its answer may matter at once.
    beat: Notify,
    /// A supervisor started ahead of the next job.
    spare: Mutex<Option<Supervised>>,
}

/// A task that is held.
struct Hold {
    fence: base::ids::Fence,
    orders: watch::Sender<Order>,
}

/// Runs jobs until `shutdown` completes. Jobs that still run then go on under their supervisors,
/// and the next runner of this name takes them up.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let host = Host::prepare(config.host.clone())?;
    let runner = Arc::new(Runner {
        client: Arc::new(Client::over_unix(config.socket.clone())),
        slots: Arc::new(Semaphore::new(config.slots as usize)),
        held: Mutex::default(),
        beat: Notify::new(),
        spare: Mutex::default(),
        host,
        config,
    });
    tokio::select! {
        never = runner.serve() => never,
        () = shutdown => {}
    }
    runner.dismiss_spare().await;
    Ok(())
}

impl Runner {
    async fn serve(self: &Arc<Self>) {
        self.adopt_all().await;
        self.prepare_spare();
        let mut id = self.register().await;
        loop {
            let (now, slots) = (id, self.clone());
            tokio::select! {
                () = slots.keep_leases(now) => {}
                () = self.claim_work(now) => {}
            }
            // Either ends only when the control plane does not know us any more.
            id = self.register().await;
        }
    }

    /// Starts jobs as work comes; ends when the runner must register again.
    async fn claim_work(self: &Arc<Self>, id: RunnerId) {
        loop {
            let Some(assignments) = self.claim(id).await else { return };
            for assignment in assignments {
                self.clone().start(assignment);
            }
        }
    }

    /// Starts a job that was just claimed.
    fn start(self: Arc<Self>, assignment: Assignment) {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            // More than was asked for: the lease runs out and another takes it.
            tracing::error!(task = %assignment.task, "a task was assigned without a free slot");
            return;
        };
        let orders = self.hold(&assignment);
        tokio::spawn(async move {
            let task = assignment.task;
            match self.supervisor() {
                Some(supervised) => {
                    if let Err(error) = supervised.folder().keep_assignment(&assignment) {
                        tracing::error!(%error, "a restart of the runner will not find this job");
                    }
                    self.prepare_spare();
                    self.drive(assignment, supervised, orders).await;
                }
                None => {
                    self.report_unstartable(&assignment, "no supervisor could be started").await
                }
            }
            self.release(task);
            drop(slot);
        });
    }

    /// Drives a job to its end.
    async fn drive(
        &self,
        assignment: Assignment,
        supervised: Supervised,
        orders: watch::Receiver<Order>,
    ) {
        let task = assignment.task;
        match Job::take_up(self.host.clone(), self.client.clone(), assignment, supervised, orders) {
            Ok((job, memory)) => {
                let delivered = job.run(&memory).await;
                if delivered == Delivered::Lost {
                    tracing::info!(%task, "the task was lost; its job was killed");
                }
            }
            Err(error) => {
                tracing::error!(%task, error = crate::supervisor::chain(&error), "a job was dropped")
            }
        }
    }

    fn hold(&self, assignment: &Assignment) -> watch::Receiver<Order> {
        let (orders, receiver) = watch::channel(Order::Run);
        self.held().insert(assignment.task, Hold { fence: assignment.fence, orders });
        receiver
    }

    fn release(&self, task: TaskId) {
        self.held().remove(&task);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TaskId, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spare supervisor, or a new one.
    fn supervisor(&self) -> Option<Supervised> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        spare.or_else(|| self.start_supervisor())
    }

    fn start_supervisor(&self) -> Option<Supervised> {
        match Supervised::start(&self.config.host.supervise, &self.host.jobs()) {
            Ok(supervised) => Some(supervised),
            Err(error) => {
                tracing::error!(
                    error = crate::supervisor::chain(&error),
                    "no supervisor could be started"
                );
                None
            }
        }
    }

    /// Starts a supervisor ahead of its job, so that the job need not wait for it.
    fn prepare_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            *spare = self.start_supervisor();
        }
    }

    async fn dismiss_spare(&self) {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(spare) = spare {
            spare.finish().await;
            discard(spare.folder());
        }
    }
}

/// Removes a folder that no job needs.
fn discard(folder: &Folder) {
    if let Err(error) = folder.remove() {
        tracing::warn!(%error, "a job's folder stays behind");
    }
}
