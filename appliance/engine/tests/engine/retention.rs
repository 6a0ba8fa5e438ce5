//! What was kept long enough goes, all of it.

use crate::house::{House, now};
use base::{ids::JobNumber, trust::Trust};
use engine::{
    logs::Logs,
    retention::{self, Keep},
};
use objects::Objects;
use std::{sync::Arc, time::Duration};
use store::{live::MemoryLive, runs::Cache};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// More than go in one transaction.
const MANY: usize = 1100;

#[tokio::test]
async fn however_many_caches_are_past_their_day_one_sweep_removes_them() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let config =
        objects::Config { keep_free: 0, ..objects::Config::new(dir.path().join("objects")) };
    let objects = Objects::open(config, house.store.clone()).await.unwrap();
    let logs = Logs::new(house.store.clone(), objects.clone(), Arc::new(MemoryLive::default()));
    let (project, created_at) = (house.project, now());
    let cache = move |number: usize, days: u32| Cache {
        project,
        key: format!("v1-{number}"),
        trust: Trust::Unprotected,
        object: format!("task/{number}"),
        size: 1,
        paths: vec![],
        job: JobNumber(1),
        created_at,
        expires_at: created_at.plus(DAY * days),
    };
    let save = move |txn: &mut store::Txn<'_>| {
        txn.cache_insert(&cache(MANY, 30))?;
        (0..MANY).try_for_each(|number| txn.cache_insert(&cache(number, 15)).map(drop))
    };
    house.store.write(save).await.unwrap();
    let keep = Keep::all(DAY * 90);
    let later = now().plus(DAY * 16);
    let swept = retention::sweep(&house.store, &logs, &objects, keep, later).await.unwrap();
    assert_eq!(swept.caches, MANY);
    let find = move |reader: &store::Reader<'_>| {
        reader.cache_find(project, Trust::Unprotected, "v1-", created_at)
    };
    let left = house.store.read(find).await.unwrap();
    assert_eq!(left.map(|cache| cache.object), Some(format!("task/{MANY}")));
    house.stop().await;
}
