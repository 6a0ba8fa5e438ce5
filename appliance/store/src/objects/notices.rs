//! Notices: what happened in a bucket and is to be told to an address outside.
//!
//! Invariants: a notice is written in the transaction of its change and removed when it was told,
//! so that it is told at least once; `waiting` of a target is the number of its notices; a target
//! that has [`NOTICES_MAX`] of them loses what follows, which is counted.

use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use std::time::Duration;

/// Notices that wait for one target of one bucket: some megabytes.
pub const NOTICES_MAX: u32 = 10_000;

/// The longest wait between two attempts to tell a notice.
pub const NOTICE_WAIT_MAX: Duration = Duration::from_secs(3600);

/// A notice that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// Grows with each; a receiver knows by it what it was told already.
    pub id: i64,
    /// Of which bucket.
    pub bucket: i64,
    /// The address.
    pub target: String,
    /// JSON.
    pub body: String,
    /// When it happened.
    pub made: Timestamp,
    /// Times that telling failed.
    pub attempts: u32,
}

/// How telling goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeTarget {
    /// The bucket's name.
    pub bucket: String,
    /// The address.
    pub target: String,
    /// Notices that wait.
    pub waiting: u64,
    /// Notices told.
    pub told: u64,
    /// Notices given up.
    pub lost: u64,
    /// Why the last attempt failed; `None` when it did not.
    pub error: Option<String>,
}

fn notice(row: &Row<'_>) -> rusqlite::Result<NoticeRow> {
    Ok(NoticeRow {
        id: row.get(0)?,
        bucket: row.get(1)?,
        target: row.get(2)?,
        body: row.get(3)?,
        made: Timestamp(row.get(4)?),
        attempts: row.get(5)?,
    })
}

