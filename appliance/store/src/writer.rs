//! The one thread that writes, with group commit.
//!
//! Why: a durable commit waits for the disk; whoever queues meanwhile shares the next wait. One
//! writer also means that no write ever finds the database locked.
//! The way: take all that is queued, run each closure in its own savepoint of one transaction,
//! commit once, then answer all. Checkpoints come after the answers, so that nobody waits for them.
//! On failure: a closure's error undoes its savepoint alone; a failed commit is everyone's answer.
//! After a device failure nothing is written any more, since the state on disk is unknown.

use crate::{SiteKey, Txn, error::Error, flushes::Flushes, wal};
use base::ids::Cursor;
use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

/// Writes that wait. More than this and callers wait in line, which slows down who asks too much.
pub(crate) const QUEUE_MAX: usize = 1024;

/// Writes that share one commit; bounds how long the first of them waits for the last.
const GROUP_MAX: usize = 256;

/// What pages in the write-ahead log may take before they are copied home, in bytes. Seldom enough
/// that a page changed often is copied once, small enough for a fast start after a cut.
const WAL_BYTES_MAX: u32 = 4 << 20;

/// What the writer is asked.
pub(crate) enum Ask {
    /// To write.
    Write(Box<dyn Work>),
    /// To take nothing new, finish what is queued, and end.
    Close,
}

/// A queued write.
pub(crate) trait Work: Send {
    /// Runs the closure; `false` when its savepoint must be undone.
    fn run(&mut self, txn: &mut Txn<'_>) -> bool;
    /// Answers the caller once the group's fate is known.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

pub(crate) struct Job<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    to: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job<F, T, E> {
    pub(crate) fn new(work: F) -> (Box<Self>, oneshot::Receiver<Result<T, E>>) {
        let (to, answer) = oneshot::channel();
        (Box::new(Self { work: Some(work), result: None, to }), answer)
    }
}

impl<F, T, E> Work for Job<F, T, E>
where
    F: FnOnce(&mut Txn<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, txn: &mut Txn<'_>) -> bool {
        let work = self.work.take().expect("a write runs once");
        let result = catch_unwind(AssertUnwindSafe(|| work(txn)))
            .unwrap_or_else(|_| Err(Error::Panicked.into()));
        self.result.insert(result).is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let result = match (self.result, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(group)) => Err(group.into()),
            (Some(ok), Ok(())) => ok,
            (None, Ok(())) => Err(Error::Closed.into()),
        };
        // A caller that stopped waiting does not undo what was committed.
        drop(self.to.send(result));
    }
}

/// The writer's own state; lives on its thread.
pub(crate) struct Writer {
    sql: Connection,
    key: SiteKey,
    last_event: Cursor,
    tell: watch::Sender<Cursor>,
    wal_pages: Arc<AtomicU32>,
    wal_pages_max: u32,
    page_size: u32,
    flushes: Arc<Flushes>,
    broken: bool,
}

impl Writer {
    /// Takes over the writing connection; followers of `tell` hear of each commit with events.
    pub(crate) fn new(
        mut sql: Connection,
        key: SiteKey,
        tell: watch::Sender<Cursor>,
    ) -> Result<Self, Error> {
        let wal_pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&wal_pages);
        sql.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(u32::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        }))?;
        let page_size: u32 = sql.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let wal_pages_max = WAL_BYTES_MAX / page_size;
        let last_event = *tell.borrow();
        let flushes = Arc::default();
        Ok(Self {
            sql,
            key,
            last_event,
            tell,
            wal_pages,
            wal_pages_max,
            page_size,
            flushes,
            broken: false,
        })
    }

    /// How long commits take.
    pub(crate) fn flushes(&self) -> Arc<Flushes> {
        Arc::clone(&self.flushes)
    }

    /// Serves until it is told to close or every sender is gone, then leaves the log checkpointed.
    pub(crate) fn serve(mut self, mut queue: mpsc::Receiver<Ask>) {
        self.reserve_log();
        while let Some(first) = queue.blocking_recv() {
            let group = gather(first, &mut queue);
            self.group(group);
            if self.wal_pages.load(Ordering::Relaxed) >= self.wal_pages_max {
                self.checkpoint("PASSIVE");
            }
        }
        self.checkpoint("TRUNCATE");
    }

    /// Before anybody waits for a commit.
    fn reserve_log(&self) {
        let Some(path) = self.sql.path().filter(|path| !path.is_empty()) else { return };
        if let Err(error) = wal::reserve(Path::new(path), self.wal_pages_max, self.page_size) {
            tracing::warn!(%error, "no room could be taken for the database's log; commits wait longer");
        }
    }

    fn group(&mut self, mut group: Vec<Box<dyn Work>>) {
        if group.is_empty() {
            return;
        }
        let committed = if self.broken { Err(Error::Broken) } else { self.commit(&mut group) };
        if committed.as_ref().is_err_and(Error::is_device_failure) {
            tracing::error!("the database's device failed; no more writes until a restart");
            self.broken = true;
        }
        for work in group {
            work.answer(committed.clone());
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Work>]) -> Result<(), Error> {
        let result = self.run_group(group);
        match result {
            Ok(last) if last != self.last_event => {
                self.last_event = last;
                self.tell.send_replace(last);
            }
            Ok(_) => {}
            Err(_) if self.sql.is_autocommit() => {}
            Err(_) => self.sql.execute_batch("ROLLBACK")?,
        }
        result.map(drop)
    }

    /// Runs and commits; returns the place of the last event.
    fn run_group(&self, group: &mut [Box<dyn Work>]) -> Result<Cursor, Error> {
        self.sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut last = self.last_event;
        for work in group {
            last = self.run_one(work.as_mut(), last)?;
        }
        let flush = self.flushes.begin();
        self.sql.prepare_cached("COMMIT")?.execute([])?;
        flush.done();
        Ok(last)
    }

    fn run_one(&self, work: &mut dyn Work, last: Cursor) -> Result<Cursor, Error> {
        self.sql.prepare_cached("SAVEPOINT one")?.execute([])?;
        let mut txn = Txn::new(&self.sql, &self.key, last);
        let keep = work.run(&mut txn);
        let reached = txn.last_event;
        if self.sql.is_autocommit() {
            // SQLite gave up the whole transaction, as it does when the disk is full.
            return Err(Error::Full);
        }
        if !keep {
            self.sql.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        self.sql.prepare_cached("RELEASE one")?.execute([])?;
        Ok(if keep { reached } else { last })
    }

    fn checkpoint(&self, mode: &str) {
        let done = self.sql.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
        if let Err(error) = done {
            // The log keeps what could not be copied home; the next checkpoint tries again.
            tracing::warn!(error = %error, "could not checkpoint the database's log");
        }
    }
}

/// All that is queued now, up to the group's bound.
fn gather(first: Ask, queue: &mut mpsc::Receiver<Ask>) -> Vec<Box<dyn Work>> {
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(ask) = next.take() {
        match ask {
            Ask::Write(work) => group.push(work),
            Ask::Close => queue.close(),
        }
        if group.len() < GROUP_MAX {
            next = queue.try_recv().ok();
        }
    }
    group
}

#[cfg(test)]
mod tests {
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
        let pages: u32 =
            writer.sql.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
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
    fn after_a_device_failure_nothing_is_written() {
        let mut writer = writer();
        writer.broken = true;
        assert!(matches!(check(&mut writer, &[1])[0], Err(Error::Broken)));
    }
}
