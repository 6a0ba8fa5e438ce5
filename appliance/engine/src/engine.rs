//! The loop: takes what waits, applies it in one transaction, answers.

mod answers;
mod batch;
mod parked;
mod tidings;

use crate::{
    Config, Error, Handle, Status,
    clock::{ClockWatch, Course, wall},
    command::{Answer, Asking, Command, Outcome},
    config::{BATCH_MAX, INBOX_MAX},
    core::Core,
    handle::RunnerStatus,
    ids::Ids,
};
use base::{
    ids::{JobId, RunnerId},
    limits::LEASE,
    protocol::{Heartbeat, Held as HeldTask, Refusal, Verdicts},
    time::Timestamp,
};
use batch::Batch;
use control::{
    board::{Board, Held},
    governor::Decision,
};
use parked::{Claimant, Parked};
use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};
use store::Store;
use tidings::Tidings;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

pub(crate) use parked::Delivery;

/// How long the loop rests after the store failed, before it tries on its own account again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A transaction that took longer was waited for by every runner: what it leased began to run out before
/// it was told.
const SLOW: Duration = Duration::from_secs(5);

/// Everything that reaches the loop.
#[derive(Debug)]
pub(crate) enum Input {
    /// Changes the store.
    Change(Command, Option<Reply>),
    /// A runner asks for work.
    Claim(Asking, Claimant),
    /// A runner is alive.
    Heartbeat(Heartbeat, oneshot::Sender<Result<Verdicts, Error>>),
    /// Somebody wants to know why a job waits.
    Explain(JobId, oneshot::Sender<Option<Held>>),
    /// Somebody wants to know what waits and why: at most so many.
    Held(usize, oneshot::Sender<Vec<(JobId, Held)>>),
    /// The governor has decided anew.
    Decided(Box<Decision>),
    /// Somebody wants to know how full it is.
    Status(oneshot::Sender<Status>),
    /// Finish what waits, then end.
    Drain(oneshot::Sender<()>),
}

/// Where the answer to a change goes, and the task that it brought: who asked may go at any moment.
pub(crate) type Reply = oneshot::Sender<Result<(Answer, Delivery), Error>>;

/// Starts the loop.
#[derive(Debug)]
pub struct Engine;

struct Loop {
    store: Store,
    config: Config,
    ids: Ids,
    inbox: mpsc::Receiver<Input>,
    back: mpsc::WeakSender<Input>,
    /// `None` after a failed write, until it is read again.
    core: Option<Core>,
    parked: Parked,
    seen: BTreeMap<RunnerId, Timestamp>,
    /// What a runner held when it registered again; its first heartbeat tells what is left.
    unconfirmed: BTreeMap<RunnerId, Vec<HeldTask>>,
    clock: ClockWatch,
    rest_until: Option<Instant>,
    /// The governor's last word, for a memory that is read anew.
    decision: Option<Decision>,
    tidings: Tidings,
}

impl Engine {
    /// Reads what has not ended and starts the loop on the current runtime.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read.
    pub async fn start(config: Config, store: Store) -> Result<Handle, Error> {
        let seed = getrandom::u64().unwrap_or_else(|_| wall().0.unsigned_abs());
        let ids = Ids::new(seed);
        let core = load(&store, &config, &ids).await?;
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let handle = Handle::new(sender.clone(), store.clone(), config.clone(), ids.clone());
        let looping = Loop {
            store,
            config,
            ids,
            inbox,
            back: sender.downgrade(),
            core: Some(core),
            parked: Parked::default(),
            seen: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            clock: ClockWatch::new(),
            rest_until: None,
            decision: None,
            tidings: Tidings::default(),
        };
        drop(tokio::spawn(looping.run()));
        Ok(handle)
    }
}

async fn load(store: &Store, config: &Config, ids: &Ids) -> Result<Core, Error> {
    let (config, ids) = (config.clone(), ids.clone());
    Ok(store.read(move |reader| Core::load(reader, &config, &ids, wall())).await?)
}

impl Loop {
    async fn run(mut self) {
        loop {
            let deadline = self.deadline();
            let first = tokio::select! {
                input = self.inbox.recv() => match input {
                    Some(input) => Some(input),
                    None => return,
                },
                () = until(deadline) => None,
            };
            let mut batch = Batch::new(wall());
            let course = self.clock.look(batch.now);
            if let Some(core) = &mut self.core {
                keep_time(&mut core.board, course, batch.now);
            }
            self.revive().await;
            self.gather(&mut batch, first);
            self.turn(&mut batch).await;
            if let Some(drained) = batch.drained.take() {
                self.parked.answer_all();
                self.inbox.close();
                // Who asked may have gone; the drain is done all the same.
                drained.send(()).ok();
                return;
            }
        }
    }

