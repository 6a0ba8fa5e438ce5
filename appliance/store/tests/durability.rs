//! What the store promises to those who wait for its answers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base::{
    event::Event,
    ids::{Cursor, PipelineId},
    state::PipelineState,
    time::Timestamp,
};
use store::{Config, Error, OpenError, SiteKey, Store, Txn};

fn open(dir: &std::path::Path) -> Result<Store, OpenError> {
    Store::open(&Config::new(dir), SiteKey::new([1; 32]))
}

fn event(n: u128) -> Event {
    let pipeline = PipelineId(uuid::Uuid::from_u128(n));
    Event::PipelineChanged { pipeline, state: PipelineState::Created }
}

fn append(txn: &mut Txn<'_>, n: u128) -> Result<Cursor, Error> {
    txn.event_append(Timestamp(5), None, &event(n))
}

fn cursors(store: &Store) -> Vec<u64> {
    let list = store.read_blocking(|reader| reader.event_list(Cursor(0), u32::MAX)).unwrap();
    list.into_iter().map(|event| event.cursor.0).collect()
}

#[test]
fn an_answered_write_is_there_after_the_next_start_whether_closed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    assert!(!first.was_unclean());
    first.write_blocking(|txn| append(txn, 1)).unwrap();
    first.close().unwrap();
    let second = open(dir.path()).unwrap();
    assert!(!second.was_unclean());
    assert_eq!(cursors(&second), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_have_no_gaps_although_writes_fail_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let writes = (0..200u128).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write(move |txn| {
                    append(txn, n)?;
                    if n % 3 == 0 { Err(Error::Missing("it".into())) } else { Ok(()) }
                })
                .await
        })
    });
    let mut kept = 0;
    for write in writes.collect::<Vec<_>>() {
        kept += usize::from(write.await.unwrap().is_ok());
    }
    let list = store.read(|reader| reader.event_list(Cursor(0), u32::MAX)).await.unwrap();
    let found: Vec<u64> = list.iter().map(|event| event.cursor.0).collect();
    assert_eq!(found, (1..=133).collect::<Vec<u64>>());
    assert_eq!(kept, 133);
    assert_eq!(*store.events().borrow(), Cursor(133));
}

#[test]
fn a_panicking_write_is_undone_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let failed: Result<(), Error> = store.write_blocking(|txn| {
        append(txn, 1)?;
        panic!("a bug in a closure");
    });
    assert!(matches!(failed, Err(Error::Panicked)));
    store.write_blocking(|txn| append(txn, 2)).unwrap();
    assert_eq!(cursors(&store), [1]);
}

#[test]
fn a_panicking_read_is_told_and_the_readers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for _ in 0..5 {
        let failed: Result<(), Error> = store.read_blocking(|_| panic!("a bug in a closure"));
        assert!(matches!(failed, Err(Error::Panicked)));
    }
    assert!(cursors(&store).is_empty());
}

#[test]
fn a_second_opener_is_told_the_pid() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    store.close().unwrap();
}

#[test]
fn another_site_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().close().unwrap();
    let other = Store::open(&Config::new(dir.path()), SiteKey::new([2; 32]));
    assert!(matches!(other, Err(OpenError::WrongKey { .. })));
}

#[test]
fn after_close_everyone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.close().unwrap();
    assert!(matches!(store.write_blocking(|txn| append(txn, 1)), Err(Error::Closed)));
    assert!(store.read_blocking(|reader| reader.event_last()).is_err());
}

#[test]
fn damage_is_found_after_an_unclean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.write_blocking(|txn| (0..400).try_for_each(|n| append(txn, n).map(drop))).unwrap();
    store.close().unwrap();
    let path = dir.path().join("appliance.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(dir.path().join("in-use"), b"").unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("put back the latest copy"), "{refused}");
}

#[test]
fn an_emptied_database_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().close().unwrap();
    std::fs::write(dir.path().join("appliance.db"), b"").unwrap();
    let config = Config { was_in_use: true, ..Config::new(dir.path()) };
    let refused = Store::open(&config, SiteKey::new([1; 32])).unwrap_err();
    assert!(matches!(refused, OpenError::Emptied { .. }), "{refused}");
}

/// All that a new database knows is in its own file soon, and not in the log alone.
#[tokio::test]
async fn what_is_copied_home_outlives_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let size = || std::fs::metadata(dir.path().join("appliance.db")).unwrap().len();
    let begun = size();
    assert!(begun > 10_000, "the key's proof is home: {begun}");
    store.write(|txn| (0..200).try_for_each(|n| append(txn, n).map(drop))).await.unwrap();
    store.copy_home().await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while size() == begun {
        assert!(std::time::Instant::now() < until, "nothing was copied");
        tokio::task::yield_now().await;
    }
}
