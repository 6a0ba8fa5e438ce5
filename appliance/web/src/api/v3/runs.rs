//! Runs, as version 3 calls pipelines: one of them, and those that somebody started.

use super::{
    entity, page,
    phase::of_workflow,
    search::{self, Found, Wish},
    shapes,
};
use crate::{
    State,
    access::{Routes, User, Viewer},
    api::people::People,
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::{
    ids::{PipelineId, UserId},
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use store::Reader;

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/v3/runs", list).get("/api/v3/runs/{id}", get)
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (pipeline, _) = crate::api::pipelines::find(&state, &user, &text).await?;
    let read = move |reader: &Reader<'_>| search::whole(reader, pipeline);
    let found = state.store.read(read).await?;
    let people = People::find(&state, std::iter::once(found.pipeline.actor.as_str())).await?;
    Ok(entity(shapes::run(&found.pipeline, found.state, &people)))
}

/// Which runs; empty texts are no filter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "filter[user_id]")]
    user: String,
    #[serde(rename = "filter[phase]")]
    phase: String,
    #[serde(rename = "filter[current_outcome]")]
    outcome: String,
    #[serde(rename = "filter[from]")]
    from: Option<Timestamp>,
    #[serde(rename = "filter[to]")]
    to: Option<Timestamp>,
    #[serde(rename = "page[limit]")]
    limit: Option<usize>,
    #[serde(rename = "page[cursor]")]
    cursor: Option<PipelineId>,
}

impl Wanted {
    fn takes(&self, found: &Found) -> bool {
        let phase = of_workflow(found.state);
        (self.phase.is_empty() || self.phase == phase.phase)
            && (self.outcome.is_empty() || phase.current == Some(&self.outcome))
    }
}

/// The login that a user filter means; `None` for everybody's.
async fn login(state: &State, user: &User, wanted: &str) -> Result<Option<String>, Failure> {
    match wanted {
        "" => Ok(None),
        "me" => Ok(Some(user.login.clone())),
        id => {
            let id: UserId = crate::api::id(id, "User")?;
            let found = state.store.read(move |reader| reader.user_get(id)).await?;
            found.map(|user| Some(user.login)).ok_or_else(|| Failure::missing("User"))
        }
    }
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let wish = Wish {
        actor: login(&state, &user, &wanted.user).await?,
        from: wanted.from,
        to: wanted.to,
        before: wanted.cursor,
        limit: wanted.limit,
        ..Wish::default()
    };
    let (found, next) = search::read(&state, user, wish, move |found| wanted.takes(found)).await?;
    answer(&state, &found, next).await
}

/// One page of runs.
pub(super) async fn answer(
    state: &State,
    found: &[Found],
    next: Option<PipelineId>,
) -> Result<Json<Value>, Failure> {
    let actors = found.iter().map(|found| found.pipeline.actor.as_str());
    let people = People::find(state, actors).await?;
    let shapes = found.iter().map(|found| shapes::run(&found.pipeline, found.state, &people));
    Ok(page(shapes, next.map(|id| id.to_string())))
}
