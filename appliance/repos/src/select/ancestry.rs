//! Whether one commit builds on another.

use crate::{error::Error, objects::Objects};
use gix_hash::ObjectId;
use std::collections::{BinaryHeap, HashSet};

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
