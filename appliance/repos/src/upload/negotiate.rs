//! Which of the client's objects are known here, and whether that is enough.

use super::Session;
use crate::{failure::Failure, select::ancestry::reaches};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::HashSet;

/// A commit is looked for this much further into the past than the oldest common one, in seconds:
/// clocks of committers differ.
const CLOCK_SLOP: i64 = 86_400;

/// Those of `haves` that are here.
pub(super) fn common(session: &Session, haves: &[ObjectId]) -> Vec<ObjectId> {
    haves.iter().filter(|id| session.objects.contains(id)).copied().collect()
}

/// Every wanted commit builds on a common one: more haves would not make the pack much smaller.
pub(super) fn is_enough(
    session: &Session,
    wants: &[ObjectId],
    common: &[ObjectId],
) -> Result<bool, Failure> {
    let objects = &session.objects;
    let mut buffer = Vec::new();
    let mut goals = HashSet::new();
    let mut oldest = i64::MAX;
    for id in common {
        let id = objects.peel(id, &mut buffer)?.unwrap_or(*id);
        if objects.kind(&id)? == Some(Kind::Commit) {
            oldest = oldest.min(objects.links(&id, &mut buffer)?.time);
            goals.insert(id);
        }
    }
    if goals.is_empty() {
        return Ok(false);
    }
    for want in wants {
        let want = objects.peel(want, &mut buffer)?.unwrap_or(*want);
        let is_commit = objects.kind(&want)? == Some(Kind::Commit);
        if is_commit && !reaches(objects, want, &goals, oldest.saturating_sub(CLOCK_SLOP))? {
            return Ok(false);
        }
    }
    Ok(true)
}
