//! Caches of a project, by key.
//!
//! Invariants: a key that has not expired is never overwritten; the object of one that is, is told
//! to whoever overwrites it. Each level of trust has its own keys, and reads those of no lower one.

use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{JobNumber, ProjectId},
    time::Timestamp,
    trust::Trust,
};
use rusqlite::{OptionalExtension, Row, params};
use std::time::Duration;

/// One saved cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Of which project.
    pub project: ProjectId,
    /// Its evaluated key.
    pub key: String,
    /// Of the job that saved it.
    pub trust: Trust,
    /// Key in the cache bucket.
    pub object: String,
    /// Size in bytes.
    pub size: u64,
    /// What it was saved of, as the configuration names it.
    pub paths: Vec<String>,
    /// Number of the job that saved it.
    pub job: JobNumber,
    /// When it was saved.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// What became of a cache that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheInsert {
    /// The key is in use.
    Taken,
    /// It is stored.
    Stored {
        /// Another object that the key named until then; nothing names it any more.
        replaced: Option<String>,
    },
}

const COLUMNS: &str =
    "SELECT project, key, object, size, job, created_at, expires_at, paths, protected FROM caches ";

/// No job asks for its caches to be kept for longer: one whose day is further away was saved while
/// the clock was ahead.
const LIFE_MAX: Duration = Duration::from_secs(256 * 24 * 3600);

/// Past its day at `?1`, or not kept for so long as the time to `?2`.
const OVER: &str = "(expires_at <= ?1 OR expires_at > ?2)";

impl Txn<'_> {
    /// Stores a cache unless its key is taken.
    pub fn cache_insert(&self, new: &Cache) -> Result<CacheInsert, Error> {
        let old: Option<String> = self
            .statement(
                "SELECT object FROM caches WHERE project = ?1 AND key = ?2 AND protected = ?3",
            )?
            .query_row(params![new.project.0, new.key, new.trust.is_protected()], |row| row.get(0))
            .optional()?;
        let paths = row::to_json("cached paths", &new.paths)?;
        let changed = self
            .statement(
                "INSERT INTO caches (project, key, object, size, job, created_at, expires_at, paths, \
                 protected) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                 ON CONFLICT (project, key, protected) DO UPDATE SET object = ?3, size = ?4, job = ?5, \
                 created_at = ?6, expires_at = ?7, paths = ?8 WHERE caches.expires_at <= ?6",
            )?
            .execute(params![
                new.project.0,
                new.key,
                new.object,
                new.size,
                new.job.0,
                new.created_at.0,
                new.expires_at.0,
                paths,
                new.trust.is_protected(),
            ])?;
        if changed == 0 {
            return Ok(CacheInsert::Taken);
        }
        Ok(CacheInsert::Stored { replaced: old.filter(|old| *old != new.object) })
    }

    /// Forgets some caches that are past their day, at most `limit`; returns their keys in the bucket
    /// of caches.
    pub fn cache_remove_expired(&self, now: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        let mut remove = self.statement(&format!(
            "DELETE FROM caches WHERE (project, key, protected) IN \
             (SELECT project, key, protected FROM caches WHERE {OVER} LIMIT ?3) RETURNING object"
        ))?;
        let rows =
            remove.query_map(params![now.0, now.plus(LIFE_MAX).0, limit], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Reader<'_> {
    /// The cache of exactly this key that a job of this level would overwrite.
    pub fn cache_get(
        &self,
        project: ProjectId,
        trust: Trust,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Cache>, Error> {
        let mut find = self.statement(&format!(
            "{COLUMNS} WHERE project = ?1 AND key = ?2 AND protected = ?3 AND expires_at > ?4"
        ))?;
        Ok(find.query_row(params![project.0, key, trust.is_protected(), now.0], read).optional()?)
    }

    /// The newest cache whose key starts with `prefix`, of this level or a higher one; where both have
    /// that key, the one of this level. What a clock that was ahead saved comes last.
    pub fn cache_find(
        &self,
        project: ProjectId,
        trust: Trust,
        prefix: &str,
        now: Timestamp,
    ) -> Result<Option<Cache>, Error> {
        let beyond = format!("{prefix}{}", char::MAX);
        let mut find = self.statement(&format!(
            "{COLUMNS} WHERE project = ?1 AND key >= ?2 AND key < ?3 AND protected >= ?4 \
             AND expires_at > ?5 ORDER BY created_at > ?5, created_at DESC, key DESC, protected LIMIT 1"
        ))?;
        let bounds = params![project.0, prefix, beyond, trust.is_protected(), now.0];
        let Some(newest) = find.query_row(bounds, read).optional()? else { return Ok(None) };
        Ok(Some(self.cache_get(project, trust, &newest.key, now)?.unwrap_or(newest)))
    }

    /// Some caches that are past their day, at most `limit`.
    pub fn cache_list_expired(&self, now: Timestamp, limit: u32) -> Result<Vec<Cache>, Error> {
        let mut list = self.statement(&format!("{COLUMNS} WHERE {OVER} LIMIT ?3"))?;
        let rows = list.query_map(params![now.0, now.plus(LIFE_MAX).0, limit], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Cache> {
    Ok(Cache {
        project: ProjectId(row.get(0)?),
        key: row.get(1)?,
        object: row.get(2)?,
        size: row.get(3)?,
        job: JobNumber(row.get(4)?),
        created_at: Timestamp(row.get(5)?),
        expires_at: Timestamp(row.get(6)?),
        paths: row::json(row, 7)?,
        trust: Trust::of(row.get(8)?),
    })
}
