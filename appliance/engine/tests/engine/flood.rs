//! A flood of output passes through in bounded memory. The test reads the memory of its own process.

use crate::{alone::by_itself, house::open};
use base::{ids::TaskId, limits::OUTPUT_FRAME_MAX};
use engine::logs::Logs;
use std::{sync::Arc, time::Instant};
use store::live::SledLive;

/// What may be added while a flood passes: the promise is 16 MB while it runs.
const GROWTH_MAX: u64 = 16 << 20;

/// Megabytes of output; more when asked for by `LOGS_FLOOD_MB`.
fn megabytes() -> u64 {
    std::env::var("LOGS_FLOOD_MB").map_or(24, |text| text.parse().unwrap())
}

/// Resident memory in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

/// Lines of 100 bytes, as a build prints them.
fn frame(number: u64) -> Vec<u8> {
    let line =
        |n: u64| format!("{n:09} compiling module {:016x} of {:016x} ", n * 7919, n * 104_729);
    let first = number * 2600;
    (first..first + 2600)
        .flat_map(|n| format!("{:<99}\n", line(n)).into_bytes())
        .take(OUTPUT_FRAME_MAX)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_passes_in_bounded_memory() {
    if by_itself("flood::a_flood_passes_in_bounded_memory") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = open(dir.path());
    let config = objects::Config { keep_free: 0, ..objects::Config::new(at("objects")) };
    let objects = objects::Objects::open(config, store.clone()).await.unwrap();
    let live = SledLive::open(&at("live")).unwrap();
    let logs = Logs::new(store.clone(), objects, Arc::new(live));
    let task = TaskId(uuid::Uuid::from_u128(7));
    let (before, begun) = (resident(), Instant::now());
    let (mut offset, mut highest, mut number) = (0, before, 0);
    while offset < megabytes() << 20 {
        offset = logs.append(task, 0, offset, &frame(number)).await.unwrap();
        number += 1;
        if number % 16 == 0 {
            highest = highest.max(resident());
        }
    }
    let growth = highest - before;
    println!("{} MB in {:?}, {growth} bytes more memory", offset >> 20, begun.elapsed());
    assert!(growth <= GROWTH_MAX, "{growth} bytes more memory");
    let chunk = logs.read(task, 0, offset - 100..offset).await.unwrap();
    assert!(chunk.bytes.ends_with(b"\n") && chunk.bytes.len() == 100);
}
