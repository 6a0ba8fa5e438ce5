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
};
use store::{Config, Error, SiteKey, Store};

/// Set in the child; names the directory it writes to.
const CHILD: &str = "STORE_CUT_CHILD";

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