    /// When to look at the time again; `None` while nothing is leased.
    fn deadline(&self) -> Option<Instant> {
        let due = self.core.as_ref().map(|core| core.board.deadline());
        let wait = match due {
            Some(None) => return None,
            Some(Some(at)) => at.since(wall()),
            None => Duration::ZERO,
        };
        let at = Instant::now() + wait;
        Some(self.rest_until.map_or(at, |rest| rest.max(at)))
    }

    /// After a failed write: reads the memory anew.
    async fn revive(&mut self) {
        if self.core.is_some() {
            return;
        }
        match load(&self.store, &self.config, &self.ids).await {
            Ok(core) => {
                self.core = Some(core);
                self.apply_decision();
            }
            Err(error) => {
                tracing::error!(error = %error, "the engine cannot read its state from the store");
                self.rest_until = Some(Instant::now() + AFTER_FAILURE);
            }
        }
    }

    /// Takes what waits, up to a batch; what changes nothing is answered on the way.
    fn gather(&mut self, batch: &mut Batch, first: Option<Input>) {
        let mut next = first;
        while let Some(input) = next {
            self.take(batch, input);
            let full = batch.commands.len() >= BATCH_MAX || batch.drained.is_some();
            next = if full { None } else { self.inbox.try_recv().ok() };
        }
        let due = self.core.as_ref().and_then(|core| core.board.deadline());
        if due.is_some_and(|at| at <= batch.now) {
            batch.push(Command::Sweep, None);
        }
    }

    fn take(&mut self, batch: &mut Batch, input: Input) {
        // A dropped receiver means that nobody wants the answer any more.
        match input {
            Input::Change(command, reply) => batch.push(command, reply),
            Input::Claim(asking, claimant) => self.claim(batch.now, asking, claimant),
            Input::Heartbeat(heartbeat, reply) => {
                drop(reply.send(self.heartbeat(batch, &heartbeat)))
            }
            Input::Explain(job, reply) => drop(reply.send(self.explain(job))),
            Input::Held(most, reply) => drop(reply.send(self.held(most))),
            Input::Decided(decision) => self.decided(batch, *decision),
            Input::Status(reply) => drop(reply.send(self.status())),
            Input::Drain(reply) => batch.drained = Some(reply),
        }
    }

    fn claim(&mut self, now: Timestamp, asking: Asking, claimant: Claimant) {
        self.seen.insert(asking.runner, now);
        let known = self.core.as_ref().is_none_or(|core| core.runners.contains_key(&asking.runner));
        if known {
            self.parked.add(asking, claimant);
        } else {
            drop(claimant.send(Err(Refusal::UnknownRunner.into())));
        }
    }

    fn heartbeat(&mut self, batch: &mut Batch, heartbeat: &Heartbeat) -> Result<Verdicts, Error> {
        let core = self.core.as_mut().ok_or(Error::Store(store::Error::Broken))?;
        if !core.runners.contains_key(&heartbeat.runner) {
            return Err(Refusal::UnknownRunner.into());
        }
        self.seen.insert(heartbeat.runner, batch.now);
        for left in self.unconfirmed.remove(&heartbeat.runner).unwrap_or_default() {
            if !heartbeat.held.contains(&left) {
                batch.push(Command::Lost(left.task, left.fence), None);
            }
        }
        let until = batch.now.plus(LEASE);
        let mut verdict = |held: &HeldTask| {
            (held.task, core.board.renew(held.task, held.fence, Some(heartbeat.runner), until))
        };
        Ok(Verdicts { verdicts: heartbeat.held.iter().map(&mut verdict).collect() })
    }

    fn explain(&self, job: JobId) -> Option<Held> {
        self.core.as_ref()?.explain(job)
    }

    fn held(&self, most: usize) -> Vec<(JobId, Held)> {
        let Some(core) = &self.core else { return Vec::new() };
        let mut jobs: Vec<JobId> = core.board.waiting().map(|waiting| waiting.job).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let told = |job| Some((job, core.explain(job)?));
        jobs.into_iter().take(most).filter_map(told).collect()
    }

