//! Why an orb cannot be kept or found.

use std::{io, path::PathBuf};

/// What failed, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's folder, or a path to import, cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A released version is there already, with other content.
    #[error(
        "{0} is in the store with other content, and a released version never changes: import it under a new version, or as NAMESPACE/ORB@dev:LABEL while it changes"
    )]
    Taken(String),
    /// Neither `ns/name@1.2.3`, `ns/name@dev:label`, nor an address.
    #[error(
        "`{0}` does not name one version of an orb: write NAMESPACE/ORB@1.2.3, NAMESPACE/ORB@dev:LABEL, or an https address"
    )]
    Name(String),
    /// An orb's source came without a name.
    #[error("{}: say which orb this is: `appliance orb import {} NAMESPACE/ORB@1.2.3`", path.display(), path.display())]
    Nameless {
        /// What was read.
        path: PathBuf,
    },
    /// A bundle holds several, and one name was given.
    #[error("{}: a bundle brings its own names; leave out `{given}`", path.display())]
    Named {
        /// What was read.
        path: PathBuf,
        /// The name given.
        given: String,
    },
    /// Nothing to import was found.
    #[error(
        "{}: no orb in it: expected a packed orb (one YAML file), a source folder with @orb.yml, or a bundle of NAMESPACE/ORB/VERSION.yml files",
        path.display()
    )]
    Empty {
        /// What was read.
        path: PathBuf,
    },
    /// Bytes that are no text.
    #[error("{}:{line}:{column} is not UTF-8 text: save the file as UTF-8", path.display())]
    NoText {
        /// What was read.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Too much of something.
    #[error("{}: {what}", path.display())]
    Limit {
        /// What was read.
        path: PathBuf,
        /// Which bound.
        what: String,
    },
    /// The source folder cannot be packed.
    #[error("{}/{source}", path.display())]
    Pack {
        /// The folder.
        path: PathBuf,
        /// Where and why.
        source: pipeline::pack::PackError,
    },
    /// Nothing of that name is kept.
    #[error("{reference} is not in the store{}", if known.is_empty() { String::new() } else { format!("; it holds {known}") })]
    Missing {
        /// As asked for.
        reference: String,
        /// Versions that are kept.
        known: String,
    },
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
