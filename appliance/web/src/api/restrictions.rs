//! Restrictions of contexts, in the shapes of API v2.
//!
//! A restriction to a project has the project's id.

use super::{body::Sent, contexts::find, message, shapes};
use crate::{
    State,
    access::{Admin, Routes, Viewer},
    error::Failure,
    restrictions::{self, Restriction},
};
use axum::{Json, extract::Path};
use base::ids::ContextId;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Reader;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/context/{id}/restrictions", list)
        .post("/api/v2/context/{id}/restrictions", add)
        .delete("/api/v2/context/{id}/restrictions/{restriction}", remove)
}

/// Body of a new restriction.
#[derive(Debug, Deserialize)]
pub(super) struct New {
    restriction_type: String,
    /// A project's id, or an expression.
    restriction_value: String,
}

fn shape(context: ContextId, restriction: &Restriction) -> Value {
    match restriction {
        Restriction::Project(project) => json!({
            "context_id": context,
            "id": project.id,
            "project_id": project.id,
            "name": project.repo.to_string(),
            "restriction_type": "project",
            "restriction_value": project.id,
        }),
        Restriction::Deleted(project) => json!({
            "context_id": context,
            "id": project,
            "project_id": project,
            "name": null,
            "restriction_type": "project",
            "restriction_value": project,
        }),
        Restriction::Expression(expression) => json!({
            "context_id": context,
            "id": expression.id,
            "project_id": null,
            "name": null,
            "restriction_type": "expression",
            "restriction_value": expression.text,
        }),
    }
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let context = find(&state, &id).await?.id;
    let items = state.store.read(move |reader| of(reader, context)).await?;
    Ok(Json(shapes::page(items, None)))
}

/// The restrictions of a context.
pub(super) fn of(reader: &Reader<'_>, context: ContextId) -> Result<Vec<Value>, store::Error> {
    let all = restrictions::list(reader, context)?;
    Ok(all.iter().map(|restriction| shape(context, restriction)).collect())
}

async fn add(
    Admin(user): Admin,
    state: State,
    Path(id): Path<String>,
    Sent(new): Sent<New>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let context = find(&state, &id).await?;
    let (kind, value) = (&new.restriction_type, &new.restriction_value);
    let made = restrictions::add(&state, &user, &context, kind, value).await?;
    Ok((StatusCode::CREATED, Json(shape(context.id, &made))))
}

async fn remove(
    Admin(user): Admin,
    state: State,
    Path((id, restriction)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let context = find(&state, &id).await?;
    restrictions::remove(&state, &user, &context, &restriction).await?;
    Ok(message(StatusCode::OK, "Context restriction deleted."))
}
