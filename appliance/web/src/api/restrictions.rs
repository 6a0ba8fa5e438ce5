//! Restrictions of contexts: which projects may use one.
//!
//! Limits: of the kinds that the reference names, `project` alone; the others are refused by name.
//! A restriction's id is its project's.

use super::{body::Sent, contexts::find, message, projects::audit, shapes};
use crate::{
    State,
    access::{Member, Routes, Viewer},
    error::Failure,
};
use axum::{Json, extract::Path};
use base::ids::{ContextId, ProjectId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Reader, projects::Project};

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
    /// A project's id.
    restriction_value: String,
}

fn shape(context: ContextId, project: &Project) -> Value {
    json!({
        "context_id": context,
        "id": project.id,
        "project_id": project.id,
        "name": project.repo.to_string(),
        "restriction_type": "project",
        "restriction_value": project.id,
    })
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
    let mut items = Vec::new();
    for project in reader.context_restriction_list(context)? {
        items.extend(reader.project_get(project)?.map(|project| shape(context, &project)));
    }
    Ok(items)
}

async fn add(
    Member(user): Member,
    state: State,
    Path(id): Path<String>,
    Sent(new): Sent<New>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    user.unbound()?;
    let context = find(&state, &id).await?;
    if new.restriction_type != "project" {
        return Err(Failure::Invalid(format!(
            "restrictions of the type `{}` are not supported here: use `project`, with a project's id as the value",
            new.restriction_type.chars().take(64).collect::<String>()
        )));
    }
    let project: ProjectId = super::id(&new.restriction_value, "Project")?;
    let project = state.store.read(move |reader| reader.project_get(project)).await?;
    let project = project
        .filter(|project| project.org == context.org)
        .ok_or_else(|| Failure::missing("Project"))?;
    let deed = format!("{} {}", context.name, project.repo);
    let (now, deed) = (state.now(), audit(&user, "context.restrict", &deed));
    let (context, id) = (context.id, project.id);
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_restrict(context, id)
        })
        .await?;
    Ok((StatusCode::CREATED, Json(shape(context, &project))))
}

async fn remove(
    Member(user): Member,
    state: State,
    Path((id, restriction)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    user.unbound()?;
    let context = find(&state, &id).await?;
    let restriction: ProjectId = super::id(&restriction, "Restriction")?;
    let (now, deed) = (state.now(), audit(&user, "context.unrestrict", &context.name));
    let removed = state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_unrestrict(context.id, restriction)
        })
        .await?;
    if removed {
        Ok(message(StatusCode::OK, "Context restriction deleted."))
    } else {
        Err(Failure::missing("Restriction"))
    }
}
