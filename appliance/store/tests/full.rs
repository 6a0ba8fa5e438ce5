//! A disk that fills up right after the start: writing ends with the space, and comes back with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base::{
    event::Event,
    ids::{Cursor, PipelineId},
    state::PipelineState,
    time::Timestamp,
};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};
use store::{Config, Error, SiteKey, Store};

/// Set in the child; names the small disk.
const CHILD: &str = "STORE_FULL_CHILD";

fn append(store: &Store) -> Result<Cursor, Error> {
    store.write_blocking(|txn| {
        let pipeline = PipelineId(uuid::Uuid::from_u128(u128::from(txn.event_last()?.0)));
        let event = Event::PipelineChanged { pipeline, state: PipelineState::Created };
        (0..20).try_for_each(|_| txn.event_append(Timestamp(0), None, &event).map(drop))?;
        txn.event_last()
    })
}

fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    // As much as goes.
    for block in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![1; block]).is_ok() {}
    }
}

/// Not a test of its own: what the child does on the small disk.
#[test]
fn child_fills_its_disk() {
    let Some(disk) = std::env::var_os(CHILD) else { return };
    let (disk, state) = (Path::new(&disk), Path::new(&disk).join("state"));
    let open = || Store::open(&Config::new(&state), SiteKey::new([1; 32])).unwrap();
    let store = open();
    // The room for the log is taken before the first answer.
    append(&store).unwrap();
    fill(&disk.join("filler"));
    let refused = (0..10_000).find_map(|_| append(&store).err()).unwrap();
    assert!(matches!(refused, Error::Full), "{refused:?}");
    let log = fs::metadata(state.join("appliance.db-wal")).unwrap().len();
    let index = fs::metadata(state.join("appliance.db-shm")).unwrap().len();
    assert!(log > 4 << 20 && index > 64 << 10, "all of the room was used: {log}, {index}");
    assert!(!store.is_broken());
    fs::remove_file(disk.join("filler")).unwrap();
    let told = append(&store).unwrap();
    store.close().unwrap();
    let store = open();
    assert!(!store.was_unclean());
    assert_eq!(store.read_blocking(|reader| reader.event_last()).unwrap(), told);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test mounts a disk of its own")]
fn a_disk_that_is_full_for_a_while_ends_no_writing_for_ever() {
    if !is_root() {
        return eprintln!("skipped: a small disk can be mounted by root alone");
    }
    let dir = tempfile::tempdir().unwrap();
    // Mounted in a namespace that ends with the process.
    let script = "mount -t tmpfs -o size=16m small \"$1\" && exec \"$0\" --exact child_fills_its_disk --nocapture";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(dir.path())
        .env(CHILD, dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}
