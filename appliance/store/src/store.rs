//! Opening, and the four ways to ask: write or read, waiting or blocking.

use crate::{
    Reader, SiteKey, Txn,
    error::{Error, OpenError},
    flushes::Flushes,
    place::{self, Last, Lock, Mark},
    prepare::{look_at_log, prepare},
    readers::{self, Looks},
    writer::{self, Job, Writer},
};
use base::ids::Cursor;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// The database's file in its directory.
pub const DATABASE: &str = "appliance.db";

/// Where the store lives and how wide it reads.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its own directory, made with mode 0700 when absent.
    pub dir: PathBuf,
    /// Threads that read, at least 1. Two serve an edge machine: one long listing, one quick look.
    pub readers: usize,
    /// Whether there must be a database with something in it: an empty one is refused, not begun.
    pub was_in_use: bool,
}

impl Config {
    /// The usual settings for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), readers: 2, was_in_use: false }
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
    free_bytes: Arc<AtomicU64>,
    unclean: bool,
    lost_commits: u64,
    broken: Arc<AtomicBool>,
    closing: Mutex<Option<Closing>>,
}

/// What is left to do at the end; taken by whoever closes first.
#[derive(Debug)]
struct Closing {
    readers: Vec<JoinHandle<()>>,
    /// Ends with whether the end is clean.
    writer: JoinHandle<bool>,
    mark: Mark,
    _lock: Lock,
}

impl Store {
    /// Opens the store, makes it when absent, brings its schema up to date and, after an unclean
    /// stop, checks it. Blocks; milliseconds, but for the check.
    pub fn open(config: &Config, key: SiteKey) -> Result<Self, OpenError> {
        place::make(&config.dir)?;
        let lock = Lock::take(&config.dir)?;
        let (mark, last_end) = Mark::set(&config.dir)?;
        let path = config.dir.join(DATABASE);
        let at = |source| OpenError::database(&path, source);
        let (unclean, lost_commits) = match last_end {
            Last::Clean => (false, 0),
            Last::Unclean { log } => (true, look_at_log(&path, &mark, log)?),
        };
        let sql = prepare(&path, unclean, config, &key)?;
        let last = Reader::new(&sql, &key).event_last().map_err(at)?;
        let (tell, events) = watch::channel(last);
        let (writes, write_queue) = mpsc::channel(writer::QUEUE_MAX);
        let (reads, read_queue) = mpsc::channel(readers::QUEUE_MAX);
        let readers = start_readers(config, &path, &key, read_queue)?;
        let looks = Looks::over(readers::connect(&path).map_err(at)?);
        let writer = Writer::new(sql, key.clone(), tell).map_err(at)?;
        let (flushes, broken) = (writer.flushes(), writer.broken());
        let free_bytes = writer.free_bytes();
        let noted = mark.clone();
        let serve = move || writer.serve(write_queue, &noted);
        let writer = spawn("store-writer".to_owned(), &path, serve)?;
        let closing = Mutex::new(Some(Closing { readers, writer, mark, _lock: lock }));
        Ok(Self {
            shared: Arc::new(Shared {
                writes,
                reads,
                looks,
                key,
                events,
                flushes,
                free_bytes,
                unclean,
                lost_commits,
                broken,
                closing,
            }),
        })
    }

    /// The last stop was not clean; the check has passed.
    #[must_use]
    pub fn was_unclean(&self) -> bool {
        self.shared.unclean
    }

    /// Acknowledged commits, at the least, that damage took since the last stop; 0 when none are known.
    #[must_use]
    pub fn lost_commits(&self) -> u64 {
        self.shared.lost_commits
    }

    /// The device failed in the middle of a write: nothing is written until a restart.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Has what was committed until now copied from the log into the database's own file, soon.
    pub async fn copy_home(&self) {
        // A writer that is gone has done it.
        drop(self.shared.writes.send(writer::Ask::Home).await);
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

    /// Bytes inside the database that rows have left and that the next rows take, before its file
    /// grows; as of the last commit.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.shared.free_bytes.load(Ordering::Relaxed)
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
    /// any clone are answered [`Error::Closed`]. Without it, and when the device failed, the next start
    /// checks the database.
    pub fn close(&self) -> Result<(), OpenError> {
        let closing = self.shared.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(closing) = closing else { return Ok(()) };
        self.shared.looks.close();
        // A thread that is gone already has nothing left to finish.
        drop(self.shared.reads.blocking_send(readers::Ask::Close));
        let read = closing.readers.into_iter().map(JoinHandle::join).all(|end| end.is_ok());
        drop(self.shared.writes.blocking_send(writer::Ask::Close));
        let wrote = closing.writer.join().unwrap_or(false);
        if read && wrote { closing.mark.clear() } else { Ok(()) }
    }
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

fn spawn<T: Send + 'static>(
    name: String,
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    std::thread::Builder::new().name(name).spawn(work).map_err(|source| OpenError::File {
        attempt: "start a thread for",
        path: path.to_owned(),
        source,
    })
}
