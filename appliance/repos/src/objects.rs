//! Reading objects of one repository, with bounds.
//!
//! Why: the rest of the room asks for commits, trees and blobs, and is not told about packs.
//! Invariants: every object refers only to objects that are there as well, because nothing enters
//! but through the check in [`crate::receive`]; a missing object is damage, not a state.
//! A handle belongs to one thread; opening one costs a directory listing.

use crate::{
    error::{Cause, Error},
    limits::Limits,
};
use gix_hash::{Kind as HashKind, ObjectId, oid};
use gix_object::{
    CommitRefIter, Data, Exists, Find, Kind, TagRefIter, TreeRefIter, commit::ref_iter::Token,
};
use gix_odb::store::init::Options;
use gix_pack::cache::lru::MemoryCappedHashmap;
use std::path::{Path, PathBuf};

/// Delta bases kept decoded per handle: enough for the usual depth of 50 trees, small beside a job.
const BASE_CACHE: usize = 16 << 20;

/// Tags of tags of tags; more is an attack on whoever follows them.
const TAG_DEPTH_MAX: usize = 16;

/// What the walk needs of a commit.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    pub(crate) tree: ObjectId,
    pub(crate) parents: Vec<ObjectId>,
    /// Seconds since 1970, of the committer; zero when it cannot be read.
    pub(crate) time: i64,
}

/// A reader of one object directory.
pub(crate) struct Objects {
    dir: PathBuf,
    handle: gix_odb::Handle,
}

impl Objects {
    pub(crate) fn open(dir: &Path, limits: &Limits) -> Result<Self, Error> {
        let options = Options { alloc_limit_bytes: limits.allocation(), ..Options::default() };
        let handle = gix_odb::at_opts(dir, HashKind::Sha1, None, options)
            .map_err(Error::file("open", dir))?
            .with_pack_cache(|| Box::new(MemoryCappedHashmap::new(BASE_CACHE)));
        Ok(Self { dir: dir.to_owned(), handle })
    }

    fn broken(&self, action: &'static str) -> impl FnOnce(gix_error::Error) -> Error {
        let path = self.dir.clone();
        move |source| Error::Objects { action, path, source: Cause::from(source) }
    }

    pub(crate) fn handle(&self) -> &gix_odb::Handle {
        &self.handle
    }

    pub(crate) fn contains(&self, id: &oid) -> bool {
        self.handle.exists(id)
    }

    /// `None` when there is no such object.
    pub(crate) fn try_find<'a>(
        &self,
        id: &oid,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<Data<'a>>, Error> {
        Find::try_find(&self.handle, id, buffer).map_err(self.broken("read an object"))
    }

    pub(crate) fn find<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> Result<Data<'a>, Error> {
        self.try_find(id, buffer)?.ok_or_else(|| Error::MissingObject(id.to_owned()))
    }

    fn find_kind<'a>(
        &self,
        id: &oid,
        kind: Kind,
        expected: &'static str,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Data<'a>, Error> {
        let data = self.find(id, buffer)?;
        if data.kind == kind {
            return Ok(data);
        }
        Err(Error::WrongObject { id: id.to_owned(), expected })
    }

    /// The kind of an object without reading all of it; `None` when it is not there.
    pub(crate) fn kind(&self, id: &oid) -> Result<Option<Kind>, Error> {
        let header = gix_object::FindHeader::try_header(&self.handle, id);
        Ok(header.map_err(self.broken("read an object's header"))?.map(|header| header.kind))
    }

    /// Kind and decoded size.
    pub(crate) fn size(&self, id: &oid) -> Result<u64, Error> {
        let header = gix_object::FindHeader::try_header(&self.handle, id)
            .map_err(self.broken("read an object's header"))?;
        header.map(|header| header.size).ok_or_else(|| Error::MissingObject(id.to_owned()))
    }

    /// The bytes of a commit, `None` when the object is there but is no commit.
    pub(crate) fn commit_data<'a>(
        &self,
        id: &oid,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Data<'a>, Error> {
        self.find_kind(id, Kind::Commit, "commit", buffer)
    }

    pub(crate) fn links(&self, id: &oid, buffer: &mut Vec<u8>) -> Result<Links, Error> {
        let data = self.commit_data(id, buffer)?;
        parse_links(data.data)
            .ok_or_else(|| Error::WrongObject { id: id.to_owned(), expected: "commit" })
    }

    pub(crate) fn tree<'a>(
        &self,
        id: &oid,
        buffer: &'a mut Vec<u8>,
    ) -> Result<TreeRefIter<'a>, Error> {
        let data = self.find_kind(id, Kind::Tree, "tree", buffer)?;
        Ok(TreeRefIter::from_bytes(data.data, HashKind::Sha1))
    }

    /// What an annotated tag points at, looked through to the first object that is no tag.
    /// `None` when `id` is no tag itself.
    pub(crate) fn peel(&self, id: &oid, buffer: &mut Vec<u8>) -> Result<Option<ObjectId>, Error> {
        let mut current = id.to_owned();
        for _ in 0..TAG_DEPTH_MAX {
            if self.kind(&current)? != Some(Kind::Tag) {
                return Ok((current != id).then_some(current));
            }
            current = self.tag_target(&current, buffer)?;
        }
        Err(Error::WrongObject { id: id.to_owned(), expected: "tag of at most 16 levels" })
    }

    pub(crate) fn tag_target(&self, id: &oid, buffer: &mut Vec<u8>) -> Result<ObjectId, Error> {
        let data = self.find_kind(id, Kind::Tag, "tag", buffer)?;
        TagRefIter::from_bytes(data.data, HashKind::Sha1)
            .target_id()
            .map_err(|_| Error::WrongObject { id: id.to_owned(), expected: "tag" })
    }
}

/// Reads tree, parents and committer's time; `None` when the bytes are not a commit.
pub(crate) fn parse_links(data: &[u8]) -> Option<Links> {
    let mut links = Links { tree: ObjectId::null(HashKind::Sha1), parents: Vec::new(), time: 0 };
    let mut has_tree = false;
    for token in CommitRefIter::from_bytes(data, HashKind::Sha1) {
        match token.ok()? {
            Token::Tree { id } => {
                links.tree = id;
                has_tree = true;
            }
            Token::Parent { id } => links.parents.push(id),
            Token::Committer { signature } => {
                links.time = signature.time().map_or(0, |time| time.seconds);
                break;
            }
            _ => {}
        }
    }
    has_tree.then_some(links)
}
