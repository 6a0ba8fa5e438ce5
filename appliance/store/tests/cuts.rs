//! Kills a writing process at random moments: what it was told is committed must be there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base::{
    event::Event,
    ids::{Cursor, PipelineId},
    state::PipelineState,
    time::Timestamp,
};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};
use store::{Config, Error, OpenError, SiteKey, Store};

/// Set in the child; names the directory it writes to.
const CHILD: &str = "STORE_CUT_CHILD";

/// One test at a time: between its fork and its exec a child of another one holds the locks of this one.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(dir: &Path) -> Store {
    Store::open(&Config::new(dir), SiteKey::new([1; 32])).unwrap()
}

fn append(store: &Store) -> Cursor {
    store
        .write_blocking(|txn| -> Result<Cursor, Error> {
            let pipeline = PipelineId(uuid::Uuid::from_u128(u128::from(txn.event_last()?.0)));
            let state = PipelineState::Created;
            txn.event_append(Timestamp(0), None, &Event::PipelineChanged { pipeline, state })
        })
        .unwrap()
}

/// Not a test of its own: what the child process runs.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = open(Path::new(&dir));
    loop {
        let cursor = append(&store);
        let mut out = std::io::stderr();
        writeln!(out, "{cursor}").unwrap();
    }
}

/// Runs a child until it has told of `acknowledged` writes, kills it, returns the last it told of.
#[expect(clippy::disallowed_methods, reason = "the test cuts a process of its own")]
fn cut_after(dir: &Path, acknowledged: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut last = lines.by_ref().take(acknowledged).last().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    for told in lines {
        if told.parse::<u64>().is_ok() {
            last = told;
        }
    }
    last.parse().unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let _alone = alone();
    let rounds = std::env::var("STORE_CUT_ROUNDS").map_or(4, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    for round in 0..rounds {
        let told = cut_after(dir.path(), 1 + round * 7 % 23);
        let store = open(dir.path());
        assert!(store.was_unclean());
        let kept = store.read_blocking(|reader| reader.event_last()).unwrap();
        assert!(kept.0 >= told, "told of {told}, kept {kept}");
        assert_eq!(append(&store).0, kept.0 + 1);
        store.close().unwrap();
    }
}

/// Kills a writer in a new directory, harms its log, and opens what is left; with the number of commits that the
/// writer has told of.
fn harmed(harm: impl FnOnce(&Path, &mut Vec<u8>)) -> (tempfile::TempDir, u64) {
    let dir = tempfile::tempdir().unwrap();
    let told = cut_after(dir.path(), 30);
    let log = dir.path().join("appliance.db-wal");
    let mut bytes = std::fs::read(&log).unwrap();
    harm(&log, &mut bytes);
    if log.exists() {
        std::fs::write(&log, bytes).unwrap();
    }
    (dir, told)
}

/// The log is of no use; the loss is told with its remedy, again and again, until somebody accepts it.
fn check_lost(harm: impl FnOnce(&Path, &mut Vec<u8>)) {
    let (dir, _) = harmed(harm);
    let config = Config { was_in_use: true, ..Config::new(dir.path()) };
    for _ in 0..2 {
        let refused = Store::open(&config, SiteKey::new([1; 32])).unwrap_err();
        assert!(matches!(refused, OpenError::LostLog { .. }), "{refused}");
        assert!(refused.to_string().contains("truncate -s 0"), "{refused}");
    }
    std::fs::write(dir.path().join("in-use"), b"").unwrap();
    let store = Store::open(&config, SiteKey::new([1; 32])).unwrap();
    assert!(store.was_unclean());
    store.close().unwrap();
}

#[test]
fn a_log_that_is_gone_after_a_kill_is_not_passed_over() {
    let _alone = alone();
    check_lost(|log, _| std::fs::remove_file(log).unwrap());
    check_lost(|_, bytes| bytes.clear());
    check_lost(|_, bytes| bytes.truncate(100_000));
    check_lost(|_, bytes| bytes[..512].fill(0xA5));
}

#[test]
fn commits_behind_a_damaged_page_of_the_log_are_told_and_later_starts_are_whole() {
    let _alone = alone();
    let (dir, told) = harmed(|_, bytes| bytes[2048..2560].fill(0xA5));
    let store = open(dir.path());
    let kept = store.read_blocking(|reader| reader.event_last()).unwrap().0;
    // The damage reaches over a few commits, which cannot be counted.
    let lost = store.lost_commits();
    assert!(kept < told && lost + 6 >= told - kept, "{told}, {kept}, {lost}");
    assert!(store.lost_commits() > 0);
    append(&store);
    store.close().unwrap();
    assert_eq!(open(dir.path()).lost_commits(), 0);
}

#[test]
fn a_kill_alone_loses_nothing_of_the_log() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        cut_after(dir.path(), 20);
    }
    // A refused start in between takes no log away.
    Store::open(&Config::new(dir.path()), SiteKey::new([2; 32])).unwrap_err();
    let store = open(dir.path());
    assert_eq!(store.lost_commits(), 0);
    assert!(store.read_blocking(|reader| reader.event_last()).unwrap().0 >= 60);
}
