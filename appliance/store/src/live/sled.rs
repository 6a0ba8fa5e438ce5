//! Live state in sled, under guards.
//!
//! Why guards: sled 0.34 may refuse or panic on its own files after a cut, uses more memory than
//! its cache setting, and gives space back late. When all of its threads write a buffer and wait for
//! the lock of one who waits for its file to be cut, nobody is left to cut it: it stands still for
//! ever. So: its own directory with a mark that stands while it is open; a directory whose mark still
//! stands is deleted unopened; a small cache; a size watch that starts over when the files outgrow
//! [`DISK_MAX`]; and never more than a few buffers ([`UNWRITTEN_MAX`]) that are not written yet.

use super::{Live, LiveError, Pair, VALUE_MAX, Watch, Watchers, check_sizes};
use crate::{
    error::OpenError,
    place::{self, Last, Mark},
};
use sled::{Batch, Config, Db, Mode};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread::park_timeout,
    time::{Duration, Instant},
};

/// Page cache in bytes; the tails of a few running steps fit.
const CACHE: u64 = 2 << 20;

/// Size of the files, in bytes, at which everything is dropped and begun anew.
const DISK_MAX: u64 = 128 << 20;

/// Bytes put between two looks at the size of the files.
const LOOK_EVERY: u64 = 16 << 20;

/// Bytes put or removed until the writer waits for all that is not written: sled has seven threads,
/// each with a buffer of 512 KiB, and writes a few bytes for each that is put.
const UNWRITTEN_MAX: u64 = 256 << 10;

/// So long sled's threads may hold the lock of a database that was closed: they let go after their last
/// write, which nobody waits for.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// Between two tries to take that lock.
const RELEASE_TRY: Duration = Duration::from_millis(5);

/// Keeps live state in sled.
#[derive(Debug)]
pub struct SledLive {
    dir: PathBuf,
    /// `None` only after a start-over failed: live state is then absent, never wrong.
    db: RwLock<Option<Db>>,
    watchers: Watchers,
    put_since_look: AtomicU64,
    unwritten: AtomicU64,
    /// Taken away by a clean close.
    mark: Mutex<Option<Mark>>,
}

fn engine(attempt: &'static str) -> impl Fn(sled::Error) -> LiveError {
    move |error| LiveError::Engine { attempt, source: Box::new(error) }
}

/// Opens the database, as soon as whoever closed it has let go of it.
fn open_db(files: &Path) -> Result<Db, sled::Error> {
    let config = Config::new()
        .path(files)
        .cache_capacity(CACHE)
        .mode(Mode::LowSpace)
        // What an unclean stop leaves is never read: a thread that syncs would only wear the disk.
        .flush_every_ms(None)
        .print_profile_on_drop(false);
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(error) if is_held(&error) && begun.elapsed() < RELEASE_MAX => {
                park_timeout(RELEASE_TRY)
            }
            done => return done,
        }
    }
}

/// sled tells a lock that another has by its words alone.
fn is_held(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().starts_with("could not acquire lock"))
}

fn remove(files: &Path) -> io::Result<()> {
    match fs::remove_dir_all(files) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl SledLive {
    /// Opens the live state in `dir`, empty after an unclean stop.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        place::make(dir)?;
        let files = dir.join("sled");
        let failed = |attempt, source| OpenError::File { attempt, path: files.clone(), source };
        let (mark, last) = Mark::set(dir)?;
        if last != Last::Clean {
            remove(&files).map_err(|source| failed("remove", source))?;
        }
        let db = match open_db(&files) {
            Ok(db) => db,
            Err(error) => {
                tracing::warn!(error = %error, "live state did not open and is begun anew");
                remove(&files).map_err(|source| failed("remove", source))?;
                open_db(&files).map_err(|error| failed("open", io::Error::other(error)))?
            }
        };
        Ok(Self {
            dir: dir.to_owned(),
            db: RwLock::new(Some(db)),
            watchers: Watchers::default(),
            put_since_look: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
            mark: Mutex::new(Some(mark)),
        })
    }

    /// Closes cleanly, whoever else still holds it: what it keeps is there at the next start. From
    /// here on it takes and knows nothing. Blocks.
    pub fn close(&self) {
        let db = self.db.write().unwrap_or_else(PoisonError::into_inner).take();
        let flushed = db.as_ref().is_some_and(|db| db.flush().is_ok());
        drop(db);
        let mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner).take();
        if flushed && let Some(mark) = mark {
            // A mark that stays only costs the live state at the next start.
            drop(mark.clear());
        }
    }

    fn db(&self) -> RwLockReadGuard<'_, Option<Db>> {
        self.db.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a batch that puts or removes so many bytes.
    fn apply(&self, batch: Batch, attempt: &'static str, bytes: usize) -> Result<(), LiveError> {
        let guard = self.db();
        let Some(db) = &*guard else { return Ok(()) };
        db.apply_batch(batch).map_err(engine(attempt))?;
        let bytes = bytes as u64;
        if self.unwritten.fetch_add(bytes, Ordering::Relaxed) + bytes >= UNWRITTEN_MAX {
            self.unwritten.store(0, Ordering::Relaxed);
            db.flush().map_err(engine(attempt))?;
        }
        Ok(())
    }

    /// Looks at the files' size now and then, and starts over when they outgrow their bound.
    fn watch_size(&self, put: usize) -> Result<(), LiveError> {
        let sum = self.put_since_look.fetch_add(put as u64, Ordering::Relaxed) + put as u64;
        if sum < LOOK_EVERY {
            return Ok(());
        }
        self.put_since_look.store(0, Ordering::Relaxed);
        let size = match &*self.db() {
            Some(db) => db.size_on_disk().map_err(engine("measure"))?,
            None => 0,
        };
        if size > DISK_MAX { self.wipe() } else { Ok(()) }
    }
}

