//! When old things were last looked for: what tells a clock that jumped from time that passed.

use crate::{Reader, Txn, error::Error};
use base::time::Timestamp;
use rusqlite::{OptionalExtension, params};

const NAME: &str = "swept_at";

impl Reader<'_> {
    /// The time of the last look; `None` before the first.
    pub fn swept_at(&self) -> Result<Option<Timestamp>, Error> {
        let mut get = self.statement("SELECT value FROM meta WHERE name = ?1")?;
        let found: Option<[u8; 8]> = get.query_row([NAME], |row| row.get(0)).optional()?;
        Ok(found.map(|bytes| Timestamp(i64::from_be_bytes(bytes))))
    }
}

impl Txn<'_> {
    /// Notes a look.
    pub fn swept_set(&self, at: Timestamp) -> Result<(), Error> {
        self.statement("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
            .execute(params![NAME, at.0.to_be_bytes()])?;
        Ok(())
    }
}
