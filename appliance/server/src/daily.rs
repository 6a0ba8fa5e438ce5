//! What is done once a day: everything that was kept long enough goes.
//!
//! Invariants: each part is idempotent, and one that fails is logged and does not hold up the others;
//! nothing is removed by a clock that is not believed.

use crate::{git_upkeep, serve::now};
use base::time::Timestamp;
use engine::{
    housekeeping::{self, Clock},
    logs::Logs,
    retention::{self, Keep},
};
use objects::Objects;
use repos::Repos;
use std::time::{Duration, Instant};
use store::Store;

/// Soon after the start: a box that is switched on for an hour a week is swept, too.
const FIRST: Duration = Duration::from_secs(60);

/// Between two looks.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The same while the clock is not set.
const UNSET: Duration = Duration::from_secs(600);

/// The rooms that are swept.
pub(crate) struct Rooms {
    pub(crate) store: Store,
    pub(crate) logs: Logs,
    pub(crate) objects: Objects,
    pub(crate) repos: Repos,
    pub(crate) keep: Keep,
}

/// Looks once a day, for ever.
pub(crate) async fn sweep(rooms: Rooms) {
    let (begun, mut wait) = (Instant::now(), FIRST);
    loop {
        tokio::time::sleep(wait).await;
        wait = rooms.look(now(), begun.elapsed()).await;
    }
}

impl Rooms {
    /// One look, so long after the start; the time until the next.
    async fn look(&self, now: Timestamp, running: Duration) -> Duration {
        if let Err(error) = housekeeping::trim(&self.store, now).await {
            tracing::error!("the logs of events and deeds could not be trimmed: {error:#}");
        }
        match housekeeping::judge(&self.store, now, running).await {
            Ok(Clock::Believed) => self.remove(now).await,
            Ok(Clock::Unset) => return UNSET,
            Ok(Clock::Moved) => {
                tracing::info!("the first look since the clock moved far: nothing is removed yet");
            }
            Err(error) => {
                tracing::error!("the last look at old things is not known: {error:#}");
            }
        }
        DAY
    }

    /// Removes what is old at `now`.
    async fn remove(&self, now: Timestamp) {
        let Self { store, logs, objects, repos, keep } = self;
        if let Err(error) = housekeeping::forget(store, now).await {
            tracing::error!("tokens and keys that have ended could not be closed: {error:#}");
        }
        match objects.expire(now).await {
            Ok(expired) if expired == objects::Expired::default() => {}
            Ok(expired) => tracing::info!(?expired, "carried out the lifecycle rules"),
            Err(error) => {
                tracing::error!("the lifecycle rules could not be carried out: {error:#}")
            }
        }
        if let Err(error) = objects.image_sweep(now).await {
            tracing::error!("images without a name could not be removed: {error:#}");
        }
        match retention::sweep(store, logs, objects, *keep, now).await {
            Ok(swept) if swept == retention::Swept::default() => {}
            Ok(swept) => tracing::info!(
                pipelines = swept.pipelines,
                parts = swept.released,
                caches = swept.caches,
                "old runs were removed"
            ),
            Err(error) => tracing::error!("old runs could not be removed: {error:#}"),
        }
        match engine::leftovers::sweep(objects, now).await {
            Ok(swept) if swept == engine::leftovers::Swept::default() => {}
            Ok(swept) => tracing::info!(
                objects = swept.objects,
                bytes = swept.bytes,
                "removed what uploads without a report had left"
            ),
            Err(error) => tracing::error!("what uploads left could not be removed: {error:#}"),
        }
        // After the runs: their commits are no longer needed.
        if let Err(error) = git_upkeep::prune(store, repos, now).await {
            tracing::error!("repositories could not be pruned: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{path::Path, sync::Arc};
    use store::{SiteKey, live::MemoryLive};

    const RULE: &str = r#"{"lifecycle":[{"enabled":true,"expire":{"days":1}}]}"#;

    async fn rooms(folder: &Path) -> Rooms {
        let config = store::Config::new(folder.join("state"));
        let store = Store::open(&config, SiteKey::new([7; 32])).unwrap();
        let config =
            objects::Config { keep_free: 0, ..objects::Config::new(folder.join("objects")) };
        let objects = Objects::open(config, store.clone()).await.unwrap();
        let logs = Logs::new(store.clone(), objects.clone(), Arc::new(MemoryLive::default()));
        let repos = Repos::open(folder.join("repos"), repos::Limits::default()).unwrap();
        Rooms { store, logs, objects, repos, keep: Keep::all(DAY * 90) }
    }

    #[tokio::test]
    async fn rules_of_buckets_remove_nothing_by_a_clock_that_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let rooms = rooms(folder.path()).await;
        rooms.objects.bucket_create("ruled", "ann", objects::alone).await.unwrap();
        let set = |txn: &mut store::Txn<'_>| {
            let bucket = txn.bucket_get("ruled")?.map_or(0, |bucket| bucket.id);
            txn.bucket_update(bucket, "off", RULE)
        };
        rooms.store.write(set).await.unwrap();
        rooms.objects.put("ruled", "k", b"bytes".to_vec()).await.unwrap();
        let is_there = async || rooms.objects.head("ruled", "k").await.is_ok();
        let begun = now();
        for days in [0, 20_000, 2] {
            assert_eq!(rooms.look(begun.plus(DAY * days), FIRST).await, DAY);
            assert!(is_there().await, "after {days} days");
        }
        assert_eq!(rooms.look(Timestamp(0), FIRST).await, UNSET, "the clock is not set");
        assert!(is_there().await);
        assert_eq!(rooms.look(begun.plus(DAY * 3), FIRST).await, DAY);
        assert!(!is_there().await);
    }
}
