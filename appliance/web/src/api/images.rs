//! Images of the local store, for the command line on this machine.
//!
//! Invariant: an import names a path of this machine's file system, so it is taken from the control
//! socket alone, whose user could read that path anyway.

use super::{message, projects::audit, shapes};
use crate::{
    State,
    access::{Admin, Routes, Via, Viewer},
    error::Failure,
};
use axum::Json;
use http::StatusCode;
use objects::oci::{Source, Tagged};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/appliance/v1/image", list)
        .post("/api/appliance/v1/image", import)
        .post("/api/appliance/v1/image/remove", remove)
}

fn page(images: &[Tagged]) -> Json<Value> {
    let items =
        images.iter().map(|image| json!({ "reference": image.reference, "digest": image.digest }));
    Json(shapes::page(items.collect(), None))
}

async fn list(_: Viewer, state: State) -> Result<Json<Value>, Failure> {
    Ok(page(&state.objects.image_list().await?))
}

/// What to import.
#[derive(Debug, Deserialize)]
pub(super) struct Import {
    path: PathBuf,
    name: Option<String>,
}

async fn import(
    Admin(user): Admin,
    state: State,
    Json(import): Json<Import>,
) -> Result<Json<Value>, Failure> {
    if user.via != Via::Socket || !import.path.is_absolute() {
        return Err(Failure::Forbidden(
            "images are imported with `appliance registry import` on the machine itself".into(),
        ));
    }
    let (now, deed) =
        (state.now(), audit(&user, "image.import", &import.path.display().to_string()));
    let images =
        state.objects.image_import(Source::at(import.path), import.name.as_deref()).await?;
    state.store.write(move |txn| txn.audit_append(now, &deed)).await?;
    Ok(page(&images))
}

/// What to forget.
#[derive(Debug, Deserialize)]
pub(super) struct Remove {
    reference: String,
}

async fn remove(
    Admin(user): Admin,
    state: State,
    Json(remove): Json<Remove>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    state.objects.image_remove(&remove.reference).await?;
    let (now, deed) = (state.now(), audit(&user, "image.remove", &remove.reference));
    state.store.write(move |txn| txn.audit_append(now, &deed)).await?;
    Ok(message(StatusCode::OK, "Image forgotten."))
}
