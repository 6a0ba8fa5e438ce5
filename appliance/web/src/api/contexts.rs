//! Contexts and their variables, whose values never leave.

use super::{
    body::Sent,
    message,
    projects::{check_name, check_value},
    restrictions, shapes,
};
use crate::{
    State,
    access::{Member, Routes, Viewer},
    deeds,
    error::Failure,
    guarded,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::{
    ids::{ContextId, OrgId},
    secret::Secret,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{
    Reader,
    projects::{Context, Org, VariableInfo},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/context", list)
        .post("/api/v2/context", create)
        .get("/api/v2/context/{id}", get)
        .delete("/api/v2/context/{id}", remove)
        .get("/api/v2/context/{id}/environment-variable", variables)
        .put("/api/v2/context/{id}/environment-variable/{name}", set)
        .delete("/api/v2/context/{id}/environment-variable/{name}", unset)
}

/// An owner, by id or by slug.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    id: Option<String>,
    slug: Option<String>,
}

/// Which contexts: an owner's, and of these those whose name has this in it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "owner-id")]
    id: Option<String>,
    #[serde(rename = "owner-slug")]
    slug: Option<String>,
    name: String,
}

/// Body of a new context.
#[derive(Debug, Deserialize)]
pub(super) struct NewContext {
    name: String,
    owner: Owner,
}

async fn owner(state: &State, owner: Owner) -> Result<Org, Failure> {
    let found = match (owner.id, owner.slug) {
        (Some(id), _) => {
            let id: OrgId = super::id(&id, "Organization")?;
            state.store.read(move |reader| reader.org_get(id)).await?
        }
        (None, Some(slug)) => return org_by_slug(state, slug).await,
        (None, None) => {
            return Err(Failure::Invalid("name the owner: owner-id or owner-slug".into()));
        }
    };
    found.ok_or_else(|| Failure::missing("Organization"))
}

/// The organisation of a slug such as `gh/acme`, or `circleci/` and its identifier.
pub(super) async fn org_by_slug(state: &State, slug: String) -> Result<Org, Failure> {
    let name = slug.rsplit('/').next().unwrap_or_default().to_owned();
    let read = move |reader: &Reader<'_>| match name.parse() {
        Ok(id) if slug.starts_with("circleci/") => reader.org_get(id),
        _ => reader.org_by_name(&name),
    };
    state.store.read(read).await?.ok_or_else(|| Failure::missing("Organization"))
}

fn shape(context: &Context) -> Value {
    json!({ "id": context.id, "name": context.name, "created_at": context.created_at })
}

/// Name and times; of the value its last characters, as version 1 of the command line shows them.
fn variable(context: ContextId, info: &VariableInfo) -> Value {
    json!({
        "variable": info.name,
        "truncated_value": info.masked.strip_prefix("xxxx").unwrap_or_default(),
        "created_at": info.created_at,
        "updated_at": info.updated_at,
        "context_id": context,
    })
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    Query(Wanted { id, slug, name }): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let org = owner(&state, Owner { id, slug }).await?.id;
    let all = state.store.read(move |reader| reader.context_list(org)).await?;
    let named = all.iter().filter(|context| context.name.contains(&name));
    Ok(Json(shapes::page(named.map(shape).collect(), None)))
}

async fn create(
    Member(user): Member,
    state: State,
    Sent(new): Sent<NewContext>,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let org = owner(&state, new.owner).await?;
    if new.name.trim().is_empty() || new.name.len() > 200 {
        return Err(Failure::Invalid("a context's name has 1 to 200 characters".into()));
    }
    let (now, deed) =
        (state.now(), deeds::context(&user, "create", &format!("{}/{}", org.name, new.name)));
    let made = state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_create(org.id, &new.name, now)
        })
        .await?;
    Ok(Json(shape(&made)))
}

pub(super) async fn find(state: &State, text: &str) -> Result<Context, Failure> {
    let id: ContextId = super::id(text, "Context")?;
    let found = state.store.read(move |reader| reader.context_get(id)).await?;
    found.ok_or_else(|| Failure::missing("Context"))
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let context = find(&state, &id).await?;
    let id = context.id;
    let read = move |reader: &Reader<'_>| {
        Ok::<_, store::Error>((reader.context_variable_list(id)?, restrictions::of(reader, id)?))
    };
    let (variables, restrictions) = state.store.read(read).await?;
    let variables: Vec<Value> = variables.iter().map(|info| variable(id, info)).collect();
    let mut shape = shape(&context);
    shape["org_id"] = json!(context.org);
    shape["environment_variables"] = json!(variables);
    shape["restrictions"] = json!(restrictions);
    Ok(Json(shape))
}

async fn remove(
    Member(user): Member,
    state: State,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    user.unbound()?;
    let context = find(&state, &id).await?;
    guarded::context(&state, &user, &context).await?;
    let (now, deed) = (state.now(), deeds::context(&user, "remove", &context.name));
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_remove(context.id)
        })
        .await?;
    Ok(message(StatusCode::OK, "Context deleted."))
}

async fn variables(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let id = find(&state, &id).await?.id;
    let all = state.store.read(move |reader| reader.context_variable_list(id)).await?;
    let items = all.iter().map(|info| variable(id, info));
    Ok(Json(shapes::page(items.collect(), None)))
}

/// Body of a variable.
#[derive(Deserialize)]
pub(super) struct NewValue {
    value: Secret,
}

async fn set(
    Member(user): Member,
    state: State,
    Path((id, name)): Path<(String, String)>,
    Sent(new): Sent<NewValue>,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let context = find(&state, &id).await?;
    guarded::context(&state, &user, &context).await?;
    check_name(&name)?;
    check_value(&name, &new.value)?;
    let (now, deed) = (state.now(), deeds::context_variable(&user, "set", &context.name, &name));
    let (id, variable) = (context.id, name.clone());
    let created = state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_variable_set(id, &variable, &new.value, now)
        })
        .await?;
    Ok(Json(
        json!({ "variable": name, "created_at": created, "updated_at": now, "context_id": id }),
    ))
}

async fn unset(
    Member(user): Member,
    state: State,
    Path((id, name)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    user.unbound()?;
    let context = find(&state, &id).await?;
    guarded::context(&state, &user, &context).await?;
    let (now, deed) = (state.now(), deeds::context_variable(&user, "remove", &context.name, &name));
    let removed = state
        .store
        .write(move |txn| {
            let removed = txn.context_variable_remove(context.id, &name)?;
            if removed {
                txn.audit_append(now, &deed)?;
            }
            Ok::<_, store::Error>(removed)
        })
        .await?;
    if removed {
        Ok(message(StatusCode::OK, "Environment variable deleted."))
    } else {
        Err(Failure::missing("Environment variable"))
    }
}
