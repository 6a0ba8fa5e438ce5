//! Opening, and the four ways to ask: write or read, waiting or blocking.

use crate::{
    Reader, SiteKey, Txn,
    error::{Error, OpenError},
    flushes::Flushes,
    migrate,
    place::{self, Lock, Mark},
    readers::{self, Looks},
    writer::{self, Job, Writer},
};
use base::ids::Cursor;
use rusqlite::{Connection, OptionalExtension, config::DbConfig};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// The database's file in its directory.
pub const DATABASE: &str = "appliance.db";

/// Statements kept compiled per connection; more than all topics have together would be waste.
pub(crate) const STATEMENTS_MAX: usize = 128;

/// Bytes per page. A commit writes whole pages, and a trivial job changes a few rows in a few
/// tables: with small pages that is 16 KiB of log on flash, with pages of 1 KiB twice as much. A database
/// that was made with others keeps them.
const PAGE_SIZE: u32 = 512;

/// Page cache of the writing connection in KiB.
const CACHE_KIB: i32 = 2048;

/// The log is cut to this size after a burst, in bytes.
const WAL_KEEP: u32 = 8 << 20;

/// The value that a fresh database seals to recognise its key later.
const KEY_PROOF: &[u8] = b"appliance";

/// Where the store lives and how wide it reads.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its own directory, made with mode 0700 when absent.
    pub dir: PathBuf,
    /// Threads that read, at least 1. Two serve an edge machine: one long listing, one quick look.
    pub readers: usize,
}

impl Config {
    /// The usual settings for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), readers: 2 }
    }
}

/// The durable store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    writes: mpsc::Sender<writer::Ask>,
    reads: mpsc::Sender<readers::Ask>,
    looks: Looks,
    key: SiteKey,
    events: watch::Receiver<Cursor>,
    flushes: Arc<Flushes>,
    unclean: bool,
    closing: Mutex<Option<Closing>>,
}

/// What is left to do at the end; taken by whoever closes first.
#[derive(Debug)]
struct Closing {
    threads: Vec<JoinHandle<()>>,
    mark: Mark,
    _lock: Lock,
}

impl Store {
    /// Opens the store, makes it when absent, brings its schema up to date and, after an unclean
    /// stop, checks it. Blocks; milliseconds, but for the check.
    pub fn open(config: &Config, key: SiteKey) -> Result<Self, OpenError> {
        place::make(&config.dir)?;
        let lock = Lock::take(&config.dir)?;
        let (mark, unclean) = Mark::set(&config.dir)?;
        let path = config.dir.join(DATABASE);
        let at = |source| OpenError::database(&path, source);
        let sql = prepare(&path, unclean, &key)?;
        let last = Reader::new(&sql, &key).event_last().map_err(at)?;
        let (tell, events) = watch::channel(last);
        let (writes, write_queue) = mpsc::channel(writer::QUEUE_MAX);
        let (reads, read_queue) = mpsc::channel(readers::QUEUE_MAX);
        let mut threads = start_readers(config, &path, &key, read_queue)?;
        let looks = Looks::over(readers::connect(&path).map_err(at)?);
        let writer = Writer::new(sql, key.clone(), tell).map_err(at)?;
        let flushes = writer.flushes();
        threads.push(spawn("store-writer".to_owned(), &path, || writer.serve(write_queue))?);
        let closing = Mutex::new(Some(Closing { threads, mark, _lock: lock }));
        Ok(Self {
            shared: Arc::new(Shared {
                writes,
                reads,
                looks,
                key,
                events,
                flushes,
                unclean,
                closing,
            }),
        })
    }

    /// The last stop was not clean; the check has passed.
    #[must_use]
    pub fn was_unclean(&self) -> bool {
        self.shared.unclean
    }

    /// Follows the place of the last committed event.
    #[must_use]
    pub fn events(&self) -> watch::Receiver<Cursor> {
        self.shared.events.clone()
    }

    /// Commits since the start, and the microseconds that they took in all: how patient the disk is.
    #[must_use]
    pub fn flushes(&self) -> (u64, u64) {
        self.shared.flushes.total()
    }

    /// For how long the commit that is under way has waited for the disk; `None` between two.
    #[must_use]
    pub fn flush_waits(&self) -> Option<Duration> {
        self.shared.flushes.waiting()
    }

