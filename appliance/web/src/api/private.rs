//! The part of the original's private interface that published tools ask: a step's output as text, and
//! the projects of who asks.
//!
//! Source: the requests of the original's tool server for assistants.
//! Limits: what a step prints is kept as one stream, so that `error` is empty. Every project of the
//! site is followed.

use super::{jobs::find, shapes};
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
    pages,
};
use axum::{
    Json,
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::header;
use serde_json::{Value, json};
use store::{Reader, projects::Project};

pub(super) fn routes() -> Routes {
    const STEP: &str = "/api/private/output/raw/{vcs}/{org}/{repo}/{number}/output/{node}/{step}";
    const ERRORS: &str = "/api/private/output/raw/{vcs}/{org}/{repo}/{number}/error/{node}/{step}";
    Routes::new()
        .get(STEP, output)
        .get(ERRORS, errors)
        .get("/api/private/me/followed-projects", projects)
}

/// Project slug, job number, node and step in a path.
type Place = (String, String, String, u64, u32, u32);

const TEXT: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];

async fn output(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, number, node, step)): Path<Place>,
) -> Result<Response, Failure> {
    let (job, _) = find(&state, &user, (vcs, org, repo, number)).await?;
    let source = job.source();
    let read = move |reader: &Reader<'_>| {
        let tasks = reader.task_list_newest(source)?;
        let task = tasks.into_iter().find(|task| task.node == node);
        task.map_or(Ok(None), |task| reader.step_get(task.id, step))
    };
    let found = state.store.read(read).await?;
    let step = found.ok_or_else(|| Failure::missing("Step"))?;
    Ok((TEXT, pages::output(state, step.task, step.step, 0..u64::MAX)).into_response())
}

async fn errors(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, number, ..)): Path<Place>,
) -> Result<Response, Failure> {
    find(&state, &user, (vcs, org, repo, number)).await?;
    Ok((TEXT, Body::empty()).into_response())
}

async fn projects(Viewer(user): Viewer, state: State) -> Result<Json<Value>, Failure> {
    let all = state.store.read(|reader| reader.project_list()).await?;
    let shape = |project: &Project| {
        let repo = &project.repo;
        json!({ "name": repo.name(), "slug": repo.slug(), "vcs_type": "github" })
    };
    let seen = all.iter().filter(|project| user.reach(project.id).is_ok());
    Ok(Json(shapes::page(seen.map(shape).collect(), None)))
}
