//! What one turn of the loop works on.

use super::Reply;
use crate::{Error, command::Command};
use base::time::Timestamp;
use tokio::sync::oneshot;

/// Commands in the order they came, each with the place for its answer.
pub(super) struct Batch {
    pub(super) now: Timestamp,
    pub(super) commands: Vec<Command>,
    pub(super) replies: Vec<Option<Reply>>,
    pub(super) drained: Option<oneshot::Sender<()>>,
}

impl Batch {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, commands: Vec::new(), replies: Vec::new(), drained: None }
    }

    pub(super) fn push(&mut self, command: Command, reply: Option<Reply>) {
        self.commands.push(command);
        self.replies.push(reply);
    }

    /// Answers everybody with the same error.
    pub(super) fn refuse_all(&mut self, error: &Error) {
        self.commands.clear();
        for reply in self.replies.drain(..).flatten() {
            // Who asked may have gone.
            drop(reply.send(Err(error.clone())));
        }
    }
}
