//! Which objects a fetch must carry: those the client asks for, without those it has.
//!
//! Commits are painted from both sides, newest first; the edge between tells which trees the
//! client has. Painting may stop early: then some objects are sent once more, never one too few.
//! Memory: some tens of bytes for each object looked at.

pub(crate) mod ancestry;
mod paint;
pub(crate) mod shallow;

use crate::{error::Error, objects::Objects};
use gix_hash::ObjectId;
use gix_object::Kind;
use paint::paint;
use std::collections::HashSet;

/// Objects that a client asks not to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Everything is sent.
    #[default]
    None,
    /// Files of this size or larger stay; 0 means all files.
    BlobLimit(u64),
    /// Files and folders stay.
    NoTrees,
}

impl Filter {
    /// Reads a filter as a client names it; `None` when it is not known here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once([':', '=']) {
            Some(("blob", "none")) => Some(Self::BlobLimit(0)),
            Some(("tree", "0")) => Some(Self::NoTrees),
            Some(("blob", rest)) => {
                let digits = rest.strip_prefix("limit=")?;
                let (number, factor) = match digits.as_bytes().last()?.to_ascii_lowercase() {
                    b'k' => (&digits[..digits.len() - 1], 1 << 10),
                    b'm' => (&digits[..digits.len() - 1], 1 << 20),
                    b'g' => (&digits[..digits.len() - 1], 1 << 30),
                    _ => (digits, 1),
                };
                number.parse::<u64>().ok()?.checked_mul(factor).map(Self::BlobLimit)
            }
            _ => None,
        }
    }
}

/// What a fetch asks for.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) wants: Vec<ObjectId>,
    /// Objects that the client has, with everything below.
    pub(crate) haves: Vec<ObjectId>,
    /// Commits that count as having no parents, on either side.
    pub(crate) grafts: HashSet<ObjectId>,
    pub(crate) filter: Filter,
    /// Annotated tags and what they stand for; sent along with what they stand for.
    pub(crate) tags: Vec<(ObjectId, ObjectId)>,
}

/// What must be sent.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) objects: Vec<ObjectId>,
    /// Objects that the client surely has; deltas may build on them.
    pub(crate) known: HashSet<ObjectId>,
}

/// Answers `query`.
pub(crate) fn select(objects: &Objects, query: &Query) -> Result<Selection, Error> {
    let mut selector = Selector {
        objects,
        filter: query.filter,
        buffer: Vec::new(),
        seen: HashSet::new(),
        out: Selection::default(),
    };
    let mut starts = Starts::default();
    for want in &query.wants {
        selector.add_want(*want, &mut starts)?;
    }
    let painted = paint(objects, &starts.commits, &query.haves, &query.grafts)?;
    if query.filter != Filter::NoTrees {
        for commit in &painted.edge {
            selector.out.known.insert(*commit);
            let tree = objects.links(commit, &mut selector.buffer)?.tree;
            selector.learn_tree(tree)?;
        }
    }
    for (commit, _) in &painted.wanted {
        selector.seen.insert(*commit);
        selector.out.objects.push(*commit);
    }
    selector.add_tags(&query.tags)?;
    for tree in starts.trees {
        selector.add_tree(tree)?;
    }
    if query.filter != Filter::NoTrees {
        for (_, tree) in &painted.wanted {
            selector.add_tree(*tree)?;
        }
    }
    Ok(selector.out)
}

/// What the wanted objects lead to.
#[derive(Default)]
struct Starts {
    commits: Vec<ObjectId>,
    trees: Vec<ObjectId>,
}

struct Selector<'a> {
    objects: &'a Objects,
    filter: Filter,
    buffer: Vec<u8>,
    /// Chosen already.
    seen: HashSet<ObjectId>,
    out: Selection,
}

impl Selector<'_> {
    fn choose(&mut self, id: ObjectId) -> bool {
        let is_new = !self.out.known.contains(&id) && self.seen.insert(id);
        if is_new {
            self.out.objects.push(id);
        }
        is_new
    }

    fn add_want(&mut self, want: ObjectId, starts: &mut Starts) -> Result<(), Error> {
        let mut id = want;
        loop {
            match self.objects.kind(&id)?.ok_or(Error::MissingObject(id))? {
                Kind::Commit => starts.commits.push(id),
                Kind::Tree => starts.trees.push(id),
                // Asked for by name: no filter keeps it back.
                Kind::Blob => drop(self.choose(id)),
                Kind::Tag => {
                    self.choose(id);
                    id = self.objects.tag_target(&id, &mut self.buffer)?;
                    continue;
                }
            }
            return Ok(());
        }
    }

    fn add_tags(&mut self, tags: &[(ObjectId, ObjectId)]) -> Result<(), Error> {
        for (tag, target) in tags {
            if !self.seen.contains(target) {
                continue;
            }
            let mut id = *tag;
            while id != *target && self.choose(id) {
                id = self.objects.tag_target(&id, &mut self.buffer)?;
            }
        }
        Ok(())
    }

    /// Notes everything below `root` as known to the client.
    fn learn_tree(&mut self, root: ObjectId) -> Result<(), Error> {
        let mut stack = vec![root];
        while let Some(tree) = stack.pop() {
            if !self.out.known.insert(tree) {
                continue;
            }
            for entry in self.objects.tree(&tree, &mut self.buffer)? {
                let entry = entry.map_err(|_| broken_tree(tree))?;
                if entry.mode.is_tree() {
                    stack.push(entry.oid.to_owned());
                } else if !entry.mode.is_commit() {
                    self.out.known.insert(entry.oid.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Chooses everything below `root` that is neither known nor filtered.
    fn add_tree(&mut self, root: ObjectId) -> Result<(), Error> {
        let mut stack = vec![root];
        let mut blobs = Vec::new();
        while let Some(tree) = stack.pop() {
            if !self.choose(tree) {
                continue;
            }
            for entry in self.objects.tree(&tree, &mut self.buffer)? {
                let entry = entry.map_err(|_| broken_tree(tree))?;
                if entry.mode.is_tree() {
                    stack.push(entry.oid.to_owned());
                } else if !entry.mode.is_commit() {
                    blobs.push(entry.oid.to_owned());
                }
            }
            for blob in blobs.drain(..) {
                self.add_blob(blob)?;
            }
        }
        Ok(())
    }

    fn add_blob(&mut self, blob: ObjectId) -> Result<(), Error> {
        let is_sent = match self.filter {
            Filter::None => true,
            Filter::BlobLimit(0) => false,
            Filter::BlobLimit(limit) => self.objects.size(&blob)? < limit,
            // A tree was asked for by name; its files come with the checkout that needs them.
            Filter::NoTrees => false,
        };
        if is_sent {
            self.choose(blob);
        }
        Ok(())
    }
}

fn broken_tree(id: ObjectId) -> Error {
    Error::WrongObject { id, expected: "tree" }
}
