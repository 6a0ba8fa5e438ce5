//! What can go wrong with a repository, named by what was attempted.
//!
//! Why: one enum for the room, so that a caller maps it to a status once. A refused push is not an
//! error of this kind: it is an answer to its client (see [`crate::receive`]).

use base::ids::RepoName;
use gix_hash::ObjectId;
use std::{error::Error as StdError, io, path::PathBuf};

/// A cause from the Git object layer.
pub type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// An attempt that failed; the cause is its `source`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such repository.
    #[error("there is no repository {0}; push to it to make it, or check the name")]
    NoRepository(RepoName),
    /// A repository of that name is there already.
    #[error("the repository {0} is there already; choose another name")]
    Exists(RepoName),
    /// A file or directory could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Stored Git data could not be read.
    #[error("cannot {action} in {}; run `appliance doctor` and restore the repository from a backup if it is damaged", path.display())]
    Objects {
        /// What was attempted.
        action: &'static str,
        /// In which object directory.
        path: PathBuf,
        /// Why not.
        source: Cause,
    },
    /// An object that something refers to is not there.
    #[error("object {0} is missing")]
    MissingObject(ObjectId),
    /// An object is of another kind than its use asks for, or cannot be parsed.
    #[error("object {id} is not a well-formed {expected}")]
    WrongObject {
        /// Which.
        id: ObjectId,
        /// What it should be.
        expected: &'static str,
    },
    /// A line of `packed-refs` could not be read.
    #[error("{} line {line} is not a reference; restore the file from a backup", path.display())]
    BrokenRefs {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// No branch, tag or commit of that name.
    #[error("{repo} has no {what}; push it first, or check the spelling")]
    Unknown {
        /// Where it was looked for.
        repo: RepoName,
        /// Such as "branch `main`".
        what: String,
    },
    /// A bound was passed.
    #[error("{what} is larger than the {limit} that is allowed here")]
    TooLarge {
        /// What.
        what: String,
        /// The bound with its unit.
        limit: String,
    },
    /// The reader of a stream went away, or stayed silent too long.
    #[error("the transfer ended early")]
    Transfer(#[source] io::Error),
}

impl Error {
    /// The disk had no room for what was attempted.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::File { source, .. } | Self::Transfer(source) if source.kind() == io::ErrorKind::StorageFull)
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
