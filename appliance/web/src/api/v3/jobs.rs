//! Jobs of a workflow: look, steps, artifacts, tests.

use super::{entity, list, shapes};
use crate::{
    State,
    access::{Routes, User, Viewer},
    api::{self, jobs::by_id, people::People},
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
use store::runs::{Job, Workflow};

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

/// The job, if the caller's token reaches it, and what it left.
async fn left<T: Send + 'static>(
    state: &State,
    user: &User,
    text: &str,
    read: impl Fn(&store::Reader<'_>, &Job) -> Result<Vec<T>, store::Error> + Send + 'static,
) -> Result<Vec<T>, Failure> {
    let job = by_id(state, user, text).await?;
    Ok(state.store.read(move |reader| read(reader, &job)).await?)
}

async fn artifacts(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let all = left(&state, &user, &text, |reader, job| reader.artifact_list(job)).await?;
    Ok(list(all.iter().map(|row| shapes::artifact(row, &state.config.base_url))))
}

/// One JSON object on each line.
async fn tests(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Response, Failure> {
    let all = left(&state, &user, &text, |reader, job| reader.test_list(job)).await?;
    let lines: String = all.iter().map(|row| format!("{}\n", api::shapes::test(row))).collect();
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response())
}
