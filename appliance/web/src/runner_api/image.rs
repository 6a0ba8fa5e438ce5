//! Which layers a job's image consists of, and where the runner gets them.

use super::{
    Answer, Asked,
    held::{Fenced, held, task_id},
    keep::TRANSFER,
};
use crate::{
    State,
    access::{Routes, Runner},
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::protocol::ImageSource;
use objects::oci::ImageError;
use serde::Deserialize;

pub(super) fn routes() -> Routes {
    Routes::new().post("/runner/v1/tasks/{task}/image", image)
}

/// An image, as the configuration names it.
#[derive(Debug, Deserialize)]
struct Named {
    reference: String,
}

async fn image(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
    asked: Asked<Named>,
) -> Answer<ImageSource> {
    let Json(Named { reference }) = asked?;
    held(&state, task_id(&task)?, fence)?;
    let found = state.objects.image_source(&reference, TRANSFER).await;
    Ok(Json(found.map_err(Failure::from)?))
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Missing(_) => Self::Missing(error.to_string()),
            ImageError::Objects(_) => Self::inside(error),
            ImageError::Read { ref source, .. } => Self::Conflict(format!("{error}: {source}")),
            // All others tell what to do with the file or the name.
            other => Self::Invalid(other.to_string()),
        }
    }
}
