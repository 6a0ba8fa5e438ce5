//! Whether one commit builds on another.

use crate::{error::Error, objects::Objects};
use gix_hash::ObjectId;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// `from`, or a commit that it builds on, is one of `goals`. History older than `not_before`
/// (seconds since 1970) is not looked into. Newest first, so that a near goal is found soon.
pub(crate) fn reaches(
    objects: &Objects,
    from: ObjectId,
    goals: &HashSet<ObjectId>,
    not_before: i64,
) -> Result<bool, Error> {
    let mut buffer = Vec::new();
    let mut seen = HashSet::from([from]);
    let mut queue = BinaryHeap::from([(i64::MAX, from)]);
    while let Some((_, id)) = queue.pop() {
        if goals.contains(&id) {
            return Ok(true);
        }
        let links = objects.links(&id, &mut buffer)?;
        if links.time < not_before {
            continue;
        }
        // A parent is at most as new as its child: the child's time orders the queue without
        // reading the parent.
        let parents = links.parents.into_iter().filter(|parent| seen.insert(*parent));
        queue.extend(parents.map(|parent| (links.time, parent)));
    }
    Ok(false)
}

/// `new` is `old`, or builds on it. A "no" costs what lies between them and what they have in common,
/// and not all of history: both are followed, and once all that is left is of both, the one that had been
/// a step of the way to the other would be among its own ancestors. Clocks that are wrong cost time alone.
pub(crate) fn builds_on(objects: &Objects, new: ObjectId, old: ObjectId) -> Result<bool, Error> {
    let mut buffer = Vec::new();
    let mut walk = Walk::default();
    walk.mark(new, NEW, i64::MAX);
    walk.mark(old, OLD, i64::MAX);
    while walk.sides.get(&old) != Some(&(NEW | OLD)) && !walk.open.is_empty() {
        let Some((_, id)) = walk.queue.pop() else { break };
        walk.open.remove(&id);
        let side = walk.sides.get(&id).copied().unwrap_or_default();
        let links = objects.links(&id, &mut buffer)?;
        links.parents.into_iter().for_each(|parent| walk.mark(parent, side, links.time));
    }
    Ok(walk.sides.get(&old) == Some(&(NEW | OLD)))
}

/// Whose ancestor a commit is.
type Side = u8;
const NEW: Side = 1;
const OLD: Side = 2;

#[derive(Default)]
struct Walk {
    sides: HashMap<ObjectId, Side>,
    queue: BinaryHeap<(i64, ObjectId)>,
    /// Those in the queue that are of one side.
    open: HashSet<ObjectId>,
}

impl Walk {
    fn mark(&mut self, id: ObjectId, side: Side, time: i64) {
        let known = self.sides.entry(id).or_default();
        if *known | side == *known {
            return;
        }
        *known |= side;
        let is_of_both = *known == NEW | OLD;
        if is_of_both {
            self.open.remove(&id)
        } else {
            self.open.insert(id)
        };
        self.queue.push((time, id));
    }
}
