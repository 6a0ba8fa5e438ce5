//! Workflows of a run: look, cancel, rerun.

use super::{entity, list, shapes};
use crate::{
    State,
    access::{Member, Routes, Viewer},
    api::{body::Sent, people::People, pipelines, workflows::find},
    deeds,
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use engine::RerunWanted;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/workflows", of_run)
        .get("/api/v3/workflows/{id}", get)
        .post("/api/v3/workflows/{id}/cancel", cancel)
        .post("/api/v3/workflows/{id}/rerun", rerun)
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(rename = "filter[run_id]")]
    run: String,
}

async fn of_run(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let id = pipelines::find(&state, &user, &wanted.run).await?.0.id;
    let rows = state.store.read(move |reader| reader.workflow_list(id)).await?;
    let people = People::find(&state, rows.iter().map(|row| row.started_by.as_str())).await?;
    Ok(list(rows.iter().map(|row| shapes::workflow(row, &people))))
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (row, ..) = find(&state, &user, &text).await?;
    let people = People::find(&state, std::iter::once(row.started_by.as_str())).await?;
    Ok(entity(shapes::workflow(&row, &people)))
}

async fn cancel(
    Member(user): Member,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (row, ..) = find(&state, &user, &text).await?;
    deeds::cancel_workflow(&state, &user, row.id).await?;
    Ok(entity(json!({ "id": row.id })))
}

/// Body of a rerun.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    is_from_failed: bool,
}

async fn rerun(
    Member(user): Member,
    state: State,
    Path(text): Path<String>,
    Sent(request): Sent<Request>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (row, ..) = find(&state, &user, &text).await?;
    let what =
        if request.is_from_failed { RerunWanted::FromFailed } else { RerunWanted::FromStart };
    let new = deeds::rerun(&state, &user, row.id, what).await?;
    Ok((StatusCode::CREATED, entity(json!({ "id": new }))))
}
