//! What a person does to running work: cancel, rerun, approve. Plain forms, each noted in the
//! audit log before it takes effect.

use super::pipeline::workflow_address;
use crate::{
    State,
    access::{Member, Routes, User},
    error::Failure,
};
use axum::{
    extract::{Path, Query},
    response::Redirect,
};
use base::ids::{JobId, ProjectId, WorkflowId};
use engine::RerunWanted;
use serde::Deserialize;
use store::{Reader, runs::Job};

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/workflows/{id}/cancel", cancel_workflow)
        .post("/workflows/{id}/rerun", rerun)
        .post("/jobs/{id}/cancel", cancel_job)
        .post("/jobs/{id}/approve", approve)
}

/// Writes the deed to the audit log; a deed that cannot be noted is not done.
async fn note(
    state: &State,
    user: &User,
    project: ProjectId,
    action: &str,
    subject: String,
) -> Result<(), Failure> {
    user.reach(project)?;
    let (deed, now) = (user.deed(action, subject), state.now());
    Ok(state.store.write(move |txn| txn.audit_append(now, &deed)).await?)
}

/// The workflow's project, and where it is shown.
async fn find_workflow(state: &State, id: WorkflowId) -> Result<(ProjectId, String), Failure> {
    let find = move |reader: &Reader<'_>| {
        let workflow = reader.workflow_get(id)?.ok_or_else(|| Failure::missing("Workflow"))?;
        Ok::<_, Failure>((workflow.project, workflow_address(reader, id)?))
    };
    state.store.read(find).await
}

async fn find_job(state: &State, id: JobId) -> Result<(Job, String), Failure> {
    let find = move |reader: &Reader<'_>| {
        let job = reader.job_get(id)?.ok_or_else(|| Failure::missing("Job"))?;
        let address = workflow_address(reader, job.workflow())?;
        Ok::<_, Failure>((job, address))
    };
    state.store.read(find).await
}

async fn cancel_workflow(
    Member(user): Member,
    state: State,
    Path(id): Path<WorkflowId>,
) -> Result<Redirect, Failure> {
    let (project, address) = find_workflow(&state, id).await?;
    note(&state, &user, project, "workflow.cancel", format!("workflow {id}")).await?;
    state.engine.cancel_workflow(id, user.login).await?;
    Ok(Redirect::to(&address))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct From {
    from: String,
}

async fn rerun(
    Member(user): Member,
    state: State,
    Path(id): Path<WorkflowId>,
    Query(From { from }): Query<From>,
) -> Result<Redirect, Failure> {
    let (project, _) = find_workflow(&state, id).await?;
    note(&state, &user, project, "workflow.rerun", format!("workflow {id}")).await?;
    let wanted = if from == "failed" { RerunWanted::FromFailed } else { RerunWanted::FromStart };
    let new = state.engine.rerun(id, wanted, user.login).await?;
    let (_, address) = find_workflow(&state, new).await?;
    Ok(Redirect::to(&address))
}

async fn cancel_job(
    Member(user): Member,
    state: State,
    Path(id): Path<JobId>,
) -> Result<Redirect, Failure> {
    let (job, address) = find_job(&state, id).await?;
    note(&state, &user, job.project, "job.cancel", format!("job {} {id}", job.name)).await?;
    state.engine.cancel_job(id, user.login).await?;
    Ok(Redirect::to(&address))
}

async fn approve(
    Member(user): Member,
    state: State,
    Path(id): Path<JobId>,
) -> Result<Redirect, Failure> {
    let (job, address) = find_job(&state, id).await?;
    note(&state, &user, job.project, "job.approve", format!("job {} {id}", job.name)).await?;
    state.engine.approve(id, user.login).await?;
    Ok(Redirect::to(&address))
}
