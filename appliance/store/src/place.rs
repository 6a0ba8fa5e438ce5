//! The directory: one process at a time, and a mark that tells how the last one ended.
//!
//! The lock is the kernel's (`flock`), so that a killed process never leaves it behind; the pid
//! inside is for the message alone. The mark is a file that exists while the directory is in use. Its
//! text is the number of bytes that the database's log has had since; empty while it may have none.

use crate::error::OpenError;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread::park_timeout,
    time::{Duration, Instant},
};

fn failed(attempt: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::File { attempt, path: path.to_owned(), source }
}

/// Makes the directory for its owner alone, if it is not there.
pub(crate) fn make(dir: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| failed("create", dir, source))
}

/// So long somebody who looks may hold the lock.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// Between two tries to take it.
const LOOK_TRY: Duration = Duration::from_millis(5);

/// Holds the directory until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Tells who has the directory, if anybody has. A start in this very moment waits for the look.
    pub(crate) fn probe(dir: &Path) -> Result<(), OpenError> {
        let path = dir.join("lock");
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file.map_err(|source| failed("open", &path, source))?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::InUse { dir: dir.to_owned(), pid: noted_pid(&mut file) })
            }
            Err(TryLockError::Error(source)) => Err(failed("lock", &path, source)),
        }
    }

    /// Takes the directory, or tells who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| failed("open", &path, source))?;
        match lock_soon(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { dir: dir.to_owned(), pid: noted_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|source| failed("write", &path, source))?;
        Ok(Self { _file: file })
    }
}

/// Locks a file, if need be after whoever only looks at it.
fn lock_soon(file: &File) -> Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOOK_MAX => park_timeout(LOOK_TRY),
            done => return done,
        }
    }
}

fn noted_pid(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// How the last user of the directory ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// With all put away, or there was none.
    Clean,
    /// The mark still stood.
    Unclean {
        /// Bytes that the log has at the least; 0 when it may be missing.
        log: u64,
    },
}

/// The mark that stands while the directory is in use.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    path: PathBuf,
}

impl Mark {
    /// Sets the mark durably, or leaves the one that still stands.
    pub(crate) fn set(dir: &Path) -> Result<(Self, Last), OpenError> {
        let (mark, last) = Self::look(dir);
        if last == Last::Clean {
            let made = File::create(&mark.path).and_then(|file| file.sync_all());
            made.and_then(|()| sync_dir(dir))
                .map_err(|source| failed("create", &mark.path, source))?;
        }
        Ok((mark, last))
    }

    /// The mark as it stands, or does not.
    pub(crate) fn look(dir: &Path) -> (Self, Last) {
        let path = dir.join("in-use");
        let last = match std::fs::read(&path) {
            Ok(text) => Last::Unclean { log: noted_log(&text) },
            // It is looked at as one that says nothing.
            Err(_) if path.exists() => Last::Unclean { log: 0 },
            Err(_) => Last::Clean,
        };
        (Self { path }, last)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From here on the log has so many bytes. Always as many digits, so that no cut mixes two numbers.
    pub(crate) fn note_log(&self, bytes: u64) -> std::io::Result<()> {
        // The log's own entry first.
        self.path.parent().map_or(Ok(()), sync_dir)?;
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        file.write_all(format!("{bytes:020}\n").as_bytes())?;
        file.sync_all()
    }

    /// From here on the log may be missing: all of it is home.
    pub(crate) fn forget_log(&self) -> std::io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(0)?;
        file.sync_all()
    }

    /// Takes the mark away: everything is on disk.
    pub(crate) fn clear(self) -> Result<(), OpenError> {
        std::fs::remove_file(&self.path).map_err(|source| failed("remove", &self.path, source))
    }
}

fn noted_log(text: &[u8]) -> u64 {
    str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("in use by pid {}", std::process::id())), "{refused}");
        drop(held);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_look_in_the_moment_of_a_start_does_not_refuse_it() {
        let dir = tempfile::tempdir().unwrap();
        drop(Lock::take(dir.path()).unwrap());
        let looked = File::open(dir.path().join("lock")).unwrap();
        looked.lock_shared().unwrap();
        let looks = std::thread::spawn(move || {
            park_timeout(Duration::from_millis(100));
            drop(looked);
        });
        Lock::take(dir.path()).unwrap();
        looks.join().unwrap();
    }

    #[test]
    fn a_mark_left_behind_is_an_unclean_stop_and_tells_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let last = || Mark::set(dir.path()).unwrap().1;
        let (mark, first) = Mark::set(dir.path()).unwrap();
        assert_eq!((first, last()), (Last::Clean, Last::Unclean { log: 0 }));
        mark.note_log(4_000_000).unwrap();
        mark.note_log(77).unwrap();
        assert_eq!(last(), Last::Unclean { log: 77 });
        mark.forget_log().unwrap();
        assert_eq!(last(), Last::Unclean { log: 0 });
        mark.clear().unwrap();
        assert_eq!(last(), Last::Clean);
    }
}
