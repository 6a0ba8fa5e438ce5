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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The blob, with one more reference.
    pub id: i64,
    /// Equal bytes were there: the given file is not needed and is to be removed.
    pub spare: bool,
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

fn blob(row: &Row<'_>) -> rusqlite::Result<BlobRow> {
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

    /// Blobs numbered above `after`, at most `limit`: the order of the scrubber.
    pub fn blob_list(&self, after: i64, limit: u32) -> Result<Vec<BlobRow>, Error> {
        let mut list = self.statement(
            "SELECT id, hash, size, path FROM blobs WHERE id > ?1 AND bad = 0 ORDER BY id LIMIT ?2",
        )?;
        let rows = list.query_map(params![after, limit], blob)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Number and size of the blobs found rotten.
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
    /// Keeps bytes with one reference; equal bytes are kept once. A rotten copy is replaced.
    pub fn blob_hold(&mut self, new: &NewBlob) -> Result<Held, Error> {
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
        Ok(Held { id, spare: new.path.is_some() && path != new.path })
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

    /// Notes what the scrubber found.
    pub fn blob_checked(&mut self, id: i64, at: Timestamp, good: bool) -> Result<(), Error> {
        self.statement("UPDATE blobs SET checked = ?2, bad = ?3 WHERE id = ?1")?
            .execute(params![id, at.0, !good])?;
        Ok(())
    }
}
