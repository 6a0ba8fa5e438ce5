//! The engine's state machine: requests, a transaction and a time in; answers and work out.
//!
//! Why: without loop, channels and clock it can be driven by the simulation exactly as by the
//! engine. Everything here runs inside one transaction on the store's writer.
//! Invariants: what [`Core`] holds equals what [`Core::load`] would read from the committed store,
//! apart from the ends of leases, and of waits after the clock was set; a `Core` whose transaction
//! failed is dropped.

mod collect;
mod contexts;
mod dispatch;
mod flow;
mod intake;
mod load;
mod people;
mod remove;

pub use people::continued_setup;

use crate::{
    Config, Error,
    command::{Answer, Asking, Command, Outcome},
    ids::Ids,
};
use base::{
    event::Event,
    ids::{JobId, ProjectId, RunnerId, TaskId, WorkflowId},
    time::Timestamp,
};
use control::{
    board::{Board, Held, Limits, Serves, Waiting},
    governor::Decision,
    supersede,
};
use std::collections::BTreeMap;
use store::{Txn, runs::family};

/// What the engine remembers between two transactions.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) board: Board,
    pub(crate) runners: BTreeMap<RunnerId, Serves>,
    pub(crate) live: BTreeMap<WorkflowId, supersede::Live>,
    ids: Ids,
    /// What the governor allows.
    pub(crate) decision: Decision,
    /// Tasks that need more memory than was free at the last decision.
    pub(crate) hungry: BTreeMap<TaskId, Held>,
}

/// One transaction's hands.
struct Turn<'c, 't, 's> {
    core: &'c mut Core,
    txn: &'t mut Txn<'s>,
    now: Timestamp,
    wake: Vec<RunnerId>,
}

impl Core {
    /// Applies the commands in order, then hands out work to those who ask.
    ///
    /// A command that cannot be carried out is answered so and changes nothing. An error of the
    /// store ends the transaction, and this value with it.
    pub(crate) fn apply(
        &mut self,
        txn: &mut Txn<'_>,
        commands: &[Command],
        asking: &[Asking],
        now: Timestamp,
    ) -> Result<Outcome, store::Error> {
        let mut turn = Turn { core: self, txn, now, wake: Vec::new() };
        let mut outcome = Outcome::default();
        for command in commands {
            match turn.one(command) {
                Err(Error::Store(error)) => return Err(error),
                answer => outcome.answers.push(answer),
            }
        }
        for runner in asking {
            outcome.assignments.push(turn.assign(*runner)?);
        }
        outcome.wake = turn.wake;
        Ok(outcome)
    }

    /// Whether a runner that asks could be given something now.
    pub(crate) fn has_work_for(&self, asking: Asking) -> bool {
        let serves = self.runners.get(&asking.runner);
        asking.free > 0 && serves.is_some_and(|serves| self.next(serves).is_some())
    }

    /// How much may run now: the settings, and what the governor leaves of them.
    pub(crate) fn limits(&self) -> Limits {
        let slots = self.config.limits.slots.min(self.decision.slots);
        Limits { slots, ..self.config.limits }
    }

    pub(crate) fn next(&self, serves: &Serves) -> Option<&Waiting> {
        self.board.next_but(serves, self.limits(), &self.hungry)
    }

    /// The governor has decided anew; who was too hungry before may fit now.
    pub(crate) fn decide(&mut self, decision: Decision) {
        self.decision = decision;
        self.hungry.clear();
    }

    /// Why a job waits.
    pub(crate) fn explain(&self, job: JobId) -> Option<Held> {
        let task = self.board.waiting_in(family::tasks_of(job))?.task;
        let held = self.board.explain(task, self.limits(), self.runners.values())?;
        let bound = self.limits().slots;
        // A full project on a machine that takes nobody waits for the machine.
        let is_governed = bound < self.config.limits.slots && self.board.leased() >= bound;
        Some(match (held, self.decision.binding()) {
            (Held::Slots { .. } | Held::Project { .. }, Some(bound)) if is_governed => {
                Held::Governed { bound: bound.clone(), pool: self.decision.pool }
            }
            (Held::Project { .. }, _) if self.board.leased() >= bound => {
                Held::Slots { used: self.board.leased(), bound }
            }
            (Held::Turn, _) => self.hungry.get(&task).cloned().unwrap_or(Held::Turn),
            (held, _) => held,
        })
    }
}

impl Turn<'_, '_, '_> {
    fn one(&mut self, command: &Command) -> Result<Answer, Error> {
        match command {
            Command::Trigger(intake) => self.trigger(intake).map(Answer::Triggered),
            Command::Continue(intake) => self.continue_pipeline(intake).map(|()| Answer::Done),
            Command::Register(register) => self.register(register).map(Answer::Registered),
            Command::Report(report) => self.report(report).map(Answer::Reported),
            Command::ReportWith(report, tails) => {
                self.report_with(report, tails).map(Answer::Reported)
            }
            Command::Lost(task, fence) => self.lost(*task, *fence).map(|()| Answer::Done),
            Command::Undelivered(task, fence) => {
                self.undelivered(*task, *fence).map(|()| Answer::Done)
            }
            Command::CancelWorkflow(workflow, by) => {
                self.cancel_workflow(*workflow, by).map(|()| Answer::Done)
            }
            Command::CancelJob(job, by) => self.cancel_job(*job, by).map(|()| Answer::Done),
            Command::Rerun(workflow, wanted, by) => {
                self.rerun(*workflow, wanted, by).map(Answer::Rerun)
            }
            Command::Approve(job, by) => self.approve(*job, by).map(|()| Answer::Done),
            Command::ProjectChanged(project) => {
                self.project_changed(*project).map(|()| Answer::Done)
            }
            Command::RemoveProject(project, deed) => {
                self.remove_project(*project, deed).map(|()| Answer::Done)
            }
            Command::GiveUp(why) => self.give_up(why).map(|()| Answer::Done),
            Command::Tell(event) => {
                self.txn.event_append(self.now, None, event)?;
                Ok(Answer::Done)
            }
            Command::Sweep => self.sweep().map(|()| Answer::Done),
            Command::Noted(command, deed) => {
                let answer = self.one(command)?;
                self.txn.audit_append(self.now, deed)?;
                Ok(answer)
            }
        }
    }

    fn tell(&mut self, project: ProjectId, event: &Event) -> Result<(), store::Error> {
        self.txn.event_append(self.now, Some(project), event).map(drop)
    }
}
