//! What can go wrong here: one enum for opening, one for everything after.
//!
//! [`Error`] is `Clone`, because one failed commit is the answer to every write of its group.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
};

/// `SQLITE_IOERR_SHMSIZE`.
const INDEX_NOT_GROWN: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// A read or write failed; nothing of the write remains.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No space was left.
    #[error("the disk that holds the data directory is full: free some space and try again")]
    Full,
    /// A bucket would hold more than its quota.
    #[error(
        "the bucket has reached its quota: delete objects, abort uploads in parts, or raise it"
    )]
    Quota,
    /// The database refused a statement or a commit.
    #[error("the database refused an operation")]
    Sql(#[source] Arc<rusqlite::Error>),
    /// What the database's file holds makes no sense.
    #[error(
        "the database, `state/appliance.db` in the data directory, is damaged: stop the service and put back the latest copy of the data directory"
    )]
    Damaged(#[source] Arc<rusqlite::Error>),
    /// A stored value cannot be read, or a given one cannot be stored.
    #[error("{what} cannot be turned to or from its stored form")]
    Form {
        /// The value's kind.
        what: &'static str,
        /// The cause.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A sealed value does not open: wrong site key, or altered at rest.
    #[error("{what} was sealed under another site key, or was altered on disk")]
    Sealed {
        /// The value's place.
        what: String,
    },
    /// What the caller counted on is not so; the message is for the person who asked.
    #[error("{0}")]
    Conflict(String),
    /// The named thing does not exist.
    #[error("{0} does not exist")]
    Missing(String),
    /// The device failed in the middle of a write; the state on disk is unknown until a restart.
    #[error("writing stopped after the device failed: check the disk, then restart the service")]
    Broken,
    /// The store was closed, the service is stopping.
    #[error("the store is closed")]
    Closed,
    /// A bug: the closure panicked and was undone.
    #[error("an internal error stopped the operation; nothing was changed")]
    Panicked,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let error = Self::of(error);
        if error.is_device_failure() {
            DEVICE_FAILURE.set(Some(error.clone()));
        }
        error
    }
}

impl Error {
    fn of(error: rusqlite::Error) -> Self {
        // SQLite's integers end at 2^63 - 1, and so does every number that was given out.
        if let rusqlite::Error::ToSqlConversionFailure(_) = error {
            return Self::Missing("a number beyond 9223372036854775807".to_owned());
        }
        // The index of the log could not grow: with a full disk, and before anything is committed.
        if error.sqlite_error().is_some_and(|error| error.extended_code == INDEX_NOT_GROWN) {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged(Arc::new(error))
            }
            // The words of the trigger in `0007_keeping.sql`.
            Some(rusqlite::ErrorCode::ConstraintViolation) if error.to_string() == "quota" => {
                Self::Quota
            }
            _ => Self::Sql(Arc::new(error)),
        }
    }

    /// After such an error nobody knows what the disk holds.
    pub(crate) fn is_device_failure(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Sql(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure)
            }
            _ => false,
        }
    }

    /// A uniqueness or foreign-key rule of the schema was violated.
    #[must_use]
    pub fn is_constraint(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
    }
}

thread_local! {
    static DEVICE_FAILURE: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Takes the last failure of the device that this thread met, whatever was made of it since: the errors
/// of the topics' callers are of many types.
pub(crate) fn met_device_failure() -> Option<Error> {
    DEVICE_FAILURE.take()
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error(
        "data directory {dir} is in use by pid {pid}: stop that process, or choose another directory"
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// As noted in the lock file; `unknown` when it could not be read.
        pid: String,
    },
    /// Written by a newer program.
    #[error(
        "{path} has schema version {found}, but this program knows only up to {known}: install the newer version again, or restore a backup"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The check after an unclean stop found damage.
    #[error(
        "{path} is damaged ({report}): stop the service and put back the latest copy of the data directory"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// First finding of the check.
        report: String,
    },
    /// The log was there when the directory was last used, and is of no use any more.
    #[error(
        "the last stop was not clean, and {log}, which holds the latest changes, is {gone}: put the latest copy of the data directory back; or, to go on with what {path} itself holds and lose all later changes, run `truncate -s 0 {mark}` and start again (nothing is lost if the log went because another program, such as sqlite3, has opened and closed the database since)"
    )]
    LostLog {
        /// The database.
        path: PathBuf,
        /// Its log.
        log: PathBuf,
        /// The mark that tells of the log.
        mark: PathBuf,
        /// How it is: `missing`, say.
        gone: &'static str,
    },
    /// A database with nothing in it stands where one was in use.
    #[error(
        "{path} holds nothing, but {dir} was in use: put the latest copy of that folder back, all its files together"
    )]
    Emptied {
        /// The database.
        path: PathBuf,
        /// Its folder.
        dir: PathBuf,
    },
    /// The site key is not the one that sealed this database.
    #[error("{path} was sealed under another site key: put back the key file that belongs to it")]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("could not {attempt} {path}")]
    File {
        /// For example `create`.
        attempt: &'static str,
        /// Of what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A migration step failed; the database is as it was before the step.
    #[error("could not bring the database from schema version {from} to {to}")]
    Migrate {
        /// Version it has.
        from: u32,
        /// Version it should get.
        to: u32,
        /// The cause.
        #[source]
        source: Error,
    },
    /// The database itself refused.
    #[error("could not open the database {path}")]
    Database {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Error,
    },
}

impl OpenError {
    /// Tells damage from other refusals of the database.
    pub(crate) fn database(path: &Path, source: Error) -> Self {
        let path = path.to_owned();
        match &source {
            Error::Damaged(error) => Self::Damaged { path, report: error.to_string() },
            _ => Self::Database { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> Error {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_full_disk_is_no_failed_device_and_damage_is_told_with_its_remedy() {
        let full = sqlite(INDEX_NOT_GROWN);
        assert!(matches!(full, Error::Full) && !full.is_device_failure(), "{full}");
        assert!(sqlite(rusqlite::ffi::SQLITE_IOERR_FSYNC).is_device_failure());
        for code in [rusqlite::ffi::SQLITE_CORRUPT, rusqlite::ffi::SQLITE_NOTADB] {
            let damaged = sqlite(code);
            assert!(damaged.is_device_failure());
            let words = damaged.to_string();
            assert!(words.contains("appliance.db") && words.contains("put back"), "{words}");
        }
    }
}
