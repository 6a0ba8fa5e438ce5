//! Uploads in parts that are not finished yet.

use super::Usage;
use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

/// An unfinished upload.
#[derive(Debug, Clone)]
pub struct UploadRow {
    /// Its number.
    pub id: i64,
    /// The upload id that the client holds.
    pub name: String,
    /// Its bucket.
    pub bucket: i64,
    /// The key that it will have.
    pub key: String,
    /// When it was begun.
    pub started: Timestamp,
    /// JSON.
    pub details: String,
}

/// A part of an unfinished upload.
#[derive(Debug, Clone)]
pub struct PartRow {
    /// Part number, from 1.
    pub number: u32,
    /// Size as the reader sees it.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was stored.
    pub modified: Timestamp,
    /// Its bytes.
    pub blob: i64,
    /// JSON.
    pub details: String,
}

/// A part to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewPart<'a> {
    /// Its upload.
    pub upload: i64,
    /// Part number, from 1.
    pub number: u32,
    /// Size as the reader sees it.
    pub size: u64,
    /// Without quotes.
    pub etag: &'a str,
    /// Now.
    pub modified: Timestamp,
    /// Its bytes, already held for this row.
    pub blob: i64,
    /// JSON.
    pub details: &'a str,
}

fn upload(row: &Row<'_>) -> rusqlite::Result<UploadRow> {
    Ok(UploadRow {
        id: row.get(0)?,
        name: row.get(1)?,
        bucket: row.get(2)?,
        key: row.get(3)?,
        started: Timestamp(row.get(4)?),
        details: row.get(5)?,
    })
}

const COLUMNS: &str = "id, name, bucket, key, started, details";

impl Reader<'_> {
    /// The upload of that id.
    pub fn upload_get(&self, name: &str) -> Result<Option<UploadRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM uploads WHERE name = ?1");
        Ok(self.statement(&sql)?.query_row([name], upload).optional()?)
    }

    /// Unfinished uploads by key and age: those of key `from` begun after `after`, then those of
    /// all keys that follow, at most `limit`.
    pub fn upload_list(
        &self,
        bucket: i64,
        from: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<UploadRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM uploads WHERE bucket = ?1 AND key >= ?2 AND (key > ?2 OR id > ?3)
             ORDER BY key, id LIMIT ?4"
        );
        let mut list = self.statement(&sql)?;
        let rows = list.query_map(params![bucket, from, after, limit], upload)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Parts numbered above `after`, at most `limit`.
    pub fn upload_parts(&self, upload: i64, after: u32, limit: u32) -> Result<Vec<PartRow>, Error> {
        let mut list = self.statement(
            "SELECT number, size, etag, modified, blob, details FROM upload_parts
             WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
        )?;
        let rows = list.query_map(params![upload, after, limit], |row| {
            Ok(PartRow {
                number: row.get(0)?,
                size: row.get(1)?,
                etag: row.get(2)?,
                modified: Timestamp(row.get(3)?),
                blob: row.get(4)?,
                details: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many parts of an upload are stored, as objects, and their bytes.
    pub fn upload_sums(&self, upload: i64) -> Result<Usage, Error> {
        self.unfinished(
            "SELECT count(*), coalesce(sum(size), 0) FROM upload_parts WHERE upload = ?1",
            upload,
        )
    }

    /// How many uploads of a bucket are unfinished, as objects, and the bytes of their parts.
    pub fn bucket_unfinished(&self, bucket: i64) -> Result<Usage, Error> {
        let sql = "SELECT count(*), coalesce(sum((SELECT sum(size) FROM upload_parts WHERE upload = u.id)), 0) \
                   FROM uploads u WHERE bucket = ?1";
        self.unfinished(sql, bucket)
    }

    fn unfinished(&self, sql: &str, of: i64) -> Result<Usage, Error> {
        let read = |row: &Row<'_>| Ok(Usage { objects: row.get(0)?, bytes: row.get(1)? });
        Ok(self.statement(sql)?.query_row([of], read)?)
    }
}

impl Txn<'_> {
    /// Begins an upload.
    pub fn upload_insert(
        &mut self,
        bucket: i64,
        key: &str,
        name: &str,
        started: Timestamp,
        details: &str,
    ) -> Result<i64, Error> {
        Ok(self
            .statement(
                "INSERT INTO uploads (name, bucket, key, started, details)
                 VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
            )?
            .query_row(params![name, bucket, key, started.0, details], |row| row.get(0))?)
    }

    /// Stores a part; one of the same number is replaced and its bytes let go. What would break the
    /// quota of its bucket is refused.
    pub fn upload_part_put(&mut self, new: &NewPart<'_>) -> Result<(), Error> {
        let old: Option<i64> = self
            .statement("DELETE FROM upload_parts WHERE upload = ?1 AND number = ?2 RETURNING blob")?
            .query_row(params![new.upload, new.number], |row| row.get(0))
            .optional()?;
        self.statement(
            "INSERT INTO upload_parts (upload, number, size, etag, modified, blob, details)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            new.upload,
            new.number,
            new.size,
            new.etag,
            new.modified.0,
            new.blob,
            new.details
        ])?;
        old.map_or(Ok(()), |blob| self.blob_release(blob, new.modified))
    }

    /// Ends an upload: its parts are let go. What a finished object keeps it holds itself.
    pub fn upload_delete(&mut self, id: i64, at: Timestamp) -> Result<(), Error> {
        let blobs: Vec<i64> = {
            let mut list = self.statement("SELECT blob FROM upload_parts WHERE upload = ?1")?;
            list.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for blob in blobs {
            self.blob_release(blob, at)?;
        }
        self.statement("DELETE FROM upload_parts WHERE upload = ?1")?.execute([id])?;
        self.statement("DELETE FROM uploads WHERE id = ?1")?.execute([id])?;
        Ok(())
    }
}