    /// The number of commits since the start, each counted before its writers are answered: while
    /// it stays the same, what was read after asking for it holds.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.flushes.count()
    }

    /// Runs `work` on the writer; answered when its commit is on disk. An error undoes it all.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (job, answer) = Job::new(work);
        self.shared.writes.send(writer::Ask::Write(job)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// [`Store::write`] for threads outside the asynchronous runtime.
    pub fn write_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (job, answer) = Job::new(work);
        self.shared.writes.blocking_send(writer::Ask::Write(job)).map_err(|_| Error::Closed)?;
        answer.blocking_recv().map_err(|_| Error::Closed)?
    }

    /// Runs `work` on one consistent state.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (ask, answer) = readers::ask(work);
        self.shared.reads.send(ask).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Panicked)?
    }

    /// Reads a few rows that are found by their keys, here and now: their pages are in memory as a rule.
    /// Lists and searches go through [`Store::read`], so that they hold up nobody.
    pub fn look<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Reader<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.shared.looks.look(&self.shared.key, work)
    }

    /// [`Store::read`] for threads outside the asynchronous runtime.
    pub fn read_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (ask, answer) = readers::ask(work);
        self.shared.reads.blocking_send(ask).map_err(|_| Error::Closed)?;
        answer.blocking_recv().map_err(|_| Error::Panicked)?
    }

    /// Finishes what is queued, checkpoints, and marks the stop as clean. Blocks; later calls of
    /// any clone are answered [`Error::Closed`]. Without it the next start checks the database.
    pub fn close(&self) -> Result<(), OpenError> {
        let closing = self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(closing) = closing else { return Ok(()) };
        self.shared.looks.close();
        // A thread that is gone already has nothing left to finish.
        drop(self.shared.reads.blocking_send(readers::Ask::Close));
        drop(self.shared.writes.blocking_send(writer::Ask::Close));
        let ended = closing.threads.into_iter().map(JoinHandle::join).all(|end| end.is_ok());
        if ended { closing.mark.clear() } else { Ok(()) }
    }
}

/// Connects for writing; checked, migrated, and of the right key when this returns.
fn prepare(path: &Path, unclean: bool, key: &SiteKey) -> Result<Connection, OpenError> {
    let at = |source: Error| OpenError::database(path, source);
    let mut sql = connect(path).map_err(|error| at(error.into()))?;
    if unclean {
        check(&sql, path)?;
    }
    migrate::run(&mut sql, path)?;
    if !key_matches(&sql, key).map_err(at)? {
        return Err(OpenError::WrongKey { path: path.to_owned() });
    }
    Ok(sql)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let sql = Connection::open(path)?;
    sql.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // The page size counts only before the first table is made.
    sql.pragma_update(None, "page_size", PAGE_SIZE)?;
    sql.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    sql.pragma_update(None, "synchronous", "FULL")?;
    steady_plans(&sql)?;
    sql.pragma_update(None, "foreign_keys", true)?;
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    sql.pragma_update(None, "cache_size", -CACHE_KIB)?;
    sql.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    sql.pragma_update_and_check(None, "journal_size_limit", WAL_KEEP, |_| Ok(()))?;
    Ok(sql)
}

/// Plans do not depend on the values that are bound: otherwise some statements would be compiled
/// anew at every use.
pub(crate) fn steady_plans(sql: &Connection) -> rusqlite::Result<()> {
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Looks for damage; the first finding stops the start.
fn check(sql: &Connection, path: &Path) -> Result<(), OpenError> {
    let report = sql
        .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        .unwrap_or_else(|error| error.to_string());
    if report == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged { path: path.to_owned(), report })
}

fn key_matches(sql: &Connection, key: &SiteKey) -> Result<bool, Error> {
    let stored: Option<Vec<u8>> = sql
        .query_row("SELECT value FROM meta WHERE name = 'key_proof'", [], |row| row.get(0))
        .optional()?;
    if let Some(stored) = stored {
        return Ok(key.open("key_proof", &stored).is_ok_and(|plain| *plain == KEY_PROOF));
    }
    let proof = key.seal("key_proof", KEY_PROOF)?;
    sql.execute("INSERT INTO meta (name, value) VALUES ('key_proof', ?1)", [proof])?;
    Ok(true)
}

fn start_readers(
    config: &Config,
    path: &Path,
    key: &SiteKey,
    queue: mpsc::Receiver<readers::Ask>,
) -> Result<Vec<JoinHandle<()>>, OpenError> {
    let queue = Arc::new(Mutex::new(queue));
    (0..config.readers.max(1))
        .map(|index| {
            let sql = readers::connect(path).map_err(|source| OpenError::database(path, source))?;
            let (key, queue) = (key.clone(), Arc::clone(&queue));
            spawn(format!("store-read-{index}"), path, move || readers::serve(&sql, &key, &queue))
        })
        .collect()
}

fn spawn(
    name: String,
    path: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name).spawn(work).map_err(|source| OpenError::File {
        attempt: "start a thread for",
        path: path.to_owned(),
        source,
    })
}
