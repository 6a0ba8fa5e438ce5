//! What has ended among sessions, tokens and access keys: closed for good, and forgotten by and by.
//!
//! Why closed: each of them is compared with the clock when it is shown. One that falls back, to 1970 at
//! the start of a board without a battery, would let in again who was out; so what is over by a clock that
//! is believed is revoked. Why forgotten: programs that make a token for each deploy fill the table.

use crate::{Txn, error::Error};
use base::time::Timestamp;
use rusqlite::params;

/// What has ended, in the way of both tables of keys that are shown.
const CLOSE: [&str; 2] = [
    "UPDATE tokens SET revoked_at = expires_at WHERE revoked_at IS NULL AND expires_at <= ?1",
    "UPDATE access_keys SET revoked = expires WHERE revoked IS NULL AND expires <= ?1",
];

/// The last access key of an owner stays: it tells the name.
const FORGET: [&str; 2] = [
    "DELETE FROM tokens WHERE revoked_at <= ?1 OR revoked_at > ?2",
    "DELETE FROM access_keys WHERE (revoked <= ?1 OR revoked > ?2) AND EXISTS \
     (SELECT 1 FROM access_keys other WHERE other.owner = access_keys.owner AND other.id > access_keys.id)",
];

impl Txn<'_> {
    /// Ends sessions that are over at `now`, or that a clock began which was past `ahead`; revokes tokens
    /// and access keys that are over, and forgets those revoked until `before`, or past `ahead`.
    pub fn ended_sweep(
        &self,
        before: Timestamp,
        now: Timestamp,
        ahead: Timestamp,
    ) -> Result<usize, Error> {
        let mut gone = self
            .statement("DELETE FROM sessions WHERE expires_at <= ?1 OR created_at > ?2")?
            .execute(params![now.0, ahead.0])?;
        for close in CLOSE {
            self.statement(close)?.execute([now.0])?;
        }
        for forget in FORGET {
            gone += self.statement(forget)?.execute(params![before.0, ahead.0])?;
        }
        Ok(gone)
    }
}
