//! States as version 3 tells them: a phase, and once it has ended an outcome.
//!
//! Source: the client's words. A phase that it does not know it shows as it stands, and takes for
//! one before the start: so `on_hold` reaches people.
//! Invariants: pure; an outcome is there exactly when the phase is `ended`; `current_outcome` tells
//! early what a run that still moves will come to.

use base::state::{JobState, StepState, WorkflowState};
use serde_json::Value;

/// A phase and its outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) phase: &'static str,
    pub(super) outcome: Option<&'static str>,
    pub(super) current: Option<&'static str>,
}

const fn before(phase: &'static str) -> Phase {
    Phase { phase, outcome: None, current: None }
}

const fn ended(outcome: &'static str) -> Phase {
    Phase { phase: "ended", outcome: Some(outcome), current: Some(outcome) }
}

pub(super) const fn of_workflow(state: WorkflowState) -> Phase {
    match state {
        WorkflowState::Running => before("started"),
        WorkflowState::Failing => Phase { current: Some("failed"), ..before("started") },
        WorkflowState::OnHold => before("on_hold"),
        WorkflowState::Success => ended("succeeded"),
        WorkflowState::Failed => ended("failed"),
        WorkflowState::Error => ended("errored"),
        WorkflowState::Canceled => ended("canceled"),
        WorkflowState::NotRun => ended("not_run"),
        WorkflowState::Unauthorized => ended("unauthorized"),
    }
}

pub(super) const fn of_job(state: JobState) -> Phase {
    match state {
        JobState::Blocked => before("created"),
        JobState::Queued => before("queued"),
        JobState::Running => before("started"),
        JobState::OnHold => before("on_hold"),
        JobState::Success => ended("succeeded"),
        JobState::Failed => ended("failed"),
        JobState::Canceled => ended("canceled"),
        JobState::TimedOut => ended("timedout"),
        JobState::InfrastructureFail => ended("infrastructure_fail"),
        JobState::NotRun => ended("not_run"),
        JobState::Unauthorized => ended("unauthorized"),
    }
}

pub(super) const fn of_step(state: StepState) -> Phase {
    match state {
        StepState::Running => before("started"),
        StepState::Success => ended("succeeded"),
        StepState::Failed => ended("failed"),
        StepState::Canceled => ended("canceled"),
        StepState::TimedOut => ended("timedout"),
        StepState::Skipped => ended("not_run"),
    }
}

impl Phase {
    /// The attributes of a thing, with its phase among them.
    pub(super) fn with(self, mut attributes: Value) -> Value {
        attributes["phase"] = self.phase.into();
        for (name, outcome) in [("outcome", self.outcome), ("current_outcome", self.current)] {
            if let Some(outcome) = outcome {
                attributes[name] = outcome.into();
            }
        }
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(phase: Phase, expected: &Value) {
        assert_eq!(phase.with(json!({})), *expected);
    }

    #[test]
    fn states_have_a_phase_and_in_the_end_an_outcome() {
        check(of_workflow(WorkflowState::Running), &json!({ "phase": "started" }));
        let failing = json!({ "phase": "started", "current_outcome": "failed" });
        check(of_workflow(WorkflowState::Failing), &failing);
        let done =
            json!({ "phase": "ended", "outcome": "succeeded", "current_outcome": "succeeded" });
        check(of_job(JobState::Success), &done);
        check(of_job(JobState::OnHold), &json!({ "phase": "on_hold" }));
        for state in JobState::ALL {
            assert_eq!(of_job(*state).outcome.is_some(), state.is_terminal(), "{state}");
        }
        for state in WorkflowState::ALL {
            assert_eq!(of_workflow(*state).outcome.is_some(), state.is_terminal(), "{state}");
        }
    }
}
