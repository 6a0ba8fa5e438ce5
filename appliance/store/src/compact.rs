//! Gives the room of deleted rows back to the disk, at a start after a clean stop.
//!
//! Why here: SQLite uses free pages again and never returns them by itself. `auto_vacuum` would, and
//! costs every commit that takes a page: measured with pages of 512 bytes, an event writes 946 bytes
//! without it and 1143 with it, an object of 16 KiB 24.0 and 25.8 KB. So free pages count as room
//! ([`crate::Store::free_bytes`]), and when they are many and the rest is little, a start copies that rest.
//! The way: all that is in use goes into a new file beside the database, which then takes its place.
//! Invariants: until the new file is on the disk the old one is not touched; one name holds one whole
//! database at any moment. The log is empty when the names change.
//! On failure: the start goes on with the database as it is.
//! Wear: one copy of what is in use, at most [`USED_MAX`], and only where more than that is won.

use crate::wal;
use rusqlite::Connection;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// Less than this is not worth a copy, in bytes.
const FREE_MIN: u64 = 16 << 20;

/// A file of which less than one of so many parts is free stays as it is.
const FREE_SHARE: u64 = 4;

/// A start is not held up by copying more than this, in bytes: seconds on a slow card.
const USED_MAX: u64 = 64 << 20;

/// What the database's file holds, in bytes.
#[derive(Debug, Clone, Copy)]
struct Held {
    all: u64,
    free: u64,
}

impl Held {
    fn of(sql: &Connection) -> rusqlite::Result<Self> {
        let ask = |name| sql.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        let size = ask("page_size")?;
        Ok(Self { all: ask("page_count")? * size, free: ask("freelist_count")? * size })
    }

    fn is_worth_a_copy(self) -> bool {
        let used = self.all.saturating_sub(self.free);
        self.free > FREE_MIN && self.free > self.all / FREE_SHARE && used <= USED_MAX.min(self.free)
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("db-compact")
}

/// Removes what a cut left of a copy.
pub(crate) fn clear(path: &Path) {
    // One that is not there is as well.
    drop(std::fs::remove_file(beside(path)));
}

/// Makes the copy if it is worth it; `true` when it is there, whole, and the log is empty.
pub(crate) fn made(sql: &Connection, path: &Path) -> bool {
    // A link leads to where somebody put the database, and a new file would stand in the link's place.
    if path.is_symlink() {
        return false;
    }
    let made = Held::of(sql).and_then(|held| match held.is_worth_a_copy() {
        true => copy(sql, path).map(|done| done.then_some(held)),
        false => Ok(None),
    });
    match made {
        Ok(Some(held)) => {
            tracing::info!(bytes = held.free, "the database gives the room of deleted rows back");
            true
        }
        Ok(None) => false,
        Err(error) => {
            tracing::warn!(%error, "could not give the room of deleted rows back to the disk");
            clear(path);
            false
        }
    }
}

fn copy(sql: &Connection, path: &Path) -> rusqlite::Result<bool> {
    if !wal::checkpoint(sql, "TRUNCATE")? {
        return Ok(false);
    }
    sql.execute("VACUUM INTO ?1", [beside(path).to_string_lossy()])?;
    Ok(true)
}

/// Lets the copy take the database's place; nobody has either open. The database stays where the disk refuses.
pub(crate) fn swap(path: &Path) {
    if let Err(error) = take_place(&beside(path), path) {
        tracing::warn!(%error, "could not put a copy in the place of the database");
        clear(path);
    }
}

fn take_place(new: &Path, path: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    std::fs::rename(new, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Error, SiteKey, Store, store::DATABASE};
    use std::{fs, os::unix::fs::MetadataExt};

    fn check(all: u64, free: u64, expected: bool) {
        let held = Held { all: all << 20, free: free << 20 };
        assert_eq!(held.is_worth_a_copy(), expected, "{free} of {all} MiB");
    }

    #[test]
    fn only_much_room_that_costs_little_is_given_back() {
        check(40, 30, true);
        check(17, 17, true);
        check(16, 16, false);
        check(1064, 1000, true);
        check(1065, 1000, false);
        check(60, 20, false);
        check(0, 0, false);
    }

    fn open(dir: &Path) -> Store {
        Store::open(&Config::new(dir), SiteKey::new([7; 32])).unwrap()
    }

    fn with_rows(dir: &Path, mib: u64) -> Store {
        let store = open(dir);
        for number in 0..mib {
            let fill = move |txn: &mut crate::Txn<'_>| -> Result<(), Error> {
                for part in 0..64 {
                    let mut hash = [0; 32];
                    hash[..8].copy_from_slice(&(number * 64 + part).to_le_bytes());
                    let data = Some(vec![7; 16 << 10]);
                    let new = crate::objects::NewBlob { hash, size: 9, path: None, data };
                    txn.blob_hold(&new, |_| false)?;
                }
                Ok(())
            };
            store.write_blocking(fill).unwrap();
        }
        store
    }

    fn forget_all_but(store: &Store, kept: i64) {
        let forget = move |txn: &mut crate::Txn<'_>| -> Result<(), Error> {
            txn.statement("DELETE FROM blobs WHERE id <> ?1")?.execute([kept])?;
            Ok(())
        };
        store.write_blocking(forget).unwrap();
    }

    #[test]
    fn a_start_gives_back_what_deleted_rows_took_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DATABASE);
        let length = || fs::metadata(&path).unwrap().len();
        let store = with_rows(dir.path(), 24);
        assert!(store.free_bytes() < 1 << 20);
        forget_all_but(&store, 5);
        assert!(store.free_bytes() > 20 << 20, "{}", store.free_bytes());
        store.close().unwrap();
        assert!(length() > 20 << 20);
        // What a cut left is no database.
        fs::write(beside(&path), "half").unwrap();
        let store = open(dir.path());
        assert!(length() < 4 << 20, "{}", length());
        assert!(!beside(&path).exists());
        assert!(store.free_bytes() < 1 << 20);
        let kept = store.read_blocking(|reader| reader.blob_data(5)).unwrap();
        assert_eq!(kept, Some(vec![7; 16 << 10]));
        store.write_blocking(|txn| txn.keeper_mark_set("here", 4)).unwrap();
        store.close().unwrap();
        let file = fs::metadata(&path).unwrap().ino();
        let store = open(dir.path());
        assert_eq!(fs::metadata(&path).unwrap().ino(), file, "nothing is left to be won");
        assert_eq!(store.read_blocking(|reader| reader.keeper_mark("here")).unwrap(), 4);
        store.close().unwrap();
        let sql = Connection::open(&path).unwrap();
        let ask = |name| sql.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        let size: u32 = sql.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
        assert_eq!((size, ask("journal_mode").unwrap().as_str()), (512, "wal"));
        assert_eq!(ask("quick_check").unwrap(), "ok");
    }

    #[test]
    fn after_a_stop_that_was_not_clean_nothing_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let store = with_rows(dir.path(), 20);
        forget_all_but(&store, 1);
        store.close().unwrap();
        fs::write(dir.path().join("in-use"), "").unwrap();
        let path = dir.path().join(DATABASE);
        let before = fs::metadata(&path).unwrap().ino();
        let store = open(dir.path());
        assert!(store.was_unclean());
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    }
}
