//! The way to a database that may be written: its log looked at, checked, migrated, of the right key.
//!
//! Invariants: nothing is begun anew, and nothing rolled back in silence, where a database was in use.
//! On failure: the files are left as they are, the log too, so that copies can be put back.

use crate::{
    SiteKey, compact,
    error::{Error, OpenError},
    migrate,
    place::Mark,
    store::Config,
    wal::{self, Found},
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig};
use std::path::Path;

/// Statements kept compiled per connection; more than all topics have together would be waste.
pub(crate) const STATEMENTS_MAX: usize = 128;

/// Bytes per page. No `auto_vacuum`: its maps of pages would make commits 8 to 20 % longer (see
/// `compact.rs` for how space goes back). A commit writes whole pages, and a trivial job changes a few rows in a few
/// tables: with small pages that is 16 KiB of log on flash, with pages of 1 KiB twice as much. A database
/// that was made with others keeps them.
const PAGE_SIZE: u32 = 512;

/// Page cache of the writing connection in KiB.
const CACHE_KIB: i32 = 2048;

/// The value that a fresh database seals to recognise its key later.
const KEY_PROOF: &[u8] = b"appliance";

/// Refuses to go on without a log that was there; returns the commits that damage in it took.
pub(crate) fn look_at_log(path: &Path, mark: &Mark, noted: u64) -> Result<u64, OpenError> {
    let log = wal::of(path);
    let failed = |source| OpenError::File { attempt: "read", path: log.clone(), source };
    let length = std::fs::metadata(&log).map_or(0, |log| log.len());
    let gone = match wal::look(&log).map_err(failed)? {
        _ if length < noted => "missing, or too short",
        Found::Unusable if noted > 0 => "damaged at its beginning",
        Found::Lost(commits) => return Ok(commits),
        Found::Whole | Found::Unusable => return Ok(0),
    };
    let (path, mark) = (path.to_owned(), mark.path().to_owned());
    Err(OpenError::LostLog { path, log, mark, gone })
}

/// Connects for writing; checked, migrated, and of the right key when this returns.
pub(crate) fn prepare(
    path: &Path,
    unclean: bool,
    config: &Config,
    key: &SiteKey,
) -> Result<Connection, OpenError> {
    let at = |source: Error| OpenError::database(path, source);
    let mut sql = connect(path).map_err(|error| at(error.into()))?;
    compact::clear(path);
    if unclean {
        check(&sql, path)?;
        // The log begins anew, so that what this cut left behind its end is not met at the next one.
        if let Err(error) = wal::checkpoint(&sql, "PASSIVE") {
            tracing::warn!(%error, "could not checkpoint the database's log");
        }
    }
    not_emptied(&sql, path, config)?;
    migrate::run(&mut sql, path)?;
    if !is_sealed(&sql, path, config, key)? {
        begin(&sql, key).map_err(at)?;
    }
    // After a stop that was not clean the log is what the mark tells of, and stays as it is.
    if !unclean && compact::made(&sql, path) {
        drop(sql);
        compact::swap(path);
        sql = connect(path).map_err(|error| at(error.into()))?;
    }
    Ok(sql)
}

/// The same refusals, of a database that is not changed: it has the steps of its schema that it has.
pub(crate) fn judge(
    path: &Path,
    unclean: bool,
    config: &Config,
    key: Option<&SiteKey>,
) -> Result<(), OpenError> {
    let at = |error: rusqlite::Error| OpenError::database(path, error.into());
    let sql = connect_to_look(path).map_err(at)?;
    if unclean {
        check(&sql, path)?;
    }
    not_emptied(&sql, path, config)?;
    if migrate::not_newer(&sql, path, migrate::newest())? > 0
        && let Some(key) = key
    {
        is_sealed(&sql, path, config, key)?;
    }
    Ok(())
}

/// Without a log all of it is in its own file, and nothing is made beside it.
fn connect_to_look(path: &Path) -> rusqlite::Result<Connection> {
    let escaped =
        path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let has_log = std::fs::metadata(wal::of(path)).is_ok_and(|log| log.len() > 0);
    let immutable = if has_log { "" } else { "?immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let sql = Connection::open_with_flags(format!("file:{escaped}{immutable}"), flags)?;
    wal::keep_at_close(&sql, true)?;
    Ok(sql)
}

fn not_emptied(sql: &Connection, path: &Path, config: &Config) -> Result<(), OpenError> {
    let is_new = migrate::is_new(sql).map_err(|error| OpenError::database(path, error.into()))?;
    match config.was_in_use && is_new {
        true => Err(OpenError::Emptied { path: path.to_owned(), dir: config.dir.clone() }),
        false => Ok(()),
    }
}

/// Whether the key is the database's own; `false` for one that knows none yet.
fn is_sealed(
    sql: &Connection,
    path: &Path,
    config: &Config,
    key: &SiteKey,
) -> Result<bool, OpenError> {
    match key_matches(sql, key).map_err(|source| OpenError::database(path, source))? {
        Some(true) => Ok(true),
        Some(false) => Err(OpenError::WrongKey { path: path.to_owned() }),
        None if config.was_in_use => {
            Err(OpenError::Emptied { path: path.to_owned(), dir: config.dir.clone() })
        }
        None => Ok(false),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let sql = Connection::open(path)?;
    sql.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // The page size counts only before the first table is made.
    sql.pragma_update(None, "page_size", PAGE_SIZE)?;
    sql.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    sql.pragma_update(None, "synchronous", "FULL")?;
    steady_plans(&sql)?;
    wal::keep_at_close(&sql, true)?;
    sql.pragma_update(None, "foreign_keys", true)?;
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    sql.pragma_update(None, "cache_size", -CACHE_KIB)?;
    sql.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    sql.pragma_update_and_check(None, "journal_size_limit", wal::KEEP, |_| Ok(()))?;
    Ok(sql)
}

/// Plans do not depend on the values that are bound: otherwise some statements would be compiled
/// anew at every use.
pub(crate) fn steady_plans(sql: &Connection) -> rusqlite::Result<()> {
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Looks for damage; the first finding stops the start.
fn check(sql: &Connection, path: &Path) -> Result<(), OpenError> {
    let report = sql
        .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        .unwrap_or_else(|error| error.to_string());
    if report == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged { path: path.to_owned(), report })
}

/// `None` in a database that knows no key yet.
fn key_matches(sql: &Connection, key: &SiteKey) -> Result<Option<bool>, Error> {
    let stored: Option<Vec<u8>> = sql
        .query_row("SELECT value FROM meta WHERE name = 'key_proof'", [], |row| row.get(0))
        .optional()?;
    let fits = |stored: &[u8]| key.open("key_proof", stored).is_ok_and(|plain| *plain == KEY_PROOF);
    Ok(stored.map(|stored| fits(&stored)))
}

/// Takes the key for a database's own. It is copied home at once: without it a database that is in use
/// looks like a new one.
fn begin(sql: &Connection, key: &SiteKey) -> Result<(), Error> {
    let proof = key.seal("key_proof", KEY_PROOF)?;
    sql.execute("INSERT INTO meta (name, value) VALUES ('key_proof', ?1)", [proof])?;
    wal::checkpoint(sql, "PASSIVE")?;
    Ok(())
}