impl Live for SledLive {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LiveError> {
        let guard = self.db();
        let Some(db) = &*guard else { return Ok(None) };
        Ok(db.get(key).map_err(engine("read"))?.map(|value| value.to_vec()))
    }

    fn put(&self, pairs: &[Pair]) -> Result<(), LiveError> {
        check_sizes(pairs)?;
        let mut batch = Batch::default();
        for (key, value) in pairs {
            batch.insert(key.as_slice(), value.as_slice());
        }
        let bytes = pairs.iter().map(|(_, value)| value.len()).sum();
        self.apply(batch, "write", bytes)?;
        self.watchers.wake(pairs);
        self.watch_size(bytes)
    }

    fn delete(&self, keys: &[Vec<u8>]) -> Result<(), LiveError> {
        let mut batch = Batch::default();
        for key in keys {
            batch.remove(key.as_slice());
        }
        // As if each value were of the longest.
        self.apply(batch, "delete", keys.len() * VALUE_MAX)
    }

    fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LiveError> {
        let guard = self.db();
        let Some(db) = &*guard else { return Ok(Vec::new()) };
        db.scan_prefix(prefix)
            .take(limit)
            .map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())))
            .collect::<Result<_, _>>()
            .map_err(engine("scan"))
    }

    fn watch(&self, prefix: &[u8]) -> Watch {
        self.watchers.add(prefix)
    }

    fn wipe(&self) -> Result<(), LiveError> {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // The files may go only after the database let go of them.
        drop(db.take());
        let files = self.dir.join("sled");
        remove(&files)
            .map_err(|error| LiveError::Engine { attempt: "wipe", source: Box::new(error) })?;
        *db = Some(open_db(&files).map_err(engine("reopen"))?);
        Ok(())
    }
}

impl Drop for SledLive {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_one(live: &SledLive) {
        live.put(&[(b"key".to_vec(), b"value".to_vec())]).unwrap();
    }

    #[test]
    fn a_clean_close_keeps_and_an_unclean_stop_wipes_without_opening() {
        let dir = tempfile::tempdir().unwrap();
        put_one(&SledLive::open(dir.path()).unwrap());
        let live = SledLive::open(dir.path()).unwrap();
        assert!(live.get(b"key").unwrap().is_some());
        drop(live);
        // As a cut leaves it: the mark stands, and the files may be anything.
        fs::write(dir.path().join("in-use"), b"").unwrap();
        fs::write(dir.path().join("sled/db"), [0xA5; 9000]).unwrap();
        let live = SledLive::open(dir.path()).unwrap();
        assert!(live.get(b"key").unwrap().is_none());
        put_one(&live);
    }

    #[test]
    fn a_database_whose_lock_is_still_held_for_a_moment_is_waited_for_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        put_one(&SledLive::open(dir.path()).unwrap());
        // As a thread of the closed database holds it.
        let held = fs::File::open(dir.path().join("sled/db")).unwrap();
        held.lock().unwrap();
        let late = std::thread::spawn(move || {
            park_timeout(Duration::from_millis(300));
            drop(held);
        });
        let live = SledLive::open(dir.path()).unwrap();
        assert!(live.get(b"key").unwrap().is_some());
        late.join().unwrap();
    }

    #[test]
    fn after_a_close_it_keeps_nothing_and_does_not_fail() {
        let dir = tempfile::tempdir().unwrap();
        let live = SledLive::open(dir.path()).unwrap();
        put_one(&live);
        live.close();
        put_one(&live);
        assert!(live.get(b"key").unwrap().is_none());
        let next = SledLive::open(dir.path()).unwrap();
        assert!(next.get(b"key").unwrap().is_some());
    }

    #[test]
    fn the_files_do_not_outgrow_their_bound() {
        let dir = tempfile::tempdir().unwrap();
        let live = SledLive::open(dir.path()).unwrap();
        let value: Vec<u8> =
            (0..16_384_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        for round in 0..2000_u64 {
            let key = |n: u64| format!("tail/{n:08}").into_bytes();
            live.put(&[(key(round), value.clone())]).unwrap();
            live.delete(&[key(round.wrapping_sub(16))]).unwrap();
        }
        let size = live.db().as_ref().unwrap().size_on_disk().unwrap();
        assert!(size < DISK_MAX + LOOK_EVERY, "{size}");
    }
}
