//! File changes that survive the loss of power.
//!
//! Why: a push is answered "ok" only when what it promised is on the disk: bytes written and
//! synced, renamed, and the directory synced, in that order.

use crate::error::Error;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

/// Waits until the entries of `dir` are on the disk.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::file("sync", dir))
}

/// Waits until the bytes of `file` are on the disk.
pub(crate) fn sync_file(file: &Path) -> Result<(), Error> {
    File::open(file).and_then(|file| file.sync_all()).map_err(Error::file("sync", file))
}

/// Replaces `path` by `bytes` in one step: afterwards it holds the old text or the new, never a part.
///
/// The new text waits in `<path>.lock`, the name that Git itself uses for the same purpose, so
/// that a Git command at work in the same repository is noticed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = Path::new(&lock);
    let written = write_new(lock, bytes)
        .and_then(|()| fs::rename(lock, path).map_err(Error::file("rename to", path)));
    if let Err(error) = written {
        // A lock of somebody else stays; the one made here goes.
        if !matches!(&error, Error::File { action: "lock", .. }) {
            let _ = fs::remove_file(lock);
        }
        return Err(error);
    }
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes `path`, which must not be there, with these bytes.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(Error::file("lock", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::file("write", path))
}
