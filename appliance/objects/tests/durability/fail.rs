//! Operation N fails, then N+1, until the load passes whole: over the storage seam, and over the
//! system calls of a real process, the database's among them.

use crate::{
    faulty::{Faulty, Fuse},
    kill::{chance, rounds},
    ledger::Ledger,
    load::{Line, open},
    power::Disk,
    s3::S3,
    worker::{Start, Worker},
};
use objects::Place;
use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

/// Every deed once and one more round of them, so that old bytes are replaced as well.
const STEPS: u64 = 18;

/// One run with a fuse; returns how many operations there were.
async fn check(fuse: Fuse) -> u64 {
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = |fuse| Place::Remote(Arc::new(Faulty::new(&dir.path().join("blobs"), fuse)));
    let ledger = Ledger::default();
    {
        let (objects, store) = open(dir.path(), Some(place(fuse.clone()))).await.unwrap();
        let s3 = S3::new(&objects).await.unwrap();
        let mut line = Line::new(&objects, &s3, "t0".into(), scratch.path(), 1000);
        for step in 0..STEPS {
            line.step(step, &ledger).await;
        }
        // A failed removal is an error of the collection, and the next one goes on.
        drop(objects.gc_now().await);
        let failures = ledger.failures();
        assert!(failures.len() <= 1, "one failed operation fails one deed: {failures:?}");
        drop((objects, line, s3));
        tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
    }
    ledger.compare(dir.path(), Some(place(Fuse::default()))).await;
    fuse.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_of_the_place_may_fail() {
    let total = check(Fuse::new(0)).await;
    assert!(total > 20, "the load writes: {total}");
    // All of them when this is large; otherwise some, others in each run.
    let some = rounds("APPLIANCE_FAILS", 6).clamp(1, total);
    let stride = usize::try_from(total / some).unwrap();
    let first = 1 + chance(total, total / some);
    for number in (first..=total).step_by(stride) {
        check(Fuse::new(number)).await;
    }
    eprintln!("{some} of {total} operations failed, one in each run");
}

/// System calls by which anything becomes durable.
const CALLS: [&str; 7] =
    ["fsync", "fdatasync", "write", "pwrite64", "rename", "unlink", "ftruncate"];

/// `strace` is there and may be used.
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-o", "/dev/null", "-e", "inject=sync:error=EIO", "true"])
        .status();
    traced.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn each_system_call_that_writes_may_fail() {
    if !can_trace() {
        return eprintln!("skipped: strace is needed to make system calls fail");
    }
    // Every number is tried when this is large; a few of each call by default.
    let most = rounds("APPLIANCE_FAILS", 2);
    for call in CALLS {
        for number in 1..=most {
            if !inject(call, number).await {
                break;
            }
        }
    }
}

/// The command in front of a worker with whose calls something is done. Filters in the kernel are
/// fast; a signal is not sent by them each time.
pub(crate) fn traced(call: &str, harm: &str, log: &Path) -> Vec<String> {
    let mut under = vec!["strace", "-f", "-o", log.to_str().unwrap(), "-y"];
    under.extend((!harm.starts_with("signal")).then_some("--seccomp-bpf"));
    let mut under: Vec<String> = under.into_iter().map(str::to_owned).collect();
    under.extend(["-e".into(), format!("trace={call}")]);
    under.extend(["-e".into(), format!("inject={call}:{harm}")]);
    under
}

/// Runs the load with call `number` of each thread failing; `false` when none failed.
async fn inject(call: &str, number: u64) -> bool {
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = scratch.path().join("strace");
    let under = traced(call, &format!("error=EIO:when={number}"), &log);
    let ledger = Arc::new(Ledger::default());
    let start = Start {
        dir: dir.path(),
        scratch: scratch.path(),
        seed: 5,
        lines: 1,
        steps: Some(STEPS),
        under,
    };
    let mut worker = Worker::start(&start, &ledger);
    worker.end();
    let failed = std::fs::read_to_string(&log).unwrap().matches("(INJECTED)").count();
    let told = ledger.failures().len();
    ledger.compare(dir.path(), None).await;
    eprintln!(
        "{call} {number}: {failed} calls failed, {told} deeds failed, {} done",
        ledger.acknowledged()
    );
    failed > 0
}

/// Waits until nothing holds the disk any more, then unmounts it.
pub(crate) async fn wait_for_unmount(disk: &Disk) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(why) = disk.unmount() {
        assert!(Instant::now() < deadline, "{why}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
