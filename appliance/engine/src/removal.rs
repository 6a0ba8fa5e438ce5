//! Removes what a deleted project left: its runs with their logs, artifacts and workspaces, its
//! caches, and texts that were its alone.
//!
//! The way is that of [`crate::retention`]: each pipeline, and each handful of caches, is removed in a
//! transaction of its own, and its bytes after that. A cut in between leaves bytes without a row; since
//! the last step looks for those of all forgotten tasks, however new they are, none stays.
//! Invariants: nobody sees the project any more when this begins; idempotent, so it may be cut at
//! any time and begun again; it is not over before nothing is left.

use crate::{
    leftovers,
    logs::{LogError, Logs},
    retention::{self, remove_bytes},
};
use base::ids::{PipelineNumber, ProjectId};
use objects::Objects;
use store::Store;

/// Caches removed in one transaction.
const CACHES: u32 = 100;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Pipelines with all that belonged to them.
    pub pipelines: usize,
    /// Caches.
    pub caches: usize,
    /// Pipelines that stay, since something of them goes on, which should not be.
    pub left: usize,
}

/// Removes all that a deleted project left here; its Git folder is its caller's to remove.
///
/// # Errors
/// When the store or the object store fails; what was removed before stays removed.
pub async fn purge(
    store: &Store,
    logs: &Logs,
    objects: &Objects,
    project: ProjectId,
) -> Result<Purged, LogError> {
    let mut purged = purge_pipelines(store, logs, objects, project).await?;
    purged.caches = purge_caches(store, objects, project).await?;
    retention::forget_texts(store).await?;
    leftovers::sweep_forgotten(objects).await?;
    Ok(purged)
}

async fn purge_pipelines(
    store: &Store,
    logs: &Logs,
    objects: &Objects,
    project: ProjectId,
) -> Result<Purged, LogError> {
    let (mut purged, mut after) = (Purged::default(), PipelineNumber(0));
    loop {
        let page = store.read(move |reader| reader.removal_pipelines(project, after)).await?;
        let Some((last, _)) = page.last() else { return Ok(purged) };
        after = *last;
        for (_, id) in page {
            match store.write(move |txn| txn.pipeline_remove(id)).await? {
                Some(removed) => {
                    remove_bytes(removed, logs, objects).await?;
                    purged.pipelines += 1;
                }
                None => purged.left += 1,
            }
        }
    }
}

async fn purge_caches(
    store: &Store,
    objects: &Objects,
    project: ProjectId,
) -> Result<usize, LogError> {
    let mut count = 0;
    loop {
        let gone = store.write(move |txn| txn.removal_caches(project, CACHES)).await?;
        if gone.is_empty() {
            return Ok(count);
        }
        count += gone.len();
        for key in gone {
            objects.delete("caches", &key).await?;
        }
    }
}
