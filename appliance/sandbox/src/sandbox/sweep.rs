//! Removes what dead supervisors left behind.
//!
//! Why so little: processes die with their supervisor, and mounts with the processes; only
//! directories (scratch, control groups) and the host's end of a link can be left.
//! Invariants: a scratch directory is the first thing made and the last removed, so that every
//! leftover is found through one; a locked one belongs to a living supervisor.

use crate::{
    Error,
    cgroup::{Base, Group},
    network::Link,
    remove::remove_tree,
};
use std::{
    fs::{self, File},
    path::Path,
};

/// Removes leftovers whose scratch directories are in `scratch_parent`; to be called at start.
/// `id_of` tells the sandbox's id from the name of its scratch directory. Returns how many
/// sandboxes were removed.
///
/// # Errors
/// The first thing that could not be removed; the others were tried all the same.
pub fn sweep(
    scratch_parent: &Path,
    base: &Base,
    id_of: impl Fn(&str) -> Option<String>,
) -> Result<usize, Error> {
    let entries = match fs::read_dir(scratch_parent) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        result => result.map_err(Error::path("read", scratch_parent))?,
    };
    let mut result = Ok(());
    let mut removed = 0;
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(&id_of) else { continue };
        let scratch = entry.path();
        if !is_abandoned(&scratch) {
            continue;
        }
        match remove(&scratch, base, &id) {
            Ok(()) => removed += 1,
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.map(|()| removed)
}

/// A supervisor holds a lock on its scratch directory for as long as it lives.
fn is_abandoned(scratch: &Path) -> bool {
    File::open(scratch).is_ok_and(|folder| folder.try_lock().is_ok())
}

fn remove(scratch: &Path, base: &Base, id: &str) -> Result<(), Error> {
    let group = Group::named(base, id);
    group.kill();
    let link = Link::named(id).remove();
    let removed =
        group.remove().and_then(|()| remove_tree(scratch).map_err(Error::path("remove", scratch)));
    link.and(removed)
}
