//! Jobs of a workflow: look, steps, artifacts, tests.

use super::{entity, list, page, shapes};
use crate::{
    State,
    access::{Routes, Viewer},
    api::{self, jobs::by_id, left, people::People},
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
    response::{IntoResponse, Response},
};
use http::header;
use serde::Deserialize;
use serde_json::Value;
use store::runs::Workflow;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/jobs", of_workflow)
        .get("/api/v3/jobs/{id}", get)
        .get("/api/v3/jobs/{id}/artifacts", artifacts)
        .get("/api/v3/jobs/{id}/tests", tests)
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(rename = "filter[workflow_id]")]
    workflow: String,
}

async fn of_workflow(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let (workflow, ..) = api::workflows::find(&state, &user, &wanted.workflow).await?;
    let id = workflow.id;
    let rows = state.store.read(move |reader| reader.job_list(id)).await?;
    let people = starter(&state, &workflow).await?;
    Ok(list(rows.iter().map(|row| shapes::job(row, &workflow, &people))))
}

async fn starter(state: &State, workflow: &Workflow) -> Result<People, Failure> {
    People::find(state, std::iter::once(workflow.started_by.as_str())).await
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let job = by_id(&state, &user, &text).await?;
    let (id, source, workflow) = (job.id, job.source(), job.workflow());
    let read = move |reader: &store::Reader<'_>| {
        Ok::<_, store::Error>((
            reader.workflow_get(workflow)?,
            api::v1::tasks_with_steps(reader, source)?,
            reader.job_spec(id)?,
        ))
    };
    let (workflow, tasks, spec) = state.store.read(read).await?;
    let workflow = workflow.ok_or_else(|| Failure::missing("Workflow"))?;
    let mut shape = shapes::job(&job, &workflow, &starter(&state, &workflow).await?);
    shape["attributes"]["parallel_executions"] = shapes::executions(&tasks, spec.as_ref());
    Ok(entity(shape))
}

async fn artifacts(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
    Query(wanted): Query<left::Wanted>,
) -> Result<Json<Value>, Failure> {
    let job = by_id(&state, &user, &text).await?;
    let after = wanted.after()?;
    let all = state.store.read(move |reader| reader.artifact_page(&job, after.as_ref())).await?;
    let next = left::behind(&all).as_ref().map(left::token);
    Ok(page(all.iter().map(|row| shapes::artifact(row, &state.config.base_url)), next))
}

/// One JSON object on each line.
async fn tests(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Response, Failure> {
    let job = by_id(&state, &user, &text).await?;
    let all = state.store.read(move |reader| left::tests(reader, &job)).await?;
    let lines: String = all.iter().map(|row| format!("{}\n", api::shapes::test(row))).collect();
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response())
}
