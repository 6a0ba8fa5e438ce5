//! A disk without room, and one that fails: clear errors, nothing lost, reads go on.

use crate::{
    ledger::Ledger,
    load::{Tell, Value, noise, open},
    power::{Disk, run},
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use objects::{Config, Error, Objects};
use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{SiteKey, Store};
use tower::ServiceExt;

/// A file system in memory with so many MiB; unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn new(mib: u32) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", folder.path().to_str().unwrap()])?;
        Ok(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(run("umount", &["-l", self.0.path().to_str().unwrap()]));
    }
}

async fn open_with(dir: &Path, keep_free: u64) -> (Objects, Store) {
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    let config = Config { keep_free, ..Config::new(dir.join("blobs")) };
    (Objects::open(config, store.clone()).await.unwrap(), store)
}

/// Puts objects of `size` until there is no room; each refusal must say so.
async fn fill(objects: &Objects, ledger: &Ledger, size: usize) -> u64 {
    for number in 1..5000 {
        let (key, value) = (format!("k{number}"), Value { seed: number, size });
        ledger.begin(&key, value);
        match objects.put("caches", &key, noise(value)).await {
            Ok(_) => ledger.done(&key, value),
            Err(Error::Full) => return number - 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the disk never filled up");
}

#[tokio::test]
async fn above_the_mark_writes_are_refused_while_reads_and_deletes_go_on() {
    let small = match Small::new(24) {
        Ok(small) => small,
        Err(why) => return eprintln!("skipped: no small file system can be mounted ({why})"),
    };
    let (objects, store) = open_with(small.0.path(), 6 << 20).await;
    let ledger = Ledger::default();
    let stored = fill(&objects, &ledger, 300_000).await;
    assert!(stored > 10, "{stored}");
    for number in 1..=stored {
        let bytes = objects.get_small("caches", &format!("k{number}"), 1 << 20).await.unwrap();
        assert!(bytes == noise(Value { seed: number, size: 300_000 }), "k{number}");
    }
    assert!(matches!(objects.put("caches", "tiny", b"x".to_vec()).await, Err(Error::Full)));
    for number in 1..=stored / 2 {
        objects.delete("caches", &format!("k{number}")).await.unwrap();
    }
    assert_eq!(objects.gc_now().await.unwrap().blobs, stored / 2);
    objects.put("caches", "again", noise(Value { seed: 7, size: 300_000 })).await.unwrap();
    tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
}

/// What a request brings, and what was seen of the disk meanwhile.
#[derive(Default)]
struct Flood {
    taken: AtomicU64,
    /// The fewest bytes that were left.
    least: AtomicU64,
}

/// More than the disk has.
const FLOOD: u64 = 30 << 20;

/// What is kept free.
const KEPT: u64 = 6 << 20;

impl Flood {
    fn body(self: &Arc<Self>, disk: &Path) -> Body {
        const FRAME: usize = 64 << 10;
        let (seen, disk, frame) = (Arc::clone(self), disk.to_owned(), Bytes::from(vec![7; FRAME]));
        seen.least.store(u64::MAX, Relaxed);
        let frames = stream::iter(0..FLOOD / FRAME as u64).map(move |_| {
            let stat = rustix::fs::statvfs(&disk).unwrap();
            seen.least.fetch_min(stat.f_bavail * stat.f_frsize, Relaxed);
            seen.taken.fetch_add(FRAME as u64, Relaxed);
            Ok::<_, Infallible>(frame.clone())
        });
        Body::from_stream(frames)
    }

    /// Sends it to both faces, which must say that there is no room.
    async fn send(objects: &Objects, disk: &Path, (header, value): (&str, &str)) -> [Arc<Self>; 2] {
        let app = axum::Router::new().nest("/s3", objects::s3::router(objects.clone()));
        let hour = Duration::from_secs(3600);
        let put = objects.presign(&http::Method::PUT, "caches", "flood", hour, "");
        let (flood, other) = (Arc::<Self>::default(), Arc::<Self>::default());
        let asked = |method: &str, uri: &str| {
            http::Request::builder().method(method).uri(uri).header(header, value)
        };
        let request = asked("PUT", put.url.expose()).body(flood.body(disk)).unwrap();
        let s3 = app.oneshot(request).await.unwrap();
        let at = crate::push::begin(objects, "flood").await;
        let request = asked("PATCH", &at).body(other.body(disk)).unwrap();
        let everything = Some(objects::registry::Caller::new(|_, _| true));
        let registry = objects.registry(request, everything, "https://load/v2/token").await;
        assert_eq!((s3.status().as_u16(), registry.status().as_u16()), (503, 507), "{header}");
        [flood, other]
    }
}

#[tokio::test]
async fn an_upload_ends_before_it_takes_the_room_that_is_kept_free() {
    let small = match Small::new(24) {
        Ok(small) => small,
        Err(why) => return eprintln!("skipped: no small file system can be mounted ({why})"),
    };
    let (objects, store) = open_with(small.0.path(), KEPT).await;
    let size = FLOOD.to_string();
    for flood in Flood::send(&objects, small.0.path(), ("content-length", &size)).await {
        assert_eq!(flood.taken.load(Relaxed), 0, "it is known beforehand");
    }
    let unknown = ("transfer-encoding", "chunked");
    for flood in Flood::send(&objects, small.0.path(), unknown).await {
        let (taken, least) = (flood.taken.load(Relaxed), flood.least.load(Relaxed));
        assert!(taken > 4 << 20, "{taken} bytes were taken");
        assert!(least > KEPT - (2 << 20), "{least} bytes were left");
    }
    objects.put("caches", "small", vec![7; 100_000]).await.unwrap();
    tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_disk_filled_to_its_last_byte_says_so_and_loses_nothing() {
    for size in [700_000, 9_000] {
        let small = match Small::new(16) {
            Ok(small) => small,
            Err(why) => return eprintln!("skipped: no small file system can be mounted ({why})"),
        };
        let stored = {
            let (objects, _store) = open_with(small.0.path(), 0).await;
            fill(&objects, &Ledger::default(), size).await
        };
        let (objects, _store) = open_with(small.0.path(), 0).await;
        for number in 1..=stored {
            let bytes = objects.get_small("caches", &format!("k{number}"), 1 << 20).await.unwrap();
            assert!(bytes == noise(Value { seed: number, size }), "k{number} of {stored}");
        }
    }
}

#[tokio::test]
async fn a_failing_disk_gives_errors_and_what_was_acknowledged_is_there_afterwards() {
    if !crate::power::alone(
        "full::a_failing_disk_gives_errors_and_what_was_acknowledged_is_there_afterwards",
    ) {
        return;
    }
    let disk = match Disk::new(64) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: no disk can be made to fail here ({why})"),
    };
    let data = disk.mount.join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::File::open(&disk.mount).unwrap().sync_all().unwrap();
    let ledger = Arc::new(Ledger::default());
    {
        let (objects, store) = open(&data, None).await.unwrap();
        let s3 = crate::s3::S3::new(&objects).await.unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let mut line = crate::load::Line::new(&objects, &s3, "t0".into(), scratch.path(), 77);
        for step in 0..18 {
            line.step(step, &*ledger).await;
        }
        assert_eq!(ledger.failures(), Vec::<String>::new());
        disk.cut().unwrap();
        for step in 18..36 {
            line.step(step, &*ledger).await;
        }
        let failures = ledger.failures();
        assert_eq!(failures.len(), 18, "nothing is acknowledged by a failed disk: {failures:?}");
        drop((objects, line, s3));
        drop(tokio::task::spawn_blocking(move || store.close()).await.unwrap());
    }
    crate::fail::wait_for_unmount(&disk).await;
    disk.mount().unwrap();
    ledger.compare(&data, None).await;
}
