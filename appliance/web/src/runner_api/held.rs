//! The check that stands before everything a runner asks about a task.

use super::refusal::Denied;
use crate::{State, error::Failure};
use base::{
    ids::{Fence, TaskId},
    protocol::Refusal,
};
use serde::Deserialize;
use store::runs::{Job, Task};

/// The fence in a task's address.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Fenced {
    pub(super) fence: Fence,
}

/// The task and its job, while this lease of it holds.
pub(super) fn held(state: &State, task: TaskId, fence: Fence) -> Result<(Task, Job), Denied> {
    let found = state.store.look(|reader| {
        let Some(task) = reader.task_get(task)? else { return Ok(None) };
        let job = reader.job_get(task.job())?;
        Ok::<_, store::Error>(job.map(|job| (task, job)))
    })?;
    match found {
        Some((task, job)) if task.fence == fence && task.stopped_at.is_none() => Ok((task, job)),
        _ => Err(Refusal::Fenced.into()),
    }
}

/// The task in an address; a malformed one is nobody's.
pub(super) fn task_id(text: &str) -> Result<TaskId, Denied> {
    text.parse().map_err(|_| Failure::missing("Task").into())
}
