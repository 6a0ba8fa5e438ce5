//! Long texts that repeat from run to run, kept once by their hash.
//!
//! A text is never changed; it goes when the last row that names it goes ([`super::remove`]).

use crate::{Reader, Txn, error::Error};
use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

/// 16 bytes of SHA-256: to find another text for a given hash is out of reach, and two texts made
/// to collide would only harm the one who made both.
pub(crate) type Hash = [u8; 16];

fn hash(body: &str) -> Hash {
    let digest = Sha256::digest(body.as_bytes());
    std::array::from_fn(|index| digest[index])
}

impl Txn<'_> {
    pub(crate) fn text_put(&self, body: &str) -> Result<Hash, Error> {
        let hash = hash(body);
        self.statement("INSERT OR IGNORE INTO texts (hash, body) VALUES (?1, ?2)")?
            .execute(params![hash, body])?;
        Ok(hash)
    }
}

impl Reader<'_> {
    pub(crate) fn text_get(&self, hash: &Hash) -> Result<Option<String>, Error> {
        let mut find = self.statement("SELECT body FROM texts WHERE hash = ?1")?;
        Ok(find.query_row(params![hash], |row| row.get(0)).optional()?)
    }
}
