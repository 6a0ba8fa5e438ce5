//! kill -9 at any moment of the load.

use crate::{
    ledger::Ledger,
    worker::{Start, Worker},
};
use std::sync::Arc;

/// A number from the environment, or the small default.
pub(crate) fn rounds(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Some number below `bound`, another one in each round.
pub(crate) fn chance(round: u64, bound: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(round) % bound
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged_and_shows_nothing_in_part() {
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = Arc::new(Ledger::default());
    for round in 0..rounds("APPLIANCE_KILLS", 3) {
        let start = Start {
            dir: dir.path(),
            scratch: scratch.path(),
            seed: round + 1,
            lines: 4,
            steps: None,
            under: Vec::new(),
        };
        let worker = Worker::start(&start, &ledger);
        let words = 20 + chance(round, 80);
        worker.hear(words);
        worker.kill();
        assert_eq!(ledger.failures(), Vec::<String>::new());
        let files = ledger.compare(dir.path(), None).await;
        eprintln!(
            "round {round}: killed after {words} words; {} done, {files} files",
            ledger.acknowledged()
        );
        assert_eq!(files, on_disk(&dir.path().join("blobs")), "files that no row names were swept");
    }
    assert!(ledger.acknowledged() > 0);
}

/// Files below a folder.
pub(crate) fn on_disk(dir: &std::path::Path) -> u64 {
    let count = |entry: std::io::Result<std::fs::DirEntry>| match entry.unwrap() {
        entry if entry.path().is_dir() => on_disk(&entry.path()),
        _ => 1,
    };
    std::fs::read_dir(dir).unwrap().map(count).sum()
}
