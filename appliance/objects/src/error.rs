//! What can go wrong with bytes and their names.

use std::{path::PathBuf, sync::Arc};

/// An operation on objects failed; nothing partial is visible.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The bucket is not there.
    #[error("bucket `{0}` does not exist")]
    NoBucket(String),
    /// No bucket can have that name.
    #[error(
        "`{0}` is no bucket name: 3 to 63 of lower-case letters, digits, dots and hyphens, a letter or digit at both ends"
    )]
    BucketName(String),
    /// The house keeps its own things there.
    #[error("bucket `{0}` belongs to the appliance itself and cannot be deleted")]
    House(String),
    /// The key, or that version of it, is not there.
    #[error("object `{key}` does not exist in bucket `{bucket}`")]
    NoObject {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// The range lies outside of the object.
    #[error("the range begins behind the object's end at {size} bytes")]
    Range {
        /// The object's size.
        size: u64,
    },
    /// The sender stopped, or broke its own promise.
    #[error("the bytes of `{key}` did not arrive whole")]
    Receive {
        /// For which key.
        key: String,
        /// The cause.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Rows could not be read or written.
    #[error("the object index failed")]
    Index(#[source] Arc<store::Error>),
    /// The place where bytes are kept failed.
    #[error("could not {attempt} the bytes at {path}")]
    Bytes {
        /// For example `write`.
        attempt: &'static str,
        /// Within the object store.
        path: String,
        /// The cause.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// The folder for bytes could not be prepared.
    #[error("could not {attempt} {path}")]
    Folder {
        /// For example `create`.
        attempt: &'static str,
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// No space is left, or less than the high-water mark keeps free.
    #[error(
        "the object store is full: its disk has less free than `objects_keep_free_mib` keeps, so that writes are refused. Delete objects, images or artifacts, lower a retention, or give it a larger disk"
    )]
    Full,
    /// The bucket may not hold more.
    #[error(
        "the bucket has reached its quota: delete objects, abort uploads in parts, or raise it with `appliance bucket quota`"
    )]
    Quota,
    /// Stored bytes are not what was stored.
    #[error("the stored bytes of `{0}` are damaged: restore them from a backup or a peer")]
    Damaged(String),
    /// Stored details cannot be read.
    #[error("the stored details of {what} cannot be read")]
    Details {
        /// Of what.
        what: String,
        /// The cause.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// A sealed object was asked for without its key, or with another one.
    #[error("the object's key does not open it")]
    Sealed,
    /// A task inside was lost; a bug.
    #[error("an internal task ended early")]
    Lost,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Full => Self::Full,
            store::Error::Quota => Self::Quota,
            other => Self::Index(Arc::new(other)),
        }
    }
}

impl Error {
    pub(crate) fn bytes(attempt: &'static str, path: &str, source: object_store::Error) -> Self {
        if is_full(&source) {
            return Self::Full;
        }
        Self::Bytes { attempt, path: path.to_owned(), source: Arc::new(source) }
    }
}

/// The disk or its quota has no room, wherever in the chain of causes that is said.
fn is_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{QuotaExceeded, StorageFull};
            return matches!(io.kind(), StorageFull | QuotaExceeded);
        }
        cause = error.source();
    }
    false
}
