//! Versions of objects, and the pieces of those that were uploaded in parts.

use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

/// One version of one key.
#[derive(Debug, Clone)]
pub struct ObjectRow {
    /// Grows with every version stored.
    pub id: i64,
    /// Its bucket.
    pub bucket: i64,
    /// Its key.
    pub key: String,
    /// Its version's name; `null` where versions were not kept.
    pub version: String,
    /// No newer version of the key exists.
    pub latest: bool,
    /// A mark that the key was deleted; has no bytes.
    pub marker: bool,
    /// Size as the reader sees it.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was stored.
    pub modified: Timestamp,
    /// Its bytes; `None` for a marker, an empty object, or one in pieces.
    pub blob: Option<i64>,
    /// JSON.
    pub details: String,
}

/// A version to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewObject<'a> {
    /// Its bucket.
    pub bucket: i64,
    /// Its key.
    pub key: &'a str,
    /// Its version's name.
    pub version: &'a str,
    /// A delete marker.
    pub marker: bool,
    /// Size as the reader sees it.
    pub size: u64,
    /// Without quotes.
    pub etag: &'a str,
    /// Now.
    pub modified: Timestamp,
    /// Its bytes, already held for this row.
    pub blob: Option<i64>,
    /// JSON.
    pub details: &'a str,
}

/// A piece of an object.
#[derive(Debug, Clone)]
pub struct PieceRow {
    /// Part number, from 1.
    pub number: u32,
    /// Size as the reader sees it.
    pub size: u64,
    /// Its bytes.
    pub blob: i64,
    /// JSON.
    pub details: String,
}

/// Where a blob is named: a version, and which of its pieces the blob is.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The name of its bucket.
    pub bucket: String,
    /// The version.
    pub object: ObjectRow,
    /// The number of the piece; `None` where the blob is the whole version.
    pub part: Option<u32>,
}

const COLUMNS: &str =
    "id, bucket, key, version, latest, marker, size, etag, modified, blob, details";

fn object(row: &Row<'_>) -> rusqlite::Result<ObjectRow> {
    Ok(ObjectRow {
        id: row.get(0)?,
        bucket: row.get(1)?,
        key: row.get(2)?,
        version: row.get(3)?,
        latest: row.get(4)?,
        marker: row.get(5)?,
        size: row.get(6)?,
        etag: row.get(7)?,
        modified: Timestamp(row.get(8)?),
        blob: row.get(9)?,
        details: row.get(10)?,
    })
}

