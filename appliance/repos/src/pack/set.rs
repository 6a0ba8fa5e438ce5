//! The packs of one repository, opened to copy entries as they are stored.
//!
//! Why: an entry that is copied need be neither inflated nor compressed again. The object layer
//! can hand out stored entries as well, but inflates each to learn its length; here the length
//! comes from the next entry's offset.
//! Invariants: entries stay readable while the set lives, even when upkeep removes the files.

use crate::error::{Cause, Error};
use gix_hash::{Kind as HashKind, ObjectId, oid};
use gix_pack::{Bundle, data};
use std::{
    cell::OnceCell,
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// Bytes of the checksum that ends a pack.
const TRAILER: u64 = 20;

/// Where an entry is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index of the pack within the set.
    pub(crate) pack: u32,
    pub(crate) offset: u64,
}

struct Pack {
    bundle: Bundle,
    /// Offsets of all entries with the place of their id in the index, ascending.
    by_offset: OnceCell<Vec<(u64, u32)>>,
}

impl Pack {
    fn by_offset(&self) -> &[(u64, u32)] {
        self.by_offset.get_or_init(|| {
            let index = &self.bundle.index;
            let mut offsets: Vec<_> = (0..index.num_objects())
                .map(|entry| (index.pack_offset_at_index(entry), entry))
                .collect();
            offsets.sort_unstable();
            offsets
        })
    }

    fn end_of(&self, offset: u64) -> u64 {
        let all = self.by_offset();
        let next = all.partition_point(|(other, _)| *other <= offset);
        all.get(next).map_or(self.bundle.pack.data_len() as u64 - TRAILER, |(other, _)| *other)
    }
}

/// All packs of a directory.
pub(crate) struct PackSet {
    dir: PathBuf,
    packs: Vec<Pack>,
}

impl PackSet {
    pub(crate) fn open(pack_dir: &Path) -> Result<Self, Error> {
        let mut packs = Vec::new();
        for path in indices(pack_dir)? {
            let bundle = Bundle::at(&path, HashKind::Sha1).map_err(|source| Error::Objects {
                action: "open a pack",
                path: path.clone(),
                source: Cause::from(source),
            })?;
            packs.push(Pack { bundle, by_offset: OnceCell::new() });
        }
        Ok(Self { dir: pack_dir.to_owned(), packs })
    }

    /// The ids of all objects in the packs of these indices.
    pub(crate) fn ids(&self, of: &[PathBuf]) -> HashSet<ObjectId> {
        let chosen = self.packs.iter().map(|pack| &pack.bundle.index);
        let chosen = chosen.filter(|index| of.iter().any(|path| path == index.path()));
        chosen.flat_map(|index| index.iter().map(|entry| entry.oid)).collect()
    }

    /// Where `id` is stored; `None` when it is in no pack.
    pub(crate) fn find(&self, id: &oid) -> Option<Place> {
        self.packs.iter().zip(0..).find_map(|(pack, number)| {
            let entry = pack.bundle.index.lookup(id)?;
            Some(Place { pack: number, offset: pack.bundle.index.pack_offset_at_index(entry) })
        })
    }

    /// How many objects each pack has.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = u32> {
        self.packs.iter().map(|pack| pack.bundle.index.num_objects())
    }

    /// The index file of a pack.
    pub(crate) fn path(&self, pack: usize) -> &Path {
        self.packs[pack].bundle.index.path()
    }

    /// The pack of an object, and its number there; the first when several have it.
    pub(crate) fn locate(&self, id: &oid) -> Option<(usize, u32)> {
        let mut packs = self.packs.iter().enumerate();
        packs.find_map(|(number, pack)| Some((number, pack.bundle.index.lookup(id)?)))
    }

    /// The id of an object of a pack, and the bytes that it takes there.
    pub(crate) fn stored(&self, pack: usize, number: u32) -> (ObjectId, u64) {
        let pack = &self.packs[pack];
        let offset = pack.bundle.index.pack_offset_at_index(number);
        (pack.bundle.index.oid_at_index(number).to_owned(), pack.end_of(offset) - offset)
    }

    /// The object stored at `place`.
    pub(crate) fn id_at(&self, place: Place) -> Option<ObjectId> {
        let pack = &self.packs[place.pack as usize];
        let all = pack.by_offset();
        let found = all.binary_search_by_key(&place.offset, |(offset, _)| *offset).ok()?;
        Some(pack.bundle.index.oid_at_index(all[found].1).to_owned())
    }

    /// The header of the entry at `place`, and its compressed bytes.
    pub(crate) fn entry(&self, place: Place) -> Result<(data::Entry, &[u8]), Error> {
        let pack = &self.packs[place.pack as usize];
        let entry = pack.bundle.pack.entry(place.offset).map_err(|source| Error::Objects {
            action: "read a pack entry",
            path: self.dir.clone(),
            source: Cause::from(source),
        })?;
        let range = entry.data_offset..pack.end_of(place.offset);
        let bytes = pack.bundle.pack.entry_slice(range).ok_or_else(|| Error::Objects {
            action: "read a pack entry",
            path: self.dir.clone(),
            source: Cause::from("the pack is shorter than its index says"),
        })?;
        Ok((entry, bytes))
    }
}

/// Paths of the pack indices in a directory, sorted.
pub(crate) fn indices(pack_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(pack_dir).map_err(Error::file("list", pack_dir))? {
        let path = entry.map_err(Error::file("list", pack_dir))?.path();
        if path.extension().is_some_and(|extension| extension == "idx")
            && path.with_extension("pack").is_file()
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
