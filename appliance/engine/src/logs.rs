//! Step output: taken in by offset, kept compressed, read by byte or by line.
//!
//! Why: a runner may send anything twice, and a million lines must neither fill memory nor cost
//! a commit each. Bytes are appended to the step's open part; each [`frame::FRAME`] of it is
//! compressed; frames gather into a segment, and a sealed segment is durable.
//! Invariants: bytes of a step are contiguous; what overlaps is skipped, what leaves a gap is
//! refused with the offset wanted; only what is sealed is promised to survive a restart, and the
//! end of a step ([`Logs::finish`]) seals all of it, in the transaction of that end.
//! Units: offsets and sizes in bytes, lines counted by line breaks from 0.
//! On failure: an append that failed was not taken; the runner repeats it.
//! Memory: per running step one open frame and one unsealed segment, [`seal::SEGMENT_PACKED`].

mod error;
mod follow;
mod frame;
mod read;
mod report;
mod ring;
mod seal;
mod slot;

pub use error::{LogError, ReportError};
pub use follow::Follower;
pub use read::{Chunk, Lines, READ_MAX};
pub use seal::Tail;

use base::{ids::TaskId, limits::STEP_OUTPUT_MAX, protocol::Refusal};
use objects::Objects;
use slot::{Slot, Step};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Store, live::Live};
use tokio::sync::Notify;

/// Text that the runner adds when it cuts a log at its bound still fits.
const OUTPUT_SLACK: u64 = 64 << 10;

/// Names a step's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) task: TaskId,
    pub(crate) step: u32,
}

/// The output of all steps; clones share it.
#[derive(Debug, Clone)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) objects: Objects,
    pub(crate) live: Arc<dyn Live>,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    /// Wakes the keeper of rings.
    pub(crate) ring_due: Arc<Notify>,
}

impl Shared {
    pub(crate) fn slots(&self) -> MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a step, made when absent.
    pub(crate) fn slot(&self, key: Key) -> Arc<Slot> {
        Arc::clone(self.slots().entry(key).or_default())
    }
}

impl Logs {
    /// Output kept in `store` and `objects`, with the ends of running steps in `live`. Must be
    /// called within the asynchronous runtime: a small task keeps the rings.
    #[must_use]
    pub fn new(store: Store, objects: Objects, live: Arc<dyn Live>) -> Self {
        let slots = Mutex::new(HashMap::new());
        let ring_due = Arc::new(Notify::new());
        let due = Arc::clone(&ring_due);
        let shared = Arc::new(Shared { store, objects, live, slots, ring_due });
        tokio::spawn(ring::keep(Arc::downgrade(&shared), due));
        tokio::spawn(report::sweep_when_due(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Appends `bytes` at `offset`; returns the offset wanted next. The caller has checked that
    /// the sender holds the task. Bytes behind the end of a step that is over are dropped.
    ///
    /// # Errors
    /// [`Refusal::Gap`] when bytes are missing before `offset`; [`LogError::TooLong`] when the
    /// step prints more than is kept.
    pub async fn append(
        &self,
        task: TaskId,
        step: u32,
        offset: u64,
        bytes: &[u8],
    ) -> Result<u64, LogError> {
        let end = offset + bytes.len() as u64;
        if end > STEP_OUTPUT_MAX + OUTPUT_SLACK {
            return Err(LogError::TooLong { step });
        }
        let key = Key { task, step };
        let slot = self.shared.slot(key);
        let mut guard = slot.step.lock().await;
        let state = Step::load(&mut guard, &self.shared, key).await?;
        if state.ended {
            self.shared.slots().remove(&key);
            return Ok(end.max(state.total()));
        }
        let total = state.accept(offset, bytes)?;
        state.pack_full().await?;
        if state.segment_is_full() {
            seal::seal(&self.shared, key, state).await?;
        }
        drop(guard);
        slot.grown(total);
        self.shared.ring_due.notify_one();
        Ok(total)
    }

    /// Prepares the end of a step whose output has `length` bytes. Save the answer in the
    /// transaction of that end, then call [`Logs::settle`]. May be repeated.
    ///
    /// # Errors
    /// [`Refusal::OutputMissing`] when less has come than the step printed.
    pub async fn finish(&self, task: TaskId, step: u32, length: u64) -> Result<Tail, LogError> {
        let key = Key { task, step };
        if length == 0 && !self.shared.slots().contains_key(&key) {
            return Ok(Tail::default());
        }
        let slot = self.shared.slot(key);
        let mut guard = slot.step.lock().await;
        let state = Step::load(&mut guard, &self.shared, key).await?;
        if state.ended {
            self.shared.slots().remove(&key);
            return Ok(Tail::default());
        }
        if state.total() < length {
            let expected = state.total();
            return Err(Refusal::OutputMissing { step, expected }.into());
        }
        seal::prepare(&self.shared, key, state).await
    }

    /// [`Logs::finish`] for all steps of a task that will send no more, such as one whose runner
    /// was lost: whatever came is kept.
    ///
    /// # Errors
    /// When the bytes could not be stored.
    pub async fn finish_task(&self, task: TaskId) -> Result<Vec<Tail>, LogError> {
        let mut tails = Vec::new();
        for key in self.keys_of(task) {
            tails.push(self.finish(task, key.step, 0).await?);
        }
        Ok(tails)
    }

    /// The end of a step is committed: readers that follow it end, and its live state goes.
    pub async fn settle(&self, task: TaskId, step: u32) {
        let key = Key { task, step };
        let Some(slot) = self.shared.slots().remove(&key) else { return };
        slot.end();
        if slot.step.lock().await.as_ref().is_some_and(|step| step.has_ring) {
            ring::remove(&self.shared, key).await;
        }
    }

    /// [`Logs::settle`] for all steps of a task.
    pub async fn settle_task(&self, task: TaskId) {
        for key in self.keys_of(task) {
            self.settle(task, key.step).await;
        }
    }

    /// Removes the output of tasks that are forgotten: first the rows, then the bytes.
    ///
    /// # Errors
    /// When rows or bytes could not be removed; bytes without a row are found by
    /// [`crate::leftovers`].
    pub async fn remove(&self, tasks: Vec<TaskId>) -> Result<(), LogError> {
        let remove = move |txn: &mut store::Txn<'_>| {
            let mut objects = Vec::new();
            for task in tasks {
                objects.extend(txn.log_remove(task)?);
            }
            Ok::<_, LogError>(objects)
        };
        for object in self.shared.store.write(remove).await? {
            self.shared.objects.delete(seal::BUCKET, &object).await?;
        }
        Ok(())
    }

    /// For a clean stop: seals what is framed and writes the rings, so that the next start knows
    /// all that came.
    ///
    /// # Errors
    /// When the bytes could not be stored; the runner then sends them again.
    pub async fn flush(&self) -> Result<(), LogError> {
        ring::settle_all(&self.shared).await
    }

    fn keys_of(&self, task: TaskId) -> Vec<Key> {
        self.shared.slots().keys().filter(|key| key.task == task).copied().collect()
    }
}

impl Drop for Shared {
    /// Ends the keeper of rings.
    fn drop(&mut self) {
        self.ring_due.notify_one();
    }
}

#[cfg(test)]
mod tests;