    fn decided(&mut self, batch: &mut Batch, decision: Decision) {
        if decision.give_up {
            let why = decision.binding().map_or("heat", |bound| bound.reading.as_str());
            batch.push(
                Command::GiveUp(format!("given up, the guard held for a minute: {why}")),
                None,
            );
        }
        if let Some(event) = self.tidings.of(&decision, batch.now) {
            batch.push(Command::Tell(event), None);
        }
        self.decision = Some(decision);
        self.apply_decision();
    }

    fn apply_decision(&mut self) {
        if let (Some(core), Some(decision)) = (&mut self.core, &self.decision) {
            core.decide(decision.clone());
        }
    }

    fn status(&self) -> Status {
        let Some(core) = &self.core else { return Status::default() };
        let busy = |id| core.board.leases().filter(|lease| lease.runner == id).count();
        let runner = |id: &RunnerId| RunnerStatus {
            id: *id,
            busy: u32::try_from(busy(*id)).unwrap_or(u32::MAX),
            seen_at: self.seen.get(id).copied(),
        };
        Status {
            waiting: core.board.waiting_len(),
            leased: core.board.leased(),
            slots: core.limits().slots,
            runners: core.runners.keys().map(runner).collect(),
        }
    }

    /// One transaction for all that was gathered, and for work that can be handed out.
    async fn turn(&mut self, batch: &mut Batch) {
        self.parked.forget_gone();
        let asking = if batch.drained.is_some() { Vec::new() } else { self.parked.asking() };
        let Some(core) = &self.core else {
            return batch.refuse_all(&Error::Store(store::Error::Broken));
        };
        if batch.commands.is_empty() && !asking.iter().any(|asks| core.has_work_for(*asks)) {
            return;
        }
        let mut commands = std::mem::take(&mut batch.commands);
        if batch.drained.is_some() {
            commands.iter_mut().for_each(Command::want_nothing);
        }
        let commands = Arc::new(commands);
        match self.apply(&commands, 0..commands.len(), asking, batch.now).await {
            Ok(outcome) => self.answer(batch, &commands, outcome),
            Err(error) if commands.len() <= 1 => batch.refuse_all(&Error::Store(error)),
            // One of many failed: each on its own, so that it fails alone.
            Err(_) => self.one_by_one(batch, &commands).await,
        }
    }

    async fn one_by_one(&mut self, batch: &mut Batch, commands: &Arc<Vec<Command>>) {
        let mut answers = Vec::new();
        for index in 0..commands.len() {
            let applied = self.apply(commands, index..index + 1, Vec::new(), batch.now).await;
            answers.push(match applied {
                Ok(mut outcome) => {
                    self.parked.wake(&outcome.wake);
                    outcome.answers.pop().unwrap_or(Err(Error::Stopping))
                }
                Err(error) => Err(Error::Store(error)),
            });
        }
        self.answer(batch, commands, Outcome { answers, ..Outcome::default() });
    }

    async fn apply(
        &mut self,
        commands: &Arc<Vec<Command>>,
        range: Range<usize>,
        asking: Vec<Asking>,
        now: Timestamp,
    ) -> Result<Outcome, store::Error> {
        let mut core = self.core.take().ok_or(store::Error::Broken)?;
        let (commands, began) = (Arc::clone(commands), Instant::now());
        let work = move |txn: &mut store::Txn<'_>| {
            let outcome = core.apply(txn, &commands[range], &asking, now)?;
            Ok::<_, store::Error>((core, outcome))
        };
        match self.store.write(work).await {
            Ok((mut core, outcome)) => {
                if began.elapsed() > SLOW {
                    let committed = wall();
                    keep_time(&mut core.board, self.clock.look(committed), committed);
                    core.board.unheard(committed, LEASE);
                }
                (self.core, self.rest_until) = (Some(core), None);
                Ok(outcome)
            }
            Err(error) => {
                tracing::error!(error = %error, "the engine's transaction failed and was undone");
                self.rest_until = Some(Instant::now() + AFTER_FAILURE);
                self.revive().await;
                Err(error)
            }
        }
    }
}

/// Leases run by the steady clock, whatever the wall's does.
fn keep_time(board: &mut Board, course: Course, now: Timestamp) {
    match course {
        Course::Steady => {}
        Course::Ahead => board.grace(now, LEASE),
        Course::Behind(lost) => board.set_back(lost),
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
