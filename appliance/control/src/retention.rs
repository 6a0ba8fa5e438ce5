//! What may be forgotten: old pipelines beyond the bounds, never one that still goes on.
//!
//! Invariants: a pipeline with a workflow that has not ended is kept; of each project the newest
//! `keep_newest` are kept whatever their age; the rest go when older than `keep_for`.

use base::{
    ids::{PipelineId, ProjectId},
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
    /// When it was made.
    pub created_at: Timestamp,
    /// A workflow of it has not ended.
    pub is_live: bool,
}

/// The pipelines to remove, oldest first.
#[must_use]
pub fn plan(list: &[Kept], bounds: Bounds, now: Timestamp) -> Vec<PipelineId> {
    let mut newest_first = list.to_vec();
    newest_first.sort_by_key(|kept| std::cmp::Reverse((kept.created_at, kept.pipeline)));
    let mut seen: BTreeMap<ProjectId, usize> = BTreeMap::new();
    let mut remove = Vec::new();
    for kept in newest_first {
        let rank = seen.entry(kept.project).or_default();
        *rank += 1;
        let is_old = now.since(kept.created_at) > bounds.keep_for;
        if is_old && *rank > bounds.keep_newest && !kept.is_live {
            remove.push(kept.pipeline);
        }
    }
    remove.reverse();
    remove
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn old_pipelines_go_but_the_newest_and_the_live_stay() {
        let day = 86_400_000_000;
        let kept = |id: u128, age_days: i64, is_live| Kept {
            pipeline: PipelineId(Uuid::from_u128(id)),
            project: ProjectId(Uuid::from_u128(1)),
            created_at: Timestamp((100 - age_days) * day),
            is_live,
        };
        let list = [
            kept(1, 90, false),
            kept(2, 80, true),
            kept(3, 70, false),
            kept(4, 60, false),
            kept(5, 1, false),
        ];
        let bounds = Bounds { keep_newest: 2, keep_for: Duration::from_secs(30 * 86_400) };
        let removed = plan(&list, bounds, Timestamp(100 * day));
        assert_eq!(removed, [PipelineId(Uuid::from_u128(1)), PipelineId(Uuid::from_u128(3))]);
        assert_eq!(
            plan(&list, bounds, Timestamp(0)),
            [],
            "a clock that ran backwards removes nothing"
        );
    }
}
