//! What is done once a day: everything that was kept long enough goes.
//!
//! Invariants: each part is idempotent, and one that fails is logged and does not hold up the others;
//! nothing is removed by a clock that is not believed.

use crate::{git_upkeep, serve::now};
use engine::{housekeeping, logs::Logs};
use objects::Objects;
use repos::Repos;
use std::time::Duration;
use store::Store;

/// Once a day, and soon after the start: a box that is switched on for an hour a week is swept, too.
pub(crate) async fn sweep(
    store: Store,
    logs: Logs,
    objects: Objects,
    repos: Repos,
    keep: engine::retention::Keep,
) {
    let mut wait = Duration::from_secs(60);
    loop {
        tokio::time::sleep(wait).await;
        wait = Duration::from_secs(24 * 3600);
        if let Err(error) = housekeeping::trim(&store, now()).await {
            tracing::error!("the logs of events and deeds could not be trimmed: {error:#}");
        }
        match housekeeping::believes(&store, now()).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!("the first look since the clock moved far: nothing is removed yet");
                continue;
            }
            Err(error) => {
                tracing::error!("the last look at old things is not known: {error:#}");
                continue;
            }
        }
        if let Err(error) = objects.image_sweep(now()).await {
            tracing::error!("images without a name could not be removed: {error:#}");
        }
        match engine::retention::sweep(&store, &logs, &objects, keep, now()).await {
            Ok(swept) if swept == engine::retention::Swept::default() => {}
            Ok(swept) => tracing::info!(
                pipelines = swept.pipelines,
                parts = swept.released,
                caches = swept.caches,
                "old runs were removed"
            ),
            Err(error) => tracing::error!("old runs could not be removed: {error:#}"),
        }
        match engine::leftovers::sweep(&objects, now()).await {
            Ok(swept) if swept == engine::leftovers::Swept::default() => {}
            Ok(swept) => tracing::info!(
                objects = swept.objects,
                bytes = swept.bytes,
                "removed what uploads without a report had left"
            ),
            Err(error) => tracing::error!("what uploads left could not be removed: {error:#}"),
        }
        // After the runs: their commits are no longer needed.
        if let Err(error) = git_upkeep::prune(&store, &repos, now()).await {
            tracing::error!("repositories could not be pruned: {error:#}");
        }
    }
}
