//! A caller that goes away while its row waits to be committed: the object is there whole or not
//! at all, and no file stays behind.

use crate::{
    kill::on_disk,
    load::{Value, noise, open},
};
use objects::Objects;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};
use store::Store;

const DEADLINE: Duration = Duration::from_secs(60);

async fn until(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Files below a folder; earlier callers' may be on their way out.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        match entry.unwrap().path() {
            path if path.is_dir() => all.append(&mut files(&path)),
            path => drop(all.insert(path)),
        }
    }
    all
}

/// Puts an object, goes away before the writer comes to it; `true` when it was stored all the same.
async fn leave(
    objects: &Objects,
    store: &Store,
    blobs: &Path,
    value: Value,
    patience: Duration,
) -> bool {
    let (open_gate, gate) = mpsc::channel::<()>();
    let (tell_closed, closed) = tokio::sync::oneshot::channel::<()>();
    let wait = move |_: &mut store::Txn<'_>| {
        let _ = tell_closed.send(());
        // Its sender is dropped when the caller has gone.
        let _ = gate.recv();
        Ok::<_, store::Error>(())
    };
    let (writer, before) = (store.clone(), files(blobs));
    let blocked = tokio::spawn(async move { writer.write(wait).await });
    closed.await.unwrap();
    let (to, key) = (objects.clone(), format!("k{}", value.seed));
    let putting = {
        let key = key.clone();
        tokio::spawn(async move { to.put("caches", &key, noise(value)).await })
    };
    until("its bytes are on the disk", || !files(blobs).is_subset(&before)).await;
    tokio::time::sleep(patience).await;
    putting.abort();
    assert!(putting.await.unwrap_err().is_cancelled());
    drop(open_gate);
    blocked.await.unwrap().unwrap();
    // Behind whatever was queued.
    store.write(|_| Ok::<_, store::Error>(())).await.unwrap();
    match objects.get_small("caches", &key, 1 << 20).await {
        Ok(bytes) => bytes == noise(value),
        Err(objects::Error::NoObject { .. }) => false,
        Err(other) => panic!("{key}: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_takes_no_bytes_of_a_stored_object_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, store) = open(dir.path(), None).await.unwrap();
    let blobs = dir.path().join("blobs");
    let (begun, mut stored, mut number) = (Instant::now(), 0, 0);
    while stored < 5 {
        assert!(begun.elapsed() < DEADLINE, "{stored} of {number} were stored");
        number += 1;
        let (value, patience) = (Value { seed: number, size: 20_000 }, number.min(50));
        let patience = Duration::from_millis(patience);
        stored += u64::from(leave(&objects, &store, &blobs, value, patience).await);
    }
    // Files are removed behind the callers' backs: those of the stored ones stay.
    until("files without a row are removed", || on_disk(&blobs) == stored).await;
    let scrubbed = objects.scrub_all().await.unwrap();
    assert_eq!((scrubbed.files, scrubbed.rotten), (stored, 0));
}
