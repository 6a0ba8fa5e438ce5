//! Workflows: look, cancel, rerun, approve.

use super::{accepted, body::Sent, id, people::People, pipelines::with_project, shapes};
use crate::{
    State,
    access::{Member, Routes, User, Viewer},
    deeds,
    error::Failure,
};
use axum::{Json, extract::Path};
use base::ids::{JobId, WorkflowId};
use engine::RerunWanted;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{
    projects::Project,
    runs::{Pipeline, Workflow},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/workflow/{id}", get)
        .get("/api/v2/workflow/{id}/job", jobs)
        .post("/api/v2/workflow/{id}/cancel", cancel)
        .post("/api/v2/workflow/{id}/rerun", rerun)
        .post("/api/v2/workflow/{id}/approve/{request}", approve)
}

pub(super) async fn find(
    state: &State,
    user: &User,
    text: &str,
) -> Result<(Workflow, Pipeline, Project), Failure> {
    let id: WorkflowId = id(text, "Workflow")?;
    let found = state
        .store
        .read(move |reader| {
            let Some(workflow) = reader.workflow_get(id)? else { return Ok(None) };
            let around = with_project(reader, workflow.pipeline)?;
            Ok::<_, store::Error>(around.map(|(pipeline, project)| (workflow, pipeline, project)))
        })
        .await?;
    let found = found.ok_or_else(|| Failure::missing("Workflow"))?;
    user.reach(found.2.id)?;
    Ok(found)
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (workflow, pipeline, project) = find(&state, &user, &id).await?;
    let people = People::find(&state, shapes::who(&workflow)).await?;
    Ok(Json(shapes::workflow(&workflow, &pipeline, &project.repo.slug(), &people)))
}

async fn jobs(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (workflow, _, project) = find(&state, &user, &id).await?;
    let rows = state.store.read(move |reader| reader.job_list(workflow.id)).await?;
    let slug = project.repo.slug();
    let deciders = rows.iter().filter_map(|row| row.decided_by.as_deref());
    let people = People::find(&state, deciders).await?;
    let jobs = rows.iter().map(|row| shapes::workflow_job(row, &slug, &people));
    Ok(Json(shapes::page(jobs.collect(), None)))
}

async fn cancel(
    Member(user): Member,
    state: State,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (workflow, ..) = find(&state, &user, &id).await?;
    deeds::cancel_workflow(&state, &user, workflow.id).await?;
    Ok(accepted())
}

/// Body of a rerun; the original's rules on which members go together.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    from_failed: bool,
    jobs: Vec<JobId>,
    sparse_tree: bool,
    enable_ssh: bool,
}

async fn rerun(
    Member(user): Member,
    state: State,
    Path(id): Path<String>,
    Sent(request): Sent<Request>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (workflow, ..) = find(&state, &user, &id).await?;
    let what = match request {
        Request { enable_ssh: true, .. } => {
            return Err(Failure::Invalid(
                "a rerun with SSH is not available here: leave enable_ssh out".into(),
            ));
        }
        Request { from_failed: true, ref jobs, .. } if !jobs.is_empty() => {
            return Err(Failure::Invalid("name jobs or from_failed, not both".into()));
        }
        Request { sparse_tree: true, ref jobs, .. } if jobs.is_empty() => {
            return Err(Failure::Invalid("sparse_tree needs jobs".into()));
        }
        Request { from_failed: true, .. } => RerunWanted::FromFailed,
        Request { jobs, .. } if jobs.is_empty() => RerunWanted::FromStart,
        Request { jobs, .. } => RerunWanted::Jobs(jobs),
    };
    let new = deeds::rerun(&state, &user, workflow.id, what).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "workflow_id": new }))))
}

async fn approve(
    Member(user): Member,
    state: State,
    Path((id, request)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (workflow, ..) = find(&state, &user, &id).await?;
    let job: JobId = super::id(&request, "Approval request")?;
    let job = state.store.read(move |reader| reader.job_get(job)).await?;
    let job = job.filter(|job| job.workflow() == workflow.id);
    let job = job.ok_or_else(|| Failure::missing("Approval request"))?;
    deeds::approve(&state, &user, &job).await?;
    Ok(accepted())
}
