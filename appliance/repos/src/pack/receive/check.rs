//! Checks every object of a received pack: it can be parsed, its names can be written to a
//! file system, and what it refers to is there and of the right kind.

use super::{broken, chains::kinds};
use crate::{failure::Failure, limits::Limits, objects::Objects};
use gix_hash::{Kind as HashKind, ObjectId, oid};
use gix_object::{CommitRef, Kind, TagRef, TreeRefIter, tree::EntryRef};
use gix_pack::{Bundle, cache::lru::MemoryCappedHashmap};
use gix_validate::path::component;
use std::collections::HashMap;

/// Delta bases kept decoded during the pass.
const BASE_CACHE: usize = 32 << 20;

/// Names that would leave the working tree, or reach into `.git`, on any file system.
const NAMES: component::Options =
    component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };

/// Checks all objects of `bundle`; `objects` holds them and those of the repository.
pub(crate) fn check(bundle: &Bundle, objects: &Objects, limits: &Limits) -> Result<(), Failure> {
    let mut checker = Checker { bundle, objects, kinds: kinds(bundle)?, outside: HashMap::new() };
    let mut order: Vec<(u64, u32)> = (0..bundle.index.num_objects())
        .filter(|entry| checker.kinds[*entry as usize] != Kind::Blob)
        .map(|entry| (bundle.index.pack_offset_at_index(entry), entry))
        .collect();
    order.sort_unstable();
    let mut cache = MemoryCappedHashmap::new(BASE_CACHE);
    let mut inflate = Default::default();
    let mut buffer = Vec::new();
    for (_, entry) in order {
        let (data, _) = bundle
            .get_object_by_index(entry, &mut buffer, &mut inflate, &mut cache)
            .map_err(broken("read a received pack", bundle.pack.path()))?;
        if data.data.len() as u64 > limits.object.0 {
            return Err(Failure::Refused(format!("an object is larger than {}", limits.object)));
        }
        let id = bundle.index.oid_at_index(entry);
        checker
            .check_object(id, data.kind, data.data)
            .map_err(|what| Failure::Refused(format!("{} {id}: {what}", data.kind)))?;
    }
    Ok(())
}

struct Checker<'a> {
    bundle: &'a Bundle,
    objects: &'a Objects,
    kinds: Vec<Kind>,
    /// Kinds of objects outside of the pack that were asked for; `None` for missing ones.
    outside: HashMap<ObjectId, Option<Kind>>,
}

impl Checker<'_> {
    fn check_object(&mut self, id: &oid, kind: Kind, data: &[u8]) -> Result<(), String> {
        match kind {
            Kind::Commit => self.check_commit(data),
            Kind::Tree => self.check_tree(id, data),
            Kind::Tag => self.check_tag(data),
            Kind::Blob => Ok(()),
        }
    }

    fn kind_of(&mut self, id: &oid) -> Result<Option<Kind>, String> {
        if let Some(entry) = self.bundle.index.lookup(id) {
            return Ok(Some(self.kinds[entry as usize]));
        }
        if let Some(kind) = self.outside.get(id) {
            return Ok(*kind);
        }
        let kind = self.objects.kind(id).map_err(|error| error.to_string())?;
        self.outside.insert(id.to_owned(), kind);
        Ok(kind)
    }

    fn expect(&mut self, id: &oid, expected: Kind) -> Result<(), String> {
        match self.kind_of(id)? {
            Some(kind) if kind == expected => Ok(()),
            Some(kind) => Err(format!("{id} should be a {expected}, but is a {kind}")),
            None => Err(format!(
                "missing necessary objects: {expected} {id} was neither pushed nor is it here"
            )),
        }
    }

    fn check_commit(&mut self, data: &[u8]) -> Result<(), String> {
        let commit = CommitRef::from_bytes(data, HashKind::Sha1)
            .map_err(|error| format!("it cannot be read: {error}"))?;
        self.expect(&commit.tree(), Kind::Tree)?;
        commit.parents().try_for_each(|parent| self.expect(&parent, Kind::Commit))
    }

    fn check_tag(&mut self, data: &[u8]) -> Result<(), String> {
        let tag = TagRef::from_bytes(data, HashKind::Sha1)
            .map_err(|error| format!("it cannot be read: {error}"))?;
        self.expect(&tag.target(), tag.target_kind)
    }

    fn check_tree(&mut self, id: &oid, data: &[u8]) -> Result<(), String> {
        let mut last: Option<EntryRef<'_>> = None;
        for entry in TreeRefIter::from_bytes(data, HashKind::Sha1) {
            let entry = entry.map_err(|_| format!("{id} cannot be read"))?;
            if last.is_some_and(|last| last >= entry || last.filename == entry.filename) {
                return Err(format!("`{}` is not in order", entry.filename));
            }
            let leaf = entry.mode.is_link().then_some(component::Mode::Symlink);
            component(entry.filename, leaf, NAMES)
                .map_err(|error| format!("`{}`: {error}", entry.filename))?;
            if entry.mode.is_tree() {
                self.expect(entry.oid, Kind::Tree)?;
            } else if !entry.mode.is_commit() {
                self.expect(entry.oid, Kind::Blob)?;
            }
            last = Some(entry);
        }
        Ok(())
    }
}
