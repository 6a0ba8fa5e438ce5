//! What may be forgotten: old pipelines beyond the bounds, never one that still goes on.
//!
//! Invariants: a pipeline with a workflow that has not ended is kept; of each project the newest
//! `keep_newest` are kept whatever their age; the rest go when older than `keep_for`. The newest are
//! those of the greatest numbers, whatever the clock said; one that was made while the clock was not
//! set, or ahead, counts as made when the next one was, or now.

use base::{
    ids::{PipelineId, PipelineNumber, ProjectId},
    time::Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of each project.
    pub keep_newest: usize,
    /// Since the pipeline was made.
    pub keep_for: Duration,
}

/// One pipeline, as far as retention is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub pipeline: PipelineId,
    /// Of which project.
    pub project: ProjectId,
    /// Its number there.
    pub number: PipelineNumber,
    /// When it was made.
    pub created_at: Timestamp,
    /// A workflow of it has not ended.
    pub is_live: bool,
}

/// The pipelines to remove, oldest first.
#[must_use]
pub fn plan(list: &[Kept], bounds: Bounds, now: Timestamp) -> Vec<PipelineId> {
    let mut newest_first = list.to_vec();
    newest_first.sort_by_key(|kept| std::cmp::Reverse(kept.number));
    // Of each project: how many were looked at, and when the last of them was made.
    let mut seen: BTreeMap<ProjectId, (usize, Timestamp)> = BTreeMap::new();
    let mut remove = Vec::new();
    for kept in newest_first {
        let (rank, made) = seen.entry(kept.project).or_insert((0, now));
        *rank += 1;
        if kept.created_at.is_credible(now) {
            *made = kept.created_at;
        }
        let is_old = now.since(*made) > bounds.keep_for;
        if is_old && *rank > bounds.keep_newest && !kept.is_live {
            remove.push((*made, kept.number, kept.pipeline));
        }
    }
    remove.sort_unstable();
    remove.into_iter().map(|(.., pipeline)| pipeline).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::time::EARLIEST;
    use uuid::Uuid;

    const DAY: i64 = 86_400_000_000;
    const NOW: i64 = EARLIEST.0 + 100 * DAY;

    fn kept(number: u64, created_at: i64) -> Kept {
        Kept {
            pipeline: PipelineId(Uuid::from_u128(number.into())),
            project: ProjectId(Uuid::from_u128(1)),
            number: PipelineNumber(number),
            created_at: Timestamp(created_at),
            is_live: false,
        }
    }

    /// The numbers of those that go after thirty days.
    fn check(list: &[Kept], keep_newest: usize, now: i64, expected: &[u128]) {
        let bounds = Bounds { keep_newest, keep_for: Duration::from_secs(30 * 86_400) };
        let gone = plan(list, bounds, Timestamp(now));
        assert_eq!(gone.iter().map(|id| id.0.as_u128()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn old_pipelines_go_but_the_newest_and_the_live_stay() {
        let ages = [90, 80, 70, 60, 1];
        let mut list: Vec<Kept> =
            (1..).zip(ages).map(|(number, age)| kept(number, NOW - age * DAY)).collect();
        list[1].is_live = true;
        check(&list, 2, NOW, &[1, 3]);
        check(&list, 2, 0, &[]);
    }

    #[test]
    fn what_was_made_before_the_clock_was_set_is_no_older_than_what_came_next() {
        let booted = |number| kept(number, 60_000_000);
        check(&[booted(1), booted(2), booted(3)], 0, NOW, &[]);
        let list = [booted(1), kept(2, NOW - 20 * DAY), booted(3)];
        check(&list, 0, NOW, &[]);
        check(&list, 1, NOW + 15 * DAY, &[1, 2]);
        check(&list, 0, NOW + 365 * DAY, &[1, 2]);
        // One that was ahead keeps nothing for ever.
        let ahead = [kept(1, NOW + 9000 * DAY), kept(2, NOW - 40 * DAY), kept(3, NOW)];
        check(&ahead, 0, NOW, &[1, 2]);
    }

    #[test]
    fn a_clock_that_is_never_set_still_tells_ages() {
        check(&[kept(1, DAY), kept(2, 50 * DAY)], 0, 60 * DAY, &[1]);
    }
}
