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
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Folders below `refs/` deeper than this are not looked into; Git itself makes none.
const DEPTH_MAX: usize = 16;

/// Looks of one reader, each of which a push may make void.
const TRIES: usize = 100;

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
        self.read_around(|| self.loose())
    }

    /// Reads packed references around loose ones. A push may fold those in meanwhile, and then they
    /// are in neither: what counts is a look during which the packed ones stayed the same.
    fn read_around(
        &self,
        mut loose: impl FnMut() -> Result<Vec<(String, ObjectId)>, Error>,
    ) -> Result<RefTable, Error> {
        for _ in 0..TRIES {
            let (mut table, file) = self.read_packed()?;
            let loose = loose()?;
            if self.is_packed(file.as_ref())? {
                let entries = loose.into_iter();
                entries
                    .for_each(|(name, target)| table.set(name, RefEntry { target, peeled: None }));
                return Ok(table);
            }
        }
        Err(Error::file("read", self.packed())(io::Error::other("it changes all the time")))
    }

    /// The packed references, and the file that holds them, if there is one.
    fn read_packed(&self) -> Result<(RefTable, Option<File>), Error> {
        let path = self.packed();
        let Some(mut file) = found(File::open(&path)).map_err(Error::file("open", &path))? else {
            return Ok((RefTable::default(), None));
        };
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(Error::file("read", &path))?;
        let table = RefTable::parse(&text).map_err(|line| Error::BrokenRefs { path, line })?;
        Ok((table, Some(file)))
    }

    /// `file` is what holds the packed references. It is open, so that no other has its number.
    fn is_packed(&self, file: Option<&File>) -> Result<bool, Error> {
        let path = self.packed();
        let identity = |meta: Metadata| (meta.dev(), meta.ino());
        let then = file.map(File::metadata).transpose().map_err(Error::file("look at", &path))?;
        let now = found(fs::metadata(&path)).map_err(Error::file("look at", &path))?;
        Ok(then.map(identity) == now.map(identity))
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
        let mut loose = Vec::new();
        collect_loose(&self.dir.join("refs"), "refs", DEPTH_MAX, &mut loose)?;
        Ok(loose)
    }
}

/// `None` for what is not there.
fn found<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What goes while it is listed is passed over: it was folded in, or removed.
fn collect_loose(
    dir: &Path,
    prefix: &str,
    depth: usize,
    loose: &mut Vec<(String, ObjectId)>,
) -> Result<(), Error> {
    let entries = found(fs::read_dir(dir)).map_err(Error::file("list", dir))?;
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(Error::file("list", dir))?;
        let file_type = entry.file_type().map_err(Error::file("look at", entry.path()))?;
        let Ok(leaf) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}/{leaf}");
        if file_type.is_dir() && depth > 0 {
            collect_loose(&entry.path(), &name, depth - 1, loose)?;
        } else if file_type.is_file() && name_problem(&name).is_none() {
            let text = found(fs::read(entry.path())).map_err(Error::file("read", entry.path()))?;
            // Symbolic references below `refs/` are not made here and are passed over.
            let target = text.and_then(|text| ObjectId::from_hex(text.trim_ascii_end()).ok());
            loose.extend(target.map(|id| (name, id)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const MAIN: &str = "refs/heads/main";

    #[test]
    fn a_loose_reference_that_is_folded_in_during_a_look_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("refs/heads")).unwrap();
        fs::write(dir.path().join(MAIN), A).unwrap();
        let refs = RefStore::new(dir.path());
        let mut looks = 0;
        let table = refs.read_around(|| {
            looks += 1;
            refs.fold_loose()?;
            refs.loose()
        });
        assert_eq!(table.unwrap().get(MAIN).unwrap().target.to_string(), A);
        assert_eq!(looks, 2);
    }

    #[test]
    fn references_that_change_at_every_look_end_the_reading() {
        let dir = tempfile::tempdir().unwrap();
        let refs = RefStore::new(dir.path());
        let table = refs.read_around(|| {
            durable::replace(&refs.packed(), b"")?;
            Ok(Vec::new())
        });
        assert!(matches!(table, Err(Error::File { action: "read", .. })));
    }
}
