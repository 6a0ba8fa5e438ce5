//! Orbs of the local store, for the command line.
//!
//! Invariant: an orb runs in other people's jobs, so only administrators add one, and every
//! addition is in the audit log. Its line comes first: an orb without one cannot be there, and a line whose
//! orb found no room on the disk may.

use super::{body::Sent, projects::audit, shapes};
use crate::{
    State,
    access::{Admin, Routes, Viewer},
    error::Failure,
};
use axum::{Json, extract::Query};
use base::units::Bytes;
use orbs::{Added, Error, Listed, Name, Registry};
use pipeline::Diagnostic;
use serde::Deserialize;
use serde_json::{Value, json};

/// For clients that would publish.
pub(super) const IMPORTED: &str = "orbs are imported here, and their namespaces come with them: an administrator runs `appliance orb import FILE NAMESPACE/ORB@1.2.3`";

const PATH: &str = "/api/appliance/v1/orb";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(PATH, list)
        .get("/api/appliance/v1/orb/source", source)
        .post(PATH, add)
        // An orb may have 8 MB; quoted as JSON it grows.
        .body_max(Bytes::mib(20))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Taken(_) => Self::Conflict(error.to_string()),
            Error::Missing { .. } => Self::Missing(error.to_string()),
            Error::Io { .. } => Self::inside(error),
            other => Self::Invalid(other.to_string()),
        }
    }
}

/// Reads and writes files, so off the asynchronous threads.
pub(super) async fn off_thread<T: Send + 'static>(
    state: &State,
    work: impl FnOnce(&Registry) -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    let registry = state.orbs.clone();
    let done = tokio::task::spawn_blocking(move || work(&registry)).await;
    Ok(done.map_err(Failure::inside)??)
}

async fn list(_: Viewer, state: State) -> Result<Json<Value>, Failure> {
    let item = |orb: Listed| {
        let versions: Vec<String> = orb.versions.iter().map(ToString::to_string).collect();
        json!({ "name": orb.name, "versions": versions })
    };
    let found = off_thread(&state, Registry::list).await?;
    Ok(Json(shapes::page(found.into_iter().map(item).collect(), None)))
}

/// Which orb.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    reference: String,
}

async fn source(
    _: Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let found = off_thread(&state, move |registry| registry.source(&wanted.reference)).await?;
    Ok(Json(json!({ "reference": found.resolved, "source": &*found.text })))
}

/// An orb to keep.
#[derive(Debug, Deserialize)]
pub(super) struct New {
    reference: String,
    source: String,
}

async fn add(
    Admin(user): Admin,
    state: State,
    Sent(new): Sent<New>,
) -> Result<Json<Value>, Failure> {
    let name: Name = new.reference.parse()?;
    let shown = name.to_string();
    let deed = audit(&user, "orb.import", &shown);
    let (file, of, source) = (shown.clone(), name.clone(), new.source.clone());
    let (would, found) = off_thread(&state, move |registry| {
        let found = orbs::check(registry, &file, &source)?;
        let is_good = !found.iter().any(Diagnostic::is_error);
        let would = is_good.then(|| registry.would_add(&of, &source)).transpose()?;
        Ok((would, found))
    })
    .await?;
    let Some(would) = would else {
        let errors: Vec<String> =
            found.iter().filter(|d| d.is_error()).map(Diagnostic::render).collect();
        return Err(Failure::Invalid(format!("{shown} is not valid:\n{}", errors.join(""))));
    };
    if would != Added::Same {
        let now = state.now();
        state.store.write(move |txn| txn.audit_append(now, &deed)).await?;
    }
    let added = off_thread(&state, move |registry| registry.add(&name, &new.source)).await?;
    let result = match added {
        Added::New => "new",
        Added::Same => "same",
        Added::Replaced => "replaced",
    };
    Ok(Json(json!({ "reference": shown, "result": result, "diagnostics": found })))
}
