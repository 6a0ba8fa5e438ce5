//! Orbs of the store: lists, one orb, whether a source is valid.
//!
//! Invariants: as for version 0.1 of the command line ([`crate::api::orb_queries`]): all orbs are
//! certified and public, the versions shown are released ones. The store knows orbs by name; the
//! identifiers that this face needs are made of the name, so that they stay the same.
//! Limits: nothing is written here, orbs are imported.

use super::{entity, list, page};
use crate::{
    State,
    access::{Routes, Viewer},
    api::{
        compile,
        large::Large,
        orb_queries::{first_at, released},
        orbs::{IMPORTED, off_thread},
    },
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::units::Bytes;
use orbs::{Listed, Registry};
use pipeline::endpoints;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Orbs of one page.
const PAGE: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/api/v3/orb/packages/validate", validate)
        // An orb may have 8 MB; quoted as JSON it grows.
        .body_max(Bytes::mib(20))
        .get("/api/v3/orb/packages", packages)
        .get("/api/v3/orb/packages/{id}", package)
        .get("/api/v3/orb/categories", categories)
        .post("/api/v3/orb/packages", imported)
        .post("/api/v3/orb/packages/{id}/set-listed", imported)
        .post("/api/v3/orb/packages/{id}/add-category", imported)
        .post("/api/v3/orb/packages/{id}/remove-category", imported)
}

/// The identifier of `acme`, `acme/say` or `acme/say@1.0.0`.
pub(super) fn id(name: &str) -> Uuid {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let (first, _) = digest.as_chunks::<16>();
    uuid::Builder::from_custom_bytes(first[0]).into_uuid()
}

/// Nothing is published here, and no namespace made.
pub(super) async fn imported(_: Viewer) -> Failure {
    Failure::NotOffered(IMPORTED.into())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "filter[name]")]
    name: String,
    #[serde(rename = "filter[namespace_id]")]
    namespace: String,
    #[serde(rename = "filter[visibility]")]
    visibility: String,
    #[serde(rename = "page[cursor]")]
    cursor: String,
}

impl Wanted {
    fn takes(&self, orb: &Listed) -> bool {
        let namespace = orb.name.split('/').next().unwrap_or_default();
        self.visibility != "private"
            && (self.name.is_empty() || self.name == orb.name)
            && (self.namespace.is_empty() || self.namespace == id(namespace).to_string())
    }
}

/// Orbs with a name and a version; addresses have neither.
fn all(registry: &Registry) -> Result<Vec<Listed>, orbs::Error> {
    let mut all = registry.list()?;
    all.retain(|orb| !orb.versions.is_empty());
    Ok(all)
}

fn shape(registry: &Registry, orb: &Listed) -> Value {
    let namespace = orb.name.split('/').next().unwrap_or_default();
    let newest = released(orb).next().map(|known| {
        let at = registry.kept_at(&orb.name, known);
        let id = id(&format!("{}@{known}", orb.name));
        json!({ "id": id, "attributes": { "version": known.to_string(), "created_at": at } })
    });
    json!({
        "id": id(&orb.name),
        "attributes": {
            "name": orb.name,
            "is_private": false,
            "is_listed": true,
            "created_at": first_at(registry, orb),
            "last_30_days_build_count": 0,
            "last_30_days_project_count": 0,
            "last_30_days_org_count": 0,
        },
        "references": {
            "namespace": { "id": id(namespace), "attributes": { "name": namespace } },
            "orb_versions": newest.as_slice(),
            "orb_categories": [],
        },
    })
}

/// A cursor is the name of the last orb before the page.
async fn packages(
    _: Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let (items, next) = off_thread(&state, move |registry| {
        let mut later = all(registry)?;
        later.retain(|orb| wanted.takes(orb) && orb.name > wanted.cursor);
        let next = (later.len() > PAGE).then(|| later[PAGE - 1].name.clone());
        let items = later.iter().take(PAGE).map(|orb| shape(registry, orb));
        Ok((items.collect::<Vec<_>>(), next))
    })
    .await?;
    Ok(page(items, next))
}

async fn package(
    _: Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let wanted: Uuid = crate::api::id(&text, "Orb")?;
    let found = off_thread(&state, move |registry| {
        let found = all(registry)?.into_iter().find(|orb| id(&orb.name) == wanted);
        Ok(found.map(|orb| shape(registry, &orb)))
    })
    .await?;
    found.map(entity).ok_or_else(|| Failure::missing("Orb"))
}

async fn categories(_: Viewer) -> Json<Value> {
    list([])
}

/// An orb's source.
#[derive(Debug, Deserialize)]
pub(super) struct Source {
    yaml: String,
}

/// `orb validate` and `orb process`.
async fn validate(_: Viewer, state: State, large: Large<Source>) -> Result<Json<Value>, Failure> {
    let body = json!({ "config": large.body.yaml });
    let answered = compile::answer(&state, body, "/config", endpoints::orb_config).await?;
    let answer = answered.map_err(|error| Failure::Invalid(error.to_string()))?;
    let told = &answer["orbConfig"];
    let errors: Value = told["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| error["message"].clone())
        .collect();
    let attributes =
        json!({ "is_valid": told["valid"], "output_yaml": told["outputYaml"], "errors": errors });
    Ok(entity(json!({ "id": Uuid::nil(), "attributes": attributes })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_belong_to_names() {
        assert_eq!(id("acme/say"), id("acme/say"));
        assert_ne!(id("acme/say"), id("acme/say@1.0.0"));
    }
}
