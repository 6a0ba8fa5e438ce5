//! Room for the write-ahead log, taken once.
//!
//! Why: a commit that makes the log longer also changes the file's size, which a journalling file system
//! commits by itself: the disk is flushed twice, and on flash each flush takes milliseconds. A commit into
//! bytes that were written before is flushed once. SQLite begins at the front of the log after each
//! checkpoint, so that only the first round after a start would grow it.
//! Invariant: only bytes behind all that SQLite wrote are touched. It reads the log up to the first frame
//! that is not of the present round, and zeros are no frame.
//! On failure: nothing is lost but time; commits grow the log as they would have.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The file's own header, and that of each page's frame, in bytes.
const HEADER: u64 = 32;
const FRAME: u64 = 24;

/// What one commit may add to a log that is nearly full, in pages.
const SPARE: u64 = 256;

/// Zeros written at once: a page of the kernel's. It keeps a larger write together in its memory, and
/// then a commit would dirty, and write, all of that.
const BLOCK: [u8; 4096] = [0; 4096];

/// Makes the log of the database at `path` as long as `pages` of this size will make it, and waits for
/// the disk.
pub(crate) fn reserve(path: &Path, pages: u32, page_size: u32) -> io::Result<()> {
    let wanted = HEADER + (u64::from(pages) + SPARE) * (u64::from(page_size) + FRAME);
    let file = File::options().append(true).open(wal_of(path))?;
    let length = file.metadata()?.len();
    let grown = grow(&file, length, wanted);
    if grown.is_err() {
        // A full disk needs the room more.
        file.set_len(length)?;
    }
    grown
}

fn grow(mut file: &File, mut length: u64, wanted: u64) -> io::Result<()> {
    while length < wanted {
        let to_the_next = BLOCK.len() - usize::try_from(length).unwrap_or(0) % BLOCK.len();
        file.write_all(&BLOCK[..to_the_next])?;
        length += to_the_next as u64;
    }
    file.sync_data()
}

fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
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
            let sql = rusqlite::Connection::open(&path).unwrap();
            sql.pragma_update(None, "page_size", 512).unwrap();
            sql.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
            sql
        };
        let (first, kept) = (open(), folder.path().join("kept.db"));
        first.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").unwrap();
        reserve(&path, 100, 512).unwrap();
        first.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert!(std::fs::metadata(wal_of(&path)).unwrap().len() >= 100 * 512);
        // As after a cut: nobody has closed it.
        std::fs::copy(&path, &kept).unwrap();
        std::fs::copy(wal_of(&path), wal_of(&kept)).unwrap();
        let sum = |sql: &rusqlite::Connection| -> i64 {
            sql.query_row("SELECT sum(n) FROM t", [], |row| row.get(0)).unwrap()
        };
        let again = rusqlite::Connection::open(&kept).unwrap();
        assert_eq!((sum(&first), sum(&again)), (3, 3));
    }
}
