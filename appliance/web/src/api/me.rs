//! `/me`: who the token belongs to.

use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::{Json, extract::Path};
use base::ids::UserId;
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/me", me)
        .get("/api/v2/me/collaborations", collaborations)
        .get("/api/v2/user/{id}", user)
}

async fn me(Viewer(user): Viewer) -> Json<Value> {
    Json(json!({ "id": user.id, "login": user.login, "name": user.login }))
}

async fn collaborations(_: Viewer, state: State) -> Result<Json<Value>, Failure> {
    let orgs = state.store.read(|reader| reader.org_list()).await?;
    let items = orgs.iter().map(|org| {
        let slug = format!("gh/{}", org.name);
        // Version 0.1 of the command line and others read the one spelling, version 1 the other.
        json!({ "id": org.id, "vcs-type": "github", "vcs_type": "github", "name": org.name, "avatar_url": "", "slug": slug })
    });
    Ok(Json(items.collect()))
}

async fn user(_: Viewer, state: State, Path(text): Path<String>) -> Result<Json<Value>, Failure> {
    let id: UserId = super::id(&text, "User")?;
    let found = state.store.read(move |reader| reader.user_get(id)).await?;
    let user = found.ok_or_else(|| Failure::missing("User"))?;
    Ok(Json(json!({ "id": user.id, "login": user.login, "name": user.name })))
}
