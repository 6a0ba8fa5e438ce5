//! Where a shallow clone's history ends.
//!
//! Source: `deepen`, `deepen-since`, `deepen-not` and `shallow` of Git's `gitprotocol-pack`.

use crate::{error::Error, objects::Objects};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::{HashSet, VecDeque};

/// How deep the client wants its history to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Depth {
    /// As it is.
    #[default]
    Unchanged,
    /// So many commits from each wanted tip; relative: from the client's present ends.
    Commits { count: u32, relative: bool },
    /// Only what is as new as `since` (seconds since 1970) and cannot be reached from `not`.
    Until { since: Option<i64>, not: Vec<ObjectId> },
}

/// Git's way to ask for everything: `--unshallow` sends this depth.
const INFINITE: u32 = 0x7fff_ffff;

/// What changes for the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// Commits whose parents the client will not have.
    pub(crate) shallow: Vec<ObjectId>,
    /// Commits whose parents it lacked and will have.
    pub(crate) unshallow: Vec<ObjectId>,
    /// These parents; they must be sent with all that lies below, down to the boundary.
    pub(crate) extra_wants: Vec<ObjectId>,
}

/// Computes the boundary for a client whose history ends at `client`.
pub(crate) fn boundary(
    objects: &Objects,
    wants: &[ObjectId],
    client: &HashSet<ObjectId>,
    depth: &Depth,
) -> Result<Boundary, Error> {
    if *depth == Depth::Unchanged {
        return Ok(Boundary::default());
    }
    let commits = commits_of(objects, wants)?;
    let reach = match depth {
        Depth::Unchanged => return Ok(Boundary::default()),
        // All that the client has becomes whole, and not only what it wants: of references that it has
        // already it wants none.
        Depth::Commits { count, .. } if *count >= INFINITE => {
            Reach { inside: client.clone(), ends: HashSet::new() }
        }
        Depth::Commits { count, relative: false } => by_count(objects, &commits, *count)?,
        Depth::Commits { count, relative: true } => {
            // Counted from where the client's history ends now; those ends are depth zero.
            let ends: Vec<ObjectId> = client.iter().copied().collect();
            let mut reach = by_count(objects, &ends, count.saturating_add(1))?;
            reach.inside.extend(client);
            reach
        }
        Depth::Until { since, not } => by_condition(objects, &commits, *since, not)?,
    };
    describe(objects, client, &reach)
}

fn describe(
    objects: &Objects,
    client: &HashSet<ObjectId>,
    reach: &Reach,
) -> Result<Boundary, Error> {
    let mut buffer = Vec::new();
    let mut result = Boundary::default();
    result.shallow.extend(reach.ends.iter().filter(|end| !client.contains(*end)));
    for end in client {
        if reach.inside.contains(end) && !reach.ends.contains(end) {
            result.unshallow.push(*end);
            result.extra_wants.extend(objects.links(end, &mut buffer)?.parents);
        }
    }
    result.shallow.sort();
    result.unshallow.sort();
    Ok(result)
}

/// The commits within a depth, and those of them whose parents lie outside.
#[derive(Default)]
struct Reach {
    inside: HashSet<ObjectId>,
    ends: HashSet<ObjectId>,
}

/// Tags are looked through; what is no commit has no depth.
fn commits_of(objects: &Objects, ids: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
    let mut commits = Vec::new();
    for id in ids {
        let id = objects.peel(id, &mut Vec::new())?.unwrap_or(*id);
        if objects.kind(&id)? == Some(Kind::Commit) {
            commits.push(id);
        }
    }
    Ok(commits)
}

/// Breadth first, so that each commit is met at its least depth first.
fn by_count(objects: &Objects, from: &[ObjectId], count: u32) -> Result<Reach, Error> {
    let mut reach = Reach::default();
    let mut queue: VecDeque<(ObjectId, u32)> = from.iter().map(|id| (*id, 1)).collect();
    let mut buffer = Vec::new();
    while let Some((id, depth)) = queue.pop_front() {
        if !reach.inside.insert(id) {
            continue;
        }
        let parents = objects.links(&id, &mut buffer)?.parents;
        if depth < count || count >= INFINITE {
            queue.extend(parents.into_iter().map(|parent| (parent, depth.saturating_add(1))));
        } else if !parents.is_empty() {
            reach.ends.insert(id);
        }
    }
    Ok(reach)
}

fn by_condition(
    objects: &Objects,
    from: &[ObjectId],
    since: Option<i64>,
    not: &[ObjectId],
) -> Result<Reach, Error> {
    let excluded = by_count(objects, &commits_of(objects, not)?, INFINITE)?.inside;
    let mut buffer = Vec::new();
    let mut is_in = |id: &ObjectId| -> Result<Option<Vec<ObjectId>>, Error> {
        let links = objects.links(id, &mut buffer)?;
        let is_new = since.is_none_or(|since| links.time >= since);
        Ok((is_new && !excluded.contains(id)).then_some(links.parents))
    };
    let mut reach = Reach::default();
    let mut stack = from.to_vec();
    // A wanted tip that the condition leaves out is sent all the same, as an end: the client
    // asked for it by name.
    for tip in from {
        if is_in(tip)?.is_none() {
            reach.inside.insert(*tip);
            reach.ends.insert(*tip);
        }
    }
    while let Some(id) = stack.pop() {
        if reach.inside.contains(&id) {
            continue;
        }
        let Some(parents) = is_in(&id)? else { continue };
        reach.inside.insert(id);
        for parent in parents {
            match is_in(&parent)? {
                Some(_) => stack.push(parent),
                None => drop(reach.ends.insert(id)),
            }
        }
    }
    Ok(reach)
}
