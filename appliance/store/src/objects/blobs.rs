//! Bytes, each kept once and counted by the rows that name them.

use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

/// Bytes to be kept: in the row, or in a durable file that nothing else names.
#[derive(Debug, Clone)]
pub struct NewBlob {
    /// BLAKE3 of the stored bytes.
    pub hash: [u8; 32],
    /// Their number.
    pub size: u64,
    /// The file; `None` when the bytes are `data`.
    pub path: Option<String>,
    /// The bytes themselves, when they are few.
    pub data: Option<Vec<u8>>,
}

/// What [`Txn::blob_hold`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The blob, with one more reference.
    pub id: i64,
    /// Equal bytes were there: the given file is not needed and is to be removed.
    pub spare: bool,
    /// The file of a rotten copy, which nothing names any more: it is to be removed.
    pub replaced: Option<String>,
}

/// A stored blob without its bytes.
#[derive(Debug, Clone)]
pub struct BlobRow {
    /// Its number.
    pub id: i64,
    /// BLAKE3 of the stored bytes.
    pub hash: [u8; 32],
    /// Their number.
    pub size: u64,
    /// The file; `None` when the bytes are in the row.
    pub path: Option<String>,
}

pub(super) fn blob(row: &Row<'_>) -> rusqlite::Result<BlobRow> {
    Ok(BlobRow { id: row.get(0)?, hash: row.get(1)?, size: row.get(2)?, path: row.get(3)? })
}

