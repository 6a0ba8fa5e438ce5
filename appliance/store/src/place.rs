//! The directory: one process at a time, and a mark that tells how the last one ended.
//!
//! The lock is the kernel's (`flock`), so that a killed process never leaves it behind; the pid
//! inside is for the message alone. The mark is a file that exists while the directory is in use.

use crate::error::OpenError;
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
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

/// Holds the directory until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
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
        match file.try_lock() {
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

fn noted_pid(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// The mark that stands while the directory is in use.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
}

impl Mark {
    /// Sets the mark durably; `true` when it still stood: the last stop was not clean.
    pub(crate) fn set(dir: &Path) -> Result<(Self, bool), OpenError> {
        let path = dir.join("in-use");
        let unclean = path.exists();
        if !unclean {
            let made = File::create(&path).and_then(|file| file.sync_all());
            made.and_then(|()| sync_dir(dir)).map_err(|source| failed("create", &path, source))?;
        }
        Ok((Self { path }, unclean))
    }

    /// Takes the mark away: everything is on disk.
    pub(crate) fn clear(self) -> Result<(), OpenError> {
        std::fs::remove_file(&self.path).map_err(|source| failed("remove", &self.path, source))
    }
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
    fn a_mark_left_behind_is_an_unclean_stop() {
        let dir = tempfile::tempdir().unwrap();
        let (mark, unclean) = Mark::set(dir.path()).unwrap();
        assert!(!unclean);
        drop(mark);
        let (mark, unclean) = Mark::set(dir.path()).unwrap();
        assert!(unclean);
        mark.clear().unwrap();
        assert!(!Mark::set(dir.path()).unwrap().1);
    }
}
