//! Versions of orbs: by reference, of one orb, and their sources.

use super::{
    entity, list,
    orbs::{id, imported},
};
use crate::{
    State,
    access::{Routes, Viewer},
    api::orbs::off_thread,
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
    response::{IntoResponse, Response},
};
use http::header;
use orbs::{Error, Registry};
use pipeline::{OrbReference, OrbVersion};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/orb/versions", versions)
        .get("/api/v3/orb/versions/{id}", version)
        .get("/api/v3/orb/versions/{id}/source", source)
        .post("/api/v3/orb/versions", imported)
        .post("/api/v3/orb/versions/{id}/promote", imported)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "filter[ref]")]
    reference: Option<String>,
    #[serde(rename = "filter[orb_id]")]
    orb: Option<String>,
    #[serde(rename = "filter[channel]")]
    channel: String,
}

impl Wanted {
    fn takes(&self, version: &OrbVersion) -> bool {
        match self.channel.as_str() {
            "stable" => matches!(version, OrbVersion::Release(..)),
            "dev" => matches!(version, OrbVersion::Dev(_)),
            _ => true,
        }
    }
}

fn shape(registry: &Registry, of: &OrbReference) -> Value {
    json!({
        "id": id(&of.to_string()),
        "attributes": {
            "version": of.version.to_string(),
            "created_at": registry.kept_at(&of.name, &of.version),
        },
        "references": { "orb_package": { "id": id(&of.name), "attributes": { "name": of.name } } },
    })
}

async fn versions(
    _: Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let orb: Option<Uuid> = match &wanted.orb {
        Some(text) => Some(crate::api::id(text, "Orb")?),
        None => None,
    };
    let found = off_thread(&state, move |registry| {
        let found = match (&wanted.reference, orb) {
            (Some(reference), _) => resolved(registry, reference)?.into_iter().collect(),
            (None, Some(orb)) => of(registry, |known| id(&known.name) == orb)?,
            (None, None) => vec![],
        };
        let taken = found.iter().filter(|known| wanted.takes(&known.version));
        Ok(taken.map(|known| shape(registry, known)).collect::<Vec<_>>())
    })
    .await?;
    Ok(list(found))
}

/// What a reference such as `acme/say@volatile` stands for now.
fn resolved(registry: &Registry, reference: &str) -> Result<Option<OrbReference>, Error> {
    match registry.source(reference) {
        Ok(found) => Ok(found.resolved.parse().ok()),
        Err(Error::Missing { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// All that fit, the newest of each orb first.
fn of(
    registry: &Registry,
    fits: impl Fn(&OrbReference) -> bool,
) -> Result<Vec<OrbReference>, Error> {
    let each = |orb: orbs::Listed| {
        let name = orb.name;
        orb.versions
            .into_iter()
            .rev()
            .map(move |version| OrbReference { name: name.clone(), version })
    };
    Ok(registry.list()?.into_iter().flat_map(each).filter(|known| fits(known)).collect())
}

async fn find(state: &State, text: &str) -> Result<OrbReference, Failure> {
    let wanted: Uuid = crate::api::id(text, "Orb version")?;
    let fits = move |known: &OrbReference| id(&known.to_string()) == wanted;
    let found = off_thread(state, move |registry| of(registry, fits)).await?;
    found.into_iter().next().ok_or_else(|| Failure::missing("Orb version"))
}

async fn version(
    _: Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let found = find(&state, &text).await?;
    Ok(entity(off_thread(&state, move |registry| Ok(shape(registry, &found))).await?))
}

async fn source(_: Viewer, state: State, Path(text): Path<String>) -> Result<Response, Failure> {
    let reference = find(&state, &text).await?.to_string();
    let found = off_thread(&state, move |registry| registry.source(&reference)).await?;
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, found.text.to_string()).into_response())
}
