//! Who did what, when, from where. Appended in the transaction of the deed.

use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::{Row, params};

/// One page of the log.
const PAGE_MAX: u32 = 500;

/// A deed to be noted.
#[derive(Debug, Clone, Default)]
pub struct NewAudit {
    /// Login, `system`, or `runner NAME`.
    pub actor: String,
    /// Address of the other side, when it came over the network.
    pub address: Option<String>,
    /// Noun and verb, for example `token.create`.
    pub action: String,
    /// What it was done to, for example `project acme/relay`.
    pub subject: String,
    /// More for people; never a secret.
    pub detail: Option<String>,
}

/// A noted deed.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Grows with each entry.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub deed: NewAudit,
}

impl Txn<'_> {
    /// Notes a deed.
    pub fn audit_append(&self, at: Timestamp, deed: &NewAudit) -> Result<(), Error> {
        self.statement(
            "INSERT INTO audit (at, actor, address, action, subject, detail) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            at.0,
            deed.actor,
            deed.address,
            deed.action,
            deed.subject,
            deed.detail
        ])?;
        Ok(())
    }

    /// Removes the oldest entries, at most `most` at once, until the newest `keep` are left; returns
    /// how many went.
    pub fn audit_trim(&self, keep: u64, most: u64) -> Result<usize, Error> {
        let trim = "DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?1 \
                    AND id < (SELECT MIN(id) FROM audit) + ?2";
        Ok(self.statement(trim)?.execute(params![keep, most])?)
    }
}

impl Reader<'_> {
    /// Entries older than `before` (all when `None`), newest first, at most `limit` and 500.
    pub fn audit_list(&self, before: Option<u64>, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        let mut list = self.statement(
            "SELECT id, at, actor, address, action, subject, detail FROM audit \
             WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let rows = list.query_map(params![before, limit.min(PAGE_MAX)], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.get(0)?,
        at: Timestamp(row.get(1)?),
        deed: NewAudit {
            actor: row.get(2)?,
            address: row.get(3)?,
            action: row.get(4)?,
            subject: row.get(5)?,
            detail: row.get(6)?,
        },
    })
}
