//! What the machine was like over days, in spans of minutes.
//!
//! Invariants: at most [`SPANS_MAX`] rows; a row is the JSON of the room that writes it, because
//! nothing here asks for its fields.

use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::params;

/// Two weeks of spans of five minutes.
pub const SPANS_MAX: u32 = 4032;

impl Txn<'_> {
    /// Keeps one span; the oldest beyond the bound leaves.
    pub fn machine_span_save(&self, at: Timestamp, body: &str) -> Result<(), Error> {
        self.statement("INSERT OR REPLACE INTO machine_days (at, body) VALUES (?1, ?2)")?
            .execute(params![at.0, body])?;
        self.statement(
            "DELETE FROM machine_days WHERE at <= (SELECT at FROM machine_days ORDER BY at DESC LIMIT 1 OFFSET ?1)",
        )?
        .execute([SPANS_MAX])?;
        Ok(())
    }

    /// Forgets spans of a clock that was past `ahead`: they would be the newest until then.
    pub fn machine_spans_forget(&self, ahead: Timestamp) -> Result<usize, Error> {
        Ok(self.statement("DELETE FROM machine_days WHERE at > ?1")?.execute([ahead.0])?)
    }
}

impl Reader<'_> {
    /// Spans that begin at `from` or later, oldest first.
    pub fn machine_spans(&self, from: Timestamp) -> Result<Vec<(Timestamp, String)>, Error> {
        let mut find =
            self.statement("SELECT at, body FROM machine_days WHERE at >= ?1 ORDER BY at")?;
        let rows = find.query_map([from.0], |row| Ok((Timestamp(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, SiteKey, Store};

    #[test]
    fn the_oldest_spans_leave() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(&Config::new(dir.path().join("store")), SiteKey::new([7; 32])).unwrap();
        let write = |txn: &mut Txn<'_>| {
            (0..i64::from(SPANS_MAX) + 3)
                .try_for_each(|at| txn.machine_span_save(Timestamp(at), "{}"))
        };
        store.write_blocking(write).unwrap();
        let all = store.read_blocking(|reader| reader.machine_spans(Timestamp(0))).unwrap();
        assert_eq!((all.len(), all[0].0), (SPANS_MAX as usize, Timestamp(3)));
        let last = store.read_blocking(|reader| reader.machine_spans(Timestamp(4034))).unwrap();
        assert_eq!(last, [(Timestamp(4034), "{}".to_owned())]);
        let forget = |txn: &mut Txn<'_>| txn.machine_spans_forget(Timestamp(4033));
        assert_eq!(store.write_blocking(forget).unwrap(), 1);
        store.close().unwrap();
    }
}
