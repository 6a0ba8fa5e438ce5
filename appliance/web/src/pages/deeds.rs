//! Plain forms for what a person does to running work: cancel, rerun, approve.

use super::{pipeline::workflow_address, visit::Done};
use crate::{
    State,
    access::{Member, Routes, User},
    deeds,
    error::Failure,
};
use axum::{
    extract::{Path, Query},
    response::Redirect,
};
use base::ids::{JobId, WorkflowId};
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

/// Where a workflow within the caller's reach is shown.
async fn find_workflow(state: &State, user: &User, id: WorkflowId) -> Result<String, Failure> {
    let find = move |reader: &Reader<'_>| {
        let workflow = reader.workflow_get(id)?.ok_or_else(|| Failure::missing("Workflow"))?;
        Ok::<_, Failure>((workflow.project, workflow_address(reader, id)?))
    };
    let (project, address) = state.store.read(find).await?;
    user.reach(project)?;
    Ok(address)
}

/// A job within the caller's reach, and where its workflow is shown.
async fn find_job(state: &State, user: &User, id: JobId) -> Result<(Job, String), Failure> {
    let find = move |reader: &Reader<'_>| {
        let job = reader.job_get(id)?.ok_or_else(|| Failure::missing("Job"))?;
        let address = workflow_address(reader, job.workflow())?;
        Ok::<_, Failure>((job, address))
    };
    let (job, address) = state.store.read(find).await?;
    user.reach(job.project)?;
    Ok((job, address))
}

async fn cancel_workflow(
    Member(user): Member,
    state: State,
    Path(id): Path<WorkflowId>,
) -> Result<Redirect, Failure> {
    let address = find_workflow(&state, &user, id).await?;
    deeds::cancel_workflow(&state, &user, id).await?;
    Ok(Done::CANCELED.at(&address))
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
    find_workflow(&state, &user, id).await?;
    let wanted = if from == "failed" { RerunWanted::FromFailed } else { RerunWanted::FromStart };
    let new = deeds::rerun(&state, &user, id, wanted).await?;
    let address = find_workflow(&state, &user, new).await?;
    Ok(Done::RERUN.at(&address))
}

async fn cancel_job(
    Member(user): Member,
    state: State,
    Path(id): Path<JobId>,
) -> Result<Redirect, Failure> {
    let (job, address) = find_job(&state, &user, id).await?;
    deeds::cancel_job(&state, &user, &job).await?;
    Ok(Done::CANCELED.at(&address))
}

async fn approve(
    Member(user): Member,
    state: State,
    Path(id): Path<JobId>,
) -> Result<Redirect, Failure> {
    let (job, address) = find_job(&state, &user, id).await?;
    deeds::approve(&state, &user, &job).await?;
    Ok(Done::APPROVED.at(&address))
}