impl Reader<'_> {
    /// The blob of that number.
    pub fn blob_get(&self, id: i64) -> Result<Option<BlobRow>, Error> {
        Ok(self
            .statement("SELECT id, hash, size, path FROM blobs WHERE id = ?1")?
            .query_row([id], blob)
            .optional()?)
    }

    /// The blob with these bytes.
    pub fn blob_of(&self, hash: &[u8; 32]) -> Result<Option<BlobRow>, Error> {
        Ok(self
            .statement("SELECT id, hash, size, path FROM blobs WHERE hash = ?1")?
            .query_row(params![hash], blob)
            .optional()?)
    }

    /// Bytes that are kept in the row.
    pub fn blob_data(&self, id: i64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self
            .statement("SELECT data FROM blobs WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// A blob names that file.
    pub fn blob_path_known(&self, path: &str) -> Result<bool, Error> {
        Ok(self.statement("SELECT 1 FROM blobs WHERE path = ?1")?.exists([path])?)
    }

    /// Blobs that nothing has named since `before`, at most `limit`.
    pub fn blob_unused(&self, before: Timestamp, limit: u32) -> Result<Vec<BlobRow>, Error> {
        let mut list = self.statement(
            "SELECT id, hash, size, path FROM blobs WHERE freed < ?1 ORDER BY freed LIMIT ?2",
        )?;
        let rows = list.query_map(params![before.0, limit], blob)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The blobs found rotten, by number.
    pub fn blob_bad(&self) -> Result<Vec<BlobRow>, Error> {
        let mut list =
            self.statement("SELECT id, hash, size, path FROM blobs WHERE bad = 1 ORDER BY id")?;
        let rows = list.query_map([], blob)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Number and total size of all blobs, each counted once.
    pub fn blob_total(&self) -> Result<(u64, u64), Error> {
        Ok(self
            .statement("SELECT count(*), coalesce(sum(size), 0) FROM blobs")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}

impl Txn<'_> {
    /// Keeps bytes with one reference; equal bytes are kept once. A rotten copy is replaced, and so is
    /// one that `doubted` says yes to by its number.
    pub fn blob_hold(
        &mut self,
        new: &NewBlob,
        doubted: impl Fn(i64) -> bool,
    ) -> Result<Held, Error> {
        let old = self.blob_of(&new.hash)?;
        if let Some(old) = old.as_ref().filter(|old| doubted(old.id)) {
            self.statement("UPDATE blobs SET bad = 1 WHERE id = ?1")?.execute([old.id])?;
        }
        let (id, path): (i64, Option<String>) = self
            .statement(
                "INSERT INTO blobs (hash, size, refs, path, data) VALUES (?1, ?2, 1, ?3, ?4)
                 ON CONFLICT (hash) DO UPDATE SET refs = refs + 1, freed = NULL,
                   path = CASE WHEN bad THEN excluded.path ELSE path END,
                   data = CASE WHEN bad THEN excluded.data ELSE data END,
                   bad = 0
                 RETURNING id, path",
            )?
            .query_row(params![new.hash, new.size, new.path, new.data], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let spare = new.path.is_some() && path != new.path;
        let replaced = old.and_then(|old| old.path).filter(|old| path.as_ref() != Some(old));
        Ok(Held { id, spare, replaced })
    }

    /// One more row names the blob.
    pub fn blob_hold_again(&mut self, id: i64) -> Result<(), Error> {
        self.statement("UPDATE blobs SET refs = refs + 1, freed = NULL WHERE id = ?1")?
            .execute([id])?;
        Ok(())
    }

    /// One row less names the blob.
    pub fn blob_release(&mut self, id: i64, at: Timestamp) -> Result<(), Error> {
        self.statement(
            "UPDATE blobs SET refs = refs - 1, freed = CASE WHEN refs = 1 THEN ?2 END WHERE id = ?1",
        )?
        .execute(params![id, at.0])?;
        Ok(())
    }

    /// Forgets a blob that is still unused; its file may be removed when this is committed.
    pub fn blob_forget(&mut self, id: i64) -> Result<bool, Error> {
        Ok(self.statement("DELETE FROM blobs WHERE id = ?1 AND refs = 0")?.execute([id])? > 0)
    }

    /// Notes what the scrubber found in the bytes that it read; `false` when the blob is gone, or its
    /// bytes lie elsewhere by now.
    pub fn blob_checked(
        &mut self,
        read: &BlobRow,
        at: Timestamp,
        good: bool,
    ) -> Result<bool, Error> {
        let noted = self
            .statement("UPDATE blobs SET checked = ?3, bad = ?4 WHERE id = ?1 AND path IS ?2")?
            .execute(params![read.id, read.path, at.0, !good])?;
        Ok(noted > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> NewBlob {
        NewBlob { hash: [1; 32], size: 9, path: Some(path.into()), data: None }
    }

    fn check(found: &Held, spare: bool, replaced: Option<&str>) {
        assert_eq!((found.spare, found.replaced.as_deref()), (spare, replaced), "{found:?}");
    }

    #[test]
    fn equal_bytes_are_kept_once_and_those_that_are_rotten_or_doubted_give_way() {
        let (sql, key) = crate::migrate::in_memory();
        let mut txn = Txn::new(&sql, &key, base::ids::Cursor(0));
        let first = txn.blob_hold(&file("a"), |_| true).unwrap();
        check(&first, false, None);
        check(&txn.blob_hold(&file("b"), |id| id != first.id).unwrap(), true, None);
        check(&txn.blob_hold(&file("c"), |id| id == first.id).unwrap(), false, Some("a"));
        assert!(!txn.blob_is_bad(first.id).unwrap());
        let now = txn.blob_get(first.id).unwrap().unwrap();
        assert!(txn.blob_checked(&now, Timestamp(1), false).unwrap());
        check(&txn.blob_hold(&file("d"), |_| false).unwrap(), false, Some("c"));
    }

    #[test]
    fn what_was_found_in_a_file_says_nothing_about_the_one_that_took_its_place() {
        let (sql, key) = crate::migrate::in_memory();
        let mut txn = Txn::new(&sql, &key, base::ids::Cursor(0));
        let id = txn.blob_hold(&file("a"), |_| false).unwrap().id;
        let read = txn.blob_get(id).unwrap().unwrap();
        txn.blob_hold(&file("b"), |_| true).unwrap();
        assert!(!txn.blob_checked(&read, Timestamp(1), false).unwrap());
        assert!(!txn.blob_is_bad(id).unwrap());
    }
}
