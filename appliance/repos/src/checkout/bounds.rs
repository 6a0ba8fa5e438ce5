//! How large a working tree would be, told before any of it is written.
//!
//! Why: trees that hold each other name more folders than anybody could walk in a few hundred
//! bytes of pack. Told before the first byte, a refusal still has a status of its own.
//! Invariants: each tree is read once, however often it stands in the working tree; no more entries
//! are read than the working tree may have.

use super::Archive;
use crate::{error::Error, limits::Limits, objects::Objects};
use gix_hash::ObjectId;
use std::{collections::HashMap, io::Write};

/// Folders deeper than this are an attack on whoever unpacks them.
const DEPTH_MAX: usize = 200;

/// What stands below one tree, each as often as it stands there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    entries: u64,
    /// Bytes of all their paths, from this tree on.
    paths: u64,
    /// Folders above the deepest entry, this tree among them.
    depth: usize,
}

impl Size {
    fn add_entry(&mut self, name: usize) {
        self.entries = self.entries.saturating_add(1);
        self.paths = self.paths.saturating_add(name as u64);
    }

    /// Adds what stands below a folder whose name has `name` bytes.
    fn add_folder(&mut self, name: usize, below: Self) {
        let prefixes = below.entries.saturating_mul(name as u64 + 1);
        self.entries = self.entries.saturating_add(below.entries);
        self.paths = self.paths.saturating_add(below.paths).saturating_add(prefixes);
        self.depth = self.depth.max(below.depth + 1);
    }

    fn check(self, limits: &Limits) -> Result<(), Error> {
        let limit = if self.entries > limits.entries {
            format!("number of {} files and folders", limits.entries)
        } else if self.paths > limits.paths.0 {
            format!("sum of {} of paths", limits.paths)
        } else if self.depth > DEPTH_MAX {
            too_deep()
        } else {
            return Ok(());
        };
        Err(too_large(limit))
    }
}

fn too_deep() -> String {
    format!("depth of {DEPTH_MAX} folders")
}

fn too_large(limit: String) -> Error {
    Error::TooLarge { what: "the working tree".into(), limit }
}

struct Measure<'a, W: Write> {
    archive: &'a mut Archive<W>,
    objects: &'a Objects,
    limits: &'a Limits,
    known: HashMap<ObjectId, Size>,
    /// Entries of all trees that were read.
    read: u64,
    buffer: Vec<u8>,
}

/// Refuses a working tree that passes a bound.
pub(super) fn check<W: Write>(
    archive: &mut Archive<W>,
    objects: &Objects,
    limits: &Limits,
    root: ObjectId,
) -> Result<(), Error> {
    let (known, buffer) = (HashMap::new(), Vec::new());
    Measure { archive, objects, limits, known, read: 0, buffer }.below(root, DEPTH_MAX).map(drop)
}

impl<W: Write> Measure<'_, W> {
    fn below(&mut self, tree: ObjectId, depth_left: usize) -> Result<Size, Error> {
        if let Some(size) = self.known.get(&tree) {
            return Ok(*size);
        }
        if depth_left == 0 {
            return Err(too_large(too_deep()));
        }
        self.archive.check_reader()?;
        let (mut size, folders) = self.read(tree)?;
        for (name, folder) in folders {
            size.add_folder(name, self.below(folder, depth_left - 1)?);
            size.check(self.limits)?;
        }
        self.known.insert(tree, size);
        Ok(size)
    }

    /// The entries of one tree, and its folders with the lengths of their names.
    fn read(&mut self, tree: ObjectId) -> Result<(Size, Vec<(usize, ObjectId)>), Error> {
        let mut size = Size { depth: 1, ..Size::default() };
        let mut folders = Vec::new();
        for entry in self.objects.tree(&tree, &mut self.buffer)? {
            let entry = entry.map_err(|_| Error::WrongObject { id: tree, expected: "tree" })?;
            size.add_entry(entry.filename.len());
            Size { entries: self.read + size.entries, ..size }.check(self.limits)?;
            if entry.mode.is_tree() {
                folders.push((entry.filename.len(), entry.oid.to_owned()));
            }
        }
        self.read += size.entries;
        Ok((size, folders))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::units::Bytes;

    fn limits() -> Limits {
        Limits { entries: 10, paths: Bytes(100), ..Limits::default() }
    }

    fn check(entries: u64, paths: u64, depth: usize, expected: Option<&str>) {
        let told = Size { entries, paths, depth }.check(&limits()).err();
        let told = told.map(|error| error.to_string());
        let expected = expected.map(|limit| {
            format!("the working tree is larger than the {limit} that is allowed here")
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn each_bound_is_named() {
        check(10, 100, 200, None);
        check(11, 100, 200, Some("number of 10 files and folders"));
        check(10, 101, 200, Some("sum of 100 B of paths"));
        check(10, 100, 201, Some("depth of 200 folders"));
    }

    #[test]
    fn what_a_folder_holds_counts_as_often_as_the_folder_stands() {
        let mut below = Size { depth: 1, ..Size::default() };
        below.add_entry(3);
        let mut above = Size { depth: 1, ..Size::default() };
        for _ in 0..2 {
            above.add_entry(4);
            above.add_folder(4, below);
        }
        // Twice `name` and `name/abc`.
        assert_eq!(above, Size { entries: 4, paths: 24, depth: 2 });
    }
}
