//! The one thread that writes, with group commit.
//!
//! Why: a durable commit waits for the disk; whoever queues meanwhile shares the next wait. One
//! writer also means that no write ever finds the database locked.
//! The way: take all that is queued, run each closure in its own savepoint of one transaction,
//! commit once, then answer all. Checkpoints come after the answers, so that nobody waits for them.
//! On failure: a closure's error undoes its savepoint alone; a failed commit is everyone's answer.
//! After a device failure nothing is written any more, since the state on disk is unknown, and the
//! end is no clean one.

use crate::{
    SiteKey, Txn,
    error::{self, Error},
    flushes::Flushes,
    place::Mark,
    wal,
};
use base::ids::Cursor;
use rusqlite::Connection;
use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
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
    /// To copy the log home, whatever its length.
    Home,
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
    free_bytes: Arc<AtomicU64>,
    flushes: Arc<Flushes>,
    broken: Arc<AtomicBool>,
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
        let writer = Self {
            sql,
            key,
            last_event,
            tell,
            wal_pages,
            wal_pages_max,
            page_size,
            free_bytes: Arc::default(),
            flushes,
            broken: Arc::default(),
        };
        writer.free_bytes.store(writer.count_free()?, Ordering::Relaxed);
        Ok(writer)
    }

    /// Bytes of the pages that nothing is in, as of the last commit.
    pub(crate) fn free_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.free_bytes)
    }

    /// Within a write the number stands in the first page, which is at hand: it costs no disk and no lock.
    fn count_free(&self) -> Result<u64, Error> {
        let mut ask = self.sql.prepare_cached("PRAGMA freelist_count")?;
        let pages: u64 = ask.query_row([], |row| row.get(0))?;
        Ok(pages * u64::from(self.page_size))
    }

    /// How long commits take.
    pub(crate) fn flushes(&self) -> Arc<Flushes> {
        Arc::clone(&self.flushes)
    }

    /// Whether the device failed, and nothing is written any more.
    pub(crate) fn broken(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.broken)
    }

    /// Serves until it is told to close or every sender is gone. `true` when the end is clean: all that
    /// was committed is in the database's own file, and the log is empty.
    pub(crate) fn serve(mut self, mut queue: mpsc::Receiver<Ask>, mark: &Mark) -> bool {
        let index = self.reserve(mark);
        while let Some(first) = queue.blocking_recv() {
            let Asked { group, home } = gather(first, &mut queue);
            self.group(group);
            if home || self.wal_pages.load(Ordering::Relaxed) >= self.wal_pages_max {
                self.checkpoint("PASSIVE");
            }
        }
        let clean = self.end(mark);
        drop(self.sql);
        drop(index);
        clean
    }

    /// Room for the log and its index, before anybody waits for a commit. The index's file is not to be
    /// closed before the database is: see [`wal::reserve_index`].
    fn reserve(&self, mark: &Mark) -> Option<File> {
        let path = Path::new(self.sql.path().filter(|path| !path.is_empty())?);
        let reserved = wal::reserve(path, self.wal_pages_max, self.page_size);
        if let Err(error) = reserved.and_then(|length| mark.note_log(length)) {
            tracing::warn!(%error, "no room could be taken for the database's log; commits wait longer");
        }
        let index = wal::reserve_index(path, self.wal_pages_max);
        let (file, grown) =
            index.map_or_else(|error| (None, Err(error)), |(file, grown)| (Some(file), grown));
        if let Err(error) = grown {
            tracing::warn!(%error, "no room could be taken for the index of the database's log");
        }
        file
    }

    /// Copies all of the log home, and only then lets it go.
    fn end(&self, mark: &Mark) -> bool {
        let home = !self.is_broken() && self.checkpoint("FULL") && mark.forget_log().is_ok();
        if home {
            // From here on the last to close may remove the log.
            drop(wal::keep_at_close(&self.sql, false));
        }
        home && self.checkpoint("TRUNCATE")
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn group(&mut self, mut group: Vec<Box<dyn Work>>) {
        if group.is_empty() {
            return;
        }
        let committed = if self.is_broken() { Err(Error::Broken) } else { self.commit(&mut group) };
        if committed.as_ref().is_err_and(Error::is_device_failure) {
            tracing::error!("the database's device failed; no more writes until a restart");
            self.broken.store(true, Ordering::Relaxed);
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
        let free = self.count_free()?;
        let flush = self.flushes.begin();
        self.sql.prepare_cached("COMMIT")?.execute([])?;
        self.free_bytes.store(free, Ordering::Relaxed);
        flush.done();
        Ok(last)
    }

    fn run_one(&self, work: &mut dyn Work, last: Cursor) -> Result<Cursor, Error> {
        self.sql.prepare_cached("SAVEPOINT one")?.execute([])?;
        let mut txn = Txn::new(&self.sql, &self.key, last);
        drop(error::met_device_failure());
        let keep = work.run(&mut txn);
        let reached = txn.last_event;
        if self.sql.is_autocommit() {
            // SQLite gave up the whole transaction, as it does when the disk is full or fails.
            return Err(error::met_device_failure().unwrap_or(Error::Full));
        }
        if !keep {
            self.sql.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        self.sql.prepare_cached("RELEASE one")?.execute([])?;
        Ok(if keep { reached } else { last })
    }

    /// `true` when nothing is left in the log that is not home.
    fn checkpoint(&self, mode: &str) -> bool {
        wal::checkpoint(&self.sql, mode).unwrap_or_else(|error| {
            // The log keeps what could not be copied home; the next checkpoint tries again.
            tracing::warn!(error = %error, "could not checkpoint the database's log");
            false
        })
    }
}

/// What was asked at once.
struct Asked {
    group: Vec<Box<dyn Work>>,
    home: bool,
}

/// All that is queued now, up to the group's bound.
fn gather(first: Ask, queue: &mut mpsc::Receiver<Ask>) -> Asked {
    let mut asked = Asked { group: Vec::new(), home: false };
    let mut next = Some(first);
    while let Some(ask) = next.take() {
        match ask {
            Ask::Write(work) => asked.group.push(work),
            Ask::Home => asked.home = true,
            Ask::Close => queue.close(),
        }
        if asked.group.len() < GROUP_MAX {
            next = queue.try_recv().ok();
        }
    }
    asked
}

#[cfg(test)]
mod tests;