impl Reader<'_> {
    /// The newest version of a key, a marker included.
    pub fn object_latest(&self, bucket: i64, key: &str) -> Result<Option<ObjectRow>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND latest = 1");
        Ok(self.statement(&sql)?.query_row(params![bucket, key], object).optional()?)
    }

    /// One named version of a key.
    pub fn object_version(
        &self,
        bucket: i64,
        key: &str,
        version: &str,
    ) -> Result<Option<ObjectRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND version = ?3"
        );
        Ok(self.statement(&sql)?.query_row(params![bucket, key, version], object).optional()?)
    }

    /// Current objects (no markers) whose key is `from` or follows it, by key, at most `limit`.
    pub fn object_list(
        &self,
        bucket: i64,
        from: &str,
        limit: u32,
    ) -> Result<Vec<ObjectRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key >= ?2 AND latest = 1 AND marker = 0
             ORDER BY key LIMIT ?3"
        );
        let mut list = self.statement(&sql)?;
        let rows = list.query_map(params![bucket, from, limit], object)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Versions by key, newest first within a key: those of key `from` that are older than
    /// `below`, then those of all keys that follow, at most `limit`.
    pub fn object_list_versions(
        &self,
        bucket: i64,
        from: &str,
        below: i64,
        limit: u32,
    ) -> Result<Vec<ObjectRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key >= ?2 AND (key > ?2 OR id < ?3)
             ORDER BY key, id DESC LIMIT ?4"
        );
        let mut list = self.statement(&sql)?;
        let rows = list.query_map(params![bucket, from, below, limit], object)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many versions of its key are newer than a version, counted up to `most`.
    pub fn object_newer(&self, row: &ObjectRow, most: u32) -> Result<u32, Error> {
        let mut count = self.statement(
            "SELECT count(*) FROM
               (SELECT 1 FROM objects WHERE bucket = ?1 AND key = ?2 AND id > ?3 LIMIT ?4)",
        )?;
        Ok(count.query_row(params![row.bucket, row.key, row.id, most], |row| row.get(0))?)
    }

    /// An older version of its key exists.
    pub fn object_hides(&self, row: &ObjectRow) -> Result<bool, Error> {
        Ok(self
            .statement("SELECT 1 FROM objects WHERE bucket = ?1 AND key = ?2 AND id < ?3 LIMIT 1")?
            .exists(params![row.bucket, row.key, row.id])?)
    }

    /// Versions that name a blob, those that are the latest of their keys first, at most `limit`. Looks
    /// through all versions: for what is seldom asked.
    pub fn blob_namings(&self, blob: i64, limit: u32) -> Result<Vec<Naming>, Error> {
        let mut list = self.statement(
            "SELECT o.id, o.bucket, o.key, o.version, o.latest, o.marker, o.size, o.etag, o.modified,
               o.blob, o.details, b.name, n.number
             FROM (SELECT id, NULL AS number FROM objects WHERE blob = ?1
               UNION ALL SELECT object, number FROM object_parts WHERE blob = ?1) AS n
             JOIN objects AS o ON o.id = n.id JOIN buckets AS b ON b.id = o.bucket
             ORDER BY o.latest DESC, o.id DESC LIMIT ?2",
        )?;
        let rows = list.query_map(params![blob, limit], |row| {
            Ok(Naming { object: object(row)?, bucket: row.get(11)?, part: row.get(12)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The pieces of an object, in order; empty when it is whole.
    pub fn object_pieces(&self, object: i64) -> Result<Vec<PieceRow>, Error> {
        let mut list = self.statement(
            "SELECT number, size, blob, details FROM object_parts WHERE object = ?1 ORDER BY number",
        )?;
        let rows = list.query_map([object], |row| {
            Ok(PieceRow {
                number: row.get(0)?,
                size: row.get(1)?,
                blob: row.get(2)?,
                details: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Txn<'_> {
    /// Stores a version as the newest of its key.
    pub fn object_insert(&mut self, new: &NewObject<'_>) -> Result<i64, Error> {
        self.statement(
            "UPDATE objects SET latest = 0 WHERE bucket = ?1 AND key = ?2 AND latest = 1",
        )?
        .execute(params![new.bucket, new.key])?;
        Ok(self
            .statement(
                "INSERT INTO objects (bucket, key, version, latest, marker, size, etag, modified, blob, details)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
            )?
            .query_row(
                params![
                    new.bucket,
                    new.key,
                    new.version,
                    new.marker,
                    new.size,
                    new.etag,
                    new.modified.0,
                    new.blob,
                    new.details
                ],
                |row| row.get(0),
            )?)
    }

    /// Adds a piece whose blob is already held for it.
    pub fn object_piece_insert(&mut self, object: i64, piece: &PieceRow) -> Result<(), Error> {
        self.statement(
            "INSERT INTO object_parts (object, number, size, blob, details) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![object, piece.number, piece.size, piece.blob, piece.details])?;
        Ok(())
    }

    /// Replaces the details of a version.
    pub fn object_update(&mut self, id: i64, details: &str) -> Result<(), Error> {
        self.statement("UPDATE objects SET details = ?2 WHERE id = ?1")?
            .execute(params![id, details])?;
        Ok(())
    }

    /// Removes a version, lets its bytes go, and makes the next newest the latest.
    pub fn object_delete(&mut self, row: &ObjectRow, at: Timestamp) -> Result<(), Error> {
        let pieces = self.object_pieces(row.id)?;
        for piece in &pieces {
            self.blob_release(piece.blob, at)?;
        }
        if !pieces.is_empty() {
            self.statement("DELETE FROM object_parts WHERE object = ?1")?.execute([row.id])?;
        }
        self.statement("DELETE FROM objects WHERE id = ?1")?.execute([row.id])?;
        if let Some(blob) = row.blob {
            self.blob_release(blob, at)?;
        }
        if row.latest {
            self.object_promote(row.bucket, &row.key)?;
        }
        Ok(())
    }

    fn object_promote(&mut self, bucket: i64, key: &str) -> Result<(), Error> {
        self.statement(
            "UPDATE objects SET latest = 1 WHERE id =
               (SELECT max(id) FROM objects WHERE bucket = ?1 AND key = ?2)",
        )?
        .execute(params![bucket, key])?;
        Ok(())
    }
}
