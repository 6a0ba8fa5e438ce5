//! Images of the local store, for the command line on this machine.
//!
//! Invariant: an import names a path of this machine's file system, so it is taken from the control
//! socket alone, whose user could read that path anyway.

use super::{body::Sent, message, projects::audit, shapes};
use crate::{
    State,
    access::{Admin, Member, Routes, Via, Viewer},
    error::Failure,
    registry,
};
use axum::{
    Json,
    body::Body,
    extract::Query,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use objects::oci::{Source, Tagged};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use store::{Reader, Txn};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/appliance/v1/image", list)
        .post("/api/appliance/v1/image", import)
        .post("/api/appliance/v1/image/remove", remove)
        .post("/api/appliance/v1/image/copy", copy)
        .get("/api/appliance/v1/image/export", export)
}

fn page(images: &[Tagged]) -> Json<Value> {
    let items =
        images.iter().map(|image| json!({ "reference": image.reference, "digest": image.digest }));
    Json(shapes::page(items.collect(), None))
}

/// A token that is bound to projects sees what it could pull.
async fn list(Viewer(user): Viewer, state: State) -> Result<Json<Value>, Failure> {
    let mut images = state.objects.image_list().await?;
    let named =
        move |reader: &Reader<'_>| registry::projects_named(user.projects.as_deref(), reader);
    if let Some(projects) = state.store.read(named).await? {
        images.retain(|image| registry::is_image_of(&image.reference, &projects));
    }
    Ok(page(&images))
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
    Sent(import): Sent<Import>,
) -> Result<Json<Value>, Failure> {
    if user.via != Via::Socket || !import.path.is_absolute() {
        return Err(Failure::Forbidden(
            "images are imported with `appliance registry import` on the machine itself".into(),
        ));
    }
    let (now, deed) =
        (state.now(), audit(&user, "image.import", &import.path.display().to_string()));
    let note = move |txn: &Txn<'_>| txn.audit_append(now, &deed);
    let (source, name) = (Source::at(import.path), import.name.as_deref());
    let images = state.objects.image_import(source, name, note).await?;
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
    Sent(remove): Sent<Remove>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (now, deed) = (state.now(), audit(&user, "image.remove", &remove.reference));
    let note = move |txn: &Txn<'_>| txn.audit_append(now, &deed);
    state.objects.image_remove(&remove.reference, note).await?;
    Ok(message(StatusCode::OK, "Image forgotten."))
}

/// What is to have a further name.
#[derive(Debug, Deserialize)]
pub(super) struct Copy {
    from: String,
    to: String,
}

async fn copy(
    Member(user): Member,
    state: State,
    Sent(copy): Sent<Copy>,
) -> Result<Json<Value>, Failure> {
    if user.projects.is_some() {
        let why = "this token is bound to projects: push to their repositories instead";
        return Err(Failure::Forbidden(why.into()));
    }
    let now = state.now();
    let note = move |txn: &Txn<'_>, reference: &str| {
        txn.audit_append(now, &audit(&user, "image.copy", reference))
    };
    let tagged = state.objects.image_copy(&copy.from, &copy.to, note).await?;
    Ok(page(&[tagged]))
}

/// What is to be exported.
#[derive(Debug, Deserialize)]
pub(super) struct Export {
    reference: String,
}

async fn export(
    Viewer(user): Viewer,
    state: State,
    Query(export): Query<Export>,
) -> Result<Response, Failure> {
    if user.projects.is_some() {
        let why = "this token is bound to projects: pull from their repositories instead";
        return Err(Failure::Forbidden(why.into()));
    }
    let bytes = state.objects.image_export(&export.reference).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"image.tar\""),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}
