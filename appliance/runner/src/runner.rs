//! The runner process: takes up what an earlier runner left, claims work, renews leases.
//!
//! Why one loop for claims and one for heartbeats: a claim waits for work for many seconds, and
//! a lease must not wait for a claim.
//! Invariants: a task is claimed only for a free slot; every held task is in each heartbeat, and whoever
//! holds none sends none; a job that is left has its slot and its ids before anything new is claimed;
//! one runner works in a folder at any time.
//! On failure: a control plane that does not answer is asked again; jobs go on meanwhile.

use crate::{
    client::Client,
    config::Config,
    host::{Host, HostError},
    job::{Job, Order, Seat, Telling},
    outbox::Delivered,
    spin_up::Shape,
    supervisor::{chain, wire::Request},
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
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Duration, Instant, timeout},
};

mod adopt;
mod ahead;
mod leases;
mod pace;

/// For each of what a runner that ends still does.
const STOP_MAX: Duration = Duration::from_secs(1);

/// For how long a new runner waits for the one before it to end, and how often it looks.
const PREDECESSOR_MAX: Duration = Duration::from_secs(30);
const PREDECESSOR_LOOK: Duration = Duration::from_millis(20);

/// So long after the end of a job, and what is free is given back to the machine.
const CALM: Duration = Duration::from_secs(5);

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
    /// Supervisors started ahead of the next jobs, the oldest first.
    spares: Mutex<Vec<Seat>>,
    /// When a job was claimed last.
    claimed: Mutex<Option<std::time::Instant>>,
    /// A job has ended.
    ended: Notify,
    /// How many jobs are over and tell so.
    telling: watch::Sender<usize>,
    /// What works on jobs and spares.
    tasks: Mutex<JoinSet<()>>,
}

/// A task that is held.
struct Hold {
    fence: base::ids::Fence,
    orders: watch::Sender<Order>,
}

/// Runs jobs until `shutdown` completes. Jobs that still run then go on under their supervisors,
/// and the next runner of this name takes them up.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let mut shutdown = std::pin::pin!(shutdown);
    let host = tokio::select! {
        host = prepared(&config) => host?,
        () = &mut shutdown => return Ok(()),
    };
    let runner = Arc::new(Runner {
        client: Arc::new(Client::over_unix(config.socket.clone())),
        slots: Arc::new(Semaphore::new(config.slots as usize)),
        held: Mutex::default(),
        beat: Notify::new(),
        spares: Mutex::default(),
        claimed: Mutex::default(),
        ended: Notify::new(),
        telling: watch::Sender::default(),
        tasks: Mutex::default(),
        host,
        config,
    });
    tokio::select! {
        never = runner.serve() => never,
        never = runner.give_back_when_calm() => never,
        () = &mut shutdown => {}
    }
    let mut telling = runner.telling.subscribe();
    let _ = timeout(STOP_MAX, telling.wait_for(|jobs| *jobs == 0)).await;
    // The next runner may be here already: nothing is driven from here any more.
    let mut tasks = std::mem::take(&mut *runner.tasks());
    tasks.abort_all();
    let _ = timeout(STOP_MAX, async { while tasks.join_next().await.is_some() {} }).await;
    let mut dismissals = JoinSet::new();
    for spare in runner.take_spares() {
        let host = runner.host.clone();
        dismissals.spawn(async move { spare.dismiss(&host).await });
    }
    // What is left is dismissed by the next runner.
    let _ = timeout(STOP_MAX, dismissals.join_all()).await;
    let host = runner.host.clone();
    let _ = timeout(STOP_MAX, tokio::task::spawn_blocking(move || host.sweep_rules())).await;
    Ok(())
}

/// Prepares the machine; waits a while for a runner before this one that is just ending.
async fn prepared(config: &Config) -> Result<Arc<Host>, HostError> {
    let until = Instant::now() + PREDECESSOR_MAX;
    loop {
        match Host::prepare(config.host.clone()) {
            Err(HostError::Taken { .. }) if Instant::now() < until => {
                tokio::time::sleep(PREDECESSOR_LOOK).await;
            }
            result => return result,
        }
    }
}

impl Runner {
    /// What jobs took is free some time after the last one.
    async fn give_back_when_calm(&self) {
        loop {
            if timeout(CALM, self.ended.notified()).await.is_ok() {
                continue;
            }
            self.dismiss_surplus();
            let host = self.host.clone();
            // It waits for kernel and disk; a failure is told there.
            let sweep = move || {
                host.sweep_rules();
                host.sweep_layers();
            };
            let _ = tokio::task::spawn_blocking(sweep).await;
            sandbox::memory::give_back();
            self.ended.notified().await;
        }
    }

    async fn serve(self: &Arc<Self>) {
        self.adopt_all();
        let mut id = self.register().await;
        self.prepare_spares(self.spares_calm());
        loop {
            let (now, slots, pace) = (id, self.clone(), self.clone());
            let work = self.claim_work(now);
            tokio::select! {
                () = slots.keep_leases(now) => {}
                () = pace.keep_pace(now) => {}
                () = work => {}
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
        self.take_on(assignment, slot);
    }

    /// Starts a job in a slot that is its own from here on.
    fn take_on(self: Arc<Self>, assignment: Assignment, slot: OwnedSemaphorePermit) {
        let orders = self.hold(&assignment);
        let runner = self.clone();
        runner.spawn(async move {
            let task = assignment.task;
            let shape = Shape::of(&self.host, &assignment);
            let Some(seat) = self.seat(shape.as_ref()) else {
                self.report_unstartable(&assignment, "no supervisor could be started").await;
                return self.release(task);
            };
            if let Err(error) = seat.supervised.folder().keep_assignment(&assignment) {
                tracing::error!(%error, "a restart of the runner will not find this job");
            }
            let spares = self.spares_wanted();
            self.spawn(self.clone().prepare_ahead(shape, spares));
            self.clone().drive(assignment, seat, orders, Some(slot)).await;
            // Nothing else is in the way now.
            self.ended.notify_waiters();
        });
    }

    /// Drives a job to its end; its slot is free, or the next job's, before what is left of it is
    /// cleared away.
    async fn drive(
        self: Arc<Self>,
        assignment: Assignment,
        mut seat: Seat,
        orders: watch::Receiver<Order>,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        let task = assignment.task;
        let ground = match seat.prepare(&self.host) {
            Ok(ground) => ground,
            Err(error) => return self.turn_away(assignment, seat, &chain(&error)).await,
        };
        let (host, client) = (self.host.clone(), self.client.clone());
        let telling = Telling::among(&self.telling);
        let (job, memory) = Job::take_up(host, client, assignment, seat, ground, orders, telling);
        let next = match job.run(&memory, slot.is_some()).await {
            Delivered::All(next) => next,
            Delivered::Lost => {
                tracing::info!(%task, "the task was lost; its job is killed");
                None
            }
        };
        // Before anything that a stop could cut short: only we know that this job is over.
        job.supervised.ask_now(&Request::Finish);
        self.release(task);
        if let (Some(next), Some(slot)) = (next, slot) {
            self.clone().take_on(*next, slot);
        }
        job.clear_away().await;
    }

    /// Ends a job that cannot be taken up, and only then tells so: nobody begins it anew beside itself.
    async fn turn_away(&self, assignment: Assignment, seat: Seat, why: &str) {
        tracing::error!(task = %assignment.task, error = why, "a job cannot be taken up and is ended");
        seat.supervised.finish().await;
        self.report_unstartable(&assignment, why).await;
        self.release(assignment.task);
        seat.dismiss(&self.host).await;
    }

    /// Starts something that ends with the runner.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
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
}
