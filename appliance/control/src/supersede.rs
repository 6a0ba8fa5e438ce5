//! Auto-cancel: a newer pipeline of a branch makes older ones of that branch pointless.
//!
//! Reference: same project and branch, never the default branch, pipelines that came by push or
//! API on both sides; workflows that are reruns are left alone.

use base::{
    ids::{PipelineNumber, ProjectId, WorkflowId},
    trigger::TriggerKind,
};

/// A pipeline's side of the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its project.
    pub project: ProjectId,
    /// Its number.
    pub number: PipelineNumber,
    /// `None` for a tag.
    pub branch: Option<String>,
    /// Whether that is the project's default branch.
    pub is_default_branch: bool,
    /// How it came.
    pub kind: TriggerKind,
}

/// A workflow that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which.
    pub workflow: WorkflowId,
    /// Of which pipeline.
    pub origin: Origin,
    /// Made by a rerun.
    pub is_rerun: bool,
}

fn takes_part(origin: &Origin) -> bool {
    !origin.is_default_branch
        && origin.branch.is_some()
        && matches!(origin.kind, TriggerKind::Webhook | TriggerKind::Api)
}

/// Whether the pipeline `newer` stops `live`.
#[must_use]
pub fn stops(newer: &Origin, live: &Live) -> bool {
    let older = &live.origin;
    takes_part(newer)
        && takes_part(older)
        && !live.is_rerun
        && older.project == newer.project
        && older.branch == newer.branch
        && older.number < newer.number
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn origin(number: u64, branch: &str, kind: TriggerKind) -> Origin {
        Origin {
            project: ProjectId(Uuid::from_u128(1)),
            number: PipelineNumber(number),
            branch: (!branch.is_empty()).then(|| branch.to_owned()),
            is_default_branch: branch == "main",
            kind,
        }
    }

    fn check(newer: &Origin, older: Origin, is_rerun: bool, expected: bool) {
        let live = Live { workflow: WorkflowId(Uuid::from_u128(2)), origin: older, is_rerun };
        assert_eq!(stops(newer, &live), expected, "{newer:?} over {live:?}");
    }

    #[test]
    fn a_newer_push_stops_older_runs_of_its_branch_only() {
        use TriggerKind::{Api, Explicit, ScheduledPipeline, Webhook};
        let newer = origin(7, "fix", Webhook);
        check(&newer, origin(6, "fix", Webhook), false, true);
        check(&newer, origin(6, "fix", Api), false, true);
        check(&newer, origin(6, "fix", Webhook), true, false);
        check(&newer, origin(6, "fix", ScheduledPipeline), false, false);
        check(&newer, origin(6, "fix", Explicit), false, false);
        check(&newer, origin(8, "fix", Webhook), false, false);
        check(&newer, origin(6, "other", Webhook), false, false);
        check(&origin(7, "main", Webhook), origin(6, "main", Webhook), false, false);
        check(&origin(7, "", Webhook), origin(6, "", Webhook), false, false);
        let mut elsewhere = origin(6, "fix", Webhook);
        elsewhere.project = ProjectId(Uuid::from_u128(9));
        check(&newer, elsewhere, false, false);
    }
}
