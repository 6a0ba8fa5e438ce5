//! The commits between what is wanted and what the client has.

use crate::{
    error::Error,
    objects::{Links, Objects},
};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap, HashSet},
};

/// The commits between wants and haves.
pub(super) struct Painted {
    /// To be sent, each with its tree, newest first.
    pub(super) wanted: Vec<(ObjectId, ObjectId)>,
    /// Commits that the client has and that wanted ones build on.
    pub(super) edge: Vec<ObjectId>,
}

/// A commit in the queue; the newest comes out first.
struct Queued {
    id: ObjectId,
    links: Links,
    /// The side that queued it; the other may have reached it since.
    side: Side,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        self.links.time.cmp(&other.links.time).then_with(|| self.id.cmp(&other.id))
    }
}

/// Which side has reached a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Wanted,
    Had,
}

struct Painter<'a> {
    objects: &'a Objects,
    queue: BinaryHeap<Queued>,
    sides: HashMap<ObjectId, Side>,
    /// Entries that the wanted side queued; at zero nothing is left to find.
    open: usize,
    buffer: Vec<u8>,
}

impl Painter<'_> {
    fn visit(&mut self, id: ObjectId, side: Side) -> Result<(), Error> {
        let before = self.sides.get(&id).copied();
        if before == Some(side) || before == Some(Side::Had) {
            return Ok(());
        }
        self.sides.insert(id, side);
        let links = self.objects.links(&id, &mut self.buffer)?;
        self.open += usize::from(side == Side::Wanted);
        self.queue.push(Queued { id, links, side });
        Ok(())
    }
}

/// Walks from both sides until nothing is left to find. Commits in `grafts` have no parents.
pub(super) fn paint(
    objects: &Objects,
    wants: &[ObjectId],
    haves: &[ObjectId],
    grafts: &HashSet<ObjectId>,
) -> Result<Painted, Error> {
    let mut painter = Painter {
        objects,
        queue: BinaryHeap::new(),
        sides: HashMap::new(),
        open: 0,
        buffer: Vec::new(),
    };
    for have in haves {
        let id = objects.peel(have, &mut Vec::new())?.unwrap_or(*have);
        if objects.kind(&id)? == Some(Kind::Commit) {
            painter.visit(id, Side::Had)?;
        }
    }
    for want in wants {
        painter.visit(*want, Side::Wanted)?;
    }
    let mut wanted: Vec<Queued> = Vec::new();
    // A commit that both sides queued comes out twice; the first time counts for both.
    let mut done: HashSet<(ObjectId, Side)> = HashSet::new();
    while painter.open > 0 {
        let Some(mut next) = painter.queue.pop() else { break };
        painter.open -= usize::from(next.side == Side::Wanted);
        next.side = painter.sides[&next.id];
        if !done.insert((next.id, next.side)) {
            continue;
        }
        if grafts.contains(&next.id) {
            next.links.parents.clear();
        }
        for parent in &next.links.parents {
            painter.visit(*parent, next.side)?;
        }
        if next.side == Side::Wanted {
            wanted.push(next);
        }
    }
    Ok(finish(wanted, &painter.sides))
}

fn finish(mut wanted: Vec<Queued>, sides: &HashMap<ObjectId, Side>) -> Painted {
    let had = |id: &ObjectId| sides.get(id) == Some(&Side::Had);
    wanted.retain(|commit| !had(&commit.id));
    let mut edge: Vec<ObjectId> = Vec::new();
    let mut listed = HashSet::new();
    for commit in &wanted {
        edge.extend(commit.links.parents.iter().filter(|id| had(id) && listed.insert(**id)));
    }
    Painted {
        wanted: wanted.into_iter().map(|commit| (commit.id, commit.links.tree)).collect(),
        edge,
    }
}
