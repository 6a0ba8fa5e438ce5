//! What a person does to running work, for the API and the dashboard alike.
//!
//! Why here: a way in that forgets the audit log is found when somebody asks who it was.
//! Invariants: a deed that was done stands in the audit log, by the same transaction, and one that was
//! refused does not.

use crate::{State, access::User, error::Failure};
use base::ids::WorkflowId;
use engine::RerunWanted;
use store::runs::Job;

pub(crate) async fn cancel_workflow(
    state: &State,
    user: &User,
    id: WorkflowId,
) -> Result<(), Failure> {
    let deed = user.deed("workflow.cancel", format!("workflow {id}"));
    Ok(state.engine.cancel_workflow(id, deed).await?)
}

/// The new workflow.
pub(crate) async fn rerun(
    state: &State,
    user: &User,
    id: WorkflowId,
    wanted: RerunWanted,
) -> Result<WorkflowId, Failure> {
    let deed = user.deed("workflow.rerun", format!("workflow {id}"));
    Ok(state.engine.rerun(id, wanted, deed).await?)
}

pub(crate) async fn cancel_job(state: &State, user: &User, job: &Job) -> Result<(), Failure> {
    let deed = user.deed("job.cancel", format!("job {} {}", job.name, job.id));
    Ok(state.engine.cancel_job(job.id, deed).await?)
}

pub(crate) async fn approve(state: &State, user: &User, job: &Job) -> Result<(), Failure> {
    let deed = user.deed("job.approve", format!("job {} {}", job.name, job.id));
    Ok(state.engine.approve(job.id, deed).await?)
}
