//! The collection of garbage, harmed at any point of its way: what is named stays, and a later
//! collection gives back all the rest.
//!
//! The way: the room holds objects and images; garbage comes in that shares bytes with them, the
//! collection is harmed, and after another one the room must be what it was, to the byte.

use crate::{
    fail::{can_trace, traced},
    faulty::{Faulty, Fuse},
    kill::{chance, rounds},
    ledger::Ledger,
    load::{ABSENT, BUCKET, Tell, Value, noise, open},
    push::{cut, push, sha},
    s3::S3,
    worker::{Start, Worker},
};
use base::time::Timestamp;
use futures_util::{StreamExt, TryStreamExt};
use objects::{Entry, Objects, Place};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use store::Store;

/// Objects that become garbage in one round.
const OBJECTS: u64 = 6;

/// Images that do.
const IMAGES: u64 = 2;

/// A file; pushed in two chunks, two files.
const SIZE: usize = 60_000;

/// All that the room does about garbage, as if everything were old.
pub(crate) async fn collect(objects: &Objects) -> Result<(), String> {
    let told = |error: objects::Error| error.to_string();
    objects.sweep_now().await.map_err(told)?;
    let later = Timestamp(jiff::Timestamp::now().as_microsecond() + 2 * 86_400_000_000);
    objects.image_sweep(later).await.map_err(|error| error.to_string())?;
    objects.gc_now().await.map(drop).map_err(told)
}

/// What a room holds: keys, blobs, and the files with their sizes.
#[derive(Debug, PartialEq, Eq)]
struct State {
    keys: BTreeSet<String>,
    blobs: (u64, u64),
    rows: (u64, u64),
    files: (u64, u64),
}

impl State {
    async fn of(objects: &Objects, store: &Store, dir: &Path) -> Self {
        let mut keys = BTreeSet::new();
        for bucket in [BUCKET, "images"] {
            let page = objects.list(bucket, "", None, None, 1000).await.unwrap();
            assert!(page.next.is_none());
            keys.extend(page.entries.iter().map(|entry| match entry {
                Entry::Object(info) => format!("{bucket}/{}", info.key),
                Entry::Prefix(prefix) => panic!("{prefix}"),
            }));
        }
        let read = store.read(|reader| {
            let rows = reader.blob_list_all(0, 10_000)?;
            let files = rows.iter().filter(|row| row.path.is_some());
            let files = files.fold((0, 0), |sum, row| (sum.0 + 1, sum.1 + row.size));
            Ok::<_, store::Error>((reader.blob_total()?, files))
        });
        let (blobs, rows) = read.await.unwrap();
        Self { keys, blobs, rows, files: on_disk(&dir.join("blobs")) }
    }
}

/// Files below a folder and their bytes.
fn on_disk(dir: &Path) -> (u64, u64) {
    std::fs::read_dir(dir).unwrap().fold((0, 0), |sum, entry| {
        let path = entry.unwrap().path();
        let (files, bytes) =
            if path.is_dir() { on_disk(&path) } else { (1, path.metadata().unwrap().len()) };
        (sum.0 + files, sum.1 + bytes)
    })
}

async fn close(objects: Objects, store: Store) {
    drop(objects);
    tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
}

/// A room with things that stay, and what is known of it.
struct Room<'a> {
    dir: &'a Path,
    place: Option<Place>,
    ledger: Ledger,
}

impl<'a> Room<'a> {
    async fn new(dir: &'a Path, place: Option<Place>) -> (Self, State) {
        let room = Self { dir, place, ledger: Ledger::default() };
        let (objects, store) = open(dir, room.place.clone()).await.unwrap();
        S3::new(&objects).await.unwrap();
        for seed in 1..=3 {
            room.put(&objects, &format!("kept{seed}"), Value { seed, size: SIZE }).await;
        }
        room.image(&objects, "kept", Value { seed: 4, size: SIZE }).await;
        collect(&objects).await.unwrap();
        let state = State::of(&objects, &store, dir).await;
        assert_eq!(state.files, state.rows);
        assert!(state.files.0 > 3, "layers are files as well: {state:?}");
        close(objects, store).await;
        (room, state)
    }

    async fn put(&self, objects: &Objects, key: &str, value: Value) {
        self.ledger.begin(key, value);
        objects.put(BUCKET, key, noise(value)).await.unwrap();
        self.ledger.done(key, value);
    }

    async fn image(&self, objects: &Objects, name: &str, value: Value) {
        let key = format!("image:{name}");
        self.ledger.begin(&key, value);
        push(objects, name, value).await.unwrap();
        self.ledger.done(&key, value);
    }

    /// Adds what nobody needs: objects, images, a name that moved on, a cut push, and copies of
    /// what stays.
    async fn litter(&self, objects: &Objects, round: u64) {
        let seed = |number| 1000 * (round + 1) + number;
        for number in 0..OBJECTS {
            let seed = if number == 0 { 1 } else { seed(number) };
            let key = format!("gone{number}");
            self.put(objects, &key, Value { seed, size: SIZE }).await;
            objects.delete(BUCKET, &key).await.unwrap();
            self.ledger.done(&key, ABSENT);
        }
        for number in 0..IMAGES {
            let seed = if number == 0 { 4 } else { seed(100 + number) };
            let name = format!("gone{number}");
            self.image(objects, &name, Value { seed: seed + 100, size: SIZE }).await;
            self.image(objects, &name, Value { seed, size: SIZE }).await;
            objects.image_remove(&format!("load/{name}:1"), objects::alone).await.unwrap();
            self.ledger.done(&format!("image:{name}"), ABSENT);
        }
        cut(objects, "cut", noise(Value { seed: seed(200), size: SIZE })).await;
    }

