//! The two hands that touch the database: one that may write, one that only reads.
//!
//! Topics add their methods to these types; nothing else reaches the connection. A [`Txn`] can
//! do all that a [`Reader`] can, and sees its own writes.

use crate::{SiteKey, error::Error};
use base::ids::Cursor;
use rusqlite::{CachedStatement, Connection};
use std::ops::Deref;

/// Reads one consistent state.
#[derive(Debug)]
pub struct Reader<'a> {
    sql: &'a Connection,
    key: &'a SiteKey,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sql: &'a Connection, key: &'a SiteKey) -> Self {
        Self { sql, key }
    }

    /// A statement that is compiled once per connection.
    pub(crate) fn statement(&self, sql: &str) -> Result<CachedStatement<'a>, Error> {
        Ok(self.sql.prepare_cached(sql)?)
    }

    pub(crate) fn key(&self) -> &'a SiteKey {
        self.key
    }
}

/// Writes within one transaction; an error returned by the closure undoes all of it.
#[derive(Debug)]
pub struct Txn<'a> {
    reader: Reader<'a>,
    /// The last event's place, kept here because the log is appended to in nearly every write.
    pub(crate) last_event: Cursor,
}

impl<'a> Txn<'a> {
    pub(crate) fn new(sql: &'a Connection, key: &'a SiteKey, last_event: Cursor) -> Self {
        Self { reader: Reader::new(sql, key), last_event }
    }
}

impl<'a> Deref for Txn<'a> {
    type Target = Reader<'a>;
    fn deref(&self) -> &Reader<'a> {
        &self.reader
    }
}
