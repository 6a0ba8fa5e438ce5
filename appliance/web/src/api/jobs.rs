//! Jobs by number: look, cancel, artifacts, tests.

use super::{accepted, id, left, project, shapes};
use crate::{
    State,
    access::{Member, Routes, User, Viewer},
    deeds,
    error::Failure,
    found,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::{
    ids::{JobId, JobNumber},
    state::JobState,
};
use http::StatusCode;
use serde_json::Value;
use store::{Reader, projects::Project, runs::Job};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/project/{vcs}/{org}/{repo}/job/{number}", get)
        .post("/api/v2/project/{vcs}/{org}/{repo}/job/{number}/cancel", cancel)
        .post("/api/v2/jobs/{id}/cancel", cancel_by_id)
        .get("/api/v2/project/{vcs}/{org}/{repo}/{number}/artifacts", artifacts)
        .get("/api/v2/project/{vcs}/{org}/{repo}/{number}/tests", tests)
}

/// Project slug and job number in a path.
pub(super) type Numbered = (String, String, String, u64);

pub(super) async fn find(
    state: &State,
    user: &User,
    (vcs, org, repo, number): Numbered,
) -> Result<(Job, Project), Failure> {
    let project = project(state, user, (vcs, org, repo)).await?;
    let id = project.id;
    let found = state.store.read(move |reader| reader.job_by_number(id, JobNumber(number))).await?;
    found.map(|job| (job, project)).ok_or_else(|| Failure::missing("Job"))
}

/// The job of that identifier, if the caller's token reaches it.
pub(super) async fn by_id(state: &State, user: &User, text: &str) -> Result<Job, Failure> {
    let id: JobId = id(text, "Job")?;
    let found = state.store.read(move |reader| found::job(reader, id)).await?;
    let job = found.ok_or_else(|| Failure::missing("Job"))?;
    user.reach(job.project)?;
    Ok(job)
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(path): Path<Numbered>,
) -> Result<Json<Value>, Failure> {
    let (job, project) = find(&state, &user, path).await?;
    let (id, source, workflow) = (job.id, job.source(), job.workflow());
    let (workflow, tasks, spec) = state
        .store
        .read(move |reader| {
            let workflow = reader.workflow_get(workflow)?;
            Ok::<_, store::Error>((
                workflow,
                reader.task_list_newest(source)?,
                reader.job_spec(id)?,
            ))
        })
        .await?;
    let around = shapes::Around {
        slug: &project.repo.slug(),
        org: project.repo.org(),
        project: project.repo.name(),
        base_url: &state.config.base_url,
        workflow: &workflow.ok_or_else(|| Failure::missing("Workflow"))?,
        tasks: &tasks,
        spec: spec.as_ref(),
        now: state.now(),
    };
    let mut shape = shapes::job(&job, &around);
    if job.state == JobState::Queued
        && let Some(held) = state.engine.explain(job.id).await?
    {
        shape["held"] = held.to_string().into();
    }
    Ok(Json(shape))
}

async fn cancel(
    Member(user): Member,
    state: State,
    Path(path): Path<Numbered>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (job, _) = find(&state, &user, path).await?;
    deeds::cancel_job(&state, &user, &job).await?;
    Ok(accepted())
}

async fn cancel_by_id(
    Member(user): Member,
    state: State,
    Path(text): Path<String>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let job = by_id(&state, &user, &text).await?;
    deeds::cancel_job(&state, &user, &job).await?;
    Ok(accepted())
}

async fn artifacts(
    Viewer(user): Viewer,
    state: State,
    Path(path): Path<Numbered>,
    Query(wanted): Query<left::Wanted>,
) -> Result<Json<Value>, Failure> {
    let (job, _) = find(&state, &user, path).await?;
    let after = wanted.after()?;
    let all = state.store.read(move |reader| reader.artifact_page(&job, after.as_ref())).await?;
    let items = all.iter().map(|row| shapes::artifact(row, &state.config.base_url)).collect();
    Ok(Json(shapes::page(items, left::behind(&all).as_ref().map(left::token))))
}

async fn tests(
    Viewer(user): Viewer,
    state: State,
    Path(path): Path<Numbered>,
    Query(wanted): Query<left::Wanted>,
) -> Result<Json<Value>, Failure> {
    let (job, _) = find(&state, &user, path).await?;
    let after = wanted.after()?;
    let page = move |reader: &Reader<'_>| reader.test_page(&job, after.as_ref());
    let (all, next) = state.store.read(page).await?;
    Ok(Json(shapes::page(all.iter().map(shapes::test).collect(), next.as_ref().map(left::token))))
}
