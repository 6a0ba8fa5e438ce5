//! A few threads with read-only connections, each read in one transaction.
//!
//! Reads wait for no write and no other way round; they see the last commit before they began. Looks are
//! reads of a few rows found by their keys: handing one to a thread and back costs more than the look.

use crate::{Reader, SiteKey, error::Error, prepare, wal};
use rusqlite::{Connection, OpenFlags};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{mpsc, oneshot};

/// Reads that wait before callers wait in line.
pub(crate) const QUEUE_MAX: usize = 1024;

/// Page cache of one reading connection in KiB; the kernel's cache holds the rest.
const CACHE_KIB: i32 = 512;

/// A queued read; answers its caller itself.
pub(crate) type Work = Box<dyn FnOnce(Result<&Reader<'_>, Error>) + Send>;

/// What the readers are asked.
pub(crate) enum Ask {
    /// To read.
    Read(Work),
    /// To take nothing new, finish what is queued, and end.
    Close,
}

/// The queue's reading end, shared by the threads: one waits, the others wait for it.
pub(crate) type Queue = Arc<Mutex<mpsc::Receiver<Ask>>>;

/// Wraps a closure so that its answer goes back through the channel.
pub(crate) fn ask<T, E, F>(work: F) -> (Ask, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (to, answer) = oneshot::channel();
    let run: Work = Box::new(move |reader| {
        let result = match reader {
            Ok(reader) => work(reader),
            Err(error) => Err(error.into()),
        };
        // A caller that stopped waiting needs no answer.
        drop(to.send(result));
    });
    (Ask::Read(run), answer)
}

pub(crate) fn connect(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(path, flags)?;
    prepare::steady_plans(&sql)?;
    wal::keep_at_close(&sql, true)?;
    sql.pragma_update(None, "cache_size", -CACHE_KIB)?;
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    sql.set_prepared_statement_cache_capacity(prepare::STATEMENTS_MAX);
    Ok(sql)
}

/// A connection for looks: its user reads at once, in its own thread.
#[derive(Debug)]
pub(crate) struct Looks(Mutex<Option<Connection>>);

impl Looks {
    pub(crate) fn over(sql: Connection) -> Self {
        Self(Mutex::new(Some(sql)))
    }

    pub(crate) fn look<T, E: From<Error>>(
        &self,
        key: &SiteKey,
        work: impl FnOnce(&Reader<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let sql = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = sql.as_ref().ok_or(Error::Closed)?;
        sql.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(Error::from)?;
        let _ends = Ends(sql);
        work(&Reader::new(sql, key))
    }

    /// Nobody looks from here on.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Ends a read transaction whatever happens, so that checkpoints are not held up.
struct Ends<'a>(&'a Connection);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        // One that the failing disk has ended needs no end.
        drop(self.0.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])));
    }
}

/// Serves until the queue is closed.
pub(crate) fn serve(sql: &Connection, key: &SiteKey, queue: &Queue) {
    while let Some(work) = next(queue) {
        // The closure's panic is its caller's: the answer's channel is dropped with it.
        drop(catch_unwind(AssertUnwindSafe(|| read_one(sql, key, work))));
        // Ends the read transaction, so that checkpoints are not held up.
        if !sql.is_autocommit() {
            drop(sql.execute_batch("ROLLBACK"));
        }
    }
}

fn next(queue: &Queue) -> Option<Work> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match queue.blocking_recv()? {
            Ask::Read(work) => return Some(work),
            Ask::Close => queue.close(),
        }
    }
}

fn read_one(sql: &Connection, key: &SiteKey, work: Work) {
    let begun = sql.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([]));
    match begun {
        Ok(_) => work(Ok(&Reader::new(sql, key))),
        Err(error) => work(Err(error.into())),
    }
}
