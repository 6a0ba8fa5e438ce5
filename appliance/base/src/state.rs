//! The states of pipelines, workflows, jobs, tasks and steps, with their names on the wire.
//!
//! Source: the status enums of API v2. Names are those that CircleCI's clients match on.
//!
//! States of a job:
//!
//! ```text
//!  Blocked ──► Queued ──► Running ──► Success | Failed | Canceled | TimedOut | InfrastructureFail
//!     │          ▲  │        │
//!     │          │  └──◄─────┘ runner lost: a new attempt, or InfrastructureFail
//!     ├──► OnHold ──► Success (approved) | Canceled
//!     ├──► NotRun (a requirement ended otherwise)
//!     └──► Unauthorized (a context may not be used)
//! ```

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A text that is not one of a state's names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known state")]
pub struct StateError(String);

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $wire)] $variant,)* }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = StateError;
            fn from_str(text: &str) -> Result<Self, StateError> {
                match text {
                    $($wire => Ok(Self::$variant),)*
                    _ => Err(StateError(text.chars().take(64).collect())),
                }
            }
        }
    };
}

wire_enum! {
    /// `pipeline.state` of API v2.
    PipelineState {
        /// Configured and queued; its workflows tell the rest.
        Created = "created",
        /// The configuration could not be used; the errors say where.
        Errored = "errored",
        /// A setup configuration waits to run.
        SetupPending = "setup-pending",
        /// A setup configuration runs.
        Setup = "setup",
        /// Continued by its setup workflow, not yet compiled.
        Pending = "pending",
    }
}

wire_enum! {
    /// `workflow.status` of API v2.
    WorkflowState {
        /// Jobs run or wait for a runner.
        Running = "running",
        /// A job failed while others still run.
        Failing = "failing",
        /// Nothing can go on before an approval.
        OnHold = "on_hold",
        /// All jobs ended well.
        Success = "success",
        /// A job failed.
        Failed = "failed",
        /// The workflow could not be run.
        Error = "error",
        /// A person or a newer pipeline stopped it.
        Canceled = "canceled",
        /// No job was left to run.
        NotRun = "not_run",
        /// A context refused its use.
        Unauthorized = "unauthorized",
    }
}

impl WorkflowState {
    /// Nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Running | Self::Failing | Self::OnHold)
    }
}

wire_enum! {
    /// `workflow-job.status` of API v2.
    JobState {
        /// Waits for the jobs that it requires.
        Blocked = "blocked",
        /// Ready; waits for a slot on a runner.
        Queued = "queued",
        /// At least one of its tasks is held by a runner.
        Running = "running",
        /// Waits for a person.
        OnHold = "on_hold",
        /// Ended well.
        Success = "success",
        /// A step failed.
        Failed = "failed",
        /// Stopped by a person or a newer pipeline.
        Canceled = "canceled",
        /// Ran longer than it may.
        TimedOut = "timedout",
        /// The machine failed it, more often than is retried.
        InfrastructureFail = "infrastructure_fail",
        /// A requirement did not end as asked.
        NotRun = "not_run",
        /// A context refused its use.
        Unauthorized = "unauthorized",
    }
}

impl JobState {
    /// Nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Blocked | Self::Queued | Self::Running | Self::OnHold)
    }
}

wire_enum! {
    /// What became of one task: the wire name is also a job status of API v2.
    TaskOutcome {
        /// Every step that had to succeed did.
        Success = "success",
        /// A step failed.
        Failed = "failed",
        /// Stopped on request.
        Canceled = "canceled",
        /// Ran longer than it may.
        TimedOut = "timedout",
        /// The sandbox could not be made or kept; a new attempt may succeed.
        InfrastructureFail = "infrastructure_fail",
    }
}

wire_enum! {
    /// What became of one step.
    StepState {
        /// Runs now.
        Running = "running",
        /// Exit code zero, or a built-in step that did its work.
        Success = "success",
        /// Any other end of its own.
        Failed = "failed",
        /// Stopped with its job.
        Canceled = "canceled",
        /// Printed nothing for too long, or ran for too long.
        TimedOut = "timedout",
        /// Passed over, because an earlier step failed or halted the job.
        Skipped = "not_run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_state_is_read_back_from_its_name() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        assert!("finished".parse::<JobState>().is_err());
    }
}
