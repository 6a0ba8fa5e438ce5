//! The last bytes of each running step, in live state.
//!
//! Why: after a clean restart the console still shows the end of what runs, and most steps go on
//! without their runner sending anything again. After an unclean stop the ring is gone and the
//! runner is told the offset to repeat from.
//! The way: a keeper writes what is new at most every [`SPACING`], so that a flood costs little
//! and a step that ends before costs nothing. Idle, it sleeps on a notification.
//! Keys: `log/` task, step and offset in big-endian order; the value is what follows the offset.

use super::{Key, LogError, Shared, seal, slot::Step};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use store::live::{Live, LiveError, Pair};
use tokio::sync::Notify;

/// Between two writes of the rings.
const SPACING: Duration = Duration::from_millis(500);

/// Bytes in one value; a ring holds what is open, at most [`super::frame::FRAME`] bytes.
const PART: usize = 32 << 10;

/// More parts than a ring ever has; bounds a scan.
const PARTS_MAX: usize = 64;

fn prefix(key: Key) -> Vec<u8> {
    [b"log/", &key.task.0.as_bytes()[..], &key.step.to_be_bytes()].concat()
}

fn part_key(key: Key, offset: u64) -> Vec<u8> {
    [&prefix(key)[..], &offset.to_be_bytes()].concat()
}

/// Keeps the rings of running steps until the logs are dropped, which notifies a last time.
pub(crate) async fn keep(shared: Weak<Shared>, due: Arc<Notify>) {
    loop {
        due.notified().await;
        // A step that ends within this time never reaches the ring.
        tokio::time::sleep(SPACING).await;
        let Some(shared) = shared.upgrade() else { return };
        write_all(&shared).await;
    }
}

/// Writes what is new of every running step.
pub(crate) async fn write_all(shared: &Shared) {
    let slots: Vec<_> = shared.slots().iter().map(|(key, slot)| (*key, Arc::clone(slot))).collect();
    for (key, slot) in slots {
        if let Some(step) = &mut *slot.step.lock().await {
            write(shared, key, step).await;
        }
    }
}

/// Seals what is framed and writes the rest to the ring: after this a clean stop loses nothing.
pub(crate) async fn settle_all(shared: &Shared) -> Result<(), LogError> {
    let slots: Vec<_> = shared.slots().iter().map(|(key, slot)| (*key, Arc::clone(slot))).collect();
    for (key, slot) in slots {
        if let Some(step) = &mut *slot.step.lock().await {
            if !step.frames.is_empty() {
                seal::seal(shared, key, step).await?;
            }
            write(shared, key, step).await;
        }
    }
    Ok(())
}

async fn write(shared: &Shared, key: Key, step: &mut Step) {
    let (from, total) = (step.open_from(), step.total());
    if step.in_ring == total && step.ring_from == from {
        return;
    }
    let new = if step.ring_from == from { step.in_ring.saturating_sub(from) } else { 0 };
    let pairs = parts(key, step, new);
    let stale = (step.ring_from < from).then_some(from);
    let done = on_live(shared, move |live| {
        live.put(&pairs)?;
        stale.map_or(Ok(()), |from| delete_before(live, key, from))
    });
    if done.await {
        step.has_ring = true;
        (step.ring_from, step.in_ring) = (from, total);
    }
}

/// The parts that hold what follows the first `known` open bytes; the part they end in is
/// written again, so that many small appends make few parts.
fn parts(key: Key, step: &Step, known: u64) -> Vec<Pair> {
    let first = usize::try_from(known).unwrap_or(0) / PART;
    let chunks = step.open.chunks(PART).enumerate().skip(first);
    let place = |index: usize| step.open_from() + (index * PART) as u64;
    chunks.map(|(index, part)| (part_key(key, place(index)), part.to_vec())).collect()
}

fn delete_before(live: &dyn Live, key: Key, from: u64) -> Result<(), LiveError> {
    let end = part_key(key, from);
    let stale = live.scan(&prefix(key), PARTS_MAX)?.into_iter().map(|(name, _)| name);
    live.delete(&stale.filter(|name| *name < end).collect::<Vec<_>>())
}

/// Forgets a step's ring.
pub(crate) async fn remove(shared: &Shared, key: Key) {
    on_live(shared, move |live| delete_before(live, key, u64::MAX)).await;
}

/// Adds what the ring knows of the bytes that follow what is sealed.
pub(crate) async fn read_into(shared: &Shared, key: Key, step: &mut Step) {
    let live = Arc::clone(&shared.live);
    let found = tokio::task::spawn_blocking(move || live.scan(&prefix(key), PARTS_MAX)).await;
    for (name, part) in found.into_iter().flatten().flatten() {
        step.has_ring = true;
        if name != part_key(key, step.total()) {
            break;
        }
        step.open.extend_from_slice(&part);
    }
}

/// Runs `work` where it may block; `false` when it failed, which costs only the ring.
async fn on_live(
    shared: &Shared,
    work: impl FnOnce(&dyn Live) -> Result<(), LiveError> + Send + 'static,
) -> bool {
    let live = Arc::clone(&shared.live);
    match tokio::task::spawn_blocking(move || work(&*live)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "the ends of running logs are not kept");
            false
        }
        Err(_) => false,
    }
}
