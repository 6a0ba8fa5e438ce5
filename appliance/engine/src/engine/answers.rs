//! Telling what was committed to everybody whom it concerns.

use super::{Batch, Loop, parked::take_back};
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
                (Some(reply), answer) => {
                    if let Err(Ok(Answer::Reported(Reported { next: Some(next), .. }))) =
                        reply.send(answer)
                    {
                        take_back(&self.back, &next);
                    }
                }
                (None, Err(error)) => {
                    tracing::warn!(error = %error, "{command:?} was not carried out")
                }
                (None, Ok(_)) => {}
            }
        }
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
