//! Forgets what has been kept long enough: pipelines with their logs, artifacts and workspaces, and
//! caches past their day.
//!
//! The way: `control::retention` decides over the list of pipelines; each is then removed in a
//! transaction of its own, and its bytes after that. A cut in between leaves bytes without a row,
//! which the object store's own sweep finds; never a row without its bytes.
//! Invariants: idempotent and without input, so it may run at any time; nothing is written when
//! nothing is due.

use crate::logs::{LogError, Logs};
use base::{ids::PipelineId, time::Timestamp};
use control::retention::{Bounds, Kept, plan};
use objects::Objects;
use std::{collections::HashSet, time::Duration};
use store::{Store, runs::remove::Removed};

/// Newest pipelines of each project that are kept whatever their age: a project that rests for a
/// year still shows how it ended.
const KEEP_NEWEST: usize = 10;

/// Caches removed in one look; the next look takes the next ones.
const CACHES: u32 = 500;

/// What one sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Pipelines with all that belonged to them.
    pub pipelines: usize,
    /// Caches.
    pub caches: usize,
}

/// Removes everything that is older than `keep_for` at `now`.
///
/// # Errors
/// When the store or the object store fails; what was removed before stays removed.
pub async fn sweep(
    store: &Store,
    logs: &Logs,
    objects: &Objects,
    keep_for: Duration,
    now: Timestamp,
) -> Result<Swept, LogError> {
    let bounds = Bounds { keep_newest: KEEP_NEWEST, keep_for };
    let due = plan(&kept(store).await?, bounds, now);
    for id in due.iter().copied() {
        let removed = store.write(move |txn| txn.pipeline_remove(id)).await?;
        remove_bytes(removed, logs, objects).await?;
    }
    if !due.is_empty() {
        store.write(|txn| txn.texts_sweep()).await?;
    }
    let caches = sweep_caches(store, objects, now).await?;
    Ok(Swept { pipelines: due.len(), caches })
}

async fn kept(store: &Store) -> Result<Vec<Kept>, store::Error> {
    store
        .read(|reader| {
            let live: HashSet<PipelineId> =
                reader.workflow_live()?.into_iter().map(|workflow| workflow.pipeline).collect();
            let mut all = Vec::new();
            loop {
                let page = reader.pipeline_ages(all.last().map(|kept: &Kept| kept.pipeline))?;
                if page.is_empty() {
                    return Ok(all);
                }
                all.extend(page.into_iter().map(|age| Kept {
                    pipeline: age.pipeline,
                    project: age.project,
                    created_at: age.created_at,
                    is_live: live.contains(&age.pipeline),
                }));
            }
        })
        .await
}

async fn remove_bytes(removed: Removed, logs: &Logs, objects: &Objects) -> Result<(), LogError> {
    logs.remove(removed.tasks).await?;
    for key in removed.artifacts {
        objects.delete("artifacts", &key).await?;
    }
    for key in removed.layers {
        objects.delete("workspaces", &key).await?;
    }
    Ok(())
}

async fn sweep_caches(store: &Store, objects: &Objects, now: Timestamp) -> Result<usize, LogError> {
    let due = store.read(move |reader| reader.cache_list_expired(now, CACHES)).await?;
    let count = due.len();
    for cache in due {
        let (project, key) = (cache.project, cache.key);
        store.write(move |txn| txn.cache_remove(project, &key)).await?;
        objects.delete("caches", &cache.object).await?;
    }
    Ok(count)
}
