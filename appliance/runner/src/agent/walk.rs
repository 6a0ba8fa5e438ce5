//! Walking through folders that a job has filled.
//!
//! Invariants: links are told as links and never followed into folders, so that a walk ends; the
//! order is that of the names, so that the same files give the same archive.

use super::AgentError;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// More files than this are a mistake, or an attack on whoever lists them.
const FILES_MAX: usize = 500_000;

/// Everything at and below `path`, folders before what is in them; none when there is nothing.
pub(super) fn below(path: &Path) -> Result<Vec<PathBuf>, AgentError> {
    let mut found = Vec::new();
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(kind) = fs::symlink_metadata(&path).map(|file| file.file_type()) else { continue };
        if kind.is_dir() {
            let entries = fs::read_dir(&path).map_err(AgentError::at("list", &path))?;
            let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            inner.sort_unstable_by(|a, b| b.cmp(a));
            pending.extend(inner);
        }
        found.push(path);
        if found.len() + pending.len() > FILES_MAX {
            return Err(AgentError::Refused(format!("more than {FILES_MAX} files: name fewer")));
        }
    }
    Ok(found)
}
