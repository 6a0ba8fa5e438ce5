//! Which objects are reached: one bit for each object of each pack.
//!
//! Why bits: a repository of some million objects is walked in a few hundred kilobytes.
//! On failure: an object that is missing ends the walk; nothing is thrown away then.

use crate::{error::Error, objects::Objects, pack::set::PackSet};
use gix_hash::ObjectId;
use gix_object::Kind;

/// Walks from roots to everything that they reach.
pub(super) struct Marks<'a> {
    packs: &'a PackSet,
    objects: &'a Objects,
    bits: Vec<Vec<u64>>,
    stack: Vec<ObjectId>,
    buffer: Vec<u8>,
}

impl<'a> Marks<'a> {
    pub(super) fn new(packs: &'a PackSet, objects: &'a Objects) -> Self {
        let bits = packs.lengths().map(|length| vec![0; length.div_ceil(64) as usize]).collect();
        Self { packs, objects, bits, stack: Vec::new(), buffer: Vec::new() }
    }

    /// The object was reached.
    pub(super) fn has(&self, pack: usize, number: u32) -> bool {
        self.bits[pack][number as usize / 64] & (1 << (number % 64)) != 0
    }

    /// Marks `root` and all that it reaches.
    pub(super) fn mark(&mut self, root: ObjectId) -> Result<(), Error> {
        if self.objects.kind(&root)? == Some(Kind::Blob) {
            return self.set(root).map(drop);
        }
        self.stack.push(root);
        while let Some(id) = self.stack.pop() {
            if self.set(id)? {
                self.follow(id)?;
            }
        }
        Ok(())
    }

    /// Marks one object; false when it was marked before.
    fn set(&mut self, id: ObjectId) -> Result<bool, Error> {
        let (pack, number) = self.packs.locate(&id).ok_or(Error::MissingObject(id))?;
        let word = &mut self.bits[pack][number as usize / 64];
        let bit = 1 << (number % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        Ok(is_new)
    }

    fn follow(&mut self, id: ObjectId) -> Result<(), Error> {
        match self.objects.kind(&id)?.ok_or(Error::MissingObject(id))? {
            Kind::Commit => {
                let links = self.objects.links(&id, &mut self.buffer)?;
                self.stack.extend(links.parents);
                // Last, so that it is walked before the next commit is: the stack stays short.
                self.stack.push(links.tree);
            }
            Kind::Tree => self.follow_tree(id)?,
            Kind::Tag => {
                let target = self.objects.tag_target(&id, &mut self.buffer)?;
                self.stack.push(target);
            }
            Kind::Blob => {}
        }
        Ok(())
    }

    fn follow_tree(&mut self, id: ObjectId) -> Result<(), Error> {
        let mut blobs = Vec::new();
        for entry in self.objects.tree(&id, &mut self.buffer)? {
            let entry = entry.map_err(|_| Error::WrongObject { id, expected: "tree" })?;
            if entry.mode.is_tree() {
                self.stack.push(entry.oid.to_owned());
            } else if !entry.mode.is_commit() {
                blobs.push(entry.oid.to_owned());
            }
        }
        blobs.into_iter().try_for_each(|blob| self.set(blob).map(drop))
    }
}
