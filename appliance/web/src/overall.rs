//! What a pipeline is as a whole, told from its workflows.
//!
//! Why: the dashboard shows one mark for each pipeline and version 3 of the API one status.
//! Invariants: pure; a rerun speaks for the run that it repeats; what still moves weighs more than
//! what is over, worse more than better.

use base::state::{PipelineState, WorkflowState};
use std::collections::HashMap;
use store::runs::Workflow;

/// The state of each workflow; reruns come after what they repeat.
pub(crate) fn newest_states<'a>(
    workflows: impl IntoIterator<Item = &'a Workflow>,
) -> Vec<WorkflowState> {
    let mut newest: HashMap<&str, WorkflowState> = HashMap::new();
    for workflow in workflows {
        newest.insert(&workflow.name, workflow.state);
    }
    newest.into_values().collect()
}

/// The state that matters most.
pub(crate) fn worst(workflows: impl IntoIterator<Item = WorkflowState>) -> Option<WorkflowState> {
    workflows.into_iter().max_by_key(|state| weight(*state))
}

/// As if the pipeline were one workflow.
pub(crate) fn state(
    state: PipelineState,
    workflows: impl IntoIterator<Item = WorkflowState>,
) -> WorkflowState {
    match (state, worst(workflows)) {
        (PipelineState::Errored, _) => WorkflowState::Error,
        (PipelineState::Created, None) => WorkflowState::NotRun,
        (PipelineState::Created, Some(state)) => state,
        // A setup that ended without going on is as its workflow ended.
        (_, Some(state)) if state.is_terminal() => state,
        (PipelineState::SetupPending | PipelineState::Setup | PipelineState::Pending, _) => {
            WorkflowState::Running
        }
    }
}

const fn weight(state: WorkflowState) -> u8 {
    match state {
        WorkflowState::NotRun => 0,
        WorkflowState::Success => 1,
        WorkflowState::Canceled => 2,
        WorkflowState::Unauthorized => 3,
        WorkflowState::Failed => 4,
        WorkflowState::Error => 5,
        WorkflowState::OnHold => 6,
        WorkflowState::Running => 7,
        WorkflowState::Failing => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_as_its_workflow_that_matters_most() {
        use PipelineState::{Created, Errored, Setup, SetupPending};
        use WorkflowState::{Error, Failed, NotRun, Running, Success};
        for (of, workflows, expected) in [
            (Errored, &[][..], Error),
            (Created, &[], NotRun),
            (Created, &[Success, Failed], Failed),
            (Created, &[Failed, Running], Running),
            (SetupPending, &[], Running),
            (Setup, &[Running], Running),
            (Setup, &[Failed], Failed),
            (Setup, &[Success], Success),
        ] {
            assert_eq!(state(of, workflows.iter().copied()), expected, "{of:?} {workflows:?}");
        }
    }
}
