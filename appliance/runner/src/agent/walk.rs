//! Walking through folders that a job has filled.
//!
//! Invariants: links are told as links and never followed into folders, so that a walk ends; the
//! order is that of the names, so that the same files give the same archive.

use super::AgentError;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// What becomes of a folder that may not be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The walk fails: what is in it is meant.
    Refused,
    /// It counts as empty, as in a shell's patterns.
    PassedOver,
}

/// More files than this are a mistake, or an attack on whoever lists them.
const FILES_MAX: usize = 500_000;

/// Everything at and below `path`, folders before what is in them; none when there is nothing.
pub(super) fn below(path: &Path) -> Result<Vec<PathBuf>, AgentError> {
    some_below(path, Closed::Refused, |_| true, |_| true)
}

/// What `keeps` says of all that is at `path` and below it; a folder below is looked into when `enters`
/// says so. What goes away meanwhile was not there.
pub(super) fn some_below(
    path: &Path,
    closed: Closed,
    enters: impl Fn(&Path) -> bool,
    keeps: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, AgentError> {
    let mut found = Vec::new();
    let mut pending = vec![path.to_owned()];
    while let Some(next) = pending.pop() {
        let Ok(kind) = fs::symlink_metadata(&next).map(|file| file.file_type()) else { continue };
        if kind.is_dir() && (next == path || enters(&next)) {
            pending.extend(listed(&next, closed)?);
        }
        if keeps(&next) {
            found.push(next);
        }
        if found.len() + pending.len() > FILES_MAX {
            return Err(AgentError::Refused(format!("more than {FILES_MAX} files: name fewer")));
        }
    }
    Ok(found)
}

/// What is in a folder, the last name first.
fn listed(folder: &Path, closed: Closed) -> Result<Vec<PathBuf>, AgentError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(_) if closed == Closed::PassedOver => return Ok(Vec::new()),
        Err(error) => return Err(AgentError::at("list", folder)(error)),
    };
    let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    inner.sort_unstable_by(|a, b| b.cmp(a));
    Ok(inner)
}
