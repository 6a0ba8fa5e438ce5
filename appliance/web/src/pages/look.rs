//! How a state looks: an icon with its own shape, a colour and a word.
//!
//! Why one place: a person learns the signs once. Shape as well as colour, so that nobody has to
//! tell red from green.

use super::assets;
use crate::overall;
use base::state::{JobState, PipelineState, StepState, WorkflowState};
use maud::{Markup, html};

/// What people need to tell apart at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Ended well.
    Good,
    /// Nothing was to be done.
    Skipped,
    /// Stopped on request.
    Stopped,
    /// Waits for something before it.
    Blocked,
    /// Waits for a runner.
    Waiting,
    /// Runs.
    Running,
    /// Waits for a person.
    Hold,
    /// May not.
    Locked,
    /// Could not be run at all.
    Error,
    /// Failed.
    Bad,
}

impl Look {
    /// Name of icon and colour in the style sheet.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Error => "error",
            Self::Running => "run",
            Self::Hold => "hold",
            Self::Waiting => "wait",
            Self::Blocked => "blocked",
            Self::Stopped => "stop",
            Self::Skipped => "skip",
            Self::Locked => "lock",
        }
    }

    /// First character of the tab's title, which many tabs leave visible.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad | Self::Error | Self::Locked => "✗",
            Self::Running => "●",
            Self::Hold => "‖",
            Self::Waiting | Self::Blocked => "○",
            Self::Stopped | Self::Skipped => "–",
        }
    }

    /// In the tab's icon, which knows no theme.
    #[must_use]
    pub const fn tab_colour(self) -> &'static str {
        match self {
            Self::Good => "#2da44e",
            Self::Bad | Self::Error | Self::Locked => "#d1242f",
            Self::Running => "#3b82f6",
            Self::Hold => "#a855f7",
            _ => "#8b949e",
        }
    }

    /// Something will still happen.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Blocked | Self::Waiting | Self::Running | Self::Hold)
    }

    /// The icon alone, for a screen reader as `word`.
    #[must_use]
    pub fn icon(self, word: &str) -> Markup {
        html! {
            svg.icon.state.(self.class()) role="img" aria-label=(word) {
                use href=(assets::icon(self.class())) {}
            }
        }
    }

    /// Icon and word.
    #[must_use]
    pub fn badge(self, word: &str) -> Markup {
        html! {
            span.badge.(self.class()) {
                svg.icon.state aria-hidden="true" { use href=(assets::icon(self.class())) {} }
                (word)
            }
        }
    }
}

/// A state's look and its word for people.
pub trait Looks {
    /// Sign and colour.
    fn look(self) -> Look;
    /// For example `Needs approval`.
    fn word(self) -> &'static str;
}

impl Looks for JobState {
    fn look(self) -> Look {
        match self {
            Self::Success => Look::Good,
            Self::Failed | Self::TimedOut => Look::Bad,
            Self::InfrastructureFail => Look::Error,
            Self::Running => Look::Running,
            Self::OnHold => Look::Hold,
            Self::Queued => Look::Waiting,
            Self::Blocked => Look::Blocked,
            Self::Canceled => Look::Stopped,
            Self::NotRun => Look::Skipped,
            Self::Unauthorized => Look::Locked,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::TimedOut => "Timed out",
            Self::InfrastructureFail => "Infrastructure failure",
            Self::Running => "Running",
            Self::OnHold => "Needs approval",
            Self::Queued => "Queued",
            Self::Blocked => "Blocked",
            Self::Canceled => "Canceled",
            Self::NotRun => "Not run",
            Self::Unauthorized => "Unauthorized",
        }
    }
}

impl Looks for WorkflowState {
    fn look(self) -> Look {
        match self {
            Self::Success => Look::Good,
            Self::Failed | Self::Failing => Look::Bad,
            Self::Error => Look::Error,
            Self::Running => Look::Running,
            Self::OnHold => Look::Hold,
            Self::Canceled => Look::Stopped,
            Self::NotRun => Look::Skipped,
            Self::Unauthorized => Look::Locked,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::Failing => "Failing",
            Self::Error => "Error",
            Self::Running => "Running",
            Self::OnHold => "Needs approval",
            Self::Canceled => "Canceled",
            Self::NotRun => "Not run",
            Self::Unauthorized => "Unauthorized",
        }
    }
}

impl Looks for StepState {
    fn look(self) -> Look {
        match self {
            Self::Success => Look::Good,
            Self::Failed | Self::TimedOut => Look::Bad,
            Self::Running => Look::Running,
            Self::Canceled => Look::Stopped,
            Self::Skipped => Look::Skipped,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::TimedOut => "Timed out",
            Self::Running => "Running",
            Self::Canceled => "Canceled",
            Self::Skipped => "Skipped",
        }
    }
}

/// A pipeline as a whole: its own state, or that of its workflows that matters most.
#[must_use]
pub fn pipeline(
    state: PipelineState,
    workflows: impl IntoIterator<Item = WorkflowState>,
) -> (Look, &'static str) {
    match (state, overall::worst(workflows)) {
        (PipelineState::Errored, _) => (Look::Error, "Config error"),
        (PipelineState::Created, None) => (Look::Skipped, "Nothing to run"),
        (PipelineState::Created, Some(state)) => (state.look(), state.word()),
        // A setup that ended without going on is as its workflow ended.
        (_, Some(state)) if state.is_terminal() => (state.look(), state.word()),
        (PipelineState::SetupPending | PipelineState::Setup | PipelineState::Pending, _) => {
            (Look::Running, "Setting up")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(workflows: &[WorkflowState], word: &str) {
        check_in(PipelineState::Created, workflows, word);
    }

    fn check_in(state: PipelineState, workflows: &[WorkflowState], word: &str) {
        let seen = pipeline(state, workflows.iter().copied());
        assert_eq!(seen.1, word, "{state:?} {workflows:?}");
    }

    #[test]
    fn a_setup_that_ended_looks_as_it_ended() {
        use WorkflowState::{Canceled, Failed, Running};
        check_in(PipelineState::SetupPending, &[], "Setting up");
        check_in(PipelineState::Setup, &[Running], "Setting up");
        check_in(PipelineState::Setup, &[Failed], "Failed");
        check_in(PipelineState::Setup, &[Canceled], "Canceled");
    }

    #[test]
    fn a_pipeline_looks_like_the_workflow_that_matters_most() {
        use WorkflowState::{Failed, NotRun, OnHold, Running, Success};
        check(&[], "Nothing to run");
        check(&[Success, Failed], "Failed");
        check(&[Failed, Running], "Running");
        check(&[Success, OnHold], "Needs approval");
        check(&[NotRun, Success], "Success");
    }
}
