//! Telling what was committed to everybody whom it concerns.

use super::{Batch, Delivery, Loop};
use crate::command::{Answer, Command, Outcome};
use base::{
    ids::RunnerId,
    protocol::{Held as HeldTask, Reported},
    time::Timestamp,
};

impl Loop {
    /// Tells everybody what was committed.
    pub(super) fn answer(&mut self, batch: &mut Batch, commands: &[Command], outcome: Outcome) {
        self.parked.deliver(outcome.assignments, &self.back);
        self.parked.wake(&outcome.wake);
        let replies = std::mem::take(&mut batch.replies);
        for ((command, answer), reply) in commands.iter().zip(outcome.answers).zip(replies) {
            if let (Command::Register(_), Ok(Answer::Registered(runner))) = (command, &answer) {
                self.registered(*runner, batch.now);
            }
            match (reply, answer) {
                // Who asked may have gone; what was committed stays, but for a task that it got.
                (Some(reply), answer) => drop(reply.send(answer.map(|answer| self.guard(answer)))),
                (None, Err(error)) => {
                    tracing::warn!(error = %error, "{command:?} was not carried out")
                }
                (None, Ok(_)) => {}
            }
        }
    }

    /// Parts an answer from the task that it brings.
    fn guard(&self, mut answer: Answer) -> (Answer, Delivery) {
        let next = match &mut answer {
            Answer::Reported(Reported { next, .. }) => next.take(),
            _ => None,
        };
        (answer, Delivery::new(next.map(|next| *next).into_iter().collect(), &self.back))
    }

    /// A runner that registers again may have lost what it held: its next heartbeat tells.
    fn registered(&mut self, runner: RunnerId, now: Timestamp) {
        self.seen.insert(runner, now);
        let Some(core) = &self.core else { return };
        let held = core.board.leases().filter(|lease| lease.runner == runner);
        let held = held.map(|lease| HeldTask { task: lease.waiting.task, fence: lease.fence });
        self.unconfirmed.insert(runner, held.collect());
    }
}
