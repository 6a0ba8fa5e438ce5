//! Namespaces of the orb store: one is there while an orb of it is.

use super::{entity, orbs};
use crate::{
    State,
    access::{Routes, Viewer},
    api::orbs::off_thread,
    error::Failure,
};
use axum::{Json, extract::Query};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/namespaces", get)
        .post("/api/v3/namespaces", orbs::imported)
        .post("/api/v3/namespaces/{id}/rename", orbs::imported)
        .delete("/api/v3/namespaces/{id}", orbs::imported)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "filter[name]")]
    name: String,
}

/// One, as an entity: its client knows an absent one by 404.
async fn get(
    _: Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let name = wanted.name.clone();
    let is_known = off_thread(&state, move |registry| {
        let of = |orb: &::orbs::Listed| orb.name.split_once('/').is_some_and(|(of, _)| of == name);
        Ok(registry.list()?.iter().any(|orb| !orb.versions.is_empty() && of(orb)))
    })
    .await?;
    if !is_known {
        return Err(Failure::missing("Namespace"));
    }
    Ok(entity(json!({ "id": orbs::id(&wanted.name), "attributes": { "name": wanted.name } })))
}
