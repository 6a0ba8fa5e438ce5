//! What a person does, for the API and the dashboard alike: to running work, and the names of deeds that
//! both have.
//!
//! Why here: a way in that forgets the audit log is found when somebody asks who it was.
//! Invariants: a deed that was done stands in the audit log, by the same transaction, and one that was
//! refused does not. A deed has one name and one subject, whichever face it came by.

use crate::{State, access::User, error::Failure};
use base::ids::{RepoName, WorkflowId};
use engine::RerunWanted;
use store::{access::NewAudit, runs::Job};

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

/// `done` to a variable of a project: `set` or `remove`.
pub(crate) fn project_variable(user: &User, done: &str, of: &RepoName, name: &str) -> NewAudit {
    user.deed(&format!("project.variable.{done}"), format!("project {of} {name}"))
}

pub(crate) fn project_settings(user: &User, of: &RepoName) -> NewAudit {
    user.deed("project.settings", format!("project {of}"))
}

/// `done` to a variable of a context: `set` or `remove`.
pub(crate) fn context_variable(user: &User, done: &str, of: &str, name: &str) -> NewAudit {
    user.deed(&format!("context.variable.{done}"), format!("context {of} {name}"))
}

/// `done` to a context: `create` or `remove`.
pub(crate) fn context(user: &User, done: &str, name: &str) -> NewAudit {
    user.deed(&format!("context.{done}"), format!("context {name}"))
}
