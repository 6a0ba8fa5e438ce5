//! What a person does to running work, for the API and the dashboard alike.
//!
//! Why here: a way in that forgets the audit log is found when somebody asks who it was.
//! Invariants: a deed that was done stands in the audit log, and one that was refused does not.

use crate::{State, access::User, error::Failure};
use base::ids::WorkflowId;
use engine::RerunWanted;
use store::runs::Job;

async fn note(state: &State, user: &User, action: &str, subject: String) -> Result<(), Failure> {
    let (deed, now) = (user.deed(action, subject), state.now());
    Ok(state.store.write(move |txn| txn.audit_append(now, &deed)).await?)
}

pub(crate) async fn cancel_workflow(
    state: &State,
    user: &User,
    id: WorkflowId,
) -> Result<(), Failure> {
    state.engine.cancel_workflow(id, &user.login).await?;
    note(state, user, "workflow.cancel", format!("workflow {id}")).await
}

/// The new workflow.
pub(crate) async fn rerun(
    state: &State,
    user: &User,
    id: WorkflowId,
    wanted: RerunWanted,
) -> Result<WorkflowId, Failure> {
    let new = state.engine.rerun(id, wanted, &user.login).await?;
    note(state, user, "workflow.rerun", format!("workflow {id}")).await?;
    Ok(new)
}

pub(crate) async fn cancel_job(state: &State, user: &User, job: &Job) -> Result<(), Failure> {
    state.engine.cancel_job(job.id, &user.login).await?;
    note(state, user, "job.cancel", format!("job {} {}", job.name, job.id)).await
}

pub(crate) async fn approve(state: &State, user: &User, job: &Job) -> Result<(), Failure> {
    state.engine.approve(job.id, &user.login).await?;
    note(state, user, "job.approve", format!("job {} {}", job.name, job.id)).await
}
