//! Keeps what must not be lost in SQLite and what may be lost in sled.
//!
//! Why: this is the only room that knows SQL. Others call methods named noun first
//! (`project_get`, `event_append`), on a [`Txn`] inside [`Store::write`] or on a [`Reader`]
//! inside [`Store::read`].
//! Invariants: one writer; a write is answered after its commit has reached the disk; a change
//! and its events are one transaction; reads see one consistent state.
//! Units: times are microseconds since the epoch, identifiers 16-byte blobs, states their wire names.
//! On failure: a closure that returns an error leaves no trace; a full disk is [`Error::Full`].
//!
//! A new topic is a file `src/<topic>.rs` with `impl Reader<'_>` and `impl Txn<'_>`, and a
//! migration at the end of [`migrate::STEPS`].

pub mod access;
mod error;
pub mod events;
mod examine;
mod flushes;
pub mod live;
pub mod logs;
pub mod machine;
pub mod migrate;
pub mod objects;
mod place;
mod prepare;
pub mod projects;
mod readers;
mod row;
pub mod runs;
pub mod seal;
mod store;
mod swept;
mod txn;
mod wal;
mod writer;

pub use error::{Error, OpenError};
pub use examine::{Examined, examine};
pub use seal::SiteKey;
pub use store::{Config, DATABASE, Store};
pub use txn::{Reader, Txn};
