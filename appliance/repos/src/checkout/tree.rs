//! The files of the working tree.

use super::{
    Archive,
    eol::Rules,
    index::{Entry, Index},
};
use crate::{error::Error, objects::Objects};
use gix_hash::ObjectId;
use gix_object::{
    bstr::ByteSlice,
    tree::{EntryKind, EntryMode},
};
use std::{
    ffi::OsStr,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// One entry of a tree, detached from it.
struct Item {
    name: Vec<u8>,
    mode: EntryMode,
    id: ObjectId,
}

struct Walk<'a, W: Write> {
    archive: &'a mut Archive<W>,
    objects: &'a Objects,
    rules: Rules,
    index: &'a mut Index,
    buffer: Vec<u8>,
}

/// Writes all files below `root`, which is within [`super::bounds`], and enters them in the index,
/// sorted by path.
pub(super) fn write<W: Write>(
    archive: &mut Archive<W>,
    objects: &Objects,
    root: ObjectId,
    index: &mut Index,
) -> Result<(), Error> {
    let rules = Rules::new()?;
    Walk { archive, objects, rules, index, buffer: Vec::new() }.folder(root, &[])
}

fn os_path(bytes: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(bytes)).to_owned()
}

impl<W: Write> Walk<'_, W> {
    fn items(&mut self, tree: ObjectId) -> Result<Vec<Item>, Error> {
        let broken = || Error::WrongObject { id: tree, expected: "tree" };
        self.objects
            .tree(&tree, &mut self.buffer)?
            .map(|entry| {
                let entry = entry.map_err(|_| broken())?;
                let (name, id) = (entry.filename.to_vec(), entry.oid.to_owned());
                Ok(Item { name, mode: entry.mode, id })
            })
            .collect()
    }

    /// `prefix` is empty or ends with `/`.
    fn folder(&mut self, tree: ObjectId, prefix: &[u8]) -> Result<(), Error> {
        // Folders alone write nothing.
        self.archive.check_reader()?;
        let items = self.items(tree)?;
        let rules = items.iter().find(|item| item.name == b".gitattributes" && item.mode.is_blob());
        let mut text = Vec::new();
        if let Some(rules) = rules {
            self.objects.find(&rules.id, &mut text)?;
        }
        self.rules.enter(&prefix.to_str_lossy(), &text)?;
        for item in items {
            let path = [prefix, &item.name].concat();
            self.item(path, item.mode, item.id)?;
        }
        self.rules.leave();
        Ok(())
    }

    fn item(&mut self, mut path: Vec<u8>, mode: EntryMode, id: ObjectId) -> Result<(), Error> {
        let size = match mode.kind() {
            EntryKind::Tree => {
                path.push(b'/');
                return self.folder(id, &path);
            }
            EntryKind::Commit => {
                self.archive.directory(&os_path(&path))?;
                0
            }
            EntryKind::Link => {
                let target = self.objects.find(&id, &mut self.buffer)?.data;
                self.archive.link(&os_path(&path), &os_path(target))?;
                target.len() as u64
            }
            EntryKind::Blob => self.file(&path, id, 0o644)?,
            EntryKind::BlobExecutable => self.file(&path, id, 0o755)?,
        };
        self.index.push(&Entry { path, mode: u32::from(mode.kind() as u16), id, size });
        Ok(())
    }

    fn file(&mut self, path: &[u8], id: ObjectId, permissions: u32) -> Result<u64, Error> {
        let bytes = self.objects.find(&id, &mut self.buffer)?.data;
        let converted = self.rules.convert(path.as_bstr(), bytes);
        let bytes = converted.as_deref().unwrap_or(bytes);
        self.archive.file(&os_path(path), permissions, bytes)?;
        Ok(bytes.len() as u64)
    }
}