    /// [`Room::litter`] in a room of its own, with files that an earlier run left.
    async fn litter_closed(&self, round: u64) {
        let (objects, store) = open(self.dir, self.place.clone()).await.unwrap();
        self.litter(&objects, round).await;
        close(objects, store).await;
        for number in 0..3 {
            std::fs::write(self.dir.join(format!("blobs/0{number}/0123-left")), "left").unwrap();
        }
    }

    /// The next start finds everything that stays, and its collection removes all the rest.
    async fn check(&self, expected: &State) {
        self.ledger.compare(self.dir, self.place.clone()).await;
        let (objects, store) = open(self.dir, self.place.clone()).await.unwrap();
        collect(&objects).await.unwrap();
        assert_eq!(&State::of(&objects, &store, self.dir).await, expected);
        close(objects, store).await;
    }
}

/// Each part is opened when the one before it was sent; by then nothing names it any more.
#[tokio::test]
async fn an_object_in_parts_is_read_to_its_end_although_it_is_deleted_and_collected() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    let value = Value { seed: 9, size: SIZE };
    push(&objects, "slow", value).await.unwrap();
    let layer = noise(value);
    let key = sha(&layer).replace("sha256:", "blobs/sha256/");
    let mut bytes = objects.get("images", &key, None).await.unwrap().bytes;
    let mut read = bytes.next().await.unwrap().unwrap().to_vec();
    assert!(read.len() < SIZE, "it has parts");
    objects.image_remove("load/slow:1", objects::alone).await.unwrap();
    collect(&objects).await.unwrap();
    assert!(objects.head("images", &key).await.is_err());
    read.extend(bytes.try_collect::<Vec<_>>().await.unwrap().concat());
    assert!(read == layer);
    objects.gc_now().await.unwrap();
    assert_eq!(on_disk(&dir.path().join("blobs")), (0, 0), "it is collected when nobody reads it");
}

/// System calls by which a collection makes anything durable.
const CALLS: [&str; 4] = ["fsync", "fdatasync", "pwrite64", "unlink"];

/// A worker that collects.
fn collector(dir: &Path, under: Vec<String>) -> Worker {
    let start = Start { dir, scratch: dir, seed: 0, lines: 0, steps: None, under };
    Worker::start(&start, &Arc::new(Ledger::default()))
}

#[tokio::test]
async fn a_collection_that_is_killed_loses_nothing_and_the_next_one_ends_its_work() {
    let dir = tempfile::tempdir().unwrap();
    let (room, expected) = Room::new(dir.path(), None).await;
    let mut span = Duration::ZERO;
    for round in 0..=rounds("APPLIANCE_KILLS", 3) {
        room.litter_closed(round).await;
        let worker = collector(dir.path(), Vec::new());
        worker.hear(1);
        if round == 0 {
            // Not harmed: how long it takes.
            let begun = Instant::now();
            worker.hear(2);
            span = begun.elapsed();
        }
        let bound = u64::try_from(span.as_micros()).unwrap().max(1);
        let after = Duration::from_micros(chance(round, bound));
        std::thread::sleep(after);
        worker.kill();
        let left = on_disk(&dir.path().join("blobs")).0 - expected.files.0;
        eprintln!("round {round}: killed after {after:?} of {span:?}; {left} files too many");
        room.check(&expected).await;
    }
}

#[tokio::test]
async fn a_collection_may_be_killed_at_each_system_call_that_writes() {
    if !can_trace() {
        return eprintln!("skipped: strace is needed to kill at a system call");
    }
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, (room, expected)) =
        (scratch.path().join("strace"), Room::new(dir.path(), None).await);
    // Every number is tried when this is large; a few of each call by default.
    let most = rounds("APPLIANCE_FAILS", 2);
    let stride = if most > 2 { 1 } else { 1 + chance(0, 8) };
    let mut kills = 0;
    for (round, call) in (0..).zip(CALLS) {
        for number in (1..=most).map(|number| number * stride) {
            room.litter_closed(100 * round + number).await;
            let under = traced(call, &format!("signal=KILL:when={number}"), &log);
            collector(dir.path(), under).end();
            let killed = std::fs::read_to_string(&log).unwrap().contains("killed by SIGKILL");
            let left = on_disk(&dir.path().join("blobs")).0 - expected.files.0;
            eprintln!("{call} {number}: killed: {killed}; {left} files too many");
            room.check(&expected).await;
            kills += u64::from(killed);
            if !killed {
                break;
            }
        }
    }
    assert!(kills > 0, "no call was met");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_collection_leaves_goes_with_the_next_one_of_the_same_run() {
    let (dir, fuse) = (tempfile::tempdir().unwrap(), Fuse::default());
    let place = Place::Remote(Arc::new(Faulty::new(&dir.path().join("blobs"), fuse.clone())));
    let (room, expected) = Room::new(dir.path(), Some(place.clone())).await;
    let (objects, store) = open(dir.path(), Some(place)).await.unwrap();
    for number in 1.. {
        // One operation fails, or the place is away from then on.
        for blows in [number..number + 1, number..u64::MAX] {
            room.litter(&objects, 2 * number + u64::from(blows.end == u64::MAX)).await;
            fuse.arm(blows.clone());
            let harmed = collect(&objects).await;
            assert_eq!(harmed.is_err(), fuse.count() >= number, "{blows:?}: {harmed:?}");
            if harmed.is_ok() {
                assert!(number > OBJECTS, "{number}");
                close(objects, store).await;
                return room.check(&expected).await;
            }
            fuse.arm(0..0);
            collect(&objects).await.unwrap();
            assert_eq!(State::of(&objects, &store, dir.path()).await, expected, "{blows:?}");
        }
    }
}
