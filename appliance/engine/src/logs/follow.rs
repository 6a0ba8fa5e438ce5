//! Following a step's output while it grows.
//!
//! Nothing is pushed: a follower is woken, reads what is new from its own offset, and sleeps
//! again. A slow one costs nothing, and may be dropped and made again at any offset.

use super::{
    Chunk, Key, LogError, Logs, READ_MAX,
    slot::{News, Slot},
};
use base::ids::TaskId;
use std::sync::Arc;
use tokio::sync::watch;

/// Reads a step's output from an offset to its end.
#[derive(Debug)]
pub struct Follower {
    logs: Logs,
    key: Key,
    offset: u64,
    slot: Option<Arc<Slot>>,
    news: watch::Receiver<News>,
}

impl Logs {
    /// Follows a step from `offset`; it need not have begun.
    #[must_use]
    pub fn follow(&self, task: TaskId, step: u32, offset: u64) -> Follower {
        let key = Key { task, step };
        let slot = self.shared.slot(key);
        let news = slot.news();
        Follower { logs: self.clone(), key, offset, slot: Some(slot), news }
    }
}

impl Follower {
    /// The next output, or `None` after the last. May be dropped while it waits.
    ///
    /// # Errors
    /// When kept output cannot be read.
    pub async fn next(&mut self) -> Result<Option<Chunk>, LogError> {
        loop {
            // What comes after this look wakes us below.
            let over = self.news.borrow_and_update().ended;
            let Key { task, step } = self.key;
            let range = self.offset..self.offset.saturating_add(READ_MAX);
            let chunk = self.logs.read(task, step, range).await?;
            if !chunk.bytes.is_empty() {
                self.offset = chunk.offset + chunk.bytes.len() as u64;
                return Ok(Some(chunk));
            }
            if over || chunk.ended {
                return Ok(None);
            }
            // The slot that sends is held, so that waiting cannot fail.
            drop(self.news.changed().await);
        }
    }
}

impl Drop for Follower {
    /// A slot that only followers ever held goes with the last of them.
    fn drop(&mut self) {
        self.slot = None;
        let mut slots = self.logs.shared.slots();
        let unused = |slot: &mut Arc<Slot>| {
            Arc::get_mut(slot).is_some_and(|slot| slot.step.get_mut().is_none())
        };
        if slots.get_mut(&self.key).is_some_and(unused) {
            slots.remove(&self.key);
        }
    }
}
