//! What happened, in the order it happened: the one source for dashboards, webhooks and federation.
//!
//! Why: readers follow a cursor and never ask the engine's memory, so that a slow reader costs
//! nothing and a restart is invisible to them.
//! Invariants: an event is written in the transaction of the change that it tells, and is never
//! rewritten; cursors grow without gaps. The enum is closed.

use crate::{
    ids::{
        Attempt, Cursor, Fence, JobId, PipelineId, PipelineNumber, ProjectId, RunnerId, TaskId,
        WorkflowId,
    },
    state::{JobState, PipelineState, StepState, TaskOutcome, WorkflowState},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// An event with its place and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its place.
    pub cursor: Cursor,
    /// When it was committed.
    pub at: Timestamp,
    /// The project it concerns, for readers that may see only some.
    pub project: Option<ProjectId>,
    /// What happened.
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Event {
    /// A pipeline came into being, perhaps already errored.
    PipelineCreated {
        /// Which.
        pipeline: PipelineId,
        /// Its number.
        number: PipelineNumber,
        /// `created` or `errored`.
        state: PipelineState,
    },
    /// A pipeline's state changed.
    PipelineChanged {
        /// Which.
        pipeline: PipelineId,
        /// The new state.
        state: PipelineState,
    },
    /// A workflow came into being.
    WorkflowCreated {
        /// Which.
        workflow: WorkflowId,
        /// Of which pipeline.
        pipeline: PipelineId,
        /// Its name.
        name: String,
    },
    /// A workflow's state changed.
    WorkflowChanged {
        /// Which.
        workflow: WorkflowId,
        /// The new state.
        state: WorkflowState,
    },
    /// A job's state changed (or it came into being in this state).
    JobChanged {
        /// Which.
        job: JobId,
        /// Of which workflow.
        workflow: WorkflowId,
        /// The new state.
        state: JobState,
    },
    /// A runner took a task.
    TaskLeased {
        /// Which.
        task: TaskId,
        /// Of which job.
        job: JobId,
        /// The try.
        attempt: Attempt,
        /// By whom.
        runner: RunnerId,
        /// The right to write.
        fence: Fence,
    },
    /// A task is over; exactly one for each leased attempt of a task.
    TaskEnded {
        /// Which.
        task: TaskId,
        /// Of which job.
        job: JobId,
        /// The try.
        attempt: Attempt,
        /// How; a lost runner is `infrastructure_fail`.
        outcome: TaskOutcome,
    },
    /// A step began or ended.
    StepChanged {
        /// Of which task.
        task: TaskId,
        /// Of which job.
        job: JobId,
        /// Its number within the task.
        step: u32,
        /// The new state.
        state: StepState,
    },
    /// A person approved.
    Approved {
        /// The approval job.
        job: JobId,
        /// Login.
        by: String,
    },
    /// The machine holds jobs back otherwise than before.
    Governed {
        /// Jobs that may run at once.
        slots: u32,
        /// Jobs that could on the best of days.
        pool: u32,
        /// Running jobs stand still.
        paused: bool,
        /// The limiter and its reading; empty when nothing holds jobs back.
        why: String,
    },
}
