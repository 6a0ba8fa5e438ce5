//! Which objects a fetch must carry: those the client asks for, without those it has.
//!
//! Commits are painted from both sides, newest first; the edge between tells which trees the
//! client has. Painting may stop early: then some objects are sent once more, never one too few.
//! Memory: some tens of bytes for each object looked at.

pub(crate) mod ancestry;
mod filter;
mod paint;
pub(crate) mod shallow;

pub(crate) use filter::Filter;

use crate::{error::Error, objects::Objects};
use gix_hash::ObjectId;
use gix_object::Kind;
use paint::paint;
use std::collections::{HashMap, HashSet, VecDeque};

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
        depths: HashMap::new(),
        out: Selection::default(),
    };
    let mut starts = Starts::default();
    for want in &query.wants {
        selector.add_want(*want, &mut starts)?;
    }
    let painted = paint(objects, &starts.commits, &query.haves, &query.grafts)?;
    // One that left folders out does not have all that is below a commit.
    if query.filter.depth.is_none() {
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
        selector.add_tree(tree, true)?;
    }
    for (_, tree) in &painted.wanted {
        selector.add_tree(*tree, false)?;
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
    /// How near to a root chosen folders are, where a filter asks for that.
    depths: HashMap<ObjectId, u64>,
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

    /// Chooses everything below `root` that is neither known nor filtered. No filter keeps back what is
    /// asked for by name.
    fn add_tree(&mut self, root: ObjectId, is_named: bool) -> Result<(), Error> {
        // Nearest first, so that no folder is entered again for being nearer.
        let mut waiting = VecDeque::from([(root, 0)]);
        let mut blobs = Vec::new();
        while let Some((tree, depth)) = waiting.pop_front() {
            if !self.enters(tree, depth, is_named && depth == 0) {
                continue;
            }
            for entry in self.objects.tree(&tree, &mut self.buffer)? {
                let entry = entry.map_err(|_| broken_tree(tree))?;
                if entry.mode.is_tree() {
                    waiting.push_back((entry.oid.to_owned(), depth + 1));
                } else if !entry.mode.is_commit() && self.filter.reaches(depth + 1) {
                    blobs.push(entry.oid.to_owned());
                }
            }
            for blob in blobs.drain(..) {
                self.add_blob(blob)?;
            }
        }
        Ok(())
    }

    /// Chooses a folder, unless it is filtered; false when what it leads to is chosen, or stays.
    fn enters(&mut self, tree: ObjectId, depth: u64, is_named: bool) -> bool {
        if self.filter.depth.is_none() {
            return self.choose(tree);
        }
        let is_sent = is_named || self.filter.reaches(depth);
        if is_sent {
            self.choose(tree);
        }
        let is_nearer = self.depths.get(&tree).is_none_or(|known| depth < *known);
        if is_sent && is_nearer {
            self.depths.insert(tree, depth);
        }
        is_sent && is_nearer && self.filter.reaches(depth + 1)
    }

    fn add_blob(&mut self, blob: ObjectId) -> Result<(), Error> {
        let is_sent = match self.filter.blobs {
            None => true,
            Some(0) => false,
            Some(limit) => self.objects.size(&blob)? < limit,
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
