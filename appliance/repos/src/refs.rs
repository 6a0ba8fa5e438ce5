//! The references of one repository, kept in one `packed-refs` file and `HEAD`.
//!
//! Why: Git's usual form, one file for each reference, cannot change two of them in one step. Here
//! all references live in `packed-refs`, so that one rename moves all references of a push at
//! once: after a cut, either all have moved or none. Real Git reads the result as it is.
//! Invariants: only the holder of the repository's lock writes; loose references, which an
//! administrator's Git command may have left, are read, and folded in before the next change.
//! On failure: the old file stays.

mod head;
mod table;

pub(crate) use head::effective_head;
pub(crate) use table::RefEntry;
pub(crate) use table::{NAME_MAX, RefTable, name_problem};

use crate::{durable, error::Error};
use gix_hash::ObjectId;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Folders below `refs/` deeper than this are not looked into; Git itself makes none.
const DEPTH_MAX: usize = 16;

/// Reads and writes the references in the repository's directory.
#[derive(Debug, Clone)]
pub(crate) struct RefStore {
    dir: PathBuf,
}

impl RefStore {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn packed(&self) -> PathBuf {
        self.dir.join("packed-refs")
    }

    /// Every reference as it stands now.
    pub(crate) fn read(&self) -> Result<RefTable, Error> {
        let mut table = self.read_packed()?;
        for (name, target) in self.loose()? {
            table.set(name, RefEntry { target, peeled: None });
        }
        Ok(table)
    }

    fn read_packed(&self) -> Result<RefTable, Error> {
        let path = self.packed();
        match fs::read(&path) {
            Ok(bytes) => RefTable::parse(&bytes).map_err(|line| Error::BrokenRefs { path, line }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RefTable::default()),
            Err(error) => Err(Error::file("read", path)(error)),
        }
    }

    /// Makes `table` the truth, durably. The caller holds the repository's lock.
    pub(crate) fn write(&self, table: &RefTable) -> Result<(), Error> {
        self.fold_loose()?;
        durable::replace(&self.packed(), &table.render())
    }

    /// Loose references win over packed ones, so they must be gone before a change counts. They
    /// are first copied, then removed: a cut in between changes nothing that a reader sees.
    fn fold_loose(&self) -> Result<(), Error> {
        let loose = self.loose()?;
        if loose.is_empty() {
            return Ok(());
        }
        durable::replace(&self.packed(), &self.read()?.render())?;
        for (name, _) in loose {
            let path = self.dir.join(name);
            fs::remove_file(&path).map_err(Error::file("remove", &path))?;
            path.parent().map_or(Ok(()), durable::sync_dir)?;
        }
        Ok(())
    }

    fn loose(&self) -> Result<Vec<(String, ObjectId)>, Error> {
        let mut found = Vec::new();
        collect_loose(&self.dir.join("refs"), "refs", DEPTH_MAX, &mut found)?;
        Ok(found)
    }
}

fn collect_loose(
    dir: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, ObjectId)>,
) -> Result<(), Error> {
    let entries = fs::read_dir(dir).map_err(Error::file("list", dir))?;
    for entry in entries {
        let entry = entry.map_err(Error::file("list", dir))?;
        let file_type = entry.file_type().map_err(Error::file("look at", entry.path()))?;
        let Ok(leaf) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}/{leaf}");
        if file_type.is_dir() && depth > 0 {
            collect_loose(&entry.path(), &name, depth - 1, found)?;
        } else if file_type.is_file() && name_problem(&name).is_none() {
            let text = fs::read(entry.path()).map_err(Error::file("read", entry.path()))?;
            // Symbolic references below `refs/` are not made here and are passed over.
            found.extend(ObjectId::from_hex(text.trim_ascii_end()).ok().map(|id| (name, id)));
        }
    }
    Ok(())
}
