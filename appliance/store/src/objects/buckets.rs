//! Buckets and what they hold in sum.

use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

/// A stored bucket.
#[derive(Debug, Clone)]
pub struct BucketRow {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub owner: String,
    /// When.
    pub created: Timestamp,
    /// `off`, `on` or `suspended`.
    pub versioning: String,
    /// Everything else that was set on it, as JSON.
    pub settings: String,
}

/// A bucket to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewBucket<'a> {
    /// Its name.
    pub name: &'a str,
    /// Who makes it.
    pub owner: &'a str,
    /// Now.
    pub created: Timestamp,
    /// `off` or `on`.
    pub versioning: &'a str,
    /// JSON.
    pub settings: &'a str,
}

/// What a bucket holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Versions.
    pub objects: u64,
    /// Their sizes, equal bytes counted each time.
    pub bytes: u64,
}

fn bucket(row: &Row<'_>) -> rusqlite::Result<BucketRow> {
    Ok(BucketRow {
        id: row.get(0)?,
        name: row.get(1)?,
        owner: row.get(2)?,
        created: Timestamp(row.get(3)?),
        versioning: row.get(4)?,
        settings: row.get(5)?,
    })
}

const COLUMNS: &str = "id, name, owner, created, versioning, settings";

impl Reader<'_> {
    /// The bucket of that name.
    pub fn bucket_get(&self, name: &str) -> Result<Option<BucketRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM buckets WHERE name = ?1");
        Ok(self.statement(&sql)?.query_row([name], bucket).optional()?)
    }

    /// Buckets by name, those of one owner or all, that follow `after`, at most `limit`.
    pub fn bucket_list(
        &self,
        owner: Option<&str>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<BucketRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM buckets WHERE (?1 IS NULL OR owner = ?1) AND name > ?2 ORDER BY name LIMIT ?3"
        );
        let mut list = self.statement(&sql)?;
        let rows = list.query_map(params![owner, after, limit], bucket)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What the bucket holds; reads all its rows.
    pub fn bucket_usage(&self, bucket: i64) -> Result<Usage, Error> {
        Ok(self
            .statement("SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE bucket = ?1")?
            .query_row([bucket], |row| Ok(Usage { objects: row.get(0)?, bytes: row.get(1)? }))?)
    }
}

impl Txn<'_> {
    /// Makes a bucket; a name in use is [`Error::is_constraint`].
    pub fn bucket_insert(&mut self, new: &NewBucket<'_>) -> Result<i64, Error> {
        Ok(self
            .statement(
                "INSERT INTO buckets (name, owner, created, versioning, settings)
                 VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
            )?
            .query_row(
                params![new.name, new.owner, new.created.0, new.versioning, new.settings],
                |row| row.get(0),
            )?)
    }

    /// Replaces what was set on a bucket.
    pub fn bucket_update(
        &mut self,
        id: i64,
        versioning: &str,
        settings: &str,
    ) -> Result<(), Error> {
        self.statement("UPDATE buckets SET versioning = ?2, settings = ?3 WHERE id = ?1")?
            .execute(params![id, versioning, settings])?;
        Ok(())
    }

    /// Removes a bucket and its unfinished uploads; `false` when it still holds a version.
    pub fn bucket_delete(&mut self, id: i64, at: Timestamp) -> Result<bool, Error> {
        if self.statement("SELECT 1 FROM objects WHERE bucket = ?1 LIMIT 1")?.exists([id])? {
            return Ok(false);
        }
        let uploads: Vec<i64> = {
            let mut list = self.statement("SELECT id FROM uploads WHERE bucket = ?1")?;
            list.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for upload in uploads {
            self.upload_delete(upload, at)?;
        }
        self.statement("DELETE FROM buckets WHERE id = ?1")?.execute([id])?;
        Ok(true)
    }
}
