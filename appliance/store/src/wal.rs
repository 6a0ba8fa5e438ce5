//! Room for the write-ahead log, taken once.
//!
//! Why: a commit that makes the log longer also changes the file's size, which a journalling file system
//! commits by itself: the disk is flushed twice, and on flash each flush takes milliseconds. A commit into
//! bytes that were written before is flushed once. SQLite begins at the front of the log after each
//! checkpoint, so that only the first round after a start would grow it.
//! Invariant: only bytes behind all that SQLite wrote are touched. It reads the log up to the first frame
//! that is not of the present round, and zeros are no frame.
//! Its index, the `-shm` file, gets its room as well: where it cannot grow, nothing can be committed,
//! however much of the log is free.
//! On failure: nothing is lost but time; commits grow the log as they would have.

mod look;

pub(crate) use look::{Found, look};

use rusqlite::{Connection, config::DbConfig};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The file's own header, and that of each page's frame, in bytes.
const HEADER: u64 = 32;
const FRAME: u64 = 24;

/// The log is cut to this size after a burst, in bytes.
pub(crate) const KEEP: u32 = 8 << 20;

/// The index comes in parts of so many bytes, and each tells of so many pages; the first, of a few less.
const INDEX_PART: u64 = 32 << 10;
const INDEXED: u64 = 4062;

/// What one commit may add to a log that is nearly full, in pages.
const SPARE: u64 = 256;

/// Zeros written at once: a page of the kernel's. It keeps a larger write together in its memory, and
/// then a commit would dirty, and write, all of that.
const BLOCK: [u8; 4096] = [0; 4096];

/// Makes the log of the database at `path` as long as `pages` of this size will make it, and waits for
/// the disk. Returns the length below which it does not fall until all of it is home.
pub(crate) fn reserve(path: &Path, pages: u32, page_size: u32) -> io::Result<u64> {
    let wanted = HEADER + (u64::from(pages) + SPARE) * (u64::from(page_size) + FRAME);
    let file = File::options().append(true).open(of(path))?;
    let length = file.metadata()?.len();
    let grown = grow(&file, length, wanted).and_then(|()| file.sync_data());
    if grown.is_err() {
        // A full disk needs the room more.
        file.set_len(length)?;
    }
    // SQLite cuts it to what is kept after a burst.
    grown.map(|()| wanted.min(KEEP.into()))
}

/// Makes the log's index as long as so many pages will make it. SQLite's locks are on the same file, and
/// the kernel drops them when this process closes it once: keep it open for as long as the database is, also
/// when it could not be made so long.
pub(crate) fn reserve_index(path: &Path, pages: u32) -> io::Result<(File, io::Result<()>)> {
    let wanted = (u64::from(pages) + SPARE).div_ceil(INDEXED) * INDEX_PART;
    let file = File::options().append(true).open(beside(path, "-shm"))?;
    // What it got stays: SQLite may see it already.
    let grown = file.metadata().and_then(|now| grow(&file, now.len(), wanted));
    Ok((file, grown))
}

fn grow(mut file: &File, mut length: u64, wanted: u64) -> io::Result<()> {
    while length < wanted {
        let to_the_next = BLOCK.len() - usize::try_from(length).unwrap_or(0) % BLOCK.len();
        file.write_all(&BLOCK[..to_the_next])?;
        length += to_the_next as u64;
    }
    Ok(())
}

/// Copies the log home; `true` when nothing is left that is not.
pub(crate) fn checkpoint(sql: &Connection, mode: &str) -> rusqlite::Result<bool> {
    sql.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, frames, home): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!busy && frames == home)
    })
}

/// Whether the log stays when the last connection closes: as long as the mark tells of it.
pub(crate) fn keep_at_close(sql: &Connection, keep: bool) -> rusqlite::Result<()> {
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop)
}

/// The log of the database at `path`.
pub(crate) fn of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was committed is there again, however long the log is behind it.
    #[test]
    fn room_behind_the_frames_is_no_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let open = || {
            let sql = Connection::open(&path).unwrap();
            sql.pragma_update(None, "page_size", 512).unwrap();
            sql.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
            sql
        };
        let (first, kept) = (open(), folder.path().join("kept.db"));
        first.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").unwrap();
        reserve(&path, 100, 512).unwrap();
        first.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert!(std::fs::metadata(of(&path)).unwrap().len() >= 100 * 512);
        // As after a cut: nobody has closed it.
        std::fs::copy(&path, &kept).unwrap();
        std::fs::copy(of(&path), of(&kept)).unwrap();
        let sum = |sql: &Connection| -> i64 {
            sql.query_row("SELECT sum(n) FROM t", [], |row| row.get(0)).unwrap()
        };
        let again = Connection::open(&kept).unwrap();
        assert_eq!((sum(&first), sum(&again)), (3, 3));
    }
}
