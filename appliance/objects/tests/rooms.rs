//! The room as other rooms use it.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use objects::{Body, ByteStream, Config, Entry, Error, Objects, Place};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use store::{SiteKey, Store};

async fn open(dir: &Path) -> (Objects, Store) {
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    let objects = Objects::open(Config::new(dir.join("blobs")), store.clone()).await.unwrap();
    (objects, store)
}

async fn all(bytes: ByteStream) -> Vec<u8> {
    bytes
        .try_fold(Vec::new(), |mut all, part| async move {
            all.extend_from_slice(&part);
            Ok(all)
        })
        .await
        .unwrap()
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}

fn files(dir: &Path) -> usize {
    let count = |entry: std::io::Result<std::fs::DirEntry>| match entry.unwrap() {
        entry if entry.path().is_dir() => files(&entry.path()),
        _ => 1,
    };
    std::fs::read_dir(dir).unwrap().map(count).sum()
}

async fn check(objects: &Objects, size: usize) {
    let bytes = noise(size);
    let stored = objects.put("artifacts", "a/b", bytes.clone()).await.unwrap();
    assert_eq!(stored.size, size as u64);
    let found = objects.get("artifacts", "a/b", None).await.unwrap();
    assert_eq!(all(found.bytes).await, bytes, "{size}");
    let middle = (size as u64 / 3)..(size as u64 / 3 + 1000);
    if size > 0 {
        let found = objects.get("artifacts", "a/b", Some(middle)).await.unwrap();
        let range = found.range.start as usize..found.range.end as usize;
        assert_eq!(all(found.bytes).await, &bytes[range]);
    }
}

/// Reads one object over and over, so that it is always at hand.
fn reader(objects: Objects, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            drop(objects.get_small("caches", "hot", 100).await);
            tokio::task::yield_now().await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_answered_write_is_seen_by_the_next_read_however_often_the_old_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3).map(|_| reader(objects.clone(), Arc::clone(&stop))).collect();
    for round in 0..100 {
        let value = format!("value {round}").into_bytes();
        objects.put("caches", "hot", value.clone()).await.unwrap();
        assert_eq!(objects.get_small("caches", "hot", 100).await.unwrap(), value);
        if round % 10 == 0 {
            objects.delete("caches", "hot").await.unwrap();
            let gone = objects.get_small("caches", "hot", 100).await;
            assert!(matches!(gone, Err(Error::NoObject { .. })), "{gone:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn small_and_large_objects_come_back_whole_and_in_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path()).await;
    for size in [0, 1, 16 << 10, (16 << 10) + 1, 256 << 10, (1 << 20) + 17] {
        check(&objects, size).await;
    }
    let beyond = objects.get("artifacts", "a/b", Some(1 << 30..1 << 31)).await;
    assert!(matches!(beyond.err(), Some(Error::Range { .. })));
}

#[tokio::test]
async fn a_remote_place_serves_the_same_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&store::Config::new(dir.path()), SiteKey::new([7; 32])).unwrap();
    let place = Place::Remote(Arc::new(object_store::memory::InMemory::new()));
    let objects = Objects::open(Config::over(place), store).await.unwrap();
    check(&objects, (9 << 20) + 3).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (objects, store) = open(dir.path()).await;
        objects.put("caches", "k", noise(100_000)).await.unwrap();
        tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
    }
    let (objects, _store) = open(dir.path()).await;
    let found = objects.get("caches", "k", None).await.unwrap();
    assert_eq!(all(found.bytes).await, noise(100_000));
}

#[tokio::test]
async fn equal_bytes_are_kept_once_and_their_space_comes_back_with_the_last_name() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path()).await;
    for key in ["x", "y"] {
        objects.put("caches", key, noise(100_000)).await.unwrap();
    }
    let blobs = dir.path().join("blobs");
    wait(|| files(&blobs) == 1).await;
    objects.delete("caches", "x").await.unwrap();
    assert_eq!(objects.gc_now().await.unwrap().blobs, 0);
    objects.delete("caches", "y").await.unwrap();
    assert_eq!(objects.gc_now().await.unwrap().bytes, 100_000);
    assert_eq!(files(&blobs), 0);
    assert!(matches!(objects.head("caches", "y").await, Err(Error::NoObject { .. })));
}

/// Waits for a condition that a task in the background brings about.
async fn wait(mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "it did not come to pass within 10 s");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_sender_that_stops_leaves_the_old_object_and_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path()).await;
    objects.put("logs", "k", "old".as_bytes().to_vec()).await.unwrap();
    let cut = || Error::Receive {
        key: "k".into(),
        source: Arc::new(std::io::ErrorKind::ConnectionReset.into()),
    };
    let parts = vec![Ok(Bytes::from(noise(400_000))), Err(cut())];
    let body = Body::from(futures_util::stream::iter(parts).boxed());
    assert!(objects.put("logs", "k", body).await.is_err());
    assert_eq!(objects.get_small("logs", "k", 10).await.unwrap(), b"old");
    wait(|| files(&dir.path().join("blobs")) == 0).await;
}

/// The database that names a file may come back within a day; a restart in between does not shorten it.
#[tokio::test]
async fn a_file_without_a_name_stays_for_a_day_of_running() {
    let dir = tempfile::tempdir().unwrap();
    let (left, half) =
        (dir.path().join("blobs/00/0123-left"), dir.path().join("blobs/00/0123-half#1"));
    let mut hours = 0;
    for starts in 0..3 {
        let (objects, store) = open(dir.path()).await;
        if starts == 0 {
            std::fs::write(&left, "x").unwrap();
            std::fs::write(&half, "x").unwrap();
        }
        assert_eq!(objects.sweep().await.unwrap(), 1);
        assert!(!half.exists(), "nothing could ever name it");
        for _ in 0..8 {
            assert!(left.exists(), "after {hours} hours");
            assert_eq!(objects.sweep_hour().await.unwrap(), u64::from(hours == 23));
            hours += 1;
        }
        drop(objects);
        tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
    }
    assert_eq!(files(&dir.path().join("blobs")), 0, "the file and the count are gone");
}

#[tokio::test]
async fn leftovers_of_a_cut_are_swept_and_named_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join("blobs");
    {
        let (objects, store) = open(dir.path()).await;
        objects.put("logs", "k", noise(50_000)).await.unwrap();
        tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
    }
    std::fs::write(blobs.join("00/0123-leftover"), "x").unwrap();
    std::fs::write(blobs.join("ff/0123-half#1"), "x").unwrap();
    let (objects, _store) = open(dir.path()).await;
    objects.put("logs", "new", noise(60_000)).await.unwrap();
    assert_eq!(objects.sweep_now().await.unwrap(), 1);
    assert_eq!(files(&blobs), 2);
    assert_eq!(objects.get_small("logs", "k", 1 << 20).await.unwrap(), noise(50_000));
}

#[tokio::test]
async fn listings_fold_what_lies_behind_the_delimiter() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path()).await;
    for key in ["a", "b/1", "b/2", "c", "d/1"] {
        objects.put("logs", key, Vec::new()).await.unwrap();
    }
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = objects.list("logs", "", Some("/"), after.as_deref(), 2).await.unwrap();
        names.extend(page.entries.iter().map(|entry| match entry {
            Entry::Object(info) => info.key.clone(),
            Entry::Prefix(prefix) => prefix.clone(),
        }));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a", "b/", "c", "d/"]);
}
