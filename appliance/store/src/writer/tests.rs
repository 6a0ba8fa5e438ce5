//! Groups in which writes fail, and devices that do.

use super::*;
use base::{event::Event, ids::PipelineId, state::PipelineState, time::Timestamp};

fn writer() -> Writer {
    let mut sql = Connection::open_in_memory().unwrap();
    crate::migrate::run(&mut sql, Path::new("test.db")).unwrap();
    Writer::new(sql, SiteKey::new([1; 32]), watch::channel(Cursor(0)).0).unwrap()
}

/// Queues one append per entry of `counts` in one group; answers tell how each fared.
fn check(writer: &mut Writer, counts: &[usize]) -> Vec<Result<Cursor, Error>> {
    let (group, answers): (Vec<Box<dyn Work>>, Vec<_>) = counts
        .iter()
        .map(|&count| {
            let (job, answer) = Job::new(move |txn: &mut Txn<'_>| append(txn, count));
            (job as Box<dyn Work>, answer)
        })
        .unzip();
    writer.group(group);
    answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect()
}

fn append(txn: &mut Txn<'_>, count: usize) -> Result<Cursor, Error> {
    let pipeline = PipelineId(uuid::Uuid::nil());
    let event = Event::PipelineChanged { pipeline, state: PipelineState::Created };
    (0..count).try_for_each(|_| txn.event_append(Timestamp(0), None, &event).map(drop))?;
    Ok(txn.last_event)
}

#[test]
fn a_full_disk_is_told_to_the_whole_group_and_space_heals_it() {
    let mut writer = writer();
    let pages: u32 = writer.sql.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    writer.sql.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).unwrap();
    let answers = check(&mut writer, &[1, 500]);
    assert!(answers.iter().any(|answer| matches!(answer, Err(Error::Full))), "{answers:?}");
    writer.sql.pragma_update_and_check(None, "max_page_count", 9999, |_| Ok(())).unwrap();
    let before = writer.last_event.0;
    let healed = check(&mut writer, &[500]);
    assert_eq!(healed[0].as_ref().unwrap().0, before + 500);
    assert_eq!(*writer.tell.borrow(), Cursor(before + 500));
}

/// Space runs out at every page in turn, within a group and at its commit.
#[test]
fn wherever_the_space_ends_the_acknowledged_is_whole_and_nothing_else() {
    for free in 0.. {
        let mut writer = writer();
        let pages: u32 =
            writer.sql.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        writer
            .sql
            .pragma_update_and_check(None, "max_page_count", pages + free, |_| Ok(()))
            .unwrap();
        let mut acknowledged = 0;
        let mut was_full = false;
        for _ in 0..6 {
            for answer in check(&mut writer, &[1, 7, 20]) {
                match answer {
                    Ok(cursor) => acknowledged = acknowledged.max(cursor.0),
                    Err(error) => {
                        assert!(matches!(error, Error::Full), "{error}");
                        was_full = true;
                    }
                }
            }
        }
        assert_whole(&writer.sql, acknowledged);
        if !was_full {
            return;
        }
    }
}

/// Sound, and with exactly the events that were acknowledged.
fn assert_whole(sql: &Connection, acknowledged: u64) {
    let report: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(report, "ok");
    let kept: (u64, u64) = sql
        .query_row("SELECT count(*), coalesce(max(cursor), 0) FROM events", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(kept, (acknowledged, acknowledged));
}

#[test]
fn after_a_device_failure_nothing_is_written_and_the_end_is_not_clean() {
    let dir = tempfile::tempdir().unwrap();
    let (mark, _) = Mark::set(dir.path()).unwrap();
    assert!(writer().end(&mark));
    let mut writer = writer();
    writer.broken.store(true, Ordering::Relaxed);
    assert!(matches!(check(&mut writer, &[1])[0], Err(Error::Broken)));
    assert!(!writer.end(&mark));
}

/// As SQLite does it when a page cannot be written before the commit.
#[test]
fn a_device_that_fails_within_a_write_is_not_told_as_a_full_disk() {
    let mut writer = writer();
    let failing = |code| {
        move |txn: &mut Txn<'_>| -> Result<(), Error> {
            txn.statement("ROLLBACK")?.execute([])?;
            let code = rusqlite::ffi::Error::new(code);
            // What a topic makes of it may tell nothing of the cause.
            let told: Error = rusqlite::Error::SqliteFailure(code, None).into();
            Err(Error::Missing(told.to_string()))
        }
    };
    let (job, _) = Job::new(failing(rusqlite::ffi::SQLITE_FULL));
    writer.group(vec![job]);
    assert!(!writer.is_broken());
    let (job, _) = Job::new(failing(rusqlite::ffi::SQLITE_IOERR_WRITE));
    let (beside, answer) = Job::new(|_: &mut Txn<'_>| Ok::<_, Error>(()));
    writer.group(vec![beside, job]);
    assert!(answer.blocking_recv().unwrap().unwrap_err().is_device_failure());
    assert!(writer.is_broken());
}
