//! One job, from its assignment to its end.
//!
//! The way: three things go on side by side: the walk through the steps, the delivery of what
//! they tell, and the relay of output lengths from the supervisor. The walk never waits for the
//! delivery.
//! Invariants: whatever ends a runner leaves the job in a state from which [`Job::run`] goes on;
//! a step that was begun is reported as begun before its program starts; a step of our own that
//! was cut short is done again from its start.
//! On failure: a lost supervisor ends the job as an infrastructure failure; a lost lease ends it
//! without a word, because nobody wants to hear it.

use crate::{
    control_plane::ControlPlane,
    environment::{self, Environment},
    host::{Host, Number},
    journal::{Entry, Memory},
    mask::Patterns,
    outbox::{Delivered, Outbox},
    reach,
    spin_up::{Shape, Stands},
    supervised::Supervised,
    supervisor::wire::End,
    walk::{Item, Walk, Way},
};
use base::{
    plan::Action,
    protocol::{Assignment, Held, Progress},
    state::TaskOutcome,
    time::Timestamp,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

mod ending;
mod pace;
mod program;
mod room;
mod seat;
mod service;
mod step;

use ending::Clock;
pub(crate) use ending::Telling;
pub(crate) use program::Program;
pub(crate) use seat::{Ground, Seat};
pub(crate) use service::Service;
pub(crate) use step::{StepEnd, StepError};

/// What the control side wants of a running job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// To go on.
    #[default]
    Run,
    /// To stop, and to report it.
    Cancel,
    /// To be killed and forgotten.
    Forget,
}

/// A job on its way.
pub(crate) struct Job<C> {
    pub(crate) host: Arc<Host>,
    pub(crate) control: Arc<C>,
    pub(crate) assignment: Assignment,
    pub(crate) supervised: Supervised,
    pub(crate) outbox: Outbox,
    pub(crate) number: Number,
    /// The shape of the sandbox that was made ahead.
    pub(crate) shape: Option<Shape>,
    orders: watch::Receiver<Order>,
    clock: Clock,
    telling: Telling,
    state: Mutex<State>,
}

/// What is learned on the way.
#[derive(Default)]
struct State {
    stands: Option<Stands>,
    /// Steps in the background that have not ended.
    beside: Vec<u32>,
    peak_memory: Option<u64>,
    /// What steps have told that they wait for.
    waited: BTreeSet<(u32, String)>,
    /// A step has failed; what fails after it is not why the job did.
    failed: bool,
    /// For people: why it failed.
    message: Option<String>,
    /// Ended before its walk was over.
    cut: Option<TaskOutcome>,
}

impl<C: ControlPlane> Job<C> {
    /// Takes up a job, new or begun before, whose supervisor lives. Also tells how far it had come.
    pub(crate) fn take_up(
        host: Arc<Host>,
        control: Arc<C>,
        assignment: Assignment,
        Seat { supervised, shape, .. }: Seat,
        Ground { number, journal, memory }: Ground,
        orders: watch::Receiver<Order>,
        telling: Telling,
    ) -> (Self, Memory) {
        let patterns = Patterns::new(assignment.secrets.iter().map(|secret| secret.value.expose()));
        let held = Held { task: assignment.task, fence: assignment.fence };
        let outbox = Outbox::new(supervised.folder().clone(), held, patterns, journal, &memory);
        let state = Mutex::new(State { stands: memory.stands.clone(), ..State::default() });
        let job = Self {
            host,
            control,
            assignment,
            supervised,
            outbox,
            number,
            shape,
            orders,
            clock: Clock::default(),
            telling,
            state,
        };
        (job, memory)
    }

