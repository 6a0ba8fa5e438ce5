//! The REST API: version 2, the parts of 1.1 and of the private interface that clients read logs
//! through, and of version 3 what the official command line asks.
//!
//! Source: CircleCI API v2; paths, bodies, status codes and messages are those its clients know.
//! Invariants: handlers read from the store and command through the engine; shapes are made by
//! pure functions in [`shapes`]; a page token is the last item's own number or id, so that pages
//! stay right while new items arrive.

mod accounts;
mod body;
mod buckets;
mod compile;
mod contexts;
mod continuation;
mod definitions;
mod events;
mod graphql;
pub(crate) mod hardware;
mod health;
mod images;
mod insights;
mod jobs;
pub(crate) mod large;
mod left;
mod log;
mod me;
mod metrics;
mod object_metrics;
mod openapi;
mod orb_queries;
mod orbs;
mod people;
mod pipelines;
mod private;
mod projects;
mod restrictions;
mod retention;
mod schedules;
mod shapes;
pub(crate) mod slug;
mod v1;
mod v3;
pub(crate) mod webhooks;
mod workflows;

use crate::{
    State,
    access::{Routes, User},
    error::Failure,
};
use axum::Json;
use base::ids::{ProjectId, RepoName};
use http::StatusCode;
use serde_json::{Value, json};
use store::projects::Project;

pub(crate) use projects::check_value;
pub(crate) use shapes::canceled_by;

/// Items of one page, as the original sends.
const PAGE: u32 = 20;

pub(crate) fn routes() -> Routes {
    accounts::routes()
        .merge(me::routes())
        .merge(projects::routes())
        .merge(contexts::routes())
        .merge(restrictions::routes())
        .merge(pipelines::routes())
        .merge(workflows::routes())
        .merge(jobs::routes())
        .merge(compile::routes())
        .merge(graphql::routes())
        .merge(openapi::routes())
        .merge(continuation::routes())
        .merge(schedules::routes())
        .merge(webhooks::routes())
        .merge(events::routes())
        .merge(health::routes())
        .merge(hardware::routes())
        .merge(log::routes())
        .merge(images::routes())
        .merge(insights::routes())
        .merge(buckets::routes())
        .merge(retention::routes())
        .merge(orbs::routes())
        .merge(definitions::routes())
        .merge(v1::routes())
        .merge(private::routes())
        .merge(v3::routes())
}

/// The three parts of a project slug in a path.
type Slug = (String, String, String);

/// The project of a slug such as `gh/acme/relay`, if the caller's token reaches it.
/// Clients that keep identifiers send `circleci/ORG_ID/PROJECT_ID`.
async fn project(state: &State, user: &User, (vcs, org, name): Slug) -> Result<Project, Failure> {
    if let ("circleci", Ok(id)) = (vcs.as_str(), name.parse()) {
        return project_by_id(state, user, id).await;
    }
    let repo: RepoName =
        format!("{org}/{name}").parse().map_err(|_| Failure::missing("Project"))?;
    let found = state.store.look(|reader| reader.project_by_repo(&repo))?;
    let found = found.ok_or_else(|| Failure::missing("Project"))?;
    user.reach(found.id)?;
    Ok(found)
}

/// The same by its identifier.
async fn project_by_id(state: &State, user: &User, id: ProjectId) -> Result<Project, Failure> {
    let found = state.store.look(|reader| reader.project_get(id))?;
    let found = found.ok_or_else(|| Failure::missing("Project"))?;
    user.reach(found.id)?;
    Ok(found)
}

/// An identifier in a path; a malformed one names nothing.
fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::missing(what))
}

fn message(status: StatusCode, text: &str) -> (StatusCode, Json<Value>) {
    (status, Json(json!({ "message": text })))
}

fn accepted() -> (StatusCode, Json<Value>) {
    message(StatusCode::ACCEPTED, "Accepted.")
}
