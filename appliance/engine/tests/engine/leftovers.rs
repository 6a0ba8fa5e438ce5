//! What uploads left behind goes, what anybody needs stays, and a kill in the middle harms neither.

use crate::{
    alone::one_life,
    house::{House, ONE_JOB, ended, now, open},
};
use base::{
    ids::{JobNumber, TaskId},
    protocol::Progress,
    state::TaskOutcome,
    time::Timestamp,
    trust::Trust,
    workspace::Names,
};
use engine::leftovers::{self, Swept};
use objects::Objects;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use store::{
    Store,
    runs::{Cache, Layer},
};
use uuid::Uuid;

/// Names the folder of a child's store.
const DIR: &str = "APPLIANCE_LEFTOVERS_DIR";

/// More than one page of each bucket.
const MANY: u128 = 600;

fn days(count: u64) -> Timestamp {
    now().plus(Duration::from_secs(count * 24 * 3600))
}

async fn objects(dir: &Path, store: &Store) -> Objects {
    let config = objects::Config { keep_free: 0, ..objects::Config::new(dir.join("objects")) };
    Objects::open(config, store.clone()).await.unwrap()
}

/// A task that nobody knows any more.
fn forgotten(number: u128) -> TaskId {
    TaskId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number << 40))
}

async fn put(objects: &Objects, bucket: &str, key: &str) {
    objects.put(bucket, key, key.as_bytes().to_vec()).await.unwrap();
}

/// The keys of a bucket.
async fn keys(objects: &Objects, bucket: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = objects.list(bucket, "", None, after.as_deref(), 1000).await.unwrap();
        all.extend(page.entries.into_iter().map(|entry| match entry {
            objects::Entry::Object(info) => info.key,
            objects::Entry::Prefix(prefix) => prefix,
        }));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn check(objects: &Objects, bucket: &str, expected: &[String]) {
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(keys(objects, bucket).await, expected, "{bucket}");
}

#[tokio::test]
async fn objects_without_a_row_go_when_their_task_is_over_and_they_are_old() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let objects = objects(dir.path(), &house.store).await;
    let runner = house.runner().await;
    house.triggered(ONE_JOB).await;
    let done = house.claim(runner).await.remove(0);
    let key = |name: &str| format!("{}/{name}", done.task);
    for name in ["named", "cut"] {
        put(&objects, "artifacts", &key(name)).await;
    }
    put(&objects, "workspaces", &key("layer")).await;
    put(&objects, "workspaces", &key("unconfirmed")).await;
    put(&objects, "caches", &key("cache")).await;
    put(&objects, "caches", &key("second")).await;
    put(&objects, "logs", &key("0/0")).await;
    put(&objects, "artifacts", "by hand/notes.txt").await;
    for number in 0..MANY {
        put(&objects, "artifacts", &format!("{}/x", forgotten(number))).await;
    }
    assert_eq!(leftovers::sweep(&objects, days(9)).await.unwrap().objects, MANY as u64);
    check(&objects, "artifacts", &[key("named"), key("cut"), "by hand/notes.txt".into()]).await;

    let artifact = Progress::Artifact { path: "named".into(), key: key("named"), size: 1 };
    house.report(&done, vec![artifact, ended(TaskOutcome::Success)]).await.unwrap();
    let (task, project, layer, cache) = (done.task, house.project, key("layer"), key("cache"));
    let save = move |txn: &mut store::Txn<'_>| {
        let (size, created_at) = (1, now());
        let layer = Layer { task, object: layer, size, created_at };
        txn.layer_insert(&layer, &Names::default())?;
        let (key, job, expires_at) = ("v1".into(), JobNumber(1), days(15));
        let cache = Cache {
            project,
            key,
            trust: Trust::Protected,
            object: cache,
            size,
            paths: vec![],
            job,
            created_at,
            expires_at,
        };
        txn.cache_insert(&cache).map(drop)
    };
    house.store.write(save).await.unwrap();
    assert_eq!(leftovers::sweep(&objects, now()).await.unwrap(), Swept::default(), "too young");
    assert_eq!(leftovers::sweep(&objects, days(2)).await.unwrap().objects, 4);
    check(&objects, "artifacts", &[key("named"), "by hand/notes.txt".into()]).await;
    check(&objects, "workspaces", &[key("layer")]).await;
    check(&objects, "caches", &[key("cache")]).await;
    check(&objects, "logs", &[]).await;
    assert_eq!(leftovers::sweep(&objects, days(2)).await.unwrap(), Swept::default());
    house.stop().await;
}

/// Not a test of its own: sweeps until it is killed, or is done.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let store = open(&dir);
    let objects = objects(&dir, &store).await;
    println!("begins");
    leftovers::sweep(&objects, days(2)).await.unwrap();
}

/// Fills the buckets: what is named beside what is not.
async fn fill(dir: &Path, round: u128) -> Vec<String> {
    let store = open(dir);
    let objects = objects(dir, &store).await;
    let mut named = Vec::new();
    for number in 0..MANY {
        let task = forgotten(round * MANY + number);
        let key = format!("{task}/x");
        put(&objects, "artifacts", &key).await;
        if number % 10 == 0 {
            let row = key.clone();
            let save = move |txn: &mut store::Txn<'_>| txn.artifact_save(task, "x", &row, 1);
            store.write(save).await.unwrap();
            named.push(key);
        }
    }
    close(store, objects).await;
    named
}

async fn close(store: Store, objects: Objects) {
    drop(objects);
    tokio::task::spawn_blocking(move || store.close().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_sweep_that_is_killed_takes_nothing_that_is_named_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut named = Vec::new();
    let mut left = Vec::new();
    for kill in 0..6_u64 {
        named.extend(fill(dir.path(), u128::from(kill)).await);
        one_life("leftovers::child", DIR, dir.path(), Duration::from_millis(kill * 3));
        let store = open(dir.path());
        let objects = objects(dir.path(), &store).await;
        let there = keys(&objects, "artifacts").await;
        assert!(named.iter().all(|key| there.binary_search(key).is_ok()), "kill {kill}");
        left.push(there.len() - named.len());
        close(store, objects).await;
    }
    let store = open(dir.path());
    let objects = objects(dir.path(), &store).await;
    let last = *left.last().unwrap() as u64;
    assert_eq!(leftovers::sweep(&objects, days(2)).await.unwrap().objects, last, "{left:?}");
    check(&objects, "artifacts", &named).await;
    for key in &named {
        let bytes = objects.get_small("artifacts", key, 999).await.unwrap();
        assert_eq!(bytes, key.as_bytes());
    }
    objects.gc_now().await.unwrap();
    let usage = objects.bucket_infos().await.unwrap();
    let usage = usage.iter().find(|info| info.name == "artifacts").unwrap().usage;
    assert_eq!(usage.objects, named.len() as u64, "the sums fit");
    close(store, objects).await;
}