    /// Runs the job to its end, or goes on with it where `memory` says. If `wants_next`, the answer to
    /// its end may bring another.
    pub(crate) async fn run(&self, memory: &Memory, wants_next: bool) -> Delivered {
        let told = memory.reports.iter().any(|report| matches!(report, Progress::Ended { .. }));
        let work = async {
            if !told {
                self.walk(memory).await;
            }
            self.telling.begin();
            std::future::pending::<Delivered>().await
        };
        let mut orders = self.orders.clone();
        let delivered = tokio::select! {
            delivered = self.outbox.deliver(&*self.control, wants_next) => delivered,
            never = work => never,
            never = self.relay() => never,
            never = self.paced() => never,
            never = self.keep_time() => never,
            _ = orders.wait_for(|order| *order == Order::Forget) => Delivered::Lost,
        };
        delivered
    }

    /// Removes what is left of the job when nobody waits for it any more.
    pub(crate) async fn clear_away(self) {
        self.supervised.finish().await;
        self.host.clear(self.supervised.folder().clone()).await;
    }

    /// Passes on how far the supervisor has come with the output.
    async fn relay(&self) -> Delivered {
        let mut changes = self.supervised.changes();
        loop {
            let outputs: Vec<_> =
                changes.borrow_and_update().outputs.iter().map(|(s, l)| (*s, *l)).collect();
            for (step, length) in outputs {
                if length > self.outbox.length(step) {
                    self.outbox.grown(step, length);
                }
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn paced(&self) -> Delivered {
        self.keep_pace().await;
        std::future::pending().await
    }

    /// Goes through the steps that are left and reports the end.
    async fn walk(&self, memory: &Memory) {
        let mut walk = Walk::default();
        let mut open = std::collections::VecDeque::from(walk.replay(self.way(), &memory.reports));
        self.remember_background(&memory.reports);
        self.state().failed = walk.outcome() == TaskOutcome::Failed;
        if memory.halted {
            walk.halt();
        }
        if memory.reports.is_empty() {
            self.outbox.report(Progress::Started { at: now() });
        }
        loop {
            let resumed = !open.is_empty();
            let Some((number, item)) = open.pop_front().or_else(|| walk.next(self.way())) else {
                break;
            };
            if !resumed {
                self.begin_step(number, &item);
            }
            let end = self.perform(number, &item, resumed).await;
            if let Some(end) = end {
                self.end_step(number, &end);
                walk.ended(number, end.state);
                self.state().failed = walk.outcome() == TaskOutcome::Failed;
            }
            self.end_background_steps();
            // The step may have ended in the moment in which it was to be stopped.
            if *self.orders.borrow() == Order::Cancel || self.outbox.is_canceled() {
                self.state().cut.get_or_insert(TaskOutcome::Canceled);
            }
            if self.state().cut.is_some() {
                break;
            }
            if self.supervised.view().halted && !memory.halted {
                self.outbox.note(&Entry::Halted);
                walk.halt();
            }
        }
        self.end(walk.outcome()).await;
    }

    /// What it goes through, as far as that is known.
    fn way(&self) -> Way<'_> {
        let has_entry = self.state().stands.as_ref().is_some_and(|stands| stands.entry.is_some());
        Way::of(&self.assignment.spec, has_entry)
    }

    fn begin_step(&self, number: u32, item: &Item<'_>) {
        let name = self.outbox.masked(&item.name());
        let background = item.is_background();
        if background {
            self.state().beside.push(number);
        }
        self.outbox.report(Progress::StepStarted { step: number, name, at: now(), background });
    }

    pub(crate) fn end_step(&self, number: u32, end: &StepEnd) {
        // The relay may be a moment behind, and no output may follow the end.
        if let Some(length) = self.supervised.view().outputs.get(&number) {
            self.outbox.grown(number, *length);
        }
        self.outbox.report(Progress::StepEnded {
            step: number,
            state: end.state,
            exit_code: end.exit_code,
            at: now(),
            output_bytes: self.outbox.length(number),
            rest: Vec::new(),
        });
    }

    /// Does one item, unless the job is stopped meanwhile. `None` for a step that goes on in the
    /// background.
    async fn perform(&self, number: u32, item: &Item<'_>, resumed: bool) -> Option<StepEnd> {
        let work = async {
            if resumed {
                self.end_cut_short(number, item).await?;
            }
            match item {
                Item::SpinUp => self.spin_up().await.map(Some),
                Item::Environment => {
                    if self.outbox.length(number) == 0 {
                        self.outbox.say(number, &environment::listing(&self.assignment));
                    }
                    Ok(Some(StepEnd::success()))
                }
                Item::Entry(_) => self.start_entry(number).await,
                Item::Service(nth, image) => self.start_service(number, *nth, image).await,
                Item::Step(step) => self.act(number, &step.action).await,
            }
        };
        let done = tokio::select! {
            done = work => done,
            end = self.stopped() => return Some(end),
        };
        match done {
            Ok(end) => end,
            Err(StepError::Failed(message)) => {
                self.outbox.say(number, &format!("{message}\n"));
                self.blame(message);
                Some(StepEnd::failed())
            }
            Err(StepError::Told(message)) => {
                message.into_iter().for_each(|message| self.blame(message));
                Some(StepEnd::failed())
            }
            Err(StepError::Infrastructure(message)) => Some(self.break_off(number, message)),
            Err(StepError::Gone(gone)) => Some(self.break_off(number, gone.to_string())),
        }
    }

    async fn act(&self, number: u32, action: &Action) -> Result<Option<StepEnd>, StepError> {
        match action {
            Action::Run(command) => return self.run_command(number, command).await,
            Action::Checkout { path } => self.checkout(number, path).await?,
            Action::SaveCache { key, paths } => self.save_cache(number, key, paths).await?,
            Action::RestoreCache { keys } => self.restore_cache(number, keys).await?,
            Action::PersistToWorkspace { root, paths } => self.persist(number, root, paths).await?,
            Action::AttachWorkspace { at } => self.attach(number, at).await?,
            Action::StoreArtifacts { path, destination } => {
                self.store_artifacts(number, path, destination.as_deref()).await?;
            }
            Action::StoreTestResults { path } => self.store_test_results(number, path).await?,
            Action::Unsupported { message } => return Err(StepError::Failed(message.clone())),
            Action::Ignored { message } => self.outbox.say(number, &format!("{message}\n")),
        }
        Ok(Some(StepEnd::success()))
    }

    /// Remembers why the job fails, unless a step before has failed it.
    fn blame(&self, message: String) {
        let mut state = self.state();
        if !state.failed {
            state.message.get_or_insert(message);
        }
    }

    fn break_off(&self, number: u32, message: String) -> StepEnd {
        self.outbox.say(number, &format!("The job cannot go on: {message}\n"));
        let mut state = self.state();
        state.message = Some(message);
        state.cut = Some(TaskOutcome::InfrastructureFail);
        StepEnd::failed()
    }

    /// Remembers a run's end for the end of the job.
    pub(crate) fn learn(&self, end: &End) {
        let mut state = self.state();
        state.peak_memory = state.peak_memory.max(end.used.memory_peak.map(|peak| peak.0));
    }

    /// Remembers the sandbox.
    pub(crate) fn stand(&self, stands: Stands) {
        self.outbox.note(&Entry::Stands(stands.clone()));
        self.state().stands = Some(stands);
    }

    /// What steps need to know of the sandbox.
    pub(crate) fn stands(&self) -> Result<Stands, StepError> {
        let stands = self.state().stands.clone();
        stands.ok_or_else(|| StepError::Infrastructure("the sandbox does not stand".into()))
    }

    /// The environment that each step starts from.
    pub(crate) fn step_environment(&self, stands: &Stands) -> Environment {
        let site = reach::variables(&self.assignment.network, &self.host.config.network);
        environment::of_job(&self.assignment, &site, &stands.image, &stands.person())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of this machine's clock, in whole milliseconds as on the wire: a report read back
/// from the journal must equal the one that was sent.
pub(crate) fn now() -> Timestamp {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 1000).saturating_mul(1000))
}