impl Reader<'_> {
    /// Notices that are due at `now`, the longest due first, at most `limit`; also those that a clock
    /// which was ahead put off for longer than anything waits.
    pub fn notice_due(&self, now: Timestamp, limit: u32) -> Result<Vec<NoticeRow>, Error> {
        let mut list = self.statement(
            "SELECT id, bucket, target, body, made, attempts FROM notices WHERE due <= ?1 OR due > ?2
             ORDER BY due, id LIMIT ?3",
        )?;
        let latest = now.plus(NOTICE_WAIT_MAX * 2);
        let rows = list.query_map(params![now.0, latest.0, limit], notice)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How telling goes, by bucket and address; of one bucket or of all.
    pub fn notice_targets(&self, bucket: Option<&str>) -> Result<Vec<NoticeTarget>, Error> {
        let mut list = self.statement(
            "SELECT b.name, t.target, t.waiting, t.told, t.lost, t.error
             FROM notice_targets t JOIN buckets b ON b.id = t.bucket
             WHERE ?1 IS NULL OR b.name = ?1 ORDER BY b.name, t.target",
        )?;
        let rows = list.query_map([bucket], |row| {
            Ok(NoticeTarget {
                bucket: row.get(0)?,
                target: row.get(1)?,
                waiting: row.get(2)?,
                told: row.get(3)?,
                lost: row.get(4)?,
                error: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Txn<'_> {
    /// Writes a notice; `false` when so many wait already that it is lost.
    pub fn notice_insert(
        &mut self,
        bucket: i64,
        target: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let waiting: Option<u32> = self
            .statement("SELECT waiting FROM notice_targets WHERE bucket = ?1 AND target = ?2")?
            .query_row(params![bucket, target], |row| row.get(0))
            .optional()?;
        let room = waiting.unwrap_or_default() < NOTICES_MAX;
        self.statement(
            "INSERT INTO notice_targets (bucket, target, waiting, lost) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET waiting = waiting + ?3, lost = lost + ?4",
        )?
        .execute(params![bucket, target, room, !room])?;
        if room {
            self.statement(
                "INSERT INTO notices (bucket, target, body, made, due) VALUES (?1, ?2, ?3, ?4, ?4)",
            )?
            .execute(params![bucket, target, body, now.0])?;
        }
        Ok(room)
    }

    /// The notice was told.
    pub fn notice_told(&mut self, notice: &NoticeRow) -> Result<(), Error> {
        if self.notice_remove(notice.id)? {
            self.statement(
                "UPDATE notice_targets SET waiting = waiting - 1, told = told + 1, error = NULL
                 WHERE bucket = ?1 AND target = ?2",
            )?
            .execute(params![notice.bucket, notice.target])?;
        }
        Ok(())
    }

    /// Telling failed: nothing is told to that address before `due`.
    pub fn notice_failed(
        &mut self,
        notice: &NoticeRow,
        due: Timestamp,
        why: &str,
    ) -> Result<(), Error> {
        self.statement("UPDATE notices SET attempts = attempts + 1 WHERE id = ?1")?
            .execute([notice.id])?;
        self.statement(
            "UPDATE notices SET due = ?3 WHERE bucket = ?1 AND target = ?2 AND due < ?3",
        )?
        .execute(params![notice.bucket, notice.target, due.0])?;
        self.notice_note(notice, why)
    }

    /// Telling is given up.
    pub fn notice_lost(&mut self, notice: &NoticeRow, why: &str) -> Result<(), Error> {
        if self.notice_remove(notice.id)? {
            self.statement(
                "UPDATE notice_targets SET waiting = waiting - 1, lost = lost + 1
                 WHERE bucket = ?1 AND target = ?2",
            )?
            .execute(params![notice.bucket, notice.target])?;
        }
        self.notice_note(notice, why)
    }

    /// Forgets the addresses of a bucket that are not among `kept`, with what waits for them.
    pub fn notice_targets_keep(&mut self, bucket: i64, kept: &[&str]) -> Result<(), Error> {
        let known: Vec<String> = {
            let mut list = self.statement("SELECT target FROM notice_targets WHERE bucket = ?1")?;
            list.query_map([bucket], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for target in known.iter().filter(|target| !kept.contains(&target.as_str())) {
            for table in ["notices", "notice_targets"] {
                self.statement(&format!("DELETE FROM {table} WHERE bucket = ?1 AND target = ?2"))?
                    .execute(params![bucket, target])?;
            }
        }
        Ok(())
    }

    fn notice_remove(&mut self, id: i64) -> Result<bool, Error> {
        Ok(self.statement("DELETE FROM notices WHERE id = ?1")?.execute([id])? > 0)
    }

    fn notice_note(&mut self, notice: &NoticeRow, why: &str) -> Result<(), Error> {
        self.statement("UPDATE notice_targets SET error = ?3 WHERE bucket = ?1 AND target = ?2")?
            .execute(params![notice.bucket, notice.target, why])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::NewBucket;

    const TARGET: &str = "http://hooks/a";

    /// Waiting, told, lost, and the error of the one target.
    fn check(txn: &Txn<'_>, expected: (u64, u64, u64, Option<&str>)) {
        let targets = txn.notice_targets(Some("b")).unwrap();
        let one = &targets[0];
        assert_eq!((one.waiting, one.told, one.lost, one.error.as_deref()), expected);
        let waiting = txn.notice_due(Timestamp(i64::MAX), u32::MAX).unwrap().len() as u64;
        assert_eq!(waiting, one.waiting, "as many as are counted");
    }

    #[test]
    fn a_notice_waits_until_it_is_told_or_given_up_and_each_is_counted() {
        let (sql, key) = crate::migrate::in_memory();
        let mut txn = Txn::new(&sql, &key, base::ids::Cursor(0));
        let new = NewBucket {
            name: "b",
            owner: "o",
            created: Timestamp(0),
            versioning: "off",
            settings: "{}",
        };
        let bucket = txn.bucket_insert(&new).unwrap();
        for number in 0..3 {
            assert!(txn.notice_insert(bucket, TARGET, "{}", Timestamp(number)).unwrap());
        }
        check(&txn, (3, 0, 0, None));
        let due = txn.notice_due(Timestamp(1), 9).unwrap();
        assert_eq!(due.len(), 2, "the third is not due");
        txn.notice_failed(&due[0], Timestamp(50), "no route").unwrap();
        check(&txn, (3, 0, 0, Some("no route")));
        assert_eq!(txn.notice_due(Timestamp(49), 9).unwrap(), [], "the address is left alone");
        txn.notice_told(&due[0]).unwrap();
        txn.notice_told(&due[0]).unwrap();
        check(&txn, (2, 1, 0, None));
        txn.notice_lost(&due[1], "too old").unwrap();
        check(&txn, (1, 1, 1, Some("too old")));
        txn.notice_failed(&due[1], Timestamp(1 << 50), "the clock is ahead").unwrap();
        assert_eq!(txn.notice_due(Timestamp(60), 9).unwrap().len(), 1, "it was set back");
        txn.notice_targets_keep(bucket, &[]).unwrap();
        assert_eq!(txn.notice_targets(None).unwrap(), []);
        txn.notice_insert(bucket, TARGET, "{}", Timestamp(0)).unwrap();
        assert!(txn.bucket_delete(bucket, Timestamp(1)).unwrap());
        assert_eq!(txn.notice_due(Timestamp(i64::MAX), 9).unwrap(), [], "gone with the bucket");
    }

    #[test]
    fn what_an_address_that_is_never_reached_may_hold_is_bounded() {
        let (sql, key) = crate::migrate::in_memory();
        let mut txn = Txn::new(&sql, &key, base::ids::Cursor(0));
        let new = NewBucket {
            name: "b",
            owner: "o",
            created: Timestamp(0),
            versioning: "off",
            settings: "{}",
        };
        let bucket = txn.bucket_insert(&new).unwrap();
        for _ in 0..NOTICES_MAX {
            assert!(txn.notice_insert(bucket, TARGET, "{}", Timestamp(0)).unwrap());
        }
        assert!(!txn.notice_insert(bucket, TARGET, "{}", Timestamp(0)).unwrap());
        check(&txn, (NOTICES_MAX.into(), 0, 1, None));
    }
}
